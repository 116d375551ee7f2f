"""The log as recovery reads it: whole partitions, from the first record to the end they had when reading began."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from kintsugi.envelope import Envelope, Parsed, decode
from kintsugi.kafka import Cluster
from kintsugi.partitioning import partition_of
from kintsugi.store.rows import Record

_POLL_MS = 500
_POLL_RECORDS = 5_000
_FETCH_BYTES = 8 * 1024 * 1024


class LogIncomplete(Exception):
    """The topics do not hold what a rebuild needs; the text says what is missing and where."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record of the log with what its headers say."""

    record: Record
    parsed: Parsed

    @property
    def envelope(self) -> Envelope:
        """The envelope of an entry that has one."""
        assert self.parsed.envelope is not None
        return self.parsed.envelope


@dataclass(slots=True)
class History:
    """The events of one subject, by sequence: of this service, and of each source. The first of each number counts."""

    own: dict[int, Entry] = field(default_factory=dict)
    sources: dict[str, dict[int, Entry]] = field(default_factory=dict)


@dataclass(slots=True)
class Slice:
    """One partition number of every topic: all that concerns the subjects that live there."""

    partition: int
    entries: dict[str, list[Entry]] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)

    def histories(self, own_topic: str, partitions: int) -> dict[str, History]:
        """The records by subject. One outside its subject's partition is left to the consumer's judgement."""
        found: dict[str, History] = {}
        for topic, entries in self.entries.items():
            for entry in entries:
                envelope = entry.parsed.envelope
                if envelope is None or partition_of(envelope.subject, partitions) != self.partition:
                    continue
                history = found.get(envelope.subject)
                if history is None:
                    history = found[envelope.subject] = History()
                if topic == own_topic:
                    history.own.setdefault(envelope.sequence, entry)
                else:
                    history.sources.setdefault(envelope.service, {}).setdefault(envelope.sequence, entry)
        return found


class Log:
    """A consumer without a group: it leaves no trace on Kafka. ``async with Log(...) as log: await log.read(3)``."""

    def __init__(self, cluster: Cluster, topics: Mapping[str, Collection[str]]) -> None:
        """``topics`` give the kinds of subject that each carries."""
        self._topics = topics
        self._consumer = AIOKafkaConsumer(
            **cluster.client(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=100,
        )

    async def __aenter__(self) -> Self:
        """Connects. Raises LogIncomplete for a topic that is not there."""
        await self._consumer.start()
        try:
            absent = set(self._topics) - await self._consumer.topics()
            if absent:
                raise LogIncomplete(f"the broker has no topic {', '.join(sorted(absent))}: is it the right broker?")
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def read(self, partition: int) -> Slice:
        """One partition of every topic, to its end. Raises LogIncomplete where the beginning was deleted."""
        places = [TopicPartition(topic, partition) for topic in self._topics]
        self._consumer.assign(places)
        starts: Mapping[TopicPartition, int] = await self._consumer.beginning_offsets(places)
        ends: Mapping[TopicPartition, int] = await self._consumer.end_offsets(places)
        for place, start in starts.items():
            if start > 0:
                raise LogIncomplete(
                    f"{place.topic}, partition {partition} begins at offset {start}: what was before is deleted, so a "
                    "state cannot be rebuilt from it. Restore the topic; its retention must be unlimited"
                )
        read = Slice(partition, {place.topic: [] for place in places}, {place.topic: ends[place] for place in places})
        left = {place for place in places if ends[place] > 0}
        for place in places:
            self._consumer.seek(place, 0)
        self._consumer.pause(*(set(places) - left))
        while left:
            for place, records in (
                await self._consumer.getmany(*left, timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
            ).items():
                into = read.entries[place.topic]
                for each in records:
                    if each.offset < ends[place]:
                        into.append(_entry(each, self._topics[place.topic]))
            for place in list(left):
                if await self._consumer.position(place) >= ends[place]:
                    left.discard(place)
                    self._consumer.pause(place)
        return read


def _entry(each: object, kinds: Collection[str]) -> Entry:
    record = Record(
        each.topic,  # type: ignore[attr-defined]
        each.partition,  # type: ignore[attr-defined]
        each.offset,  # type: ignore[attr-defined]
        each.key,  # type: ignore[attr-defined]
        each.value,  # type: ignore[attr-defined]
        each.headers,  # type: ignore[attr-defined]
        each.timestamp,  # type: ignore[attr-defined]
    )
    said = decode(record.headers, topic=record.topic, key=record.key, value=record.value, kinds=kinds)
    return Entry(record, said)
