"""From the outbox to Kafka: contiguous runs from the oldest unsent row, in order, acknowledged by all replicas.

One relay per service holds an advisory lock on a connection of its own; an overlapping one would be harmless
(consumers drop what they know), and one that is stopped is freed by the server. Any failure ends the pass: the
producer is replaced and the next pass starts again at the oldest unsent row, so nothing is ever skipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from kintsugi import producers
from kintsugi.envelope import MAX_HEADER_BYTES, MAX_VALUE_BYTES
from kintsugi.failpoints import reach
from kintsugi.kafka import Cluster
from kintsugi.store.rows import load_headers
from kintsugi.store.running import RecoveryRuns, take
from kintsugi.telemetry.metrics import Metrics
from kintsugi.telemetry.tracing import Tracing

log = structlog.get_logger("kintsugi.relay")

T = TypeVar("T")

CHANNEL = "kintsugi_outbox"
_LOCK = 7_204_611_002
PASS_ROWS = 500
MAX_BATCH_BYTES = MAX_VALUE_BYTES + MAX_HEADER_BYTES + 4096
POLL_SECONDS = 1.0
PING_SECONDS = 2.0
SEND_SECONDS = 30.0
STOP_SECONDS = 5.0
IDLE_SESSION = "10s"

_READ = """
SELECT id, topic, partition, subject, type, headers, value FROM outbox WHERE id > $1 ORDER BY id LIMIT $2
"""
_OLDEST_RUNNING = "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)"
_NEXT_TRANSACTION = "SELECT CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)"
# In one statement: what is published is never also unsent, nor the reverse.
_MOVE = """
WITH sent AS (DELETE FROM outbox WHERE id = ANY($1::bigint[]) RETURNING *)
INSERT INTO published (id, topic, partition, subject, sequence, type, headers, value, created_at)
SELECT id, topic, partition, subject, sequence, type, headers, value, created_at FROM sent
"""
_ENDS = """
INSERT INTO positions (topic, partition, next_offset)
SELECT * FROM unnest($1::text[], $2::smallint[], $3::bigint[])
ON CONFLICT (topic, partition) DO UPDATE SET next_offset = greatest(positions.next_offset, excluded.next_offset)
"""
_PING = "SELECT 1"
_SINCE = """
SELECT id, topic, partition, subject, type, headers, value FROM published
WHERE published_at >= $1 AND id > $2 ORDER BY id LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class Brokers:
    """How a producer reaches Kafka. ``client_id`` names the service in the broker's logs."""

    cluster: Cluster
    client_id: str

    def producer(self) -> AIOKafkaProducer:
        """Idempotent, acknowledged by all in-sync replicas. The relay alone makes one."""
        return AIOKafkaProducer(
            **self.cluster.client(),
            client_id=self.client_id,
            acks="all",
            enable_idempotence=True,
            max_request_size=1_048_576,
            # A batch counts as one message to the broker, whose limit the topic files set.
            max_batch_size=MAX_BATCH_BYTES,
            linger_ms=0,
            request_timeout_ms=20_000,
            compression_type=None,
        )


class _Bound:
    """The id below which no row can appear any more, so that a pass need not scan what earlier ones have moved.

    Identities are drawn in order but become visible at commit: a row below one already read can only come from a
    transaction that ran at that reading. Once all of those have ended, the next reading has seen their rows.
    """

    def __init__(self) -> None:
        self.id = 0
        self._read_id = 0
        self._read_at: int | None = None

    def read(self, last: int, oldest_before: int, next_after: int) -> None:
        """A reading ended at ``last``; ``oldest_before`` ran when it began, ``next_after`` had not begun at its end."""
        if self._read_at is not None and oldest_before >= self._read_at and last >= self._read_id:
            self.id = self._read_id
            self._read_at = None
        if self._read_at is None:
            self._read_id, self._read_at = last, next_after


# A server that ends a session while a frozen client wakes up leaves asyncpg's protocol in an internal error.
_DATABASE_AWAY = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    TimeoutError,
    RecoveryRuns,
)


class Relay:
    """Sends what the outbox holds, whenever it is woken, and every second to be sure."""

    def __init__(self, dsn: str, brokers: Brokers, tracing: Tracing, metrics: Metrics) -> None:
        self._dsn = dsn
        self._brokers = brokers
        self._tracing = tracing
        self._metrics = metrics
        self._wake = asyncio.Event()
        self._holds = False
        self._stopping = False
        self.beat: Callable[[], None] = lambda: None

    @property
    def holds(self) -> bool:
        """Whether this process is the one that sends."""
        return self._holds

    def wake(self) -> None:
        """There are new rows, committed by this process."""
        self._wake.set()

    def stop(self) -> None:
        """Asks :meth:`run` to end after the pass it is in."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Runs until :meth:`stop`; whatever fails is tried again with back-off."""
        wait = 0.2
        while not self._stopping:
            self.beat()
            try:
                await self._session()
                wait = 0.2
            except _DATABASE_AWAY as error:
                log.warning("relay_without_database", error=type(error).__name__)
                await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                wait = min(wait * 2, 10.0)
            finally:
                self._holds = False

    async def _session(self) -> None:
        """One connection: waits for the lock, listens, and sends until it breaks or is asked to stop."""
        connection = await asyncpg.connect(
            self._dsn,
            timeout=5,
            command_timeout=30,
            server_settings={
                "application_name": "kintsugi-relay",
                "idle_session_timeout": IDLE_SESSION,
                "idle_in_transaction_session_timeout": IDLE_SESSION,
            },
        )
        try:
            await take(connection)
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                self.beat()
                await self._woken(PING_SECONDS)
                if self._stopping:
                    return
            self._holds = True
            await connection.add_listener(CHANNEL, lambda *_: self._wake.set())
            await self._send_all(connection)
        finally:
            with contextlib.suppress(Exception):
                await connection.close(timeout=2)

    async def _send_all(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        producer: AIOKafkaProducer | None = None
        bound = _Bound()
        wait = 0.1
        try:
            while True:
                self.beat()
                self._wake.clear()
                if producer is None:
                    producer = await self._kept_open(connection, self._started())
                try:
                    count = await self._pass(connection, producer, bound)
                    wait = 0.1
                except _KafkaFailed as failed:
                    log.warning("relay_pass_failed", error=failed.code)
                    await self._kept_open(connection, producers.end(producer, within=STOP_SECONDS))
                    producer, bound = None, _Bound()
                    await connection.fetchval(_PING)
                    await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                    wait = min(wait * 2, 5.0)
                    if self._stopping:
                        return
                    continue
                if count < PASS_ROWS:
                    if self._stopping:
                        return
                    await self._woken(POLL_SECONDS)
        finally:
            if producer is not None:
                await producers.end(producer, within=STOP_SECONDS)

    async def _pass(
        self, connection: asyncpg.Connection[asyncpg.Record], producer: AIOKafkaProducer, bound: _Bound
    ) -> int:
        oldest = await connection.fetchval(_OLDEST_RUNNING)
        rows = await connection.fetch(_READ, bound.id, PASS_ROWS)
        if not rows:
            return 0
        bound.read(rows[-1]["id"], oldest, await connection.fetchval(_NEXT_TRANSACTION))
        reach("relay.read")
        started = time.perf_counter()
        ends = await self._kept_open(connection, self._send(producer, rows))
        reach("relay.acknowledged")
        async with connection.transaction():
            await connection.execute(_MOVE, [row["id"] for row in rows])
            reach("relay.moved")
            if ends:
                topics, partitions, offsets = zip(
                    *((topic, partition, offset) for (topic, partition), offset in sorted(ends.items())), strict=True
                )
                await connection.execute(_ENDS, topics, partitions, offsets)
        reach("relay.committed")
        self._metrics.relay_pass(time.perf_counter() - started)
        for topic in {row["topic"] for row in rows}:
            self._metrics.sent(topic, sum(1 for row in rows if row["topic"] == topic))
        return len(rows)

    async def _send(self, producer: AIOKafkaProducer, rows: Sequence[asyncpg.Record]) -> dict[tuple[str, int], int]:
        """Sends one run. Returns the offset after the last record by partition. Raises _KafkaFailed."""
        grouped: dict[tuple[str, int], list[asyncpg.Record]] = {}
        for row in rows:
            grouped.setdefault((row["topic"], row["partition"]), []).append(row)
        headers = {row["id"]: load_headers(row["headers"]) for row in rows}
        spans = [
            self._tracing.send((_traceparent(headers[row["id"]]) for row in group), topic, len(group))
            for (topic, _), group in grouped.items()
        ]
        ends: dict[tuple[str, int], int] = {}
        try:
            async with asyncio.timeout(SEND_SECONDS):
                # All partitions at once, but the batches of one partition one after the other: a record never
                # reaches the log while an earlier one of its subject may still fail.
                await asyncio.gather(
                    *(self._send_partition(producer, place, group, headers, ends) for place, group in grouped.items())
                )
        except Exception as error:
            raise _KafkaFailed(type(error).__name__) from error
        finally:
            for span in spans:
                self._tracing.end(span)
        return ends

    async def _send_partition(
        self,
        producer: AIOKafkaProducer,
        place: tuple[str, int],
        rows: Sequence[asyncpg.Record],
        headers: dict[int, list[tuple[str, bytes | None]]],
        ends: dict[tuple[str, int], int],
    ) -> None:
        topic, partition = place
        batch = producer.create_batch()
        for row in rows:
            added = batch.append(
                key=row["subject"].encode(), value=row["value"], timestamp=None, headers=headers[row["id"]]
            )
            if added is None:
                await self._flush(producer, batch, topic, partition, ends)
                batch = producer.create_batch()
                if (
                    batch.append(
                        key=row["subject"].encode(), value=row["value"], timestamp=None, headers=headers[row["id"]]
                    )
                    is None
                ):
                    raise _KafkaFailed("RecordTooLarge")
        if batch.record_count():
            await self._flush(producer, batch, topic, partition, ends)

    async def _flush(
        self,
        producer: AIOKafkaProducer,
        batch: object,
        topic: str,
        partition: int,
        ends: dict[tuple[str, int], int],
    ) -> None:
        count = batch.record_count()  # type: ignore[attr-defined]
        batch.close()  # type: ignore[attr-defined]
        sent: RecordMetadata = await (await producer.send_batch(batch, topic, partition=partition))
        ends[(topic, partition)] = sent.offset + count

    async def _started(self) -> AIOKafkaProducer:
        wait = 0.2
        while True:
            producer = self._brokers.producer()
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await producer.start()
                return producer
            except asyncio.CancelledError:
                await producers.end(producer, within=STOP_SECONDS)
                raise
            except Exception as error:
                log.warning("relay_without_kafka", error=type(error).__name__)
                await producers.end(producer, within=STOP_SECONDS)
                if self._stopping:
                    raise TimeoutError from error
                self.beat()
                await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                wait = min(wait * 2, 2.0)

    async def _kept_open(self, connection: asyncpg.Connection[asyncpg.Record], waiting: Awaitable[T]) -> T:
        """What Kafka answers. Meanwhile the server hears of the session, which it would end for being idle."""
        task = asyncio.ensure_future(waiting)
        try:
            while not (await asyncio.wait({task}, timeout=PING_SECONDS))[0]:
                self.beat()
                await connection.fetchval(_PING)
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _woken(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def resend(self, since: datetime) -> int:
        """Repeats what was published since then, unchanged and in order. Consumers drop what they know."""
        connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=60)
        await take(connection)
        producer = await self._started()
        last, count = 0, 0
        try:
            while rows := await connection.fetch(_SINCE, since, last, PASS_ROWS):
                await self._send(producer, rows)
                last, count = rows[-1]["id"], count + len(rows)
        finally:
            await producers.end(producer, within=STOP_SECONDS)
            await connection.close()
        return count


class _KafkaFailed(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def _traceparent(headers: Sequence[tuple[str, bytes | None]]) -> str | None:
    for name, raw in reversed(headers):
        if name == "traceparent" and raw is not None:
            return raw.decode("ascii", "replace")
    return None
