"""A database that was lost, or is older than its topic, comes back as the fold of the log; nothing is decided twice."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from kintsugi.recovery import LogIncomplete, RecoveryRefused, recover
from tests.infrastructure import Infrastructure
from tests.integration.recovered.desk import Trouble, application
from tests.integration.recovered.office import Scene, case, country

NewDatabase = Callable[..., Awaitable[str]]


@pytest_asyncio.fixture(loop_scope="session")
async def scene(infrastructure: Infrastructure, new_database: NewDatabase) -> AsyncIterator[Scene]:
    """A service that has not run yet."""
    made = Scene(infrastructure, country(), await new_database())
    async with made.opened():
        yield made
    Trouble.raising = False


async def told(scene: Scene, cases: int = 8) -> list[str]:
    """Cases with events of both sources, among them causes across topics and inputs that lead to nothing."""
    subjects = [case() for _ in range(cases)]
    for subject in subjects:
        await scene.emit("intake", subject, "case.opened")
        await scene.emit("intake", subject, "risk.raised")
        await scene.emit("intake", subject, "consent.recorded")
        await scene.emit("assessment", subject, "assessment.overdue", {"intake": 3})
        await scene.emit("intake", subject, "consent.recorded", {"assessment": 1})
    return subjects


async def test_an_empty_database_comes_back_as_it_was_and_nothing_is_decided_twice(
    scene: Scene, new_database: NewDatabase
) -> None:
    await told(scene)
    async with scene.running():
        pass
    before, log = await scene.memory(), await scene.log("notify")
    await scene.replace_by(await new_database())

    report = await recover(application, scene.settings)

    assert await scene.log("notify") == log
    assert (report.subjects, report.published, report.left) == (8, len(log), 8)
    async with scene.running():
        pass
    assert await scene.memory() == before
    assert await scene.log("notify") == log
    records, accounted = await scene.ledger()
    assert records == accounted
    assert (await recover(application, scene.settings, compare=True)).differences == []
