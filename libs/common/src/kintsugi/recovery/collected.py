"""A collector's rows made again: emptied in one transaction, and read from the first record by the collector itself."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from kintsugi.collector import Collector

_STATEMENTS = (
    # In the order in which a batch writes them: a rebuild beside a running collector waits, and never deadlocks.
    "DELETE FROM inputs",
    "UPDATE positions SET next_offset = 0, read_to_end = NULL, read_to_end_business = NULL",
    "DELETE FROM service_facts WHERE name = 'fold_version'",
)


async def rebuild(collector: Collector, url: str) -> None:
    """Empties the collector's table and moves its positions to the first record; it may run meanwhile.

    A running collector finds its positions moved within seconds and reads again; a stopped one does when it starts.
    Until it has read to the end, its table holds a part of the rows.
    """
    engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True)
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"TRUNCATE {collector.table.name}"))
            for statement in _STATEMENTS:
                await connection.execute(text(statement))
            fact = text("INSERT INTO service_facts (name, value) VALUES ('fold_version', :version)")
            await connection.execute(fact, {"version": str(collector.version)})
    finally:
        await engine.dispose()
