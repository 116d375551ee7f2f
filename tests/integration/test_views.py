"""Two releases of one service with other tables of views, on one database, at work at the same time."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from kintsugi.application import Application
from kintsugi.clock import BusinessClock
from kintsugi.envelope import Envelope, encode
from kintsugi.keyring import Keyring
from kintsugi.partitioning import partition_of
from kintsugi.runtime.database import engine_of
from kintsugi.shell.batches import Batches
from kintsugi.shell.catching_up import CatchUp
from kintsugi.shell.core import Core
from kintsugi.store.rows import Record
from kintsugi.store.view_tables import make
from kintsugi.tables import upgrade, version_problem
from kintsugi.telemetry.metrics import Metrics
from kintsugi.telemetry.tracing import Tracing
from kintsugi.turn import Office
from kintsugi.views import Rows, Views
from kintsugi_assessment.app import application as assessment
from kintsugi_intake.app import application as intake
from kintsugi_notify.app import application as notify
from kintsugi_referral.app import application as referral
from kintsugi_share.app import application as share
from sqlalchemy import Column, Connection, DateTime, Integer, MetaData, Table, Text, inspect, select, text

from tests.integration.recovered.desk import Desk, desk
from tests.integration.recovered.office import _PACK, CATALOG, case, example

NewDatabase = Callable[..., Awaitable[str]]
SERVICES = (assessment, intake, notify, referral, share)


def _older() -> Application[Desk]:
    metadata = MetaData()
    Table("tasks", metadata, Column("subject", Text), Column("task_id", Text))
    return Application(desk, Views(metadata, lambda _subject, state: {"tasks": [{"task_id": t} for t in state.tasks]}))


def _newer() -> Application[Desk]:
    metadata = MetaData()
    due = Column("due_at", DateTime(timezone=True))
    Table("tasks", metadata, Column("subject", Text), Column("task_id", Text, unique=True), due)
    Table("dangers", metadata, Column("subject", Text, primary_key=True), Column("dangers", Integer))

    def rows(_subject: str, state: Desk) -> Rows:
        return {
            "tasks": [{"task_id": task, "due_at": due} for task, due in state.tasks.items()],
            "dangers": [{"dangers": state.dangers}] if state.dangers % 2 else [],
        }

    return Application(desk, Views(metadata, rows), retired={"notify_0001": ("tasks",)})


class Machine:
    """A machine clock that a test moves."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Log:
    """Intake's topic: what is next for each subject and each partition."""

    def __init__(self) -> None:
        self.sequences: Counter[str] = Counter()
        self.offsets: Counter[int] = Counter()
        model = CATALOG.by_type("kintsugi.risk.raised.v1")
        assert model is not None
        self._model, self._body = model, example("risk.raised")

    def dangers(self, subjects: Sequence[str]) -> tuple[list[Record], dict[tuple[str, int], int]]:
        """One danger of each subject, and where reading stood before."""
        before: dict[tuple[str, int], int] = {}
        records: list[Record] = []
        for subject in subjects:
            partition = partition_of(subject)
            place = ("xa.intake.v1", partition)
            before.setdefault(place, self.offsets[partition])
            self.sequences[subject] += 1
            envelope = Envelope(
                id=str(uuid4()),
                source="/xa/intake",
                type=self._model.type,
                time=datetime.now(UTC),
                subject=subject,
                sequence=self.sequences[subject],
                dataschema=self._model.dataschema,
            )
            at = (*place, self.offsets[partition])
            records.append(Record(*at, subject.encode(), self._body, encode(envelope), 1_772_445_600_000))
            self.offsets[partition] += 1
        return records, before


class Release:
    """One process of a release: it is fed by hand, and its loop is stepped by the test or runs beside it."""

    def __init__(self, application: Application[Desk], url: str, machine: Machine) -> None:
        self.application = application
        self.core: Core[Any] = Core(
            service=application.service,
            views=application.views,
            office=Office("xa", _PACK),
            engine=engine_of(url, "notify", views=application.views),
            keyring=Keyring("postgresql+asyncpg://nobody@127.0.0.1:1/none", {}),
            tracing=Tracing("notify"),
            metrics=Metrics("notify"),
        )
        self._batches: Batches[Any] = Batches(self.core, BusinessClock(movable=False), 500)
        self.catch_up: CatchUp[Any] = CatchUp(self.core, machine)

    async def start(self) -> None:
        """Makes its tables and begins to fill them."""
        async with self.core.engine.begin() as connection:
            await connection.run_sync(upgrade, self.application)

    async def take(self, records: Sequence[Record], before: dict[tuple[str, int], int]) -> None:
        """Processes one batch, as the consumer does."""
        async with self.core.engine.begin() as connection:
            query = text("INSERT INTO positions (topic, partition) VALUES (:t, :p) ON CONFLICT DO NOTHING")
            await connection.execute(query, [{"t": topic, "p": partition} for topic, partition in sorted(before)])
        left, positions = list(records), dict(before)
        while left:
            batch = await self._batches.run(left, positions)
            for record in left[: batch.count]:
                positions[(record.topic, record.partition)] = record.offset + 1
            left = left[batch.count :]

    @contextlib.asynccontextmanager
    async def catching_up(self) -> AsyncIterator[None]:
        """The loop of its views, while the block runs, to the end of a pass."""
        stop = False

        async def loop() -> None:
            more = True
            while more or not stop:
                more = await self.catch_up.step(lambda: None)
                if not more:
                    await asyncio.sleep(0.05)

        task = asyncio.create_task(loop())
        try:
            yield
            await self.catch_up.filled.wait()
        finally:
            stop = True
            await task

    async def one_pass(self) -> None:
        """Steps until nothing is due."""
        while await self.catch_up.step(lambda: None):
            pass

    async def shown(self) -> Counter[tuple[Any, ...]]:
        """Every row that is there, by table."""
        found: Counter[tuple[Any, ...]] = Counter()
        async with self.core.engine.connect() as connection:
            for name, table in self.core.views.tables.items():
                for row in await connection.execute(select(*sorted(table.c, key=lambda column: column.name))):
                    found[(name, *row)] += 1
        return found

    async def due(self) -> Counter[tuple[Any, ...]]:
        """Every row that should be there: those of all states."""
        found: Counter[tuple[Any, ...]] = Counter()
        async with self.core.engine.connect() as connection:
            for row in await connection.execute(text("SELECT subject, state FROM subjects")):
                state = Desk.model_validate_json(row.state)
                for name, rows in self.core.views.of(row.subject, state).items():
                    for each in rows:
                        whole = {"subject": row.subject, **each}
                        found[(name, *(whole[column] for column in sorted(whole)))] += 1
        return found

    async def made(self) -> dict[str, int]:
        """Which tables of views are there, of any release, and the identity of each."""
        query = text("SELECT relname, oid FROM pg_class WHERE relkind = 'r' AND relname ~ '^(tasks|dangers|view_ver)'")
        async with self.core.engine.connect() as connection:
            return {row.relname: row.oid for row in await connection.execute(query)}

    @property
    def tables(self) -> set[str]:
        """The names of its own."""
        views = self.core.views
        return {views.versions.name, *(table.name for table in views.tables.values())}


@pytest_asyncio.fixture(loop_scope="session")
async def url(new_database: NewDatabase) -> str:
    return await new_database()


def in_parts(subjects: Sequence[str], remainder: int) -> list[list[str]]:
    """The subjects of every other partition, in batches."""
    some = [subject for subject in subjects if partition_of(subject) % 2 == remainder]
    return [some[begin : begin + 500] for begin in range(0, len(some), 500)]


@pytest.mark.parametrize("count", [600, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
async def test_a_newer_release_fills_its_own_tables_while_an_older_one_goes_on_writing(url: str, count: int) -> None:
    log, machine = Log(), Machine()
    subjects = [case() for _ in range(count)]
    older, newer = Release(_older(), url, machine), Release(_newer(), url, machine)
    await older.start()
    for remainder in (0, 1):
        for part in in_parts(subjects, remainder):
            await older.take(*log.dangers(part))
    await older.one_pass()
    await newer.start()

    async def work(release: Release, remainder: int) -> None:
        for part in in_parts(subjects, remainder):
            await release.take(*log.dangers(part))

    async with newer.catching_up(), older.catching_up():
        await work(older, 0)
        await asyncio.gather(work(older, 0), work(newer, 1))  # one partition after the other goes over,
        await asyncio.gather(work(older, 1), work(newer, 0))  # and some come back
        await work(older, 1)
    for release in (newer, older):
        await release.one_pass()
        due = await release.due()
        assert len(due) > count
        assert set(due.values()) == {1}
        assert await release.shown() == due
    for release in (newer, older):
        await release.core.engine.dispose()


async def test_a_row_that_an_older_release_left_behind_is_right_when_the_newer_writes_its_subject(url: str) -> None:
    log, machine, subjects = Log(), Machine(), [case()]
    older, newer = Release(_older(), url, machine), Release(_newer(), url, machine)
    for release in (older, newer):
        await release.start()
        await release.one_pass()
    await newer.take(*log.dangers(subjects))
    await older.take(*log.dangers(subjects))
    assert await newer.shown() != await newer.due()
    await newer.take(*log.dangers(subjects))
    assert await newer.shown() == await newer.due()
    for release in (older, newer):
        await release.core.engine.dispose()


async def test_an_older_release_that_is_started_again_neither_replaces_nor_drops_a_newer_one_s_tables(url: str) -> None:
    log, machine, subjects = Log(), Machine(), [case() for _ in range(3)]
    first, newer = Release(_older(), url, machine), Release(_newer(), url, machine)
    await first.start()
    await first.core.engine.dispose()
    await newer.start()
    await newer.take(*log.dangers(subjects))
    await newer.one_pass()
    before, rows = await newer.made(), await newer.shown()
    await newer.core.engine.dispose()
    again = Release(_older(), url, machine)
    await again.start()
    machine.ahead = timedelta(days=3)
    await again.one_pass()
    assert await again.shown() == await again.due()
    await again.one_pass()
    assert await again.made() == before
    assert await newer.shown() == rows
    for release in (again, newer):
        await release.core.engine.dispose()


async def test_an_older_release_s_tables_go_an_hour_after_its_last_process_and_not_before(url: str) -> None:
    log, machine, subjects = Log(), Machine(), [case() for _ in range(3)]
    older, newer = Release(_older(), url, machine), Release(_newer(), url, machine)
    await older.start()
    await older.take(*log.dangers(subjects))
    await newer.start()
    await newer.one_pass()
    machine.ahead = timedelta(hours=5)
    await newer.one_pass()
    assert older.tables | newer.tables == set(await newer.made()), "the older still runs"
    await older.core.engine.dispose()
    machine.ahead += timedelta(minutes=60)
    await newer.one_pass()
    assert older.tables | newer.tables == set(await newer.made()), "it was there an hour ago"
    machine.ahead += timedelta(minutes=2)
    await newer.one_pass()
    assert newer.tables == set(await newer.made())
    assert await newer.shown() == await newer.due()
    again = Release(_older(), url, machine)
    await again.start()
    await again.one_pass()
    assert await again.shown() == await again.due(), "it may come back, and fills them anew"
    for release in (again, newer):
        await release.core.engine.dispose()


async def test_a_database_whose_views_were_made_by_migrations_is_taken_over(url: str) -> None:
    log, machine, subjects = Log(), Machine(), [case() for _ in range(3)]
    before = Release(_older(), url, machine)
    await before.start()
    await before.take(*log.dangers(subjects))
    async with before.core.engine.begin() as connection:  # back to how the previous release left it
        for statement in (
            *(f"DROP TABLE {name}" for name in (*before.tables, "view_tables")),
            "UPDATE alembic_version SET version_num = 'kit_0002'",
            "INSERT INTO alembic_version VALUES ('notify_0001')",
            "CREATE TABLE tasks (subject text, task_id text)",
        ):
            await connection.execute(text(statement))
    await before.core.engine.dispose()
    running = engine_of(url, "notify")
    async with running.connect() as connection:
        newer = Release(_newer(), url, machine)

        def problem(sync: Connection) -> str | None:
            return version_problem(sync, newer.application)

        assert await connection.run_sync(problem) == "the database misses migrations: run 'kintsugi migrate'"
        await newer.start()
        assert await connection.run_sync(problem) is None
        await newer.one_pass()
        assert await newer.shown() == await newer.due()
        machine.ahead = timedelta(hours=5)
        await newer.one_pass()
        assert "tasks" in await newer.made(), "a release from before still runs"
    await running.dispose()
    machine.ahead += timedelta(minutes=59)
    await newer.one_pass()
    assert "tasks" in await newer.made()
    machine.ahead += timedelta(minutes=3)
    await newer.one_pass()
    assert set(await newer.made()) == newer.tables
    await newer.core.engine.dispose()


async def test_one_subject_without_computable_rows_keeps_no_other_from_theirs(url: str) -> None:
    log, machine, subjects = Log(), Machine(), [case() for _ in range(5)]
    older = Release(_older(), url, machine)
    await older.start()
    await older.take(*log.dangers(subjects))
    async with older.core.engine.begin() as connection:
        query = text("UPDATE subjects SET state = 'unreadable' WHERE subject = :subject")
        await connection.execute(query, {"subject": subjects[0]})
    newer = Release(_newer(), url, machine)
    await newer.start()
    await newer.one_pass()
    assert newer.catch_up.filled.is_set()
    assert {row[2] for row in await newer.shown() if row[0] == "tasks"} == set(subjects[1:])
    for release in (older, newer):
        await release.core.engine.dispose()


async def test_two_processes_of_one_release_start_at_once(url: str) -> None:
    machine = Machine()
    first, second = Release(_newer(), url, machine), Release(_newer(), url, machine)
    await first.start()
    async with first.core.engine.begin() as connection:
        for name in first.tables:
            await connection.execute(text(f"DROP TABLE {name}"))

    async def made(release: Release) -> None:
        async with release.core.engine.begin() as connection:
            await connection.run_sync(make, release.application.views)

    await asyncio.gather(*(made(release) for release in (first, second) * 3))
    assert set(await first.made()) == first.tables
    for release in (first, second):
        await release.core.engine.dispose()


@pytest.mark.parametrize("application", SERVICES, ids=lambda each: each.name)
async def test_the_kit_makes_exactly_the_tables_a_service_declares(url: str, application: Application[Any]) -> None:
    def differences(connection: Connection) -> list[str]:
        upgrade(connection, application)
        there = inspect(connection)
        wrong: list[str] = []
        for table in application.views.tables.values():
            columns = there.get_columns(table.name)
            found = {each["name"]: (each["type"].compile(connection.dialect), each["nullable"]) for each in columns}
            if found != {each.name: (each.type.compile(connection.dialect), each.nullable) for each in table.c}:
                wrong.append(f"{table.name}: {found}")
            indexes = {
                str(each["name"]): (each["column_names"], each["unique"]) for each in there.get_indexes(table.name)
            }
            if indexes != {
                str(each.name): ([c.name for c in each.columns], bool(each.unique)) for each in table.indexes
            }:
                wrong.append(f"{table.name}: {indexes}")
        return wrong

    engine = engine_of(url, application.name)
    async with engine.begin() as connection:
        assert await connection.run_sync(differences) == []
        await connection.execute(text(f"SELECT * FROM {application.views.versions.name}"))
    await engine.dispose()
