"""One service process under test: started with what it is told, killed, stopped, frozen, and asked how it is."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
from kintsugi_office.embedded import servers

EXPECTED = {0, -signal.SIGKILL, 70}
"""How a process may end here: as asked, killed by us, or by its own watchdog, so that its supervisor starts it."""


class Process:
    """``names`` run in it. ``ends`` holds every exit code that was seen, ``kills`` how often SIGKILL ended it."""

    def __init__(self, names: tuple[str, ...], ports: Mapping[str, int], told: Mapping[str, str], log: Path) -> None:
        self.names = names
        self.ports = dict(ports)
        self.log = log
        self.ends: list[int] = []
        self._told = dict(told)
        self._process: subprocess.Popen[bytes] | None = None
        self._kept: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether it is alive (frozen counts)."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def url(self, service: str) -> str:
        """The base of a service's API in it."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def start(self, **told: str) -> None:
        """Starts it, with more in its environment where given."""
        assert not self.running, f"{self.names} still runs"
        self._note_end()
        command = [sys.executable, "-m", "kintsugi.runtime", *self.names]
        self._process = servers.spawn(command, log=self.log, env={**os.environ, **self._told, **told})

    async def ready(self, seconds: float = 45) -> None:
        """Returns when every service in it is ready."""
        end = time.monotonic() + seconds
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
            for service in self.names:
                while not await _answers(client, f"{self.url(service)}/readyz"):
                    assert self.running, f"{self.names} ended while starting:\n{servers.tail(self.log)}"
                    assert time.monotonic() < end, f"{service} was not ready:\n{servers.tail(self.log)}"
                    await asyncio.sleep(0.05)

    async def alive(self) -> bool:
        """Whether its watchdog sees no part stuck."""
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            return self.running and all([await _answers(client, f"{self.url(name)}/livez") for name in self.names])

    async def dies(self, seconds: float = 25) -> int:
        """Waits until it ends by itself; returns its exit code."""
        assert self._process is not None
        end = time.monotonic() + seconds
        while self._process.poll() is None:
            assert time.monotonic() < end, f"{self.names} did not come by its failpoint:\n{servers.tail(self.log)}"
            await asyncio.sleep(0.02)
        code = int(self._process.returncode)
        self._note_end()
        return code

    async def kill(self) -> None:
        """SIGKILL."""
        await self._unkept()
        if self._process is not None:
            await servers.kill_process(self._process)
        self._note_end()

    async def stop(self, seconds: float = 40) -> int:
        """SIGTERM; returns the exit code. Killed after ``seconds``, which its code then says."""
        await self._unkept()
        if self._process is None:
            return 0
        await servers.stop_process(self._process, first=signal.SIGTERM, seconds=seconds)
        code = int(self._process.returncode)
        self._note_end()
        return code

    def freeze(self) -> None:
        """SIGSTOP: it neither works nor ends."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def keep(self) -> None:
        """From now on it is started again whenever it ends, as its supervisor would."""
        if self._kept is None:
            self._kept = asyncio.create_task(self._supervise())

    async def _supervise(self) -> None:
        while True:
            if not self.running:
                self.start()
            await asyncio.sleep(0.1)

    async def _unkept(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.cancel()
            await asyncio.gather(kept, return_exceptions=True)

    def _note_end(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            self.ends.append(int(self._process.returncode))
            self._process = None


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx.HTTPError:
        return False
