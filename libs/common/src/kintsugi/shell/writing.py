"""Writes the result of a unit: arrays and COPY, one statement per table, nothing per row."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic

from kintsugi_contracts.causes import Cause
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.agenda import Agenda, Deadline, Send, changes
from kintsugi.envelope import Envelope, encode
from kintsugi.failpoints import reach
from kintsugi.service import S
from kintsugi.shell.core import Core, StaleUnit
from kintsugi.shell.origins import origins
from kintsugi.shell.view_writing import ViewWriter
from kintsugi.store import statements as sql
from kintsugi.store.rows import Record, dump_headers, dump_hold, dump_progress
from kintsugi.turn import Own
from kintsugi.views import Rows

if TYPE_CHECKING:
    from kintsugi.shell.unit import Loaded

KEPT = frozenset({"waiting", "held", "dead"})
_AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class InputRow:
    """The account of one record, to be inserted. Its bytes are kept only while somebody may need them."""

    record: Record
    envelope: Envelope | None
    status: str
    cause: Cause | None
    detail: str | None = None

    def values(self) -> tuple[Any, ...]:
        """In the order of ``INPUT_COLUMNS``."""
        record, envelope, kept = self.record, self.envelope, self.status in KEPT
        return (
            record.topic,
            record.partition,
            record.offset,
            "event",
            envelope.service if envelope else None,
            envelope.id if envelope else None,
            envelope.sequence if envelope else None,
            envelope.subject if envelope else None,
            envelope.type if envelope else None,
            self.status,
            self.cause,
            self.detail,
            hashlib.blake2b(record.value or b"", digest_size=16).digest(),
            record.key if kept else None,
            dump_headers(record.headers) if kept else None,
            record.value if kept else None,
            datetime.fromtimestamp(record.appended_ms / 1000, UTC),
            datetime.now(UTC) if self.status not in ("waiting", "held") else None,
        )


@dataclass(frozen=True, slots=True)
class Settled:
    """A new status for an input that waited in the database."""

    place: tuple[str, int, int]
    envelope: Envelope
    status: str
    cause: Cause | None
    detail: str | None = None


Derived = tuple["Loaded[S]", Agenda, Rows]
"""A subject with what its new state owes and shows."""


class Writer(Generic[S]):
    """Writes on one connection, inside its transaction."""

    def __init__(self, core: Core[S], connection: AsyncConnection) -> None:
        self._core = core
        self._connection = connection

    async def subjects(self, changed: Sequence[Loaded[S]]) -> None:
        """Raises StaleUnit where a version has moved on."""
        if not changed:
            return
        progresses = [loaded.subject.progress for loaded in changed]
        result = await self._connection.execute(
            sql.UPDATE_SUBJECTS,
            {
                "subjects": [loaded.id for loaded in changed],
                "versions": [loaded.row.version for loaded in changed],
                "sequences": [progress.sequence for progress in progresses],
                "progresses": [dump_progress(progress) for progress in progresses],
                "states": [loaded.subject.state.model_dump_json(exclude_defaults=True) for loaded in changed],
                "statuses": [loaded.status for loaded in changed],
                "holds": [dump_hold(progress.hold) for progress in progresses],
                "waitings": [progress.waiting for progress in progresses],
                "progressed": [loaded.progressed for loaded in changed],
                "fold_versions": [self._core.service.fold_version] * len(changed),
            },
        )
        if result.rowcount != len(changed):
            raise StaleUnit("subjects")
        reach("consume.subjects_written")

    async def views(self, changed: Sequence[Loaded[S]], derived: Sequence[Derived[S]]) -> None:
        """Replaces the rows of the subjects whose rows differ from before, and says of which versions they are."""
        after = {loaded.id: rows for loaded, _, rows in derived}
        await ViewWriter(self._core.views, self._connection).changed(changed, after)

    async def inputs(self, arrived: Sequence[InputRow], settled: Sequence[Settled]) -> None:
        """Accounts for what arrived, and for what had waited."""
        await self._copy("inputs", sql.INPUT_COLUMNS, [row.values() for row in arrived])
        if settled:
            await self._connection.execute(
                sql.SETTLE,
                {
                    "subjects": [each.envelope.subject for each in settled],
                    "sources": [each.envelope.service for each in settled],
                    "sequences": [each.envelope.sequence for each in settled],
                    "topics": [each.place[0] for each in settled],
                    "partitions": [each.place[1] for each in settled],
                    "offsets": [each.place[2] for each in settled],
                    "statuses": [each.status for each in settled],
                    "causes": [each.cause for each in settled],
                    "details": [each.detail for each in settled],
                    "keep": [each.status in KEPT for each in settled],
                },
            )
        reach("consume.inputs_written")

    async def outbox(self, own: Sequence[Own]) -> None:
        """The events of this unit, for the relay."""
        topic = self._core.topic
        await self._copy(
            "outbox",
            sql.OUTBOX_COLUMNS,
            [
                (
                    topic,
                    self._core.partition(each.envelope.subject),
                    each.envelope.subject,
                    each.envelope.sequence,
                    each.envelope.type,
                    dump_headers(encode(each.envelope)),
                    each.value,
                )
                for each in own
            ],
        )
        for type_, count in Counter(each.envelope.type for each in own).items():
            self._core.metrics.emitted(type_, count)
        reach("consume.outbox_written")

    async def agenda(self, changed: Sequence[Loaded[S]], derived: Sequence[Derived[S]]) -> bool:
        """Stores the difference between what was owed and what is owed now. Whether something may be done sooner."""
        removed: list[tuple[str, str]] = []
        written: list[tuple[str, str, Deadline | Send, str]] = []
        for loaded, after, _ in derived:
            gone, fresh = changes(loaded.agenda_before, after)
            removed.extend((loaded.id, name) for name in gone)
            traces = origins(loaded.steps, fresh, self._core.service.agenda)
            written.extend((loaded.id, name, entry, traces.get(name, "")) for name, entry in fresh.items())
        if removed:
            subjects, names = zip(*removed, strict=True)
            await self._connection.execute(sql.AGENDA_REMOVE, {"subjects": list(subjects), "names": list(names)})
        if written:
            await self._connection.execute(sql.AGENDA_WRITE, agenda_columns(self._core, written))
        woken = 0
        sending = [loaded.id for loaded in changed if any(isinstance(e, Send) for e in loaded.agenda_before.values())]
        if sending:
            woken = (await self._connection.execute(sql.AGENDA_WAKE, {"subjects": sending})).rowcount
        reach("consume.agenda_written")
        return bool(written or woken)

    async def positions(self, positions: Sequence[tuple[str, int, int, int]]) -> None:
        """Moves the positions. Raises StaleUnit where another process has moved one of them."""
        if not positions:
            return
        topics, partitions, expected, following = zip(*positions, strict=True)
        result = await self._connection.execute(
            sql.ADVANCE_POSITIONS,
            {
                "topics": list(topics),
                "partitions": list(partitions),
                "expected": list(expected),
                "next": list(following),
            },
        )
        if result.rowcount != len(positions):
            raise StaleUnit("positions")
        reach("consume.positions_written")

    async def _copy(self, table: str, columns: Sequence[str], records: list[tuple[Any, ...]]) -> None:
        if not records:
            return
        raw = await self._connection.get_raw_connection()
        await raw.driver_connection.copy_records_to_table(table, records=records, columns=columns)  # type: ignore[union-attr]


def agenda_columns(core: Core[Any], written: Sequence[tuple[str, str, Deadline | Send, str]]) -> dict[str, list[Any]]:
    """The entries as the arrays that ``AGENDA_WRITE`` takes."""
    return {
        "subjects": [subject for subject, *_ in written],
        "names": [name for _, name, *_ in written],
        "kinds": [entry.kind for _, _, entry, _ in written],
        "bodies": [entry.model_dump_json() for _, _, entry, _ in written],
        "dues": [entry.at or _AT_ONCE for _, _, entry, _ in written],
        "partitions": [core.partition(subject) for subject, *_ in written],
        "recipients": [entry.recipient if isinstance(entry, Send) else None for _, _, entry, _ in written],
        "traces": [trace or None for *_, trace in written],
    }
