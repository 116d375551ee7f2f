"""The relay's session: it outlives a slow Kafka, and a recovery knows of it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from kintsugi import relay as relays
from kintsugi.kafka import Cluster
from kintsugi.relay import Brokers, Relay
from kintsugi.store.running import RUNNING_LOCK
from kintsugi.tables import upgrade
from kintsugi.telemetry.metrics import Metrics
from kintsugi.telemetry.tracing import Tracing
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.integration.recovered.desk import application

_SUBJECT = "case/00000000-0000-4000-8000-000000000001"
_ALONE = "SELECT pg_try_advisory_lock($1)"


@pytest_asyncio.fixture(loop_scope="session")
async def dsn(new_database: Callable[..., Awaitable[str]]) -> str:
    made = await new_database()
    engine = create_async_engine(made, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(upgrade, application)
    await engine.dispose()
    return made.replace("+asyncpg", "")


@asynccontextmanager
async def relaying(dsn: str) -> AsyncIterator[Relay]:
    relay = Relay(dsn, Brokers(Cluster("127.0.0.1:1"), "x"), Tracing("notify"), Metrics("notify"))
    running = asyncio.create_task(relay.run())
    yield relay
    relay.stop()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def settled(what: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not await what():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.05)
    return True


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends a session after one idle second, not ten; the relay's ping keeps its proportion."""
    monkeypatch.setattr(relays, "IDLE_SESSION", "1s")
    monkeypatch.setattr(relays, "PING_SECONDS", 0.2)


@pytest.mark.usefixtures("impatient")
async def test_a_pass_outlives_a_send_that_takes_longer_than_the_server_lets_a_session_be_idle(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "INSERT INTO outbox (topic, partition, subject, sequence, type, headers, value) "
        "VALUES ('xa.notify.v1', 0, $1, 1, 'x', $2, $3)",
        _SUBJECT, json.dumps([]).encode(), b"{}",
    )  # fmt: skip
    sent: list[int] = []

    async def slowly(_self: Any, _producer: Any, rows: Any) -> dict[tuple[str, int], int]:
        sent.append(len(rows))
        await asyncio.sleep(2.5)
        return {}

    async def late(_self: Any) -> None:
        await asyncio.sleep(1.5)

    monkeypatch.setattr(Relay, "_send", slowly)
    monkeypatch.setattr(Relay, "_started", late)

    async def moved() -> bool:
        return not await connection.fetchval("SELECT count(*) FROM outbox")

    async with relaying(dsn):
        assert await settled(moved, 8)
    await connection.close()
    assert sent == [1], "sent once, since its session was not ended meanwhile"


@pytest.mark.usefixtures("impatient")
async def test_the_relay_keeps_its_lock_while_kafka_is_away(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    pids = "SELECT pid FROM pg_stat_activity WHERE application_name = 'kintsugi-relay' AND datname = current_database()"
    async with relaying(dsn) as relay:

        async def holds() -> bool:
            return relay.holds

        assert await settled(holds, 5)
        before = await connection.fetchval(pids)
        await asyncio.sleep(2.5)
        assert before is not None
        assert await connection.fetchval(pids) == before
    await connection.close()


async def test_no_recovery_is_alone_while_a_relay_is_connected(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    async with relaying(dsn) as relay:

        async def holds() -> bool:
            return relay.holds

        assert await settled(holds, 5)
        assert not await connection.fetchval(_ALONE, RUNNING_LOCK)

    async def alone() -> bool:
        return bool(await connection.fetchval(_ALONE, RUNNING_LOCK))

    assert await settled(alone, 5)
    async with relaying(dsn) as relay:
        await asyncio.sleep(0.5)
        assert not relay.holds, "the recovery has the database to itself"
    await connection.close()
