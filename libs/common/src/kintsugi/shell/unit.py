"""One transaction over some subjects: load under lock, step, and write everything with one statement per table."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic, TypeVar

from kintsugi_contracts.base import Event
from kintsugi_contracts.causes import Cause
from kintsugi_events import InputHeld, InputReleased
from kintsugi_events.common import InputKind, Position
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.agenda import Agenda
from kintsugi.envelope import MAX_DEPTH, Envelope
from kintsugi.service import S
from kintsugi.shell.core import Core, KeyUnavailable, StaleUnit
from kintsugi.shell.writing import InputRow, Settled, Writer
from kintsugi.store import statements as sql
from kintsugi.store.rows import SubjectRow, subject_row
from kintsugi.subject import Hold, ends_by_itself, hold, release
from kintsugi.telemetry.tracing import Span
from kintsugi.turn import Causation, Create, Own, Stepper, Subject
from kintsugi.vault import KeysMissing, Vault
from kintsugi.views import Rows

R = TypeVar("R")


@dataclass(slots=True)
class Loaded(Generic[S]):
    """A locked subject, as it was read and as it is now. ``progressed``: an event was applied in this unit."""

    row: SubjectRow
    subject: Subject[S]
    agenda_before: Agenda
    views_before: Rows
    touched: bool = False
    progressed: bool = False
    blocked: bool = False
    state_before: S | None = None
    steps: list[tuple[S, str]] = field(default_factory=list)
    """The states it came to in this unit, each with the traceparent of what led there."""

    def __post_init__(self) -> None:
        self.state_before = self.subject.state

    @property
    def id(self) -> str:
        """The subject's name."""
        return self.row.subject

    @property
    def held(self) -> Hold | None:
        """The hold it stands under."""
        return self.subject.progress.hold

    @property
    def stands(self) -> bool:
        """Whether nothing may be applied: blocked, or held for anything but a missing event."""
        return self.blocked or (self.held is not None and not ends_by_itself(self.subject.progress))

    @property
    def status(self) -> str:
        """As the column says it."""
        if self.blocked:
            return "blocked"
        if self.held is not None:
            return "held"
        return "waiting" if self.subject.progress.waiting else "ok"


@dataclass(slots=True)
class Written:
    """What a unit leaves for the tables."""

    inputs: list[InputRow] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    own: list[Own] = field(default_factory=list)


class Unit(Generic[S]):
    """Everything that happens in one transaction. The database sees nothing of it before :meth:`write`."""

    def __init__(self, core: Core[S], connection: AsyncConnection, now: datetime) -> None:
        self.core = core
        self.connection = connection
        self.now = now
        self.vault = Vault()
        self.stepper = Stepper(core.service, core.office, self.vault)
        self.subjects: dict[str, Loaded[S]] = {}
        self.out = Written()
        self.refuse: frozenset[str] = frozenset()
        self.spans: list[Span] = []
        self.owes = False
        """Whether something written here may be due at once, or any more: timers and senders then look."""

    async def load(self, ids: Iterable[str], *, create: bool) -> None:
        """Locks subjects in key order and reads them after the lock. ``create`` makes the rows that are missing."""
        wanted = sorted(set(ids) - set(self.subjects))
        if not wanted:
            return
        known = self.core.known
        if create and not known.issuperset(wanted):
            partitions = [self.core.partition(subject) for subject in wanted]
            await self.connection.execute(sql.INSERT_MISSING, {"subjects": wanted, "partitions": partitions})
        found = await self.connection.execute(sql.LOCK, {"subjects": wanted})
        for mapping in found.mappings():
            row = subject_row(mapping)
            state = self.core.service.state.model_validate_json(row.state)
            subject = Subject(row.subject, row.progress, state)
            loaded = Loaded(row, subject, {}, {}, blocked=row.status == "blocked")
            if row.subject not in self.refuse:
                loaded.agenda_before, loaded.views_before = self.core.derived(row.subject, state)
            self.subjects[row.subject] = loaded
        if create and len(self.subjects.keys() & wanted) < len(wanted):
            known.clear()
            raise StaleUnit("subjects")

    async def stepped(self, step: Callable[[], R]) -> R:
        """Runs a pure step, fetching the keys it turns out to need and repeating it."""
        before = len(self.spans)
        while True:
            try:
                return step()
            except Exception as error:
                del self.spans[before:]  # of events that do not come to be
                if not isinstance(error, KeysMissing):
                    raise
                missing = error
                create = [missing.wanted] if missing.create else []
                found = await self.core.fetch_keys([missing.wanted], create)
                if missing.wanted not in found:
                    raise KeyUnavailable(missing.wanted[1]) from None
                self.vault.keys.update(found)

    def became(self, loaded: Loaded[S], subject: Subject[S], own: Sequence[Own], trace: str | None = None) -> None:
        """Takes over the result of a step. What it made owed continues ``trace``."""
        loaded.subject = subject
        loaded.steps.append((subject.state, trace or ""))
        loaded.touched = True
        self.out.own.extend(own)

    def creator(self, span: Span | None, incoming: str | None) -> Create:
        """How each event of a step gets its span, and the traceparent that travels with it."""

        def create(topic: str, id_: str, flow: str, type_: str) -> str | None:
            return self.core.tracing.create(
                span, incoming, topic=topic, message_id=id_, conversation_id=flow, type=type_, into=self.spans
            )

        return create

    def caused_by(self, envelope: Envelope, span: Span | None = None) -> Causation:
        """What stands behind an event that says what became of a consumed one. It is never too deep to be read."""
        depth = min(envelope.depth + 1, MAX_DEPTH)
        return Causation(envelope.id, depth, self.creator(span, envelope.traceparent))

    def hold(
        self,
        loaded: Loaded[S],
        kind: str,
        source: str,
        sequence: int,
        input_id: str,
        type_: str,
        cause: Cause,
        causation: Causation | None = None,
    ) -> None:
        """Holds a subject at any kind of input, and says so with an event of this service's own.

        ``causation`` is given where an event led here; a timer or an outcome stands at the root.
        A hold that stands already (for a missing event) ends first, so that each hold has its release.
        """
        causation = causation or Causation(input_id, 0)
        if loaded.held is not None:
            self.release(loaded, "held_at_another", causation=causation)
        event = InputHeld(
            source=source,
            input_id=input_id,
            input_kind=InputKind(kind),
            input_type=type_ or "unreadable",
            cause=cause,
            held_at=self.now,
            sequence=sequence or None,
        )
        self.announce(loaded, event, causation)
        at = Hold(cause, kind, source, sequence, input_id, type_, self.now.isoformat())
        loaded.subject = replace(loaded.subject, progress=hold(loaded.subject.progress, at))
        self.core.metrics.held(cause)
        self.core.circuit.held(cause)

    def release(
        self, loaded: Loaded[S], by: str, without: Sequence[Position] = (), causation: Causation | None = None
    ) -> None:
        """Ends a hold, and says so. What lined up behind it is still to be applied."""
        at = loaded.held
        if at is None and not without:
            return
        loaded.subject = replace(loaded.subject, progress=release(loaded.subject.progress))
        event = InputReleased(
            source=at.source if at else without[0].source,
            input_id=at.input_id if at else f"{without[0].source}:{without[0].sequence}",
            released_by=by,
            sequence=(at.sequence or None) if at else without[0].sequence,
            without=tuple(without),
        )
        self.announce(loaded, event, causation or (at.input_id if at else f"release/{uuid.uuid4()}"))

    def announce(self, loaded: Loaded[S], event: Event, cause: Causation | str) -> None:
        """Emits one of the events that every service has about its own inputs. A mere id stands at the root."""
        causation = cause if isinstance(cause, Causation) else Causation(cause, 0)
        subject, own = self.stepper.emit(loaded.subject, [event], self.now, causation)
        self.became(loaded, subject, own, own[0].envelope.traceparent)

    def end_spans(self) -> None:
        """Exports what was traced, once it is committed: what is rolled back leaves no span."""
        for span in self.spans:
            self.core.tracing.end(span)

    async def write(self, positions: Sequence[tuple[str, int, int, int]] = ()) -> None:
        """Writes all of it: subjects, views, inputs, outbox, agenda, positions (topic, partition, expected, next).

        Raises StaleUnit where another process has meanwhile written a subject or a position this unit had read.
        """
        changed = [loaded for loaded in self.subjects.values() if loaded.touched]
        derived = [
            (loaded, *self.core.derived(loaded.id, loaded.subject.state))
            for loaded in changed
            if loaded.id not in self.refuse and loaded.subject.state is not loaded.state_before
        ]
        writer = Writer(self.core, self.connection)
        await writer.subjects(changed)
        # Of a refused subject no rows can be computed: they stay as they are, and behind.
        await writer.views([loaded for loaded in changed if loaded.id not in self.refuse], derived)
        await writer.inputs(self.out.inputs, self.out.settled)
        await writer.outbox(self.out.own)
        self.owes = await writer.agenda(changed, derived)
        self.owes |= any(loaded.status == "ok" != loaded.row.status for loaded in changed)
        await writer.positions(positions)
