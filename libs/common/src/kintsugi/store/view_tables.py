"""The tables of views: made beside those of other releases, watched for writers, dropped an hour after the last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.views import Views

KEPT = timedelta(hours=1)
"""How long tables are kept after their last writer, by the machine's clock."""
SAID_EVERY = timedelta(minutes=1)
"""How often a process says that it writes its own; so they may have had a writer this long after it last said so."""
_LOCK = 7_204_611_005

_TAKE = text("SELECT pg_advisory_xact_lock(:key)")
_REGISTER = text("""
INSERT INTO view_tables (table_name, name, digest, generation)
SELECT n.table_name, n.name, :digest,
       coalesce((SELECT max(generation) FROM view_tables WHERE digest = :digest),
                (SELECT coalesce(max(generation), 0) + 1 FROM view_tables))
FROM unnest(CAST(:tables AS text[]), CAST(:names AS text[])) AS n (table_name, name)
ON CONFLICT (table_name) DO UPDATE SET last_writer_at = now(), dropped_at = NULL
""")
_TAKE_OVER = text("""
INSERT INTO view_tables (table_name, name, digest, generation)
SELECT n, n, '', 0 FROM unnest(CAST(:tables AS text[])) AS n WHERE to_regclass(n) IS NOT NULL
ON CONFLICT (table_name) DO NOTHING
""")
_WRITES = text("UPDATE view_tables SET last_writer_at = :now WHERE digest = :digest AND dropped_at IS NULL")
# A release that runs has connections, whatever else it does; those of one without a digest name none.
_OTHERS = text("""
UPDATE view_tables AS v SET last_writer_at = :now
WHERE v.dropped_at IS NULL AND v.digest <> :digest AND EXISTS (
    SELECT FROM pg_stat_activity AS a WHERE a.datname = current_database()
    AND a.application_name = CASE v.digest WHEN '' THEN :application ELSE :application || '-' || v.digest END)
RETURNING v.digest
""")
_OLD = text("""
SELECT table_name FROM view_tables
WHERE dropped_at IS NULL AND last_writer_at < :before
  AND generation < (SELECT min(generation) FROM view_tables WHERE digest = :digest)
ORDER BY table_name
""")
_DROPPED = text("UPDATE view_tables SET dropped_at = :now WHERE table_name = ANY(CAST(:tables AS text[]))")
LIVING = "SELECT table_name FROM view_tables WHERE dropped_at IS NULL AND to_regclass(table_name) IS NOT NULL"
"""Every table of views of every release, for whoever empties them."""


def application_name(service: str, views: Views[Any] | None) -> str:
    """What the connections of a service are called in PostgreSQL: whoever looks sees which views it writes."""
    return f"kintsugi-{service}-{views.digest}" if views else f"kintsugi-{service}"


def make(connection: Connection, views: Views[Any]) -> None:
    """Makes what is missing of this release's tables, and notes them behind those of earlier releases.

    A release that was here before keeps its place, so it never counts as newer than one that came after it.
    """
    connection.execute(_TAKE, {"key": _LOCK})
    for table in (*views.tables.values(), views.versions):
        table.create(connection, checkfirst=True)
    made = {table.name: name for name, table in (*views.tables.items(), ("view_versions", views.versions))}
    connection.execute(_REGISTER, {"tables": list(made), "names": list(made.values()), "digest": views.digest})


def take_over(connection: Connection, tables: Sequence[str]) -> None:
    """Notes tables that a service's own migrations made: older than any that the kit made."""
    connection.execute(_TAKE_OVER, {"tables": list(tables)})


async def writes(connection: AsyncConnection, views: Views[Any], now: datetime) -> None:
    """Says that this release writes its tables."""
    await connection.execute(_WRITES, {"digest": views.digest, "now": now})


async def others(connection: AsyncConnection, service: str, views: Views[Any], now: datetime) -> bool:
    """Whether another release of this service runs beside this one; its tables are noted as having a writer."""
    said = {"digest": views.digest, "application": application_name(service, None), "now": now}
    return bool((await connection.execute(_OTHERS, said)).all())


async def drop_old(connection: AsyncConnection, views: Views[Any], now: datetime) -> list[str]:
    """Drops earlier releases' tables whose last writer is gone long enough, never those of a newer release.

    Returns the names of the tables that are gone.
    """
    old = {"digest": views.digest, "before": now - KEPT - SAID_EVERY}
    if not (await connection.execute(_OLD, old)).all():
        return []
    await connection.execute(_TAKE, {"key": _LOCK})  # one that starts meanwhile has its tables, or makes them anew
    names = [row.table_name for row in await connection.execute(_OLD, old)]
    for name in names:
        await connection.execute(text(f'DROP TABLE IF EXISTS "{name}"'))
    await connection.execute(_DROPPED, {"tables": names, "now": now})
    return names


def versions_become(views: Views[Any]) -> TextClause:
    """Takes the versions of subjects as the unit leaves them; returns those whose rows were of the version before it,
    and those that had none (``made``). What is not returned is behind."""
    name = views.versions.name
    return text(f"""
INSERT INTO {name} AS v (subject, version)
SELECT * FROM unnest(CAST(:subjects AS text[]), CAST(:versions AS bigint[]))
ON CONFLICT (subject) DO UPDATE SET version = excluded.version WHERE v.version = excluded.version - 1
RETURNING subject, xmax = 0 AS made
""")  # noqa: S608 - the name is the kit's own


def versions_are(views: Views[Any]) -> TextClause:
    """Takes the versions of subjects whatever they were."""
    name = views.versions.name
    return text(f"""
INSERT INTO {name} (subject, version)
SELECT * FROM unnest(CAST(:subjects AS text[]), CAST(:versions AS bigint[]))
ON CONFLICT (subject) DO UPDATE SET version = excluded.version
""")  # noqa: S608 - the name is the kit's own


def behind(views: Views[Any]) -> TextClause:
    """One page of subjects: its last one in the first column, and in the second each whose rows are behind.

    A look at the index per subject, since an estimate from before the first row was written misleads the planner.
    """
    name = views.versions.name
    return text(f"""
WITH page AS MATERIALIZED (
    SELECT subject, version FROM subjects WHERE subject > :after ORDER BY subject LIMIT :most
), rest AS (
    SELECT p.subject FROM page AS p
    LEFT JOIN LATERAL (SELECT v.version FROM {name} AS v WHERE v.subject = p.subject OFFSET 0) AS s ON true
    WHERE s.version IS DISTINCT FROM p.version
)
SELECT l.subject AS last, rest.subject FROM (SELECT max(subject) AS subject FROM page) AS l
LEFT JOIN rest ON true ORDER BY rest.subject
""")  # noqa: S608 - the name is the kit's own
