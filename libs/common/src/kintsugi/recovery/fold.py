"""A subject's state as the fold of its log: pure, and by the same functions that the running service uses.

For each own event, in sequence: first what it had seen of every source, then the event itself. Nothing is decided;
inputs that no own event and no surviving row has seen are left for the consumer, which decides them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic

from kintsugi_contracts.base import Event
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.causes import Cause
from kintsugi_events import InputDiscarded, InputHeld, InputReleased

from kintsugi.decoding import decode_event
from kintsugi.recovery.log import Entry, LogIncomplete
from kintsugi.service import S, Service
from kintsugi.store.rows import Record
from kintsugi.subject import Hold, Progress, advance, emitted, hold, release, skip
from kintsugi.turn import Subject

Number = tuple[str, int]
_NOTICES: dict[str, type[Event]] = {each.type: each for each in (InputHeld, InputReleased, InputDiscarded)}
_GAPS = (Cause.gap, Cause.cause_missing)


class CannotFold(Exception):
    """An event that was applied once cannot be applied by this release; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database says of a subject before anything is rebuilt."""

    progress: Progress
    status: str
    version: int
    state: str = "{}"


@dataclass(slots=True)
class Folded(Generic[S]):
    """A subject as its log says it is. ``passed``: inputs that folds skip, and whether by discard or by release.

    ``absent``: inputs that were seen and are not on their topic. ``events``: how many were folded, own ones included.
    """

    subject: Subject[S]
    blocked: bool = False
    passed: dict[Number, str] = field(default_factory=dict)
    absent: list[Number] = field(default_factory=list)
    waiting: int = 0
    events: int = 0

    @property
    def stands(self) -> bool:
        """Whether what arrives lines up behind a hold instead of being applied."""
        return self.blocked or self.subject.progress.hold is not None

    @property
    def status(self) -> str:
        """As the column says it."""
        if self.blocked:
            return "blocked"
        if self.subject.progress.hold is not None:
            return "held"
        return "waiting" if self.waiting else "ok"


class Fold(Generic[S]):
    """Folds the subjects of one service."""

    def __init__(self, service: Service[S], catalog: Catalog) -> None:
        self._service = service
        self._catalog = catalog
        self._sources = sorted(service.sources(catalog))
        self._empty = service.state()

    def run(
        self,
        subject: str,
        own: Sequence[Entry],
        sources: Mapping[str, Mapping[int, Entry]],
        standing: Standing | None = None,
    ) -> Folded[S]:
        """``own`` are this service's events, from 1, without a gap. ``standing``: go on to its cursors afterwards.

        Raises CannotFold, and LogIncomplete where ``own`` has a gap.
        """
        folded: Folded[S] = Folded(Subject(subject, Progress(), self._empty))
        notices = {entry.envelope.sequence: self._notice(entry) for entry in own if entry.envelope.type in _NOTICES}
        if notices:
            folded.passed = _passed(own, notices, sources)
        blocked_at = 0
        for entry in own:
            envelope = entry.envelope
            progress = folded.subject.progress
            if envelope.sequence != progress.sequence + 1:
                raise LogIncomplete(
                    f"{entry.record.topic} holds event {envelope.sequence} of {subject} and not {progress.sequence + 1}"
                )
            self._up_to(folded, sources, envelope.seen)
            notice = notices.get(envelope.sequence)
            self._own(folded, entry, notice)
            if isinstance(notice, InputDiscarded) and self._protective(notice, sources):
                folded.blocked, blocked_at = True, envelope.sequence
        if standing is not None:
            self._up_to(folded, sources, {name: each.sequence for name, each in standing.progress.cursors.items()})
            # Lifting is not an event: only a row that knows the discard can tell whether it was lifted.
            if standing.status == "blocked" or standing.progress.sequence >= blocked_at:
                folded.blocked = standing.status == "blocked"
        return folded

    def _notice(self, entry: Entry) -> Event:
        model = _NOTICES[entry.envelope.type]
        try:
            return model.decode(entry.record.value or b"", source=entry.envelope.source, id=entry.envelope.id)
        except ValueError as error:
            raise _cannot(entry.record, f"'{entry.envelope.type}' is not readable") from error

    def _up_to(self, folded: Folded[S], sources: Mapping[str, Mapping[int, Entry]], seen: Mapping[str, int]) -> None:
        """Evolves, in the order of their causes, the inputs that ``seen`` counts."""
        progress = folded.subject.progress
        behind = [name for name in self._sources if seen.get(name, 0) > progress.cursor(name)]
        while behind:
            # Sources wait for each other only where one names the other as its cause; one that names an input which
            # never came is taken as it is.
            ready = next((name for name in behind if self._ready(folded, sources, name, behind)), behind[0])
            self._next(folded, sources, ready, seen[ready])
            if folded.subject.progress.cursor(ready) >= seen[ready]:
                behind.remove(ready)

    def _ready(
        self, folded: Folded[S], sources: Mapping[str, Mapping[int, Entry]], source: str, behind: Sequence[str]
    ) -> bool:
        if len(behind) == 1:
            return True
        progress = folded.subject.progress
        entry = sources.get(source, {}).get(progress.cursor(source) + 1)
        if entry is None:
            return True
        causes = entry.envelope.seen
        return all(causes.get(name, 0) <= progress.cursor(name) for name in behind if name != source)

    def _next(self, folded: Folded[S], sources: Mapping[str, Mapping[int, Entry]], source: str, last: int) -> None:
        subject = folded.subject
        sequence = subject.progress.cursor(source) + 1
        entry = sources.get(source, {}).get(sequence)
        passed = folded.passed.get((source, sequence))
        if entry is None or passed == "without":
            if passed is None:
                folded.absent.append((source, sequence))
                later = min((number for number in sources.get(source, {}) if number > sequence), default=last + 1)
                sequence = min(later - 1, last)
            folded.subject = replace(subject, progress=skip(subject.progress, source, sequence))
            return
        folded.events += 1
        envelope, record = entry.envelope, entry.record
        if passed is not None:
            folded.subject = replace(subject, progress=advance(subject.progress, envelope))
            return
        decoded = decode_event(self._catalog, self._service, envelope, record.value)
        if fault := entry.parsed.fault or decoded.fault:
            raise _cannot(record, f"it is refused now ({fault}) and was applied once")
        state = subject.state if decoded.event is None else self._evolve(decoded.event, subject.state, record)
        folded.subject = Subject(subject.id, advance(subject.progress, envelope), state)

    def _own(self, folded: Folded[S], entry: Entry, notice: Event | None) -> None:
        folded.events += 1
        subject, envelope, record = folded.subject, entry.envelope, entry.record
        progress, state = subject.progress, subject.state
        decoded = decode_event(self._catalog, self._service, envelope, record.value)
        if decoded.fault is not None:
            raise _cannot(record, f"this release refuses it ({decoded.fault})")
        if decoded.event is not None:
            state = self._evolve(decoded.event, state, record)
        if isinstance(notice, InputHeld):
            progress = hold(progress, _hold(notice))
        elif notice is not None:
            progress = release(progress)
        behind = progress.seen
        if any(sequence > behind.get(name, 0) for name, sequence in envelope.seen.items()):
            progress = replace(
                progress, seen={**behind, **{n: max(s, behind.get(n, 0)) for n, s in envelope.seen.items()}}
            )
        progress = emitted(progress, envelope)
        folded.subject = Subject(subject.id, progress, state)

    def _evolve(self, event: Event, state: S, record: Record) -> S:
        try:
            return self._service.evolve(event, state)
        except Exception as error:
            raise _cannot(record, f"evolve raised {type(error).__name__}") from error

    def _protective(self, notice: InputDiscarded, sources: Mapping[str, Mapping[int, Entry]]) -> bool:
        entry = sources.get(notice.source, {}).get(notice.sequence or 0)
        model = self._catalog.by_type(entry.envelope.type) if entry else None
        return model is not None and model.protective


def _hold(notice: InputHeld) -> Hold:
    return Hold(
        Cause(str(notice.cause)),
        str(notice.input_kind),
        notice.source,
        notice.sequence or 0,
        notice.input_id,
        "" if notice.input_type == "unreadable" else notice.input_type,
        notice.held_at.isoformat(),
    )


def _passed(
    own: Sequence[Entry], notices: Mapping[int, Event], sources: Mapping[str, Mapping[int, Entry]]
) -> dict[Number, str]:
    """The inputs that were discarded, and those that a release or the discard of a later one has passed over."""
    passed: dict[Number, str] = {}
    held: tuple[InputHeld, int] | None = None
    for entry in own:
        notice = notices.get(entry.envelope.sequence)
        if isinstance(notice, InputHeld):
            held = notice, entry.envelope.seen.get(notice.source, 0)
        elif isinstance(notice, InputReleased):
            passed.update(((each.source, each.sequence), "without") for each in notice.without)
        elif isinstance(notice, InputDiscarded) and notice.sequence:
            passed[(notice.source, notice.sequence)] = "discarded"
            if held is not None and held[0].source == notice.source and str(held[0].cause) in _GAPS:
                late = (n for n in sources.get(notice.source, {}) if held[1] < n < notice.sequence)
                passed.update(((notice.source, sequence), "without") for sequence in late)
    return passed


def _cannot(record: Record, why: str) -> CannotFold:
    return CannotFold(
        f"the record at {record.topic}, partition {record.partition}, offset {record.offset} cannot be folded: {why}. "
        "Nothing was changed. Run the release that applied it, or mend its fold and recover again"
    )
