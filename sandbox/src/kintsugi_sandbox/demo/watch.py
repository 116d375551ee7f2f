"""What a spectator sees: every event on the country's topics, read as they come, and never the script's own word."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from kintsugi.kafka import Cluster
from kintsugi_office.topics import TopicPlan


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as it stands on its topic. ``at_ms`` is when the log took it, in machine time."""

    service: str
    type: str
    id: str
    subject: str
    causation: str
    at_ms: int
    data: Mapping[str, Any]


class Watch:
    """Reads all topics from the beginning, with no consumer group. ``changed`` is called after reads."""

    def __init__(self, cluster: Cluster, topics: Sequence[TopicPlan], changed: Callable[[], None]) -> None:
        self.events: list[Seen] = []
        self.counts: Counter[str] = Counter()
        self._ids: set[str] = set()
        self._cluster = cluster
        self._topics = topics
        self._changed = changed
        self._reading: asyncio.Task[None] | None = None
        self._new = asyncio.Event()

    async def __aenter__(self) -> "Watch":
        self._consumer = AIOKafkaConsumer(
            **self._cluster.client(), auto_offset_reset="earliest", enable_auto_commit=False
        )
        await self._consumer.start()
        self._consumer.assign([TopicPartition(plan.name, n) for plan in self._topics for n in range(plan.partitions)])
        await self._consumer.seek_to_beginning()
        self._reading = asyncio.create_task(self._read(), name="watch the topics")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._consumer.stop()

    async def until(self, type_: str, count: int, *, within: float) -> bool:
        """Whether ``count`` events of a type were seen within so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self.counts[type_] < count:
                    self._new.clear()
                    await self._new.wait()
        return self.counts[type_] >= count

    def of(self, type_: str) -> list[Seen]:
        """The events of a type, in the order in which they were read."""
        return [event for event in self.events if event.type == type_]

    async def _read(self) -> None:
        while True:
            batches = await self._consumer.getmany(timeout_ms=100, max_records=500)
            for batch in batches.values():
                for record in batch:
                    self._take(record)
            if batches:
                self._new.set()
                self._changed()

    def _take(self, record: Any) -> None:
        headers = {name: value.decode("utf-8", "replace") for name, value in record.headers if value is not None}
        type_ = headers.get("ce_type", "unknown").removeprefix("kintsugi.").rpartition(".v")[0]
        event = Seen(
            service=headers.get("ce_source", "").rsplit("/", 1)[-1],
            type=type_,
            id=headers.get("ce_id", ""),
            subject=headers.get("ce_subject", ""),
            causation=headers.get("ce_causationid", ""),
            at_ms=record.timestamp,
            data=json.loads(record.value),
        )
        if event.id in self._ids:  # a relay that was killed before it noted the acknowledgement sends again
            return
        self._ids.add(event.id)
        self.events.append(event)
        self.counts[type_] += 1
