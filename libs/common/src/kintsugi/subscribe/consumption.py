"""Records from Kafka into the handling: offsets only after the effect, waits that stop one partition, a good end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import time
from collections.abc import Collection, Iterable, Sequence

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CorruptRecordException, IllegalStateError, KafkaError

from kintsugi.kafka import Cluster
from kintsugi.store.rows import Record
from kintsugi.subscribe.handling import Handling
from kintsugi.subscribe.joining import FIRST_WAIT, LONGEST_WAIT, REFUSED, join, refused
from kintsugi.subscribe.record import Outcome, Retry
from kintsugi.subscribe.store import Store

log = structlog.get_logger("kintsugi.subscribe")

POLL_MS = 200
POLL_RECORDS = 200
COMMIT_SECONDS = 1.0
TEND_SECONDS = 1.0
LOOK_SECONDS = 10.0
MOST_SECONDS_BETWEEN_POLLS = 60.0
_UNREADABLE = (CorruptRecordException, UnicodeDecodeError)


class Consumption:
    """One member of a subscriber's group. ``await run(stop)`` until ``stop`` is set, or to the end of the topics."""

    def __init__(
        self, handling: Handling, store: Store, cluster: Cluster, group: str, topics: Sequence[str], *, session_ms: int
    ) -> None:
        self._handling = handling
        self._store = store
        self._cluster = cluster
        self._group = group
        self._topics = list(topics)
        self._session_ms = session_ms
        self._positions: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._resume_at: dict[TopicPartition, float] = {}
        self._attempts: dict[TopicPartition, int] = {}
        self._drain_at: dict[str, tuple[float, int]] = {}
        self._unreadable: set[TopicPartition] = set()
        self._generation = 0
        self._busy = asyncio.Lock()
        self._committed_at = self._tended_at = self._heard_at = 0.0
        self._away = False
        self.counts: dict[Outcome, int] = dict.fromkeys(Outcome, 0)

    async def run(self, stop: asyncio.Event, *, until_end: bool = False) -> None:
        """Takes records until ``stop``; with ``until_end`` also ends once everything there was is settled.

        Raises SubscribeError where the broker refuses this user, or a topic is not there.
        """
        consumer = await join(
            self._cluster,
            self._group,
            self._topics,
            session_ms=self._session_ms,
            poll_ms=POLL_MS,
            stop=stop,
            away=self._kafka_away,
        )
        if consumer is None:
            return
        self._consumer = consumer
        consumer.subscribe(self._topics, listener=_Listener(self))
        log.info("subscribed", group=self._group, topic=self._topics)
        try:
            while not stop.is_set():
                try:
                    if not await self._placed():
                        continue
                    await self._take(await self._poll(), stop)
                    await self._tend()
                    if until_end and await self._at_the_end():
                        break
                except REFUSED as error:
                    raise refused(error, self._cluster, self._group) from error
                except sqlite3.Error as error:
                    log.error("store_refuses", exc_info=error)
                    await asyncio.sleep(FIRST_WAIT)
                except (KafkaError, IllegalStateError, OSError, TimeoutError) as error:
                    self._kafka_away(error)
                    await asyncio.sleep(FIRST_WAIT)
        finally:
            await self._commit(final=True)
            with contextlib.suppress(TimeoutError, KafkaError, OSError):
                async with asyncio.timeout(15):
                    await self._consumer.stop()
            said = {name.value: count for name, count in self.counts.items()}
            log.info("subscriber_stopped", records=sum(said.values()), held=said["held"], ignored=said["ignored"])

    # --- records ------------------------------------------------------------------------------------------------

    async def _placed(self) -> bool:
        """Whether it is known of every assigned partition where reading begins."""
        assigned = self._consumer.assignment()
        if not assigned:
            await asyncio.sleep(0.05)
            return False
        generation = self._generation
        for place in assigned - set(self._positions):
            async with asyncio.timeout(10):
                position = await self._beginning(place)
            if generation != self._generation:
                return False
            self._positions[place] = position
        return True

    async def _beginning(self, place: TopicPartition) -> int:
        """Where the group stands, but never ahead of the store: one that was lost or restored must not miss a thing."""
        committed: int = await self._consumer.position(place)
        known = self._store.position(place.topic, place.partition)
        if known is None:
            known = (await self._consumer.beginning_offsets([place]))[place]
        if known < committed:
            log.info("reads_again", topic=place.topic, partition=place.partition, offset=known)
            self._consumer.seek(place, known)
        return min(known, committed)

    async def _poll(self) -> list[ConsumerRecord[bytes, bytes]]:
        """The next records of all partitions in the order of the log's time."""
        self._polled_in, self._polled_at = self._generation, time.monotonic()
        try:
            polled = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_RECORDS)
            read = [record for records in polled.values() for record in records]
        except _UNREADABLE:
            read = await self._one_by_one()
        if read:
            self._kafka_there()
        return sorted(read, key=lambda each: (each.timestamp, each.topic, each.partition, each.offset))

    async def _one_by_one(self) -> list[ConsumerRecord[bytes, bytes]]:
        """What there is before the records that the client cannot read; partitions stop there, and alone.

        A header whose name is no text does that. The client counts as read what it dropped at the error.
        """
        places = sorted(self._consumer.assignment() - self._consumer.paused())
        for place in places:
            self._consumer.seek(place, self._positions[place])
        read: list[ConsumerRecord[bytes, bytes]] = []
        for place in places:
            try:
                while len(read) < POLL_RECORDS:
                    polled = await self._consumer.getmany(place, timeout_ms=POLL_MS, max_records=1)
                    if not polled:
                        break
                    read += polled[place]
            except _UNREADABLE:
                self._unreadable.add(place)
                self._consumer.pause(place)
                at = await self._consumer.position(place)
                log.critical("partition_does_not_move", topic=place.topic, partition=place.partition, offset=at)
        return read

    async def _take(self, records: Sequence[ConsumerRecord[bytes, bytes]], stop: asyncio.Event) -> None:
        waiting = set[TopicPartition]()
        for number, each in enumerate(records):
            place = TopicPartition(each.topic, each.partition)
            if place in waiting:
                continue
            async with self._busy:
                moved = self._generation != self._polled_in
                if moved or stop.is_set() or time.monotonic() - self._polled_at > MOST_SECONDS_BETWEEN_POLLS:
                    self._read_again(records[number:], waiting)
                    return
                if each.offset < self._positions.get(place, 0):
                    continue
                if not await self._settled(place, each):
                    waiting.add(place)
            if time.monotonic() - self._committed_at > COMMIT_SECONDS:
                await self._commit()

    async def _settled(self, place: TopicPartition, each: ConsumerRecord[bytes, bytes]) -> bool:
        """Whether the record is behind us; else its partition waits at it."""
        record = Record(
            each.topic, each.partition, each.offset, each.key, each.value, tuple(each.headers), each.timestamp
        )
        attempt = self._attempts.get(place, 0) + 1
        try:
            outcome = await self._handling.take(record, attempt)
        except Retry as again:
            self._back_off(place, each.offset, attempt, "handler_asks_to_wait", again.after_s)
        except sqlite3.Error as error:
            log.error("store_refuses", error_code="store_refuses", exc_info=error)
            self._back_off(place, each.offset, attempt, "store_refuses", None)
        else:
            self._attempts.pop(place, None)
            self._positions[place] = each.offset + 1
            self.counts[outcome] += 1
            return True
        return False

    def _back_off(self, place: TopicPartition, offset: int, attempt: int, reason: str, after: float | None) -> None:
        wait = after if after is not None else _wait(attempt)
        self._attempts[place] = attempt
        self._resume_at[place] = time.monotonic() + wait
        self._consumer.seek(place, offset)
        self._consumer.pause(place)
        where = {"topic": place.topic, "partition": place.partition, "offset": offset}
        log.warning("partition_waits", reason=reason, attempts=attempt, retry_in_s=round(wait, 1), **where)

    def _read_again(self, records: Iterable[ConsumerRecord[bytes, bytes]], waiting: Collection[TopicPartition]) -> None:
        """What is not taken now must come again: the client counts it as read. ``waiting`` has its place already."""
        assigned = self._consumer.assignment()
        for each in records:
            place = TopicPartition(each.topic, each.partition)
            if place in assigned and place not in waiting:
                at = self._positions[place] = min(self._positions.get(place, each.offset), each.offset)
                self._consumer.seek(place, at)

    # --- between polls ------------------------------------------------------------------------------------------

    async def _tend(self) -> None:
        now = time.monotonic()
        for place in [place for place, at in self._resume_at.items() if at <= now]:
            del self._resume_at[place]
            self._consumer.resume(place)
        if now - self._tended_at > TEND_SECONDS:
            self._tended_at = now
            await self._drain()
        if now - self._committed_at > COMMIT_SECONDS:
            await self._commit()
        if now - max(self._heard_at, self._polled_at if self._away else 0) > LOOK_SECONDS:
            async with asyncio.timeout(5):
                await self._consumer.end_offsets(sorted(self._positions)[:1])
            self._kafka_there()

    async def _drain(self) -> None:
        """Goes on with released subjects that live in this member's partitions."""
        numbers, generation = {place.partition for place in self._positions}, self._generation
        try:
            movable = self._store.movable()
        except sqlite3.Error as error:
            log.error("store_refuses", exc_info=error)
            return
        for subject, partition in movable:
            at, attempt = self._drain_at.get(subject, (0.0, 0))
            if partition not in numbers or time.monotonic() < at:
                continue
            async with self._busy:
                if self._generation != generation:
                    return  # another member may go on with it by now
                try:
                    await self._handling.drain(subject)
                    self._drain_at.pop(subject, None)
                except (Retry, sqlite3.Error) as error:
                    after = error.after_s if isinstance(error, Retry) else None
                    wait = after if after is not None else _wait(attempt + 1)
                    self._drain_at[subject] = (time.monotonic() + wait, attempt + 1)
                    log.warning("subject_waits", subject=subject, attempts=attempt + 1, retry_in_s=round(wait, 1))

    async def _at_the_end(self) -> bool:
        if not set(self._positions) <= set(self._ends):
            self._ends = dict(await self._consumer.end_offsets(list(self._positions)))
        places = [place for place in self._positions if place not in self._unreadable]
        if self._resume_at or any(self._positions[place] < self._ends.get(place, 0) for place in places):
            return False
        await self._drain()
        try:
            return not any(subject in self._drain_at for subject, _ in self._store.movable())
        except sqlite3.Error:
            return False

    async def _commit(self, *, final: bool = False) -> None:
        """Tells the group how far it is: everything before these offsets is settled and on the disk."""
        self._committed_at = time.monotonic()
        assigned = self._consumer.assignment()
        new = {place: at for place, at in self._positions.items() if self._committed.get(place) != at}
        new = {place: at for place, at in new.items() if place in assigned and at > 0}
        if not new:
            return
        try:
            self._store.flush({(place.topic, place.partition): at for place, at in new.items()})
            async with asyncio.timeout(10):
                await self._consumer.commit(new)
        except (KafkaError, IllegalStateError, OSError, TimeoutError, sqlite3.Error) as error:
            # What was handled comes again and is dropped by its cursor.
            log.warning("commit_failed", final=final, exc_info=error)
        else:
            self._committed |= new

    def _kafka_away(self, error: BaseException, wait: float = FIRST_WAIT) -> None:
        if not self._away:
            log.warning("kafka_away", retry_in_s=wait, exc_info=error)
        self._away = True

    def _kafka_there(self) -> None:
        if self._away:
            log.info("kafka_answers")
        self._away = False
        self._heard_at = time.monotonic()

    # --- assignment ---------------------------------------------------------------------------------------------

    async def revoked(self, places: set[TopicPartition]) -> None:
        """Waits for the handler under way and commits; what else was polled is left to whoever is next."""
        self._generation += 1
        async with self._busy:
            await self._commit(final=True)
            for place in places:
                for known in (self._positions, self._committed, self._ends, self._resume_at, self._attempts):
                    known.pop(place, None)
                self._unreadable.discard(place)

    def assigned(self, places: Sequence[TopicPartition]) -> None:
        """Says which partitions are this member's from now on."""
        self._generation += 1
        self._positions.clear()
        self._kafka_there()
        log.info("partitions_assigned", count=len(places))


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, consumption: Consumption) -> None:
        self._consumption = consumption

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._consumption.revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._consumption.assigned(sorted(assigned))


def _wait(attempt: int) -> float:
    longest: float = min(FIRST_WAIT * 2 ** min(attempt - 1, 10), LONGEST_WAIT)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
