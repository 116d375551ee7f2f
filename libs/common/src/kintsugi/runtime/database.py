"""A service's database at start: waited for, of the right revision and fold, not older than its topic."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from kintsugi.collector import Wired
from kintsugi.kafka import Cluster
from kintsugi.partitioning import PARTITIONS
from kintsugi.shell.core import Core, LostState
from kintsugi.shell.faults import Fault, classify
from kintsugi.store.pooling import replace_closed
from kintsugi.store.running import RecoveryRuns, share
from kintsugi.store.view_tables import application_name, make
from kintsugi.tables import version_problem
from kintsugi.views import Views

log = structlog.get_logger("kintsugi.runtime")

_FACT = text("SELECT value FROM service_facts WHERE name = :name")
_SET_FACT = text("""
INSERT INTO service_facts (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING
""")
_OWN_ENDS = text("SELECT partition, next_offset FROM positions WHERE topic = :topic")
_COUNTERS = text("SELECT subject, sequence FROM subjects WHERE subject = ANY(CAST(:subjects AS text[]))")


class CannotStart(Exception):
    """The service may not run as things are; the text says what is wrong and what to do."""


def engine_of(url: str, name: str, *, size: int = 10, views: Views[Any] | None = None) -> AsyncEngine:
    """An engine whose transactions cannot outlive a stopped process: the server ends them after ten seconds.

    Its connections say which ``views`` they write, so that no other release drops those tables meanwhile.
    """
    engine = create_async_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_size=size,
        max_overflow=4,
        pool_timeout=10,
        pool_use_lifo=True,  # the connection used last has prepared what is asked most
        hide_parameters=True,
        connect_args={
            "timeout": 5,
            "command_timeout": 60,
            "server_settings": {
                "application_name": application_name(name, views),
                "idle_in_transaction_session_timeout": "10s",
                "lock_timeout": "10s",
                "statement_timeout": "60s",
                "jit": "off",
            },
        },
    )
    share(engine)
    replace_closed(engine)
    return engine


async def ready(engine: AsyncEngine, application: Wired, beat: Callable[[], None]) -> bytes:
    """Waits until the database answers, and makes its tables of views; returns the secret that keys request digests.

    Raises CannotStart for a wrong revision and for a state that another release folded.
    """
    wait = 0.2
    while True:
        beat()
        try:
            return await _checked(engine, application)
        except CannotStart:
            raise
        except RecoveryRuns as error:
            raise CannotStart(f"service '{application.name}': {error}") from error
        except Exception as error:
            if classify(error) is Fault.defect:
                raise
            seconds = round(wait, 1)
            log.warning(
                "waiting_for_database", service=application.name, error=type(error).__name__, wait_seconds=seconds
            )
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            wait = min(wait * 2, 5.0)


async def _checked(engine: AsyncEngine, application: Wired) -> bytes:
    name, fold_version = application.name, application.service.fold_version

    def problem(connection: Connection) -> str | None:
        return version_problem(connection, application)

    async with engine.begin() as connection:
        if (wrong := await connection.run_sync(problem)) is not None:
            raise CannotStart(f"service '{name}': {wrong}")
        await connection.execute(_SET_FACT, {"name": "fold_version", "value": str(fold_version)})
        folded = await connection.scalar(_FACT, {"name": "fold_version"})
        if folded != str(fold_version):
            raise CannotStart(
                f"service '{name}': its states were folded by version {folded}, this release folds version "
                f"{fold_version}: run 'kintsugi recover {name}', which rebuilds them from the topics"
            )
        if await connection.scalar(_FACT, {"name": "recovering"}):
            raise CannotStart(f"service '{name}': a recovery was not finished: run 'kintsugi recover {name}' again")
        await connection.run_sync(make, application.views)
        await connection.execute(_SET_FACT, {"name": "request_secret", "value": secrets.token_hex(32)})
        return bytes.fromhex(str(await connection.scalar(_FACT, {"name": "request_secret"})))


async def compare_with_own_topic(core: Core[Any], cluster: Cluster) -> None:
    """Raises LostState when the topic holds events of this service that its database does not know.

    Only what lies behind the offsets the relay has stored is read: as a rule nothing. Raises
    UnknownTopicOrPartitionError when the topic is not there, or is not this user's to see.
    """
    consumer = AIOKafkaConsumer(**cluster.client(), enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        await consumer.start()
        if core.topic not in await consumer.topics():  # the client would ask for its offsets again and again
            raise UnknownTopicOrPartitionError(core.topic)
        places = [TopicPartition(core.topic, number) for number in range(PARTITIONS)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        async with core.engine.connect() as connection:
            rows = (await connection.execute(_OWN_ENDS, {"topic": core.topic})).all()
        known = {TopicPartition(core.topic, row.partition): row.next_offset for row in rows}
        left = {place for place in places if ends[place] > known.get(place, 0)}
        consumer.pause(*(set(places) - left))
        for place in left:
            consumer.seek(place, known.get(place, 0))
        counters: dict[str, int] = {}
        while left:
            for place, records in (await consumer.getmany(timeout_ms=500, max_records=2000)).items():
                for record in records:
                    said = core.parsed(record).envelope
                    if said is not None:
                        counters[said.subject] = max(said.sequence, counters.get(said.subject, 0))
                if records and records[-1].offset + 1 >= ends[place]:
                    left.discard(place)
            for place in list(left):
                if await consumer.position(place) >= ends[place]:
                    left.discard(place)
        await _compare(core, counters)
    finally:
        await consumer.stop()


async def _compare(core: Core[Any], counters: dict[str, int]) -> None:
    if not counters:
        return
    async with core.engine.connect() as connection:
        rows = await connection.execute(_COUNTERS, {"subjects": list(counters)})
        known = {row.subject: row.sequence for row in rows}
    lost = sum(1 for subject, sequence in counters.items() if sequence > known.get(subject, 0))
    if lost:
        raise LostState(
            f"service '{core.name}': its topic holds events of {lost} cases that its database does not know, so the "
            f"database is older than the topic (restored, or empty): run 'kintsugi recover {core.name}'"
        )
