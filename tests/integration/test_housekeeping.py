"""The tables' parts are made ahead and dropped whole, while the service is at work."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest_asyncio
from kintsugi.runtime.database import engine_of
from kintsugi.store.housekeeping import PUBLISHED_DAYS, tidy
from kintsugi.tables import upgrade
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from tests.integration.recovered.desk import application

_PARTS = text("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'")


@pytest_asyncio.fixture(loop_scope="session")
async def url(new_database: Callable[..., Awaitable[str]]) -> str:
    made = await new_database()
    engine = create_async_engine(made, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(upgrade, application)
    await engine.dispose()
    return made


async def parts(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return {row.relname for row in await connection.execute(_PARTS)}


async def test_parts_are_made_and_dropped_while_the_service_has_connections_of_its_own(url: str) -> None:
    engine = engine_of(url, "notify")
    today = datetime.now(UTC).date()
    async with engine.connect(), engine.connect():
        made = await tidy(engine, today)
        assert {name for name in made if name.startswith("published_2")} == {
            f"published_{today + timedelta(days=ahead):%Y%m%d}" for ahead in (1, 2, 3)
        }
        assert len([name for name in made if name.startswith("inputs_2")]) == 2
        assert set(made) <= await parts(engine)
        assert await tidy(engine, today) == [], "what is there is made once"
        later = today + timedelta(days=PUBLISHED_DAYS + 3)
        dropped = set(await tidy(engine, later)) & set(made)
        assert dropped == {f"published_{today + timedelta(days=ahead):%Y%m%d}" for ahead in (1, 2)}
        assert not dropped & await parts(engine)
    await engine.dispose()


async def test_two_processes_do_not_tidy_at_once(url: str) -> None:
    first, second = engine_of(url, "notify"), engine_of(url, "notify")
    async with first.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(7204611004)"))
        assert await tidy(second) == []
    assert await tidy(second)
    await first.dispose()
    await second.dispose()
