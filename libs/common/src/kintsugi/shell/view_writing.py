"""Writes the rows of views and, beside them, which version of its subject they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic

from pydantic_core import to_json
from sqlalchemy import Table, bindparam, delete, text
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.service import S
from kintsugi.store.view_tables import versions_are, versions_become
from kintsugi.views import Rows, Views

if TYPE_CHECKING:
    from kintsugi.shell.unit import Loaded


class ViewWriter(Generic[S]):
    """Writes on one connection, inside its transaction. The subjects are locked by it."""

    def __init__(self, views: Views[S], connection: AsyncConnection) -> None:
        self._views = views
        self._connection = connection

    async def changed(self, changed: Sequence[Loaded[S]], after: Mapping[str, Rows]) -> None:
        """The rows of subjects that a unit has written; ``after`` are those of new states.

        Where another release had written a subject since, its rows here are behind: they are replaced whole.
        """
        if not changed or not self._views.tables:
            return
        by_id = {loaded.id: loaded for loaded in changed}
        versions = {id_: loaded.row.version + 1 for id_, loaded in by_id.items()}
        result = await self._connection.execute(
            versions_become(self._views), {"subjects": list(versions), "versions": list(versions.values())}
        )
        known = {row.subject: row.made for row in result}
        gone: dict[str, list[str]] = {}
        fresh: dict[str, list[dict[str, object]]] = {}
        behind: dict[str, Rows] = {}
        for id_, loaded in by_id.items():
            rows = after.get(id_, loaded.views_before)
            if id_ not in known:
                behind[id_] = rows
                continue
            before: Rows = {} if known[id_] else loaded.views_before
            for name in {*before, *rows}:
                if before.get(name, ()) == rows.get(name, ()):
                    continue
                if before.get(name):
                    gone.setdefault(name, []).append(id_)
                fresh.setdefault(name, []).extend({"subject": id_, **row} for row in rows.get(name, ()))
        await self._write(gone, fresh)
        if behind:
            await self.replace(behind, versions)

    async def replace(self, rows: Mapping[str, Rows], versions: Mapping[str, int]) -> None:
        """Whatever stood for these subjects gives way to ``rows``, which are of ``versions``."""
        subjects = sorted(rows)
        fresh: dict[str, list[dict[str, object]]] = {}
        for subject in subjects:
            for name, made in rows[subject].items():
                fresh.setdefault(name, []).extend({"subject": subject, **row} for row in made)
        await self._write(dict.fromkeys(self._views.tables, subjects), fresh)
        await self._connection.execute(
            versions_are(self._views), {"subjects": subjects, "versions": [versions[subject] for subject in subjects]}
        )

    async def _write(self, gone: Mapping[str, Sequence[str]], fresh: Mapping[str, Sequence[Any]]) -> None:
        for name in sorted({*gone, *fresh}):
            table = self._views.tables[name]
            if subjects := gone.get(name):
                statement = delete(table).where(table.c.subject.in_(bindparam("subjects", expanding=True)))
                await self._connection.execute(statement, {"subjects": list(subjects)})
            if made := fresh.get(name):
                await self._connection.execute(_insert(table), {"rows": to_json(made).decode()})


def _insert(table: Table) -> Any:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    return text(
        f"INSERT INTO {table.name} ({columns}) "  # noqa: S608 - names come from the service's own metadata
        f"SELECT {columns} FROM jsonb_populate_recordset(CAST(NULL AS {table.name}), CAST(:rows AS jsonb))"
    )
