"""A connection that broke in whatever way is the machinery's fault: it is tried again, and nobody's process ends."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import AsyncMock

import asyncpg
import pytest
from kintsugi.kafka import Cluster
from kintsugi.relay import Brokers, Relay
from kintsugi.shell.faults import Fault, classify

BROKEN = [
    asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.InterfaceError("connection is closed"),
    ConnectionResetError(),
]


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
def test_a_broken_connection_is_away(error: Exception) -> None:
    assert classify(error) is Fault.away


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
async def test_the_relay_outlives_a_broken_connection(error: Exception) -> None:
    nothing: Any = None
    relay = Relay("postgresql://nobody@127.0.0.1/none", Brokers(Cluster("127.0.0.1:1"), "test"), nothing, nothing)

    session = AsyncMock()
    relay._session = session  # type: ignore[method-assign]

    async def again() -> None:
        if session.await_count == 1:
            raise error
        relay.stop()

    session.side_effect = again
    async with asyncio.timeout(5):
        await relay.run()
    assert session.await_count == 2
