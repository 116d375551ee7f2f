"""How a release's tables of views are called, and which release has tables of its own."""

import re

import pytest
from kintsugi.views import Views
from sqlalchemy import Column, Index, Integer, MetaData, Table, Text, select


def made(*columns: Column[object], version: int = 1, name: str = "tasks") -> Views[object]:  # type: ignore[type-var]
    metadata = MetaData()
    Table(name, metadata, Column("subject", Text), *columns)
    return Views(metadata, lambda _subject, _state: {}, version)


def test_a_query_made_of_a_table_finds_the_one_of_its_release() -> None:
    metadata = MetaData()
    tasks = Table("tasks", metadata, Column("subject", Text), Column("task_id", Text), Index("by_id", "task_id"))
    views: Views[object] = Views(metadata, lambda _subject, _state: {})  # type: ignore[type-var]
    assert re.fullmatch("[0-9a-f]{8}", views.digest)
    assert str(select(tasks.c.task_id).where(tasks.c.subject == "x")).startswith(
        f"SELECT tasks_{views.digest}.task_id \nFROM tasks_{views.digest} \nWHERE tasks_{views.digest}.subject ="
    )
    assert views.tables == {"tasks": tasks}
    assert {index.name for index in tasks.indexes} == {f"by_id_{views.digest}", f"tasks_subject_{views.digest}"}


def test_the_same_tables_have_the_same_name_in_every_process() -> None:
    assert made(Column("at", Integer)).digest == made(Column("at", Integer)).digest == "2f13943c"


@pytest.mark.parametrize(
    "other",
    [
        made(),
        made(Column("at", Text)),
        made(Column("at", Integer, nullable=False)),
        made(Column("at", Integer, index=True)),
        made(Column("at", Integer), version=2),
        made(Column("at", Integer), name="duties"),
    ],
    ids=["without a column", "another type", "required", "with an index", "other rows", "another name"],
)
def test_what_differs_in_a_table_or_its_rows_is_a_table_of_its_own(other: Views[object]) -> None:  # type: ignore[type-var]
    assert other.digest != made(Column("at", Integer)).digest


def test_one_metadata_serves_one_views() -> None:
    metadata = MetaData()
    Table("tasks", metadata, Column("subject", Text))
    Views(metadata, lambda _subject, _state: {})
    with pytest.raises(ValueError, match="belongs to other views already"):
        Views(metadata, lambda _subject, _state: {}, 2)


def test_a_name_that_postgresql_would_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        made(name="t" * 55)
