"""The gauges say what stands in the database, in every process of a service."""

from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest_asyncio
from kintsugi.runtime.database import engine_of
from kintsugi.runtime.figures import Figures
from kintsugi.store.pooling import reading
from kintsugi.tables import upgrade
from kintsugi.telemetry.metrics import Metrics
from sqlalchemy import text

from tests.integration.recovered.desk import application

_STANDING = """
INSERT INTO outbox (topic, partition, subject, sequence, type, headers, value, created_at)
SELECT 'xa.notify.v1', 0, 'case/a', n, 'x', '', '', now() - interval '90 seconds' FROM generate_series(1, 3) AS n;
INSERT INTO subjects (subject, partition, status, waiting)
VALUES ('case/a', 0, 'held', 2), ('case/b', 0, 'blocked', 0), ('case/c', 0, 'waiting', 4), ('case/d', 0, 'ok', 0);
INSERT INTO inputs (topic, partition, "offset", status) VALUES ('t', 0, 1, 'dead'), ('t', 0, 2, 'applied');
"""


@pytest_asyncio.fixture(loop_scope="session")
async def core(new_database: Callable[..., Awaitable[str]]) -> AsyncIterator[Any]:
    engine = engine_of(await new_database(), "notify")
    async with engine.begin() as connection:
        await connection.run_sync(upgrade, application)
    topics = ["xa.assessment.v1", "xa.intake.v1"]
    yield SimpleNamespace(engine=engine, reading=reading(engine), metrics=Metrics("notify"), topics=topics)
    await engine.dispose()


async def test_the_gauges_say_what_stands(core: Any) -> None:
    async with core.engine.begin() as connection:
        for statement in filter(str.strip, _STANDING.split(";")):
            await connection.execute(text(statement))

    async def lag() -> dict[str, int]:
        return {"xa.intake.v1": 7}

    await Figures(core, lag).set(lambda: None)
    lines = core.metrics.render().decode().splitlines()
    for line in (
        "kintsugi_outbox_unsent 3.0",
        "kintsugi_held 2.0",
        "kintsugi_waiting 6.0",
        "kintsugi_dead_letters 1.0",
        'kintsugi_lag{topic="xa.intake.v1"} 7.0',
        'kintsugi_lag{topic="xa.assessment.v1"} 0.0',
    ):
        assert line in lines
    [oldest] = [line for line in lines if line.startswith("kintsugi_outbox_oldest_seconds")]
    assert 90 <= float(oldest.split()[1]) < 150


async def test_without_kafka_the_other_gauges_are_set_all_the_same(core: Any) -> None:
    async with core.engine.begin() as connection:
        await connection.execute(text("INSERT INTO subjects (subject, partition, status) VALUES ('case/a', 0, 'held')"))

    async def lag() -> dict[str, int]:
        raise ConnectionError

    await Figures(core, lag).set(lambda: None)
    assert "kintsugi_held 1.0" in core.metrics.render().decode()
