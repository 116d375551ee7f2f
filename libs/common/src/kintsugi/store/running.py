"""The lock that says that a service runs: shared by each of its connections, taken alone by a recovery.

It belongs to the connection, so it ends with the process however that ends, and a connection that is made anew takes
it anew. It asks for direct connections: a pooler in transaction mode would lose it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

RUNNING_LOCK = 7_204_611_003
_SHARE = f"SELECT pg_try_advisory_lock_shared({RUNNING_LOCK})"


class RecoveryRuns(Exception):
    """A recovery has the database to itself."""


def share(engine: AsyncEngine) -> None:
    """Makes every connection of this engine take the lock. One that cannot raises RecoveryRuns."""

    @event.listens_for(engine.sync_engine, "connect")
    def taken(connection: Any, _record: Any) -> None:
        connection.run_async(take)


async def take(connection: Any) -> None:
    """Takes the lock on a connection of the driver's. Closes it and raises RecoveryRuns where a recovery has it."""
    if not await connection.fetchval(_SHARE):
        await connection.close()
        raise RecoveryRuns("a recovery of this service runs: wait for its end, then start the service again")
