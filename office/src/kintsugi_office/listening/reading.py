"""The topics of a country as one stream: history in the order of the log's time, then what comes. Joins no group."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError
from kintsugi.kafka import Cluster
from kintsugi.partitioning import partition_of
from kintsugi.subscribe.joining import login_refused
from kintsugi_contracts.catalog import Catalog

from kintsugi_office.listening.choosing import Beginning
from kintsugi_office.listening.heard import Heard, hear

_POLL_MS = 200
_RECORDS = 2_000
_FEW = 200
_LOOK_SECONDS = 5.0
_ANSWER_SECONDS = 4.0
_UNREADABLE = (CorruptRecordException, UnicodeDecodeError)


class CannotListen(RuntimeError):
    """The topics cannot be read; the text says why and what to do."""


@dataclass(frozen=True)
class Unread:
    """Records that the client cannot read, from offset ``first`` to ``last``. They were passed over."""

    topic: str
    partition: int
    first: int
    last: int


@dataclass
class Tail:
    """``async with Tail(...) as tail: async for batch in tail.read(stop)``.

    ``topics`` has the number of partitions of each. With a ``subject``, only the partitions in which it lives are
    read. ``done`` and ``total`` count the records that were there when reading began; ``away`` is told when Kafka
    stops answering (True) and answers again (False). Topics that the broker does not show are ``absent``.
    """

    cluster: Cluster
    topics: Mapping[str, int]
    beginning: Beginning
    subject: str | None = None
    away: Callable[[bool], object] = bool
    done: int = 0
    catalog: Catalog = field(default_factory=Catalog.installed)
    total: int = 0
    absent: list[str] = field(default_factory=list)
    _ends: dict[TopicPartition, int] = field(default_factory=dict)
    _next: dict[TopicPartition, int] = field(default_factory=dict)
    _buffers: dict[TopicPartition, deque[Any]] = field(default_factory=dict)
    _gone: bool = False

    async def __aenter__(self) -> Self:
        """Connects and finds where to begin. Raises CannotListen, also when there is none of the topics."""
        self._consumer = AIOKafkaConsumer(
            **self.cluster.client(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_POLL_MS,
        )
        try:
            await self._consumer.start()
            await self._place()
        except KafkaError as error:
            await self._consumer.stop()
            refused = await login_refused(self.cluster)
            what = "refuses the login of" if refused else "does not answer"
            raise CannotListen(
                f"Kafka at {self.cluster.bootstrap} {what} {self.cluster.username or 'this command'} "
                f"({type(error).__name__}). Look at: kintsugi status, kintsugi doctor"
            ) from error
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def read(self, stop: asyncio.Event, *, until_end: bool = False) -> AsyncGenerator[list[Heard | Unread], None]:
        """Batches in the order of the log's time, until ``stop`` is set, or the end that there was is reached.

        Batches may be empty: they tell that time passes.
        """
        unfinished = {place for place, end in self._ends.items() if self._next[place] < end}
        while unfinished and not stop.is_set():
            wanted = [place for place in unfinished if len(self._buffers[place]) < _FEW]
            unread = await self._fetch(wanted) if wanted else []
            for place in list(unfinished):
                if await self._consumer.position(place) >= self._ends[place]:
                    unfinished.discard(place)
            self.done = sum(min(self._next[p], end) for p, end in self._ends.items()) - self._begun
            batch: list[Heard | Unread] = [*unread, *self._merged(unfinished)]
            yield batch
        if until_end:
            return
        heard_at = time.monotonic()
        while not stop.is_set():
            unread = await self._fetch([])
            batch = [*unread, *self._merged(set())]
            if batch:
                heard_at = time.monotonic()
                self._tell(False)
            elif time.monotonic() - heard_at > _LOOK_SECONDS:
                await self._look()
                heard_at = time.monotonic()
            yield batch

    async def _place(self) -> None:
        there = await self._consumer.topics()
        self.absent = sorted(set(self.topics) - there)
        if len(self.absent) == len(self.topics):
            countries = sorted({name.partition(".")[0] for name in there if name.count(".") >= 2})
            here = f"Countries here: {', '.join(countries)}." if countries else "It shows no country's topics at all."
            raise CannotListen(f"The broker shows no topic {', '.join(self.absent)}. {here} See: kintsugi doctor")
        places = []
        for topic in self.topics.keys() & there:
            count = self.topics[topic]
            numbers = range(count) if self.subject is None else [partition_of(self.subject, count)]
            places += [TopicPartition(topic, number) for number in numbers]
        self._consumer.assign(places)
        self._ends = dict(await self._consumer.end_offsets(places))
        self._next = dict(await self._starts(places))
        self._begun = sum(self._next.values())
        self.total = sum(self._ends.values()) - self._begun
        self._buffers = {place: deque() for place in places}
        for place, at in self._next.items():
            self._consumer.seek(place, at)

    async def _starts(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        if self.beginning.at is not None:
            moment = int(self.beginning.at.timestamp() * 1000)
            found = await self._consumer.offsets_for_times(dict.fromkeys(places, moment))
            return {place: at.offset if at else self._ends[place] for place, at in found.items()}
        if self.beginning.earliest:
            return dict(await self._consumer.beginning_offsets(places))
        return self._ends

    async def _fetch(self, places: Sequence[TopicPartition]) -> list[Unread]:
        """Fills the buffers of these partitions, or of all for none; returns what cannot be read."""
        try:
            polled = await self._consumer.getmany(*places, timeout_ms=_POLL_MS, max_records=_RECORDS)
        except _UNREADABLE:
            return await self._one_by_one(places or list(self._next))
        except KafkaError as error:
            raise CannotListen(f"Kafka refuses: {type(error).__name__}. Look at: kintsugi doctor") from error
        for place, records in polled.items():
            self._take(place, records)
        return []

    def _take(self, place: TopicPartition, records: Sequence[Any]) -> None:
        self._buffers[place].extend(records)
        self._next[place] = records[-1].offset + 1

    async def _one_by_one(self, places: Sequence[TopicPartition]) -> list[Unread]:
        """Passes over what cannot be read: the client stands before it for ever, and drops what it read before it."""
        for place, at in self._next.items():
            self._consumer.seek(place, at)
        unread: list[Unread] = []
        for place in places:
            first: int | None = None
            for _ in range(_RECORDS):
                try:
                    polled = await self._consumer.getmany(place, timeout_ms=_POLL_MS, max_records=1)
                except _UNREADABLE:
                    at = await self._consumer.position(place)
                    first = at if first is None else first
                    self._consumer.seek(place, at + 1)
                    continue
                if first is not None:
                    last = (polled[place][0].offset if polled else await self._consumer.position(place)) - 1
                    unread.append(Unread(place.topic, place.partition, first, last))
                    first = None
                if not polled:
                    break
                self._take(place, polled[place])
            self._next[place] = await self._consumer.position(place)
        return unread

    def _merged(self, unfinished: set[TopicPartition]) -> list[Heard]:
        """What can be shown: nothing older can come any more from a partition that is still being read."""
        if any(not self._buffers[place] for place in unfinished):
            return []
        heap = [(buffer[0].timestamp, place, buffer[0].offset) for place, buffer in self._buffers.items() if buffer]
        heapq.heapify(heap)
        merged: list[Heard] = []
        while heap:
            _, place, _ = heapq.heappop(heap)
            buffer = self._buffers[place]
            merged.append(_heard(self.catalog, buffer.popleft()))
            if buffer:
                heapq.heappush(heap, (buffer[0].timestamp, place, buffer[0].offset))
            elif place in unfinished:
                break
        return merged

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._consumer.end_offsets([next(iter(self._ends))])
        except (KafkaError, OSError, TimeoutError):
            self._tell(True)
        else:
            self._tell(False)

    def _tell(self, gone: bool) -> None:
        if gone != self._gone:
            self._gone = gone
            self.away(gone)


def _heard(catalog: Catalog, record: Any) -> Heard:
    return hear(
        catalog,
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        record.headers,
    )
