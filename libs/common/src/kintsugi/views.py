"""Rows for queries, computed from state and written with it: never a second source of truth."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Generic

from sqlalchemy import BigInteger, Column, Constraint, Index, MetaData, Table, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from kintsugi.service import S

Row = Mapping[str, object]
Rows = Mapping[str, Sequence[Row]]

DIGEST_LETTERS = 8
MOST_LETTERS = 63
"""Of a name in PostgreSQL, which cuts longer ones off without a word."""


class Views(Generic[S]):
    """The query tables of a service and how a subject's rows follow from its state.

    Every table has a text column ``subject``; ``rows(subject, state)`` gives, by table name, the rows of that
    subject without that column. What a table holds for a subject is replaced whole when its rows change.

    The kit makes the tables, each as ``<name>_<digest>``: the digest is of all their columns and indexes and of
    ``version``, so that a release with other tables has its own beside those of a release that still runs. Raise
    ``version`` where ``rows`` changes and the tables do not. The ``Table`` objects take the longer names here, so
    queries made of them need not know; ``tables`` has them by their short names.
    """

    def __init__(self, metadata: MetaData, rows: Callable[[str, S], Rows], version: int = 1) -> None:
        self.tables: dict[str, Table] = dict(sorted(metadata.tables.items()))
        for name, table in self.tables.items():
            if "subject" not in table.c:
                raise ValueError(f"view '{name}' has no column 'subject': its rows could not be replaced")
            if table.name != name:
                raise ValueError(f"view '{name}' belongs to other views already: give each a MetaData of its own")
            _index_subject(table)
        self.digest = _digest(self.tables.values(), version)
        for table in self.tables.values():
            for part in (table, *_named(table)):
                part.name = _suffixed(str(part.name), self.digest)
        self.versions = Table(
            f"view_versions_{self.digest}",
            MetaData(),
            Column("subject", Text(collation="C"), primary_key=True),
            Column("version", BigInteger, nullable=False),
        )
        """Which version of each subject its rows are of; also of a subject that has none."""
        self._rows = rows

    def of(self, subject: str, state: S) -> Rows:
        """The rows of one subject by table. Raises KeyError for a table that is not in the metadata."""
        rows = self._rows(subject, state)
        if unknown := set(rows) - set(self.tables):
            raise KeyError(f"views without a table: {sorted(unknown)}")
        return rows


def _index_subject(table: Table) -> None:
    """Rows are replaced by subject: without an index that begins with it, each replacing would read the table."""
    keys = [list(index.columns) for index in table.indexes] + [list(table.primary_key.columns)]
    if not any(key and key[0] is table.c.subject for key in keys):
        Index(f"{table.name}_subject", table.c.subject)


def _named(table: Table) -> Iterator[Index | Constraint]:
    """What has a name that only one thing in a schema may have."""
    yield from (index for index in table.indexes if index.name is not None)
    yield from (constraint for constraint in table.constraints if isinstance(constraint.name, str))


def _digest(tables: Iterable[Table], version: int) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    said = [f"version {version}"]
    for table in tables:
        said.append(str(CreateTable(table).compile(dialect=dialect)))
        said += sorted(str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes)
    text = " ".join(" ".join(said).split())
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LETTERS]


def _suffixed(name: str, digest: str) -> str:
    longer = f"{name}_{digest}"
    if len(longer) > MOST_LETTERS:
        raise ValueError(f"'{name}' is too long for the name of a view or of its index: {MOST_LETTERS - 9} letters")
    return longer
