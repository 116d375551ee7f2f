"""The order of one subject's inputs, as pure functions: apply, wait, drop, hold, discard.

A :class:`Progress` is everything the order depends on. It is a value: every function returns a new one, so a
batch that fails leaves nothing behind. No I/O, no clock; the simulation of the protocol runs this very code.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from kintsugi_contracts.causes import Cause

from kintsugi.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last event of one source that was applied, ignored or discarded."""

    sequence: int
    id: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a subject stands still, and at which input. ``sequence`` is 0 for inputs that are not events."""

    cause: Cause
    kind: str
    source: str
    sequence: int
    input_id: str
    type: str
    since: str


@dataclass(slots=True)
class Progress:
    """Where a subject stands in one service. A value: never changed in place (not frozen, since that costs time).

    ``sequence``: events this service has emitted for it. ``cursors``: per subscribed source, the last input.
    ``seen``: per source, subscribed or not, the greatest sequence known to lie behind this state.
    ``flow``: the correlation id of the subject's first event. ``waiting``: inputs that arrived and cannot be
    applied yet. ``trace``: the traceparent that a later human step links to, that of this service's last own
    event; before it has any, of the first event it consumed.
    """

    sequence: int = 0
    cursors: Mapping[str, Cursor] = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)
    hold: Hold | None = None
    waiting: int = 0
    flow: str = ""
    trace: str = ""
    skipped: tuple[tuple[str, int], ...] = ()

    def cursor(self, source: str) -> int:
        """The sequence of the last input of ``source``, 0 before the first."""
        cursor = self.cursors.get(source)
        return cursor.sequence if cursor else 0

    def emitted_seen(self, own: str) -> dict[str, int]:
        """What an event emitted now says it has seen; its own counter already orders its own service."""
        return {name: sequence for name, sequence in self.seen.items() if name != own}


class Verdict(StrEnum):
    """What becomes of an event that arrived."""

    ready = "ready"
    waits = "waits"
    duplicate = "duplicate"
    older = "older"
    reused = "reused"
    too_late = "too_late"
    lost_state = "lost_state"


def judge(envelope: Envelope, progress: Progress, *, own: str, subscribed: Collection[str]) -> Verdict:
    """The order's answer to an event, not regarding holds.

    ``older`` means: a sequence below the cursor, whose id the cursor no longer knows; the caller looks it up and
    counts a duplicate or a reused sequence.
    ``too_late``: the subject was released without it. ``lost_state``: the event was caused by events of this service
    that it does not remember, so its database is older than its own topic.
    """
    source = envelope.service
    cursor = progress.cursors.get(source)
    if (source, envelope.sequence) in progress.skipped:
        return Verdict.too_late
    if cursor is not None and envelope.sequence <= cursor.sequence:
        if envelope.sequence < cursor.sequence:
            return Verdict.older
        return Verdict.duplicate if envelope.id == cursor.id else Verdict.reused
    if cursor is not None and envelope.id == cursor.id:
        return Verdict.reused
    if envelope.seen.get(own, 0) > progress.sequence:
        return Verdict.lost_state
    return Verdict.waits if missing(envelope, progress, subscribed=subscribed) else Verdict.ready


def missing(envelope: Envelope, progress: Progress, *, subscribed: Collection[str]) -> tuple[str, int] | None:
    """The first input that ``envelope`` has to wait for: (source, sequence). None when it may be applied."""
    source = envelope.service
    expected = progress.cursor(source) + 1
    if envelope.sequence > expected:
        return source, expected
    for name in sorted(envelope.seen):
        if name in subscribed and name != source and envelope.seen[name] > progress.cursor(name):
            return name, progress.cursor(name) + 1
    return None


def gap_cause(envelope: Envelope, progress: Progress) -> Cause:
    """The hold that an outlived wait becomes: its own predecessor is missing, or one of its causes."""
    return Cause.gap if envelope.sequence > progress.cursor(envelope.service) + 1 else Cause.cause_missing


def advance(progress: Progress, envelope: Envelope) -> Progress:
    """``envelope`` is behind us now: applied, ignored or discarded. Its causes are known from here on."""
    source = envelope.service
    seen = dict(progress.seen)
    for name, sequence in envelope.seen.items():
        if sequence > seen.get(name, 0):
            seen[name] = sequence
    seen[source] = max(seen.get(source, 0), envelope.sequence)
    return Progress(
        sequence=progress.sequence,
        cursors={**progress.cursors, source: Cursor(envelope.sequence, envelope.id)},
        seen=seen,
        hold=progress.hold,
        waiting=progress.waiting,
        flow=progress.flow or envelope.correlationid,
        trace=progress.trace or envelope.traceparent or "",
        skipped=progress.skipped,
    )


def skip(progress: Progress, source: str, sequence: int) -> Progress:
    """An operator released the subject without an input that never came: the cursor passes it.

    Raises ValueError where it is not the next one: the cursor would jump others, or go back.
    """
    if sequence != progress.cursor(source) + 1:
        raise ValueError(f"{source}:{sequence} is not the next input")
    seen = {**progress.seen, source: max(progress.seen.get(source, 0), sequence)}
    cursors = {**progress.cursors, source: Cursor(sequence, "")}
    return replace(progress, cursors=cursors, seen=seen, skipped=(*progress.skipped, (source, sequence)))


def emitted(progress: Progress, envelope: Envelope | None = None) -> Progress:
    """One more event of this service's own; its flow and trace are the subject's from here on."""
    return Progress(
        sequence=progress.sequence + 1,
        cursors=progress.cursors,
        seen=progress.seen,
        hold=progress.hold,
        waiting=progress.waiting,
        flow=envelope.correlationid if envelope else progress.flow,
        trace=(envelope.traceparent if envelope else None) or progress.trace,
        skipped=progress.skipped,
    )


def hold(progress: Progress, at: Hold) -> Progress:
    """The subject stands still at an input until it is released."""
    return replace(progress, hold=at)


def release(progress: Progress) -> Progress:
    """The hold is gone; what lined up behind it may be applied in order."""
    return replace(progress, hold=None)


def ends_by_itself(progress: Progress) -> bool:
    """A hold for a missing event ends when that event comes; every other waits for a person or a timer."""
    return progress.hold is not None and progress.hold.cause in (Cause.gap, Cause.cause_missing)
