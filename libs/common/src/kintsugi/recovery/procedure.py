"""Recovery: a service's subjects, views and agenda from the topics, or only what differs from them."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic

import asyncpg
from kintsugi_contracts.catalog import Catalog
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from kintsugi.application import Application
from kintsugi.collector import Collector
from kintsugi.partitioning import PARTITIONS
from kintsugi.recovery.collected import rebuild
from kintsugi.recovery.comparing import Comparison, Difference
from kintsugi.recovery.fold import CannotFold, Fold, Folded
from kintsugi.recovery.ledger import Ledger
from kintsugi.recovery.log import Entry, History, Log, LogIncomplete, Slice
from kintsugi.recovery.standing import Standings, Unsent, load
from kintsugi.recovery.writing import STANDING, Swap
from kintsugi.service import S
from kintsugi.settings import Profile, Settings
from kintsugi.store.running import RUNNING_LOCK
from kintsugi.store.view_tables import make
from kintsugi.tables import version_problem
from kintsugi.turn import Office

LOCK_SECONDS = 3.0
_MARK = """
INSERT INTO service_facts (name, value) VALUES ('recovering', $1)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
_UNMARK = "DELETE FROM service_facts WHERE name = 'recovering'"

Progress = Callable[[int, int, int], None]
"""Partitions done, partitions in all, records read so far."""


class RecoveryRefused(Exception):
    """Recovery may not run as things are; nothing was changed, and the text says what to do."""


@dataclass(slots=True)
class Report:
    """What a recovery did, or what a comparison found.

    ``records`` were read, ``events`` folded. ``left`` inputs are for the consumer to decide. ``published`` own events
    were on the topic and unknown to the database. ``unknown`` sends to survivors may have left before and are not
    repeated. ``overtaken`` unsent events lost their number to another one and are gone; the audit names them.
    ``collector``: its rows were emptied, and it reads its topics again by itself.
    """

    service: str
    compared: bool
    subjects: int = 0
    records: int = 0
    events: int = 0
    left: int = 0
    published: int = 0
    unknown: int = 0
    overtaken: int = 0
    absent: int = 0
    seconds: float = 0.0
    collector: bool = False
    differences: list[Difference] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Records read and accounted for per second."""
        return self.records / self.seconds if self.seconds else 0.0


async def recover(
    application: Application[S] | Collector,
    settings: Settings,
    *,
    compare: bool = False,
    progress: Progress = lambda _done, _of, _records: None,
) -> Report:
    """Rebuilds one service from the topics while it is stopped; with ``compare`` only says what differs.

    The rebuild is one transaction: it happens whole, or nothing is changed. A comparison reads a snapshot and may
    run beside the service, when nothing is on its way. Raises RecoveryRefused, LogIncomplete and CannotFold.
    A collector is emptied, also while it runs, and reads its topics again by itself; it has nothing to compare.
    """
    if isinstance(application, Collector):
        if compare:
            raise RecoveryRefused(
                f"'{application.name}' is a collector: it folds no state that could be compared. To make its rows "
                f"again: kintsugi recover {application.name}"
            )
        await rebuild(application, settings.database_url.get_secret_value())
        return Report(application.name, compared=False, collector=True)
    with _without_collections():
        return await Recovery(application, settings, progress).run(compare=compare)


class Recovery(Generic[S]):
    """The procedure for one service."""

    def __init__(self, application: Application[S], settings: Settings, progress: Progress) -> None:
        self._catalog = Catalog.installed()
        self._application = application = application.within(self._catalog)
        self._service = application.service
        self._settings = settings
        self._progress = progress
        office = Office(settings.country, None)
        self._own = office.topic(application.name)
        names = application.service.sources(self._catalog)
        self._sources = sorted(office.topic(name) for name in names)
        self._kinds = {office.topic(name): self._catalog.kinds(name) for name in (application.name, *names)}
        self._fold = Fold(application.service, self._catalog)

    async def run(self, *, compare: bool) -> Report:
        """See :func:`recover`."""
        started = time.perf_counter()
        report = Report(self._application.name, compare)
        await self._tables(compare=compare)
        async with self._connected() as connection:
            if compare:
                await self._compare(connection, report)
            else:
                async with self._alone(connection):
                    await self._rebuild(connection, report)
        report.seconds = time.perf_counter() - started
        return report

    async def _rebuild(self, connection: Any, report: Report) -> None:
        await connection.execute(_MARK, datetime.now(UTC).isoformat())
        try:
            async with connection.transaction():
                swap = Swap(connection, self._service, self._application.views, self._own, datetime.now(UTC))
                await swap.begin()
                own_time: datetime | None = None
                latest: datetime | None = None
                async with aclosing(self._slices(report)) as slices:
                    async for read in slices:
                        await self._partition(connection, swap, read, report)
                        own_time = _latest(own_time, read.entries[self._own])
                        for entries in read.entries.values():
                            latest = _latest(latest, entries)
                movable = self._settings.profile is Profile.demo
                report.unknown = await swap.finish(own_time, latest, movable=movable)
        except BaseException:
            # The transaction is undone, so the database is what it was; only a dead process leaves the mark.
            if not connection.is_closed():
                await connection.execute(_UNMARK)
            raise
        for table in ("subjects", "agenda", "inputs"):
            await connection.execute(f"ANALYZE {table}")

    async def _partition(self, connection: Any, swap: Swap[S], read: Slice, report: Report) -> None:
        standing = await load(connection, read.partition, STANDING, self._sources)
        histories = read.histories(self._own, PARTITIONS)
        unsent = _by_number(standing)
        folded: dict[str, Folded[S]] = {}
        lost: list[Entry] = []
        for subject in sorted({*(s for s, h in histories.items() if h.own), *standing.subjects, *unsent}):
            history = histories.setdefault(subject, History())
            stands = standing.subjects.get(subject)
            own = self._whole(subject, history, unsent.get(subject, {}))
            known = stands.progress.sequence if stands else 0
            if known > len(own):
                raise LogIncomplete(
                    f"the database knows {known} events of {subject}, {self._own} and the outbox only {len(own)}: the "
                    "topic has lost some. Restore it, or publish them again with 'kintsugi resend'"
                )
            each = self._fold.run(subject, own, history.sources, stands)
            lost.extend(entry for number, entry in history.own.items() if number > known)
            folded[subject] = each
            report.events += each.events
            report.absent += len(each.absent)
        kinds = self._kinds[self._own]
        ledger = Ledger(self._service, histories, folded, standing.inputs, self._catalog, kinds)
        account = ledger.account({topic: (read.entries[topic], read.ends[topic]) for topic in self._sources})
        await swap.subjects(read.partition, list(folded.values()), standing.subjects)
        await swap.inputs(read.partition, account)
        lost.sort(key=lambda entry: entry.record.offset)
        sent, overtaken = _told_apart(standing.unsent, histories)
        report.published += await swap.published(read.partition, read.ends[self._own], lost, sent)
        if overtaken:
            await swap.overtaken(overtaken)
        report.overtaken += len(overtaken)
        report.subjects += len(folded)
        report.left += account.left

    async def _compare(self, connection: Any, report: Report) -> None:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            comparison: Comparison[S] = Comparison(connection, self._service, self._application.views)
            await connection.fetchval("SELECT 1 FROM subjects LIMIT 1")  # the snapshot comes before the topics' ends
            async with aclosing(self._slices(report)) as slices:
                async for read in slices:
                    await self._compare_partition(connection, comparison, read, report)
            await comparison.nobodys()
            report.differences = comparison.found

    async def _compare_partition(self, connection: Any, comparison: Comparison[S], read: Slice, report: Report) -> None:
        standing = await load(connection, read.partition, "subjects", [])
        histories = read.histories(self._own, PARTITIONS)
        unsent = _by_number(standing)
        folded: list[Folded[S]] = []
        for subject in sorted({*(s for s, h in histories.items() if h.own), *standing.subjects}):
            history = histories.get(subject) or History()
            try:
                own = self._whole(subject, history, unsent.get(subject, {}))
                each = self._fold.run(subject, own, history.sources, standing.subjects.get(subject))
            except (LogIncomplete, CannotFold) as error:
                comparison.say(subject, "log", str(error))
                continue
            folded.append(each)
            report.events += each.events
        await comparison.partition(read.partition, folded, standing.subjects)
        report.subjects += len(folded)

    def _whole(self, subject: str, history: History, unsent: dict[int, Entry]) -> list[Entry]:
        """The own events of a subject from 1: those on the topic, and behind them those that are still to be sent."""
        numbers = {**unsent, **history.own}
        if numbers and max(numbers) != len(numbers):
            gap = next(number for number in range(1, max(numbers)) if number not in numbers)
            raise LogIncomplete(f"{self._own} lacks event {gap} of {subject}: restore the topic, then recover again")
        return [numbers[number] for number in sorted(numbers)]

    async def _slices(self, report: Report) -> AsyncGenerator[Slice, None]:
        async with Log(self._settings.cluster(), self._kinds) as log:
            for partition in range(PARTITIONS):
                read = await log.read(partition)
                report.records += sum(len(entries) for entries in read.entries.values())
                yield read
                self._progress(partition + 1, PARTITIONS, report.records)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        dsn = self._settings.database_url.get_secret_value().replace("+asyncpg", "")
        connection = await asyncpg.connect(
            dsn,
            timeout=10,
            server_settings={"application_name": f"kintsugi-recover-{self._application.name}", "jit": "off"},
        )
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def _alone(self, connection: Any) -> AsyncIterator[None]:
        """Every connection of the running service shares this lock: it is free only when none is left."""
        until = time.monotonic() + LOCK_SECONDS
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", RUNNING_LOCK):
            if time.monotonic() >= until:
                name = self._application.name
                raise RecoveryRefused(
                    f"service '{name}' runs, or another recovery of it does: stop it first ('kintsugi down'), then run "
                    f"'kintsugi recover {name}' again; '--compare' may run beside it"
                )
            await asyncio.sleep(0.2)
        try:
            yield
        finally:
            if not connection.is_closed():
                await connection.execute("SELECT pg_advisory_unlock($1)", RUNNING_LOCK)

    async def _tables(self, *, compare: bool) -> None:
        """Refuses another revision. A rebuild makes the tables of views; a comparison wants them made."""

        def problem(connection: Connection) -> str | None:
            if (wrong := version_problem(connection, self._application)) is not None:
                return wrong
            if not compare:
                make(connection, self._application.views)
            elif not inspect(connection).has_table(self._application.views.versions.name):
                return "this release has not run here yet, so its views are not made: start it, then compare"
            return None

        engine = create_async_engine(
            self._settings.database_url.get_secret_value(), poolclass=NullPool, hide_parameters=True
        )
        try:
            async with engine.begin() as connection:
                wrong = await connection.run_sync(problem)
        finally:
            await engine.dispose()
        if wrong is not None:
            raise RecoveryRefused(f"service '{self._application.name}': {wrong}")


def _by_number(standing: Standings) -> dict[str, dict[int, Entry]]:
    found: dict[str, dict[int, Entry]] = {}
    for each in standing.unsent:
        found.setdefault(each.subject, {})[each.sequence] = each.entry
    return found


def _told_apart(unsent: list[Unsent], histories: dict[str, History]) -> tuple[list[Unsent], list[Unsent]]:
    """Unsent rows that are on the topic, and those whose number another event has there."""
    sent: list[Unsent] = []
    overtaken: list[Unsent] = []
    for each in unsent:
        history = histories.get(each.subject)
        there = history.own.get(each.sequence) if history else None
        if there is not None:
            same = each.entry.parsed.envelope is not None and there.envelope.id == each.entry.envelope.id
            (sent if same else overtaken).append(each)
    return sent, overtaken


def _latest(known: datetime | None, entries: Sequence[Entry]) -> datetime | None:
    times = (entry.parsed.envelope.time for entry in entries if entry.parsed.envelope is not None)
    latest = max(times, default=None)
    return max((each for each in (known, latest) if each is not None), default=None)


@contextmanager
def _without_collections() -> Iterator[None]:
    """A partition's records live until it is done: looking for garbage among them costs half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
