"""Records from Kafka into the shell: batches, positions from the database, back-off that keeps polling.

The only place that knows FastStream. Its own parser would fail on a header that is not text and lose the record
silently, and its acknowledgements would pass a failed batch: here records reach the shell as raw bytes, and the
positions that count are in the service's database. What is committed to Kafka only reports lag.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Generic

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CorruptRecordException, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER
from faststream.kafka.subscriber.usecase import BatchSubscriber
from faststream.security import BaseSecurity, SASLScram512

from kintsugi.clock import BusinessClock
from kintsugi.kafka import Cluster, Protocol
from kintsugi.service import S
from kintsugi.shell.batches import Batches
from kintsugi.shell.core import Core
from kintsugi.shell.faults import Fault, classify
from kintsugi.store import statements as sql
from kintsugi.store.rows import Record

log = structlog.get_logger("kintsugi.transport")

BATCH_TIMEOUT_MS = 10
MOST_BYTES_PER_PARTITION = 1_048_576
COMMIT_SECONDS = 1.0
END_SECONDS = 0.5
AHEAD_MS = 1_000
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0


class Consumption(Generic[S]):
    """The consumer of one service in one process."""

    def __init__(
        self,
        core: Core[S],
        clock: BusinessClock,
        batches: Batches[S],
        cluster: Cluster,
        *,
        batch_size: int,
        session_timeout_ms: int,
    ) -> None:
        self._core = core
        self._clock = clock
        self._batches = batches
        self._positions: dict[TopicPartition, int] = {}
        self._times: dict[TopicPartition, int] = {}
        self._busy = asyncio.Lock()
        self._wait = FIRST_WAIT
        self._resume_at = 0.0
        self._committed_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._batch_size = batch_size
        self._generation = 0
        self._polled_in = 0
        self._unreadable: set[TopicPartition] = set()
        self._end_wanted = asyncio.Event()
        core.clock_moved.append(self._end_wanted.set)
        core.end_wanted.append(self._end_wanted.set)
        self.beat: Callable[[], None] = lambda: None
        self._broker = KafkaBroker(
            cluster.bootstrap.split(","),
            security=_security(cluster),
            client_id=f"{core.group}",
            allow_auto_create_topics=False,
            apply_types=False,
            logger=None,
            graceful_timeout=20.0,
        )
        self._subscriber = self._subscribed(batch_size, session_timeout_ms) if core.topics else None

    def _subscribed(self, batch_size: int, session_timeout_ms: int) -> BatchSubscriber:
        subscriber = self._broker.subscriber(
            *self._core.topics,
            batch=True,
            group_id=self._core.group,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            batch_timeout_ms=BATCH_TIMEOUT_MS,
            max_records=batch_size,
            max_partition_fetch_bytes=MOST_BYTES_PER_PARTITION,
            fetch_max_wait_ms=250,
            session_timeout_ms=session_timeout_ms,
            heartbeat_interval_ms=max(500, session_timeout_ms // 5),
            max_poll_interval_ms=600_000,
            listener=_Listener(self),
            parser=_raw,
            decoder=_records,
        )
        assert isinstance(subscriber, BatchSubscriber)
        subscriber(self._take)
        subscriber.get_msg = self._poll  # type: ignore[method-assign]
        return subscriber

    async def _poll(self, consumer: AIOKafkaConsumer) -> tuple[ConsumerRecord[bytes, bytes], ...]:
        """One poll. A partition on which the client cannot read on is set aside, so that the others go on."""
        self.beat()
        if consumer.assignment() - set(self._positions):
            # Assigned and not yet placed: the client would start at the group's offset, not at the database's.
            await asyncio.sleep(BATCH_TIMEOUT_MS / 1000)
            return ()
        self._polled_in = self._generation
        try:
            polled = await consumer.getmany(timeout_ms=BATCH_TIMEOUT_MS, max_records=self._batch_size)
        except (CorruptRecordException, UnicodeDecodeError):
            return await self._one_by_one(consumer)
        if not polled:
            await asyncio.sleep(BATCH_TIMEOUT_MS / 1000)
        return tuple(record for records in polled.values() for record in records)

    async def _one_by_one(self, consumer: AIOKafkaConsumer) -> tuple[ConsumerRecord[bytes, bytes], ...]:
        """What stands before records that the client cannot read; a partition is set aside where it meets one.

        The failed poll dropped what it had read by then, of other partitions too: everything is read again.
        """
        self._seek_known()
        read: list[ConsumerRecord[bytes, bytes]] = []
        for place in sorted(consumer.assignment() - consumer.paused()):
            try:
                while len(read) < self._batch_size:
                    polled = await consumer.getmany(place, timeout_ms=BATCH_TIMEOUT_MS, max_records=1)
                    if not polled:
                        break
                    read += polled[place]
            except (CorruptRecordException, UnicodeDecodeError):
                self._unreadable.add(place)
                consumer.pause(place)
                log.critical("partition_does_not_move", topic=place.topic, partition=place.partition)
        return tuple(read)

    @property
    def consumer(self) -> AIOKafkaConsumer | None:
        """The client underneath, while it runs."""
        return self._subscriber.consumer if self._subscriber else None

    @property
    def stopped_for(self) -> str | None:
        """Why nothing is consumed although all is well: the circuit is open. None while it is closed."""
        cause = self._core.circuit.open_for
        return str(cause) if cause else None

    @property
    def unreadable(self) -> str | None:
        """A partition on which the client cannot read on, as ``topic/partition``: a person must look.

        A record whose header name is not text does that; the contract forbids it and the broker takes it.
        """
        return next((f"{place.topic}/{place.partition}" for place in sorted(self._unreadable)), None)

    async def start(self) -> None:
        """Joins the group; a broker that is not there is waited for."""
        if self._subscriber is None:
            return
        wait = 0.2
        while not self._stopping:
            self.beat()
            try:
                await self._broker.start()
                break
            except (KafkaError, OSError) as error:
                log.warning("waiting_for_kafka", error=type(error).__name__, wait_seconds=round(wait, 1))
                with contextlib.suppress(Exception):
                    await self._broker.stop()
                await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                wait = min(wait * 2, 5.0)
        self._tasks.append(asyncio.create_task(self._look_to_the_end(), name="read-to-end"))

    async def stop(self) -> None:
        """Finishes the batch under way, reports the positions, and leaves the group."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        async with self._busy:
            pass
        await self._report(force=True)
        with contextlib.suppress(TimeoutError, KafkaError):
            async with asyncio.timeout(25):
                await self._broker.stop()

    async def lag(self) -> dict[str, int]:
        """Records not yet accounted for, by topic, of the partitions this process reads."""
        consumer = self.consumer
        if consumer is None or not self._positions:
            return {}
        ends = await consumer.end_offsets(list(self._positions))
        lag: dict[str, int] = {}
        for place, end in ends.items():
            lag[place.topic] = lag.get(place.topic, 0) + max(0, end - self._positions.get(place, 0))
        return lag

    # --- batches ------------------------------------------------------------------------------------------------

    async def _take(self, records: list[Record]) -> None:
        """One poll's records, in the order of the log's time. Never raises: FastStream would pass over them."""
        pending = in_log_order(records)
        while pending and not self._stopping:
            self.beat()
            async with self._busy:
                if self._stopping or self.stopped_for is not None:
                    return
                if self._polled_in != self._generation:
                    # Polled before partitions came, went or were placed anew: where it began is not known.
                    self._seek_known()
                    return
                pending = self._still_ours(pending)
                if not pending:
                    return
                try:
                    positions = {(place.topic, place.partition): at for place, at in self._positions.items()}
                    batch = await self._batches.run(pending, positions)
                except Exception as error:
                    await self._failed(error)
                    return
                self._wait = FIRST_WAIT
                for record in pending[: batch.count]:
                    place = TopicPartition(record.topic, record.partition)
                    self._positions[place] = record.offset + 1
                    self._times[place] = record.appended_ms
            pending = pending[batch.count :]
            if self.stopped_for is not None:
                self._halt()
                return
        await self._report()
        self._level()

    def _still_ours(self, records: Sequence[Record]) -> list[Record]:
        """What was not revoked, nor read before: after a seek, records of an older fetch may still come."""
        ours: list[Record] = []
        for record in records:
            position = self._positions.get(TopicPartition(record.topic, record.partition))
            if position is not None and record.offset >= position:
                ours.append(record)
        return ours

    async def _failed(self, error: Exception) -> None:
        """Nothing of the batch was committed: read again from the positions, later if the machinery is away."""
        fault = classify(error)
        if fault is Fault.stale:
            log.warning("batch_was_stale")
            try:
                await self._to_positions(list(self._positions))
                return
            except Exception as again:
                fault = classify(again)
        if fault in (Fault.defect, Fault.refused):
            self._core.log_raised(error, type_="batch")
        wait = self._wait * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
        self._wait = min(self._wait * 2, LONGEST_WAIT)
        log.warning("batch_waits", fault=fault.name, error=type(error).__name__, wait_seconds=round(wait, 2))
        consumer = self.consumer
        if consumer is None:
            return
        self._seek_known()
        consumer.pause(*(place for place in self._positions if place in consumer.assignment()))
        self._resume_at = time.monotonic() + wait

    def _seek_known(self) -> None:
        """Back to the positions this process knows: what was polled and not committed is read again."""
        consumer = self.consumer
        if consumer is not None:
            assigned = consumer.assignment()
            for place, position in self._positions.items():
                if place in assigned:
                    consumer.seek(place, position)

    def _halt(self) -> None:
        consumer = self.consumer
        if consumer is not None:
            consumer.pause(*consumer.assignment())
        log.critical("circuit_open", cause=self.stopped_for)

    def _level(self) -> None:
        """Pauses partitions that are ahead in log time of others that lag: what they hold would only wait.

        Compared are the topics' partitions of one number, since a subject has the same number on every topic.
        """
        consumer = self.consumer
        if consumer is None or time.monotonic() < self._resume_at or self.stopped_for is not None:
            return
        assigned = consumer.assignment()
        paused = consumer.paused()
        pause: list[TopicPartition] = []
        resume: list[TopicPartition] = []
        for number in {place.partition for place in assigned}:
            places = [place for place in assigned if place.partition == number]
            readable = [place for place in places if place not in self._unreadable]
            behind = [place for place in readable if self._positions.get(place, 0) < (consumer.highwater(place) or 0)]
            slowest = min((self._times.get(place, 0) for place in behind), default=None)
            for place in places:
                ahead = slowest is not None and len(behind) > 1 and self._times.get(place, 0) > slowest + AHEAD_MS
                if ahead and place not in paused:
                    pause.append(place)
                elif not ahead and place in paused and place not in self._unreadable:
                    resume.append(place)
        if pause:
            consumer.pause(*pause)
        if resume:
            consumer.resume(*resume)

    async def _report(self, *, force: bool = False) -> None:
        """Commits positions to Kafka for whoever watches lag there. A failure changes nothing."""
        consumer = self.consumer
        if consumer is None or (not force and time.monotonic() - self._committed_at < COMMIT_SECONDS):
            return
        self._committed_at = time.monotonic()
        offsets = {place: at for place, at in self._positions.items() if place in consumer.assignment() and at > 0}
        if offsets:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(5):
                    await consumer.commit(offsets)

    # --- assignment ---------------------------------------------------------------------------------------------

    async def revoked(self, places: Iterable[TopicPartition]) -> None:
        """Waits for the batch under way; nothing of these partitions is written afterwards."""
        self._generation += 1
        async with self._busy:
            for place in places:
                self._positions.pop(place, None)
                self._times.pop(place, None)
                self._unreadable.discard(place)

    async def assigned(self, places: Sequence[TopicPartition]) -> None:
        """Starts where the database says, waiting for it as long as it is away."""
        self._generation += 1
        wait = FIRST_WAIT
        while not self._stopping:
            self.beat()
            try:
                async with self._busy:
                    await self._to_positions(places)
                    self._generation += 1
                if self.stopped_for is not None:
                    self._halt()
                return
            except Exception as error:
                if classify(error) is Fault.defect:
                    self._core.log_raised(error, type_="assignment")
                log.warning("waiting_for_database", error=type(error).__name__)
                await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                wait = min(wait * 2, 2.0)

    async def follow_positions(self) -> bool:
        """Goes to the positions in the database where another process moved them; returns whether it had to.

        A rebuild moves them while the collector runs. Without this it would be seen on a partition only when its next
        record comes. Raises the database's own errors.
        """
        async with self._busy:
            places = list(self._positions)
            if self.consumer is None or not places:
                return False
            async with self._core.reading.connect() as connection:
                rows = (await connection.execute(sql.LOAD_POSITIONS, {"topics": self._core.topics})).all()
            stored = {TopicPartition(row.topic, row.partition): row.next_offset for row in rows}
            if all(stored.get(place) == self._positions[place] for place in places):
                return False
            # What a poll under way brings was read at the old positions: taken, it would pass over what is read again.
            self._generation += 1
            await self._to_positions(places)
            self._generation += 1
        log.info("positions_followed", partitions=len(places))
        return True

    async def _to_positions(self, places: Sequence[TopicPartition]) -> None:
        consumer = self.consumer
        if consumer is None or not places:
            return
        names = {"topics": [place.topic for place in places], "partitions": [place.partition for place in places]}
        async with self._core.engine.begin() as connection:
            await connection.execute(sql.ENSURE_POSITIONS, names)
            found = (await connection.execute(sql.LOAD_POSITIONS, {"topics": self._core.topics})).all()
        stored = {TopicPartition(row.topic, row.partition): row.next_offset for row in found}
        for place in places:
            self._positions[place] = stored[place]
            consumer.seek(place, stored[place])

    # --- the end of the topics ----------------------------------------------------------------------------------

    async def _look_to_the_end(self) -> None:
        """Says of each partition when it was last read to its end: deadlines that fell due before may then fire."""
        stamped: datetime | None = None
        stamped_at = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await self._end_wanted.wait()
            wanted = self._end_wanted.is_set()
            self._end_wanted.clear()
            try:
                self._resume()
                async with self._core.reading.connect() as connection:
                    business = await self._clock.now(connection)
                    at = await connection.scalar(sql.MACHINE_NOW)
                if not wanted and business == stamped and time.monotonic() - stamped_at < 2.0:
                    continue
                if await self._stamp(business, at):
                    stamped, stamped_at = business, time.monotonic()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.debug("read_to_end_unknown", error=type(error).__name__)

    def _resume(self) -> None:
        if self._resume_at and time.monotonic() >= self._resume_at and self.stopped_for is None:
            self._resume_at = 0.0
            consumer = self.consumer
            if consumer is not None:
                consumer.resume(*(consumer.paused() - self._unreadable))
        self._level()

    async def _stamp(self, business: datetime, at: datetime) -> bool:
        consumer = self.consumer
        if consumer is None or not self._positions:
            return False
        places = list(self._positions)
        async with asyncio.timeout(5):
            ends = await consumer.end_offsets(places)
        for _ in range(20):
            reached = [place for place in places if self._positions.get(place, -1) >= ends[place]]
            if len(reached) == len(places):
                break
            await asyncio.sleep(0.05)
        if not reached:
            return False
        async with self._core.engine.begin() as connection:
            await connection.execute(
                sql.READ_TO_END,
                {
                    "at": at,
                    "business": business,
                    "topics": [place.topic for place in reached],
                    "partitions": [place.partition for place in reached],
                },
            )
        self._core.after_commit(emitted=False, owed=True)
        return len(reached) == len(places)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, consumption: Consumption[Any]) -> None:
        self._consumption = consumption

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._consumption.revoked(list(revoked))

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        await self._consumption.assigned(list(assigned))


def _security(cluster: Cluster) -> BaseSecurity | None:
    """The cluster's login as FastStream takes it; None where there is none."""
    if cluster.username is None or cluster.password is None:
        return None
    tls = cluster.tls() if cluster.protocol is Protocol.sasl_ssl else None
    return SASLScram512(cluster.username, cluster.password.reveal(), ssl_context=tls, use_ssl=tls is not None)


async def _raw(records: tuple[ConsumerRecord[bytes, bytes], ...]) -> KafkaMessage:
    """A message that carries the records as they are; nothing of them is read here, so nothing can fail."""
    first, last = records[0], records[-1]
    return KafkaMessage(
        body=b"",
        raw_message=records,
        headers={},
        message_id=f"{first.offset}-{last.offset}",
        correlation_id="",
        consumer=FAKE_CONSUMER,
    )


async def _records(message: KafkaMessage) -> list[Record]:
    raw: Any = message.raw_message
    return [
        Record(each.topic, each.partition, each.offset, each.key, each.value, each.headers, each.timestamp)
        for each in raw
    ]


def in_log_order(records: Sequence[Record]) -> list[Record]:
    """Oldest first across partitions, so that causes come before effects; within a partition as it lies."""
    latest: dict[tuple[str, int], int] = {}
    keyed: list[tuple[int, int, Record]] = []
    for index, record in enumerate(records):
        place = (record.topic, record.partition)
        at = max(latest.get(place, 0), record.appended_ms)
        latest[place] = at
        keyed.append((at, index, record))
    keyed.sort(key=lambda each: each[:2])
    return [record for _, _, record in keyed]
