"""The business clock: when things happen to people. It can stand still and be moved, for a demonstration.

The machine clock (leases, timeouts, alarms) is never this one.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.store.statements import BUSINESS_NOW

_MOVE = text("UPDATE business_clock SET instant = :instant WHERE instant IS NULL OR instant <= :instant RETURNING 1")


class ClockRefused(Exception):
    """The clock may not be moved so; the text says why."""


class BusinessClock:
    """Reads the hour for one transaction. ``movable`` only in the demo profile; else it is the system's time."""

    def __init__(self, *, movable: bool) -> None:
        self.movable = movable

    async def now(self, connection: AsyncConnection) -> datetime:
        """The business time, aware, in UTC."""
        if self.movable:
            instant = await connection.scalar(BUSINESS_NOW)
            if isinstance(instant, datetime):
                return instant.astimezone(UTC)
        return datetime.now(UTC)

    async def move(self, connection: AsyncConnection, instant: datetime) -> None:
        """Sets the clock to a later time. Raises ClockRefused outside the demo profile, and for an earlier time."""
        if not self.movable:
            raise ClockRefused("the business clock moves only in the demo profile")
        if (await connection.execute(_MOVE, {"instant": instant})).first() is None:
            raise ClockRefused("the business clock never goes back: what was decided later would stand before")
