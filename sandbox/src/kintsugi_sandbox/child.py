"""One supervised process: started, asked whether it is ready, started again with back-off when it ends by itself."""

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Literal

from kintsugi_office.state import ProcessState

from kintsugi_sandbox.embedded import servers

_FIRST_DELAY, _LONGEST_DELAY = 0.1, 10.0
_SETTLED_AFTER = 30.0  # seconds of life after which a process's next end counts as its first again
_HOPELESS_AFTER = 3  # ends before it was ever ready


class ChildFailed(RuntimeError):
    """A process did not become ready; the text holds what it printed last."""


class Child:
    """A process of the office, kept running from :meth:`start` until :meth:`stop`.

    ``ready`` is asked until it says yes. ``environment`` may be changed between starts. ``changed`` is called after
    every change of state.
    """

    def __init__(
        self,
        name: str,
        command: list[str],
        *,
        environment: Mapping[str, str],
        logs: Path,
        ports: Mapping[str, int],
        ready: Callable[[], Awaitable[bool]],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.command = command
        self.environment = dict(environment)
        self.output = logs / f"{name}.out"
        self.ports = dict(ports)
        self.restarts = 0
        self.state: Literal["starting", "ready", "waiting", "stopped"] = "stopped"
        self._ready = ready
        self._changed = changed
        self._process: subprocess.Popen[bytes] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._was_ready = asyncio.Event()
        self._ends_before_ready = 0
        self._pause = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id, None while it is down."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def describe(self) -> ProcessState:
        """What ``office.json`` says about it."""
        return ProcessState(
            pid=self.pid, state=self.state, restarts=self.restarts, ports=self.ports, log=str(self.output)
        )

    def start(self) -> None:
        """Start it and keep it running. Call from the main thread, which the process's life is tied to."""
        if self._keeping is None:
            self._was_ready.clear()
            self._ends_before_ready = 0
            self._keeping = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def wait_ready(self, seconds: float = 60) -> None:
        """Return when it is ready. Raises ChildFailed when it ends again and again, or the time is over."""
        end = time.monotonic() + seconds
        while not self._was_ready.is_set():
            if self._ends_before_ready >= _HOPELESS_AFTER:
                raise ChildFailed(self._explain(f"{self.name} ended {self._ends_before_ready} times while starting"))
            if time.monotonic() > end:
                raise ChildFailed(self._explain(f"{self.name} was not ready after {seconds:.0f} s"))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._was_ready.wait(), 0.1)

    async def stop(self, *, seconds: float = 20) -> None:
        """SIGTERM, and SIGKILL when it is still there after ``seconds``. It stays down."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
            self._keeping = None
        if self._process is not None:
            await servers.stop_process(self._process, first=signal.SIGTERM, seconds=seconds)
        self._set("stopped")

    async def kill(self, *, down_for: float = 0.0) -> None:
        """SIGKILL; it comes back by itself, not before ``down_for`` seconds."""
        self._pause = down_for
        self._was_ready.clear()
        if self._process is not None:
            await servers.kill_process(self._process)

    async def restart(self, *, seconds: float = 20) -> None:
        """Stop it in order and start it again; returns when it is ready."""
        await self.stop(seconds=seconds)
        self.start()
        await self.wait_ready()

    async def _keep(self) -> None:
        delay = _FIRST_DELAY
        while True:
            started = time.monotonic()
            self._process = servers.spawn(self.command, log=self.output, env=self.environment)
            self._set("starting")
            await self._until_it_ends(self._process)
            self.restarts += 1
            self._set("waiting")
            if time.monotonic() - started > _SETTLED_AFTER:
                delay = _FIRST_DELAY
            await asyncio.sleep(max(delay, self._pause))
            self._pause = 0.0
            delay = min(delay * 2, _LONGEST_DELAY)

    async def _until_it_ends(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            if self.state == "starting" and await self._ready() and process.poll() is None:
                self._set("ready")
                self._was_ready.set()
            await asyncio.sleep(0.05)
        if self.state == "starting":
            self._ends_before_ready += 1

    def _set(self, state: Literal["starting", "ready", "waiting", "stopped"]) -> None:
        self.state = state
        self._changed()

    def _explain(self, what: str) -> str:
        return f"{what}.\n{servers.tail(self.output)}\nFull output: {self.output}"
