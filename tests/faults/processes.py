"""One service process under test: started with what it is told, killed, stopped, frozen, and asked how it is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
from kintsugi_sandbox.embedded.servers import tail

from tests.faults.nursery import Nursery


class Process:
    """``names`` run in it. ``ends`` holds every exit code that was seen."""

    def __init__(
        self, nursery: Nursery, names: tuple[str, ...], ports: Mapping[str, int], told: Mapping[str, str], log: Path
    ) -> None:
        self.names = names
        self.ports = dict(ports)
        self.log = log
        self.ends: list[int] = []
        self._nursery = nursery
        self._told = dict(told)
        self._pid: int | None = None
        self._kept: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether it is alive (frozen counts)."""
        return self._pid is not None and self._pid not in self._nursery.ended

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._pid is not None
        return self._pid

    def url(self, service: str) -> str:
        """The base of a service's API in it."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def start(self, **told: str) -> None:
        """Starts it, with more in its environment where given."""
        assert not self.running, f"{self.names} still runs"
        self._note_end()
        self._pid = self._nursery.fork(self.names, {**self._told, **told}, self.log)

    async def ready(self, seconds: float = 60) -> None:
        """Returns when every service in it is ready."""
        end = time.monotonic() + seconds
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
            for service in self.names:
                while not await _answers(client, f"{self.url(service)}/readyz"):
                    assert self.running, f"{self.names} ended while starting:\n{tail(self.log)}"
                    assert time.monotonic() < end, f"{service} was not ready:\n{tail(self.log)}"
                    await asyncio.sleep(0.05)

    async def alive(self) -> bool:
        """Whether its watchdog sees no part stuck."""
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            return self.running and all([await _answers(client, f"{self.url(name)}/livez") for name in self.names])

    async def dies(self, seconds: float = 25) -> int:
        """Waits until it ends by itself; returns its exit code."""
        end = time.monotonic() + seconds
        while self.running:
            assert time.monotonic() < end, f"{self.names} did not end by itself:\n{tail(self.log)}"
            await asyncio.sleep(0.02)
        return self._note_end()

    async def kill(self) -> None:
        """SIGKILL."""
        await self._unkept()
        await self._ended_by(signal.SIGKILL, 10)

    async def stop(self, seconds: float = 40) -> int:
        """SIGTERM; returns the exit code. Killed after ``seconds``, which its code then says."""
        await self._unkept()
        if await self._ended_by(signal.SIGTERM, seconds):
            return self.ends[-1]
        await self._ended_by(signal.SIGKILL, 10)
        return self.ends[-1]

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

    async def _ended_by(self, number: signal.Signals, seconds: float) -> bool:
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
        end = time.monotonic() + seconds
        while self.running and time.monotonic() < end:  # noqa: ASYNC110 - another process ends
            await asyncio.sleep(0.02)
        if self.running:
            return False
        self._note_end()
        return True

    def _note_end(self) -> int:
        if self._pid is not None and self._pid in self._nursery.ended:
            self.ends.append(self._nursery.ended[self._pid])
            self._pid = None
        return self.ends[-1] if self.ends else 0


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx.HTTPError:
        return False
