"""What keeps the tables small: parts made ahead, old ones dropped whole, answers forgotten after their time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

PUBLISHED_DAYS = 30
COMMAND_DAYS = 30
_AHEAD_DAYS = 3
_LOCK = 7_204_611_004

_TAKE = text("SELECT pg_try_advisory_xact_lock(:key)")
_PARTS = text("""
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
WHERE p.relname = :parent
""")
_OLD_COMMANDS = text("DELETE FROM commands WHERE created_at < now() - make_interval(days => :days)")
_OLD_REST = text("DELETE FROM published_rest WHERE published_at < now() - make_interval(days => :days)")


async def tidy(engine: AsyncEngine, today: date | None = None) -> list[str]:
    """Makes the parts of the coming days and months, and drops what is older than it is kept.

    ``inputs`` is never dropped: it accounts for every record. Safe to run by several processes; one at a time does
    the work. Returns the names of the parts that were made or dropped. ``today`` is for tests.
    """
    day = today or datetime.now(UTC).date()
    async with engine.begin() as connection:
        if not await connection.scalar(_TAKE, {"key": _LOCK}):
            return []
        made = await _make(connection, "published", [_day(day + timedelta(days=n)) for n in range(1, _AHEAD_DAYS + 1)])
        made += await _make(connection, "inputs", [_month(day, n) for n in (1, 2)])
        dropped = await _drop_old(connection, day - timedelta(days=PUBLISHED_DAYS))
        await connection.execute(_OLD_COMMANDS, {"days": COMMAND_DAYS})
        await connection.execute(_OLD_REST, {"days": PUBLISHED_DAYS})
    return made + dropped


async def _make(connection: AsyncConnection, parent: str, ranges: list[tuple[date, date]]) -> list[str]:
    """Only coming ranges: no row can lie in the catch-all part for them, so no part has to be moved out of it."""
    known = {row.relname for row in await connection.execute(_PARTS, {"parent": parent})}
    made: list[str] = []
    for begin, end in ranges:
        name = f"{parent}_{begin:%Y%m%d}"
        if name not in known:
            statement = f"CREATE TABLE {name} PARTITION OF {parent} FOR VALUES FROM ('{begin}') TO ('{end}')"
            await connection.execute(text(statement))
            made.append(name)
    return made


async def _drop_old(connection: AsyncConnection, before: date) -> list[str]:
    dropped: list[str] = []
    for row in (await connection.execute(_PARTS, {"parent": "published"})).all():
        stamp = row.relname.rpartition("_")[2]
        if stamp.isdigit() and datetime.strptime(stamp, "%Y%m%d").replace(tzinfo=UTC).date() < before:
            await connection.execute(text(f"DROP TABLE {row.relname}"))
            dropped.append(row.relname)
    return dropped


def _day(day: date) -> tuple[date, date]:
    return day, day + timedelta(days=1)


def _month(day: date, ahead: int) -> tuple[date, date]:
    number = day.year * 12 + day.month - 1 + ahead
    begin = date(number // 12, number % 12 + 1, 1)
    return begin, date((number + 1) // 12, (number + 1) % 12 + 1, 1)
