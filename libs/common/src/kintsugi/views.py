"""Rows for queries, computed from state and written with it: never a second source of truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic

from sqlalchemy import MetaData, Table

from kintsugi.service import S

Row = Mapping[str, object]
Rows = Mapping[str, Sequence[Row]]


class Views(Generic[S]):
    """The query tables of a service and how a subject's rows follow from its state.

    Every table has a text column ``subject``; ``rows(subject, state)`` gives, by table name, the rows of that
    subject without that column. What a table holds for a subject is replaced whole when its rows change.
    """

    def __init__(self, metadata: MetaData, rows: Callable[[str, S], Rows]) -> None:
        for table in metadata.sorted_tables:
            if "subject" not in table.c:
                raise ValueError(f"view '{table.name}' has no column 'subject': its rows could not be replaced")
        self.tables: dict[str, Table] = {table.name: table for table in metadata.sorted_tables}
        self._rows = rows

    def of(self, subject: str, state: S) -> Rows:
        """The rows of one subject by table. Raises KeyError for a table that is not in the metadata."""
        rows = self._rows(subject, state)
        if unknown := set(rows) - set(self.tables):
            raise KeyError(f"views without a table: {sorted(unknown)}")
        return rows
