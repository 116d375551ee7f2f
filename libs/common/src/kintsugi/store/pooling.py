"""Pooled connections without a question to the server before each use, and reads without a transaction around them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine


def replace_closed(engine: AsyncEngine) -> None:
    """A connection that the server has closed is replaced when it is taken from the pool.

    The driver knows, at no cost; asking the server (``pool_pre_ping``) takes three round trips, more than most reads.
    What broke without being closed shows at the first statement, which then drops the whole pool.
    """

    @event.listens_for(engine.sync_engine, "checkout")
    def check(connection: Any, _record: Any, _proxy: Any) -> None:
        if connection.driver_connection.is_closed():
            raise DisconnectionError("the server has closed this connection")


def reading(engine: AsyncEngine) -> AsyncEngine:
    """The same pool for single reads: each statement is a transaction by itself, which saves its begin and end."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")
