"""What becomes of each record: handled, ignored, a duplicate, held with what follows of its subject, or set aside.

Knows no Kafka. One record at a time; whoever calls sees to it that a subject is in one hand only.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from kintsugi_contracts.base import Event
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.causes import Cause

from kintsugi.decoding import another_major, decode_value
from kintsugi.envelope import Envelope, Parsed, decode
from kintsugi.logs import failure
from kintsugi.store.rows import Record
from kintsugi.subject import Cursor
from kintsugi.subscribe.record import Held, Outcome, Received, Retry, State, Trouble
from kintsugi.subscribe.store import Store

log = structlog.get_logger("kintsugi.subscribe")

Handler = Callable[[Any, Received], Awaitable[None] | None]
"""Takes the event and where it came from; plain or ``async``."""


class Handling:
    """The order of each subject, the calls of the handlers, and what is kept back."""

    def __init__(self, handlers: Mapping[type[Event], Handler], store: Store, catalog: Catalog) -> None:
        self._catalog = catalog
        self._handlers = handlers
        self._stems = {stem(model.type) for model in handlers}
        self._store = store

    async def take(self, record: Record, attempt: int = 1) -> Outcome:
        """Settles one record as it comes from its partition. Raises Retry when its handler does.

        Raises sqlite3.Error where the store cannot be written: the record is then not settled.
        """
        parsed = decode(record.headers, topic=record.topic, key=record.key, value=record.value)
        envelope = parsed.envelope
        if envelope is None:
            return self._aside(record, None, parsed.fault or Cause.unknown)
        cursor = self._store.cursor(envelope.subject, envelope.source)
        if cursor is not None and envelope.sequence <= cursor.sequence:
            return self._again(record, envelope, cursor)
        first = self._store.first(envelope.subject)
        if first is not None:
            return await self._line_up(record, envelope, first)
        if cursor is not None and envelope.sequence > cursor.sequence + 1:
            return self._hold(record, envelope, Trouble(Cause.gap))
        trouble, handled = await self._apply(record, parsed, envelope, attempt)
        if trouble is not None:
            return self._hold(record, envelope, trouble)
        self._store.passed(envelope)
        return Outcome.handled if handled else Outcome.ignored

    async def drain(self, subject: str) -> int:
        """Handles what is kept of a subject, in order, until it is empty or stands again; returns how many settled.

        Raises Retry when a handler does; the record keeps its place.
        """
        settled = 0
        while (first := self._store.first(subject)) is not None:
            kept = self._predecessor(first) or first
            if kept is not first and kept.state is State.held:
                # What it waits for came and is held itself: both go on when the subject is released.
                self._store.mark(first.number, State.held, Trouble(Cause.gap))
                break
            envelope = _envelope(kept)
            cursor = self._store.cursor(subject, envelope.source)
            if cursor is not None and envelope.sequence <= cursor.sequence:
                if envelope.sequence == cursor.sequence and envelope.id != cursor.id:
                    self._store.mark(kept.number, State.aside, Trouble(Cause.sequence_reused))
                else:
                    self._store.settle(kept.number, None)
                continue
            gap = cursor is not None and envelope.sequence > cursor.sequence + 1
            if gap and kept.state is not State.released:
                self._store.mark(kept.number, State.held, Trouble(Cause.gap))
                break
            parsed = _parsed(kept)
            trouble, _ = await self._apply(kept.record, parsed, envelope, kept.attempts + 1)
            if trouble is not None:
                self._store.mark(kept.number, State.held, trouble)
                break
            self._store.settle(kept.number, envelope)
            settled += 1
        if settled:
            log.info("subject_drained", subject=subject, records=settled)
        return settled

    def _again(self, record: Record, envelope: Envelope, cursor: Cursor) -> Outcome:
        if envelope.sequence == cursor.sequence and envelope.id != cursor.id:
            return self._aside(record, envelope, Cause.sequence_reused)
        return Outcome.duplicate

    async def _line_up(self, record: Record, envelope: Envelope, first: Held) -> Outcome:
        if any(kept.id == envelope.id for kept in self._store.in_line(envelope)):
            return Outcome.duplicate
        self._store.keep(record, envelope, State.waiting, None)
        if first.cause is Cause.gap and first.state is State.held and self._predecessor(first) is not None:
            # The event that was missing has come. A Retry must not unsettle the record: it is in the line already.
            try:
                await self.drain(envelope.subject)
            except Retry:
                self._store.release(envelope.subject)
        return Outcome.waiting

    def _predecessor(self, kept: Held) -> Held | None:
        """The next expected event of the source of ``kept``, where that one came later."""
        if kept.subject is None or kept.source is None or kept.sequence is None:
            return None
        cursor = self._store.cursor(kept.subject, kept.source)
        if cursor is None or kept.sequence <= cursor.sequence + 1:
            return None
        found = self._store.in_line_at(kept.subject, kept.source, cursor.sequence + 1)
        return found[0] if found else None

    async def _apply(
        self, record: Record, parsed: Parsed, envelope: Envelope, attempt: int
    ) -> tuple[Trouble | None, bool]:
        """What went wrong, if anything, and whether a handler was called."""
        if parsed.fault is not None:
            return Trouble(parsed.fault), False
        model = self._catalog.by_type(envelope.type)
        if model is None:
            unknown = another_major(self._handlers, envelope.type)
            return (Trouble(Cause.unknown_major) if unknown else None), False
        if stem(model.type) not in self._stems:
            return None, False
        decoded = decode_value(self._catalog, model, envelope, record.value)
        if decoded.event is None:
            return Trouble(decoded.fault or Cause.unknown), False
        handler = self._handlers.get(type(decoded.event))
        if handler is None:
            # Its fact is taken, but in another major version than the one it is read as.
            return Trouble(Cause.unknown_major), False
        try:
            result = handler(decoded.event, Received.of(record, envelope, attempt))
            if inspect.isawaitable(result):
                await result
        except Retry:
            raise
        except Exception as error:
            told = failure(error)
            log.error("handler_raised", exc_info=error, subject=envelope.subject, type=envelope.type)
            return Trouble(Cause.handler_raised, " at ".join([told["error"], *told["at"][-1:]])), True
        return None, True

    def _hold(self, record: Record, envelope: Envelope, trouble: Trouble) -> Outcome:
        self._store.keep(record, envelope, State.held, trouble)
        _tell("subject_held", record, envelope, trouble.cause)
        return Outcome.held

    def _aside(self, record: Record, envelope: Envelope | None, cause: Cause) -> Outcome:
        self._store.keep(record, envelope, State.aside, Trouble(cause))
        _tell("record_set_aside", record, envelope, cause)
        return Outcome.aside


def _tell(event: str, record: Record, envelope: Envelope | None, cause: Cause) -> None:
    named = {"subject": envelope.subject, "sequence": envelope.sequence, "type": envelope.type} if envelope else {}
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    log.error(event, cause=cause.value, **named, **place)


def _parsed(kept: Held) -> Parsed:
    record = kept.record
    return decode(record.headers, topic=record.topic, key=record.key, value=record.value)


def _envelope(kept: Held) -> Envelope:
    envelope = _parsed(kept).envelope
    assert envelope is not None, "what has no envelope is set aside and never in a line"
    return envelope


def stem(ce_type: str) -> str:
    """An event's type without its major version."""
    return ce_type.rpartition(".v")[0]
