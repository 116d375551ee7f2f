"""Rows for queries. The tables are made and filled by the kit, from what stands here."""

from __future__ import annotations

from kintsugi.views import Rows, Views
from sqlalchemy import Column, DateTime, Index, MetaData, Table, Text

from @@package.state import CaseFile

metadata = MetaData()

@@NOUNS = Table(
    "@@nouns",
    metadata,
    Column("subject", Text, nullable=False),
    Column("case_ref", Text, nullable=False),
    Column("@@{noun}_id", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("@@{nouns}_subject", "subject"),
    Index("@@{nouns}_case_ref", "case_ref"),
)


def rows(_subject: str, case: CaseFile) -> Rows:
    """One row for each @@noun."""
    return {"@@nouns": [{"case_ref": case.case_ref, **each.model_dump()} for each in case.@@nouns]}


views: Views[CaseFile] = Views(metadata, rows)
