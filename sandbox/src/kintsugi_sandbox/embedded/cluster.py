"""Several brokers that keep copies of everything, for tests that break some of them."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from kintsugi.kafka import Cluster, make_password_file
from kintsugi_office.broker_settings import Seat

from kintsugi_sandbox.embedded.kafka import EmbeddedKafka, seat_in


class KafkaCluster:
    """Several brokers with every topic on each of them (min ISR 2), for fault tests. Three take about 1 GB."""

    def __init__(
        self, folder: Path, *, brokers: int = 3, settings: Mapping[str, str] | None = None, heap: str = "384m"
    ) -> None:
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        seats: list[Seat] = []
        for node in range(1, brokers + 1):
            taken = [port for seat in seats for port in (seat.port, seat.controller_port)]
            seats.append(seat_in(self.folder / f"node{node}", node, taken=taken))
        password = self.folder / "admin.password"
        make_password_file(password)
        self.brokers = [
            EmbeddedKafka(
                self.folder / f"node{seat.node}",
                settings=settings,
                password_file=password,
                heap=heap,
                seats=seats,
                node=seat.node,
            )
            for seat in seats
        ]

    @property
    def bootstrap(self) -> str:
        """Every broker's address, separated by commas."""
        return ",".join(broker.bootstrap for broker in self.brokers)

    @property
    def cluster(self) -> Cluster:
        """All brokers, as their administrator."""
        return replace(self.brokers[0].cluster, bootstrap=self.bootstrap)

    async def start(self) -> None:
        """Start all brokers together and return when each sees all."""
        await asyncio.gather(*(broker.launch() for broker in self.brokers))
        await asyncio.gather(*(broker.ready(brokers=len(self.brokers), seconds=120) for broker in self.brokers))

    async def stop(self) -> None:
        """Stop all; the last ones are killed, since a lone controller cannot shut down in order."""
        first, *others = self.brokers
        await first.stop()
        await asyncio.gather(*(broker.kill() for broker in others))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
