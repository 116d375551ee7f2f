"""The servers that fault tests may break, and the record of what was broken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.faults.harness import Servers
from tests.faults.report import Report


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers() -> AsyncIterator[Servers]:
    """A PostgreSQL and a Kafka of the fault suite's own, started at first use."""
    made = Servers()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@pytest.fixture(scope="session")
def report() -> Iterator[Report]:
    """Everything that was broken and found, written to build/faults.json at the end."""
    made = Report()
    yield made
    made.write()
