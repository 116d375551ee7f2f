"""Partners' streams as a way out: records on topics of their own, which the broker itself refuses when they are late.

Whoever withdraws a consent must not be shared with seconds later, whatever stood still meanwhile: this process, the
network, the broker. So a record carries the time at which it was decided on, and its topic takes no record older than
:data:`BEHIND_MS` (``message.timestamp.before.max.ms``): a request that waited in a stopped broker's socket is refused
when the broker goes on. An attempt that failed is reported only after that time, so that what follows it, a
tombstone among others, can never be overtaken by it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from kintsugi import producers
from kintsugi.agenda import Message
from kintsugi.channels import DeliveryFailed, Limits
from kintsugi.kafka import Cluster
from kintsugi.partitioning import partition_of

log = structlog.get_logger("kintsugi.streams")

FRESH_SECONDS: Final = 1.0
"""How old the last reading of the topics may be, so that a withdrawal waiting there is not overtaken after a stop."""
BEHIND_MS: Final = 2_000
"""How old a record may be when the broker takes it, by the broker's clock."""
AHEAD_MS: Final = 1_000
"""How far the broker's clock may be behind this machine's."""
_LOST_AFTER = (BEHIND_MS + AHEAD_MS) / 1000 + 0.5
"""Seconds after which nothing that was sent can still be taken."""
_ANSWER_SECONDS = 3.0
_IDLE_SECONDS = 30.0
_STOP_SECONDS = 4.0
_BY_THE_BROKER = 1
"""The timestamp type of topics that put their own time on records, and so cannot refuse an old one."""


class StreamChannel:
    """Produces records and tombstones, idempotent and acknowledged by all in-sync replicas.

    A failed attempt takes the producer with it, so that nothing stays behind in its buffers; one that has nothing to
    do is closed.
    """

    limits = Limits(start_within=1.0, end_within=30.0, fresh_within=FRESH_SECONDS)

    def __init__(self, cluster: Cluster, client_id: str) -> None:
        self._cluster = cluster
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._under_way = 0
        self._used = 0.0
        self._ending: set[asyncio.Task[None]] = set()
        self._without_limit: set[str] = set()

    async def send(self, message: Message, key: str) -> None:  # noqa: ARG002 - the record's own id is in its headers
        """Returns when the record stands on the stream. Raises DeliveryFailed once it no longer can."""
        topic = message.to.get_secret_value()
        if message.decided_at is None:
            raise ValueError("a record without the time of its decision: the kit sets Message.decided_at")
        if topic in self._without_limit and not message.tombstone:
            raise DeliveryFailed("stream_without_time_limit", permanent=False)
        started = time.monotonic()
        self._under_way += 1
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                producer = await self._ready()
                sent = await self._produce(producer, topic, message)
        except Exception as error:
            self._drop(producer)
            await asyncio.sleep(max(0.0, started + _LOST_AFTER - time.monotonic()))
            raise DeliveryFailed(_code(error), permanent=False) from error
        except BaseException:
            self._drop(producer)
            raise
        finally:
            self._under_way -= 1
            self._used = time.monotonic()
            asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._rest, producer)
        if sent.timestamp_type == _BY_THE_BROKER:
            self._without_limit.add(topic)
            log.error("stream_without_time_limit", topic=topic)

    async def aclose(self) -> None:
        """Closes the producer and waits for those that are being closed, bounded in time."""
        self._drop(self._producer)
        await asyncio.gather(*self._ending)

    async def _produce(self, producer: AIOKafkaProducer, topic: str, message: Message) -> RecordMetadata:
        assert message.decided_at is not None
        subject = message.subject.get_secret_value()
        partitions = len(await producer.partitions_for(topic))
        return await producer.send_and_wait(
            topic,
            None if message.tombstone else message.body.get_secret_value().encode(),
            key=subject.encode(),
            partition=partition_of(subject, partitions),
            timestamp_ms=int(message.decided_at.timestamp() * 1000),
            headers=[(name, value.encode()) for name, value in message.headers.items()],
        )

    async def _ready(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._cluster.client(),
                    client_id=self._client_id,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=0,
                    # Also how long a batch that cannot be sent is kept.
                    request_timeout_ms=BEHIND_MS,
                )
                try:
                    await producer.start()
                except BaseException:
                    self._end(producer)
                    raise
                self._producer = producer
            return self._producer

    def _rest(self, producer: AIOKafkaProducer | None) -> None:
        """Closes a producer that nobody uses; whoever sends again starts another one."""
        if self._under_way == 0 and time.monotonic() - self._used >= _IDLE_SECONDS:
            self._drop(producer)

    def _drop(self, producer: AIOKafkaProducer | None) -> None:
        if producer is not None and producer is self._producer:
            self._producer = None
            self._end(producer)

    def _end(self, producer: AIOKafkaProducer) -> None:
        task = asyncio.create_task(producers.end(producer, within=_STOP_SECONDS))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _code(error: BaseException) -> str:
    """A code for what Kafka says, such as ``invalid_timestamp``; never its text."""
    if isinstance(error, TimeoutError):
        return "no_answer"
    name = type(error).__name__.removesuffix("Error")
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")[:60]
