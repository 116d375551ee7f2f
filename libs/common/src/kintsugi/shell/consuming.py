"""Events from Kafka: each is applied, waits, is dropped, or holds its subject; the others go on."""

from __future__ import annotations

from dataclasses import replace

from kintsugi_contracts.causes import Cause

from kintsugi.decoding import IGNORED, decode_event
from kintsugi.envelope import Envelope, Parsed
from kintsugi.service import S
from kintsugi.shell.faults import TRANSIENT
from kintsugi.shell.lines import Lines, Origin, Queued
from kintsugi.shell.unit import Loaded, Unit
from kintsugi.shell.writing import InputRow, Settled
from kintsugi.store import statements as sql
from kintsugi.store.rows import Record
from kintsugi.subject import Verdict, ends_by_itself, judge
from kintsugi.telemetry.tracing import Span


class Consuming(Unit[S]):
    """A unit that applies events. ``refuse`` names subjects whose data the database has just refused."""

    def __init__(self, *arguments: object, refuse: frozenset[str] = frozenset()) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.refuse = refuse
        self._lines: dict[str, Lines] = {}
        self._applied: dict[tuple[str, str, int], str] = {}
        self._last: dict[str, Envelope] = {}

    async def take(self, record: Record, parsed: Parsed) -> None:
        """Accounts for one record. Whatever is wrong with it ends in its account, never in an exception."""
        envelope = parsed.envelope
        if envelope is None:
            self._account(record, None, "dead", parsed.fault or Cause.unknown)
            return
        if not self.core.keeps(envelope.subject):
            self._account(record, envelope, "ignored")
            return
        loaded = self.subjects[envelope.subject]
        queued = Queued(record, envelope, parsed.fault, Origin.fresh)
        verdict = self._judge(loaded, envelope)
        if verdict is Verdict.older:
            verdict = await self._look_up(envelope)
        if verdict is Verdict.duplicate:
            self.settle(queued, "duplicate")
        elif verdict is Verdict.reused:
            self.settle(queued, "dead", Cause.sequence_reused)
        elif verdict is Verdict.too_late:
            # A person should see that what the case was released without has come after all.
            self.settle(queued, "dead", Cause.gap)
        elif loaded.stands or verdict is Verdict.waits:
            self._line_up(loaded, queued)
        elif verdict is Verdict.lost_state:
            self._hold_at(loaded, queued, Cause.lost_state)
        else:
            await self._apply(loaded, queued)
            await self.drain(loaded)

    async def drain(self, loaded: Loaded[S]) -> None:
        """Applies, in order, whatever lined up and is ready now; ends a hold for a missing event that came."""
        while loaded.subject.progress.waiting > 0 and not loaded.stands:
            queued = await self._next_ready(loaded)
            if queued is None:
                break
            await self._apply(loaded, queued)
        named = loaded.held
        if (
            named is not None
            and ends_by_itself(loaded.subject.progress)
            and loaded.subject.progress.cursor(named.source) >= named.sequence
        ):
            came = self._last.get(loaded.id)
            self.release(loaded, "arrival", causation=self.caused_by(came) if came else None)

    async def _apply(self, loaded: Loaded[S], queued: Queued) -> None:
        envelope, record = queued.envelope, queued.record
        decoded = (
            IGNORED
            if envelope.subject in self.refuse
            else decode_event(self.core.catalog, self.core.service, envelope, record.value)
        )
        fault = Cause.database_refused if envelope.subject in self.refuse else queued.fault or decoded.fault
        if fault is not None:
            self._hold_at(loaded, queued, fault)
            return
        span = self.core.tracing.process(
            envelope.traceparent,
            envelope.tracestate,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            message_id=envelope.id,
            conversation_id=envelope.correlationid,
            group=self.core.group,
        )
        create = self.creator(span, envelope.traceparent)
        try:
            subject, own = await self.stepped(
                lambda: self.stepper.event(loaded.subject, envelope, decoded.event, self.now, create)
            )
        except TRANSIENT:
            raise
        except Exception as error:
            self.core.log_raised(error, type_=envelope.type, envelope=envelope)
            self._hold_at(loaded, queued, Cause.handler_raised, type(error).__name__, span)
            self.core.tracing.end(span, Cause.handler_raised)
            return
        if span is not None:
            self.spans.append(span)
        self.became(loaded, subject, own, span.traceparent if span else envelope.traceparent)
        loaded.progressed = True
        self._last[loaded.id] = envelope
        self._applied[(loaded.id, envelope.service, envelope.sequence)] = envelope.id
        self.settle(queued, "ignored" if decoded.event is None else "applied")
        self.core.circuit.passed()

    async def _next_ready(self, loaded: Loaded[S]) -> Queued | None:
        lines = self.lines_of(loaded)
        for source in sorted(self.core.sources):
            expected = loaded.subject.progress.cursor(source) + 1
            for passed in await lines.take_passed(self.connection, source, expected):
                self._passed(loaded, passed)
            for queued in await lines.at(self.connection, source, expected):
                if self._judge(loaded, queued.envelope) is Verdict.ready:
                    lines.remove(queued)
                    self._waiting(loaded, -1)
                    return queued
        return None

    def _passed(self, loaded: Loaded[S], queued: Queued) -> None:
        """It waited while another was applied under its number: a copy, or a reused sequence."""
        self._waiting(loaded, -1)
        envelope = queued.envelope
        known = self._applied.get((loaded.id, envelope.service, envelope.sequence))
        cursor = loaded.subject.progress.cursors.get(envelope.service)
        if known is None and cursor is not None and cursor.sequence == envelope.sequence:
            known = cursor.id
        if (envelope.service, envelope.sequence) in loaded.subject.progress.skipped:
            self.settle(queued, "dead", Cause.gap)
        elif known in (None, "", envelope.id):
            self.settle(queued, "duplicate")
        else:
            self.settle(queued, "dead", Cause.sequence_reused)

    async def _look_up(self, envelope: Envelope) -> Verdict:
        """Whether an old number carries the id that was accounted for under it."""
        known = self._applied.get((envelope.subject, envelope.service, envelope.sequence))
        if known is None:
            parameters = {"subject": envelope.subject, "source": envelope.service, "sequence": envelope.sequence}
            known = await self.connection.scalar(sql.ID_AT, parameters)
        return Verdict.duplicate if known in (None, envelope.id) else Verdict.reused

    def _judge(self, loaded: Loaded[S], envelope: Envelope) -> Verdict:
        return judge(envelope, loaded.subject.progress, own=self.core.name, subscribed=self.core.sources)

    def lines_of(self, loaded: Loaded[S]) -> Lines:
        """The inputs of a subject that cannot be applied yet."""
        if loaded.id not in self._lines:
            self._lines[loaded.id] = Lines(loaded.id, has_stored=loaded.row.progress.waiting > 0)
        return self._lines[loaded.id]

    def _line_up(self, loaded: Loaded[S], queued: Queued) -> None:
        self.settle(queued, "waiting")
        self.lines_of(loaded).add(queued)
        self._waiting(loaded, +1)

    def _hold_at(
        self, loaded: Loaded[S], queued: Queued, cause: Cause, detail: str | None = None, span: Span | None = None
    ) -> None:
        """The subject stands still at this event; the event keeps its bytes and its place at the head of its line."""
        envelope = queued.envelope
        self.settle(queued, "held", cause, detail)
        self._waiting(loaded, +1)
        if queued.origin is Origin.here:
            self.lines_of(loaded).add(queued)
        behind = self.caused_by(envelope, span)
        self.hold(loaded, "event", envelope.service, envelope.sequence, envelope.id, envelope.type, cause, behind)

    def _waiting(self, loaded: Loaded[S], change: int) -> None:
        progress = loaded.subject.progress
        loaded.subject = replace(loaded.subject, progress=replace(progress, waiting=progress.waiting + change))
        loaded.touched = True

    def settle(self, queued: Queued, status: str, cause: Cause | None = None, detail: str | None = None) -> None:
        """The account of an input takes a status: the row is made, changed in this unit, or changed in the database."""
        if queued.origin is Origin.stored:
            place = queued.record.place
            self.out.settled.append(Settled(place, queued.envelope, status, cause, detail))
        elif queued.row is not None:
            queued.row.status, queued.row.cause, queued.row.detail = status, cause, detail
        else:
            queued.row = self._account(queued.record, queued.envelope, status, cause, detail)
            queued.origin = Origin.here

    def _account(
        self,
        record: Record,
        envelope: Envelope | None,
        status: str,
        cause: Cause | None = None,
        detail: str | None = None,
    ) -> InputRow:
        row = InputRow(record, envelope, status, cause, detail)
        self.out.inputs.append(row)
        return row
