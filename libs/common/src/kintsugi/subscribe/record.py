"""What a handler is given beside the event, what it may raise, and a record that was kept back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from kintsugi_contracts.causes import Cause

from kintsugi.envelope import Envelope
from kintsugi.store.rows import Record


class Retry(Exception):
    """Raised by a handler when something outside is away: the record is handled again later, nothing is committed.

    Its partition waits meanwhile, so that nothing overtakes the record; the other partitions go on. ``after_s`` is
    the wait in seconds; without it the waits grow from half a second to thirty.
    """

    def __init__(self, after_s: float | None = None) -> None:
        super().__init__("the handler asks to be called again")
        self.after_s = after_s


@dataclass(frozen=True, slots=True)
class Received:
    """Where an event came from. ``attempt`` counts the calls for this record, from 1; ``appended`` is the log's time.

    ``attempt`` starts again at 1 in a new process, so it does not tell a first call from a repeated one: ``id`` does.
    """

    envelope: Envelope
    topic: str
    partition: int
    offset: int
    appended: datetime
    attempt: int = 1

    @classmethod
    def of(cls, record: Record, envelope: Envelope, attempt: int) -> Received:
        """What a handler is told of a record."""
        appended = datetime.fromtimestamp(record.appended_ms / 1000, UTC)
        return cls(envelope, record.topic, record.partition, record.offset, appended, attempt)

    @property
    def id(self) -> str:
        """The event's id: the same whenever it is delivered, so an effect keyed by it happens once."""
        return self.envelope.id

    @property
    def subject(self) -> str:
        """What the event is about, such as ``case/<uuid>``."""
        return self.envelope.subject

    @property
    def source(self) -> str:
        """Who emitted it: ``/{country}/{service}``."""
        return self.envelope.source

    @property
    def sequence(self) -> int:
        """Its place among the events of this subject and source, from 1."""
        return self.envelope.sequence

    @property
    def time(self) -> datetime:
        """When it happened, by the office's business clock."""
        return self.envelope.time


class State(StrEnum):
    """How a record is kept.

    ``held`` stops its subject; ``waiting`` stands behind a held one; ``released`` is handled again by the running
    subscriber; ``aside`` has no place in any order (its subject, source, id or sequence cannot be read or was used
    before), so it stops nothing and can only be discarded.
    """

    held = "held"
    waiting = "waiting"
    released = "released"
    aside = "aside"


@dataclass(frozen=True, slots=True)
class Held:
    """A record that was kept back, with its bytes as they lay on the topic.

    ``number`` is its place in the order of arrival. ``detail`` is the class of what the handler raised and where,
    never its text. ``behind`` counts the records of the subject that wait behind a held one.
    """

    number: int
    state: State
    cause: Cause | None
    detail: str
    subject: str | None
    source: str | None
    sequence: int | None
    id: str | None
    type: str | None
    since: datetime
    attempts: int
    record: Record
    behind: int = 0


class Outcome(StrEnum):
    """What became of a record."""

    handled = "handled"
    ignored = "ignored"
    duplicate = "duplicate"
    held = "held"
    waiting = "waiting"
    aside = "aside"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a record was not handled."""

    cause: Cause
    detail: str = ""
