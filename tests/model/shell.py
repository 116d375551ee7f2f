"""The shell around ``kintsugi.subject``, as the kit's own does it, on the model's tables.

Everything that decides about order is the kit's pure code; what is here is the path a batch takes through it. The
methods are small because every seeded bug replaces exactly one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kintsugi import subject
from kintsugi.envelope import Envelope
from kintsugi.subject import Hold, Progress, Verdict
from kintsugi_contracts.causes import Cause

from tests.model.settings import TYPES
from tests.model.storage import ABSENT, About, Database, Entry, Event, Place, Queue, Row

if TYPE_CHECKING:
    from tests.model.world import World

NOW = datetime(2030, 1, 7, 10, tzinfo=UTC)


class Loaded:
    """A subject as a unit read it, and as it is now."""

    __slots__ = ("before", "journal", "known", "line", "progress", "subject", "touched")

    def __init__(self, name: str, row: Row, line: dict[Place, Event]) -> None:
        self.subject = name
        self.before = row
        self.progress = row.progress
        self.journal = row.journal
        self.known = row.known
        self.line = line
        self.touched = False

    @property
    def stands(self) -> bool:
        """Held for anything but a missing event."""
        return self.progress.hold is not None and not subject.ends_by_itself(self.progress)


class Unit:
    """One transaction. ``expired``: the server ended its session. ``refused``: it has nothing to write (a 409)."""

    __slots__ = (
        "accounts", "done", "drawn", "expired", "key", "loaded", "moves", "names", "own", "refused", "run", "worked",
    )  # fmt: skip

    def __init__(self, subjects: list[str], run: Callable[[Unit], None], key: str = "") -> None:
        self.names = [*subjects, key] if key else subjects
        self.run = run
        self.key = key
        self.done: Callable[[Unit], None] | None = None
        self.loaded: dict[str, Loaded] = {}
        self.accounts: dict[Place, str] = {}
        self.own: list[Event] = []
        self.drawn: list[int] = []
        self.moves: dict[Queue, tuple[int, int]] = {}
        self.worked = False
        self.expired = False
        self.refused = False


class Shell:
    """One service: its subscriptions, its database, and how a unit runs."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.world = world
        self.setting = world.setting
        self.subscribed = world.setting.subscribes[name]
        self.ignored = world.setting.ignores[name]
        self.database = Database()
        self.queues = [queue for queue in world.topics.logs if queue[0] in self.subscribed]
        self.database.positions = dict.fromkeys(self.queues, 0)

    # One transaction: begin, work, end.

    def begin(self, unit: Unit) -> bool:
        """Locks and reads. False where another unit holds a lock: the process waits."""
        if not self.lock(unit):
            return False
        rows, lines = self.database.rows, self.database.lines
        for name in unit.names:
            if name != unit.key:
                unit.loaded[name] = Loaded(name, rows.get(name, ABSENT), dict(lines.get(name, ())))
        return True

    def lock(self, unit: Unit) -> bool:
        """All its names at once: the kit takes them in key order, so that nothing deadlocks."""
        if self.setting.locks:
            if not self.database.locked.isdisjoint(unit.names):
                return False
            self.database.locked.update(unit.names)
        return True

    def work(self, unit: Unit) -> None:
        """Runs the functions and writes to the outbox, not yet visible to anybody."""
        unit.run(unit)
        unit.drawn = [self.database.draw() for _ in unit.own]
        unit.worked = True

    def roll_back(self, unit: Unit) -> None:
        """Nothing of it has happened."""
        if self.setting.locks and not unit.expired:
            self.database.locked.difference_update(unit.names)

    def commit(self, unit: Unit) -> bool:
        """Writes everything or, where another process was faster or the session is gone, nothing."""
        if unit.expired or unit.refused or unit.key in self.database.answers or not self.current(unit):
            self.roll_back(unit)
            return False
        for loaded in unit.loaded.values():
            if loaded.touched:
                self.write(loaded)
        self.database.accounts.update(unit.accounts)
        for queue, (_, following) in unit.moves.items():
            self.database.positions[queue] = following
        self.send_later(unit)
        if unit.key:
            self.database.answers[unit.key] = tuple(event.number for event in unit.own)
        self.roll_back(unit)
        return True

    def current(self, unit: Unit) -> bool:
        """Whether nothing it read has changed meanwhile."""
        return self.fresh(unit) and self.in_place(unit)

    def fresh(self, unit: Unit) -> bool:
        """Whether every subject it changed still has the version it read."""
        rows = self.database.rows
        return all(
            rows.get(loaded.subject, ABSENT).version == loaded.before.version
            for loaded in unit.loaded.values()
            if loaded.touched
        )

    def in_place(self, unit: Unit) -> bool:
        """Whether every position is where it was when its records were taken."""
        return all(self.database.positions[queue] == expected for queue, (expected, _) in unit.moves.items())

    def write(self, loaded: Loaded) -> None:
        """The row and its line, whose length is part of the row."""
        progress = loaded.progress
        if progress.waiting != len(loaded.line):
            progress = replace(progress, waiting=len(loaded.line))
        self.database.rows[loaded.subject] = Row(loaded.before.version + 1, progress, loaded.journal, loaded.known)
        self.database.lines[loaded.subject] = loaded.line

    def send_later(self, unit: Unit) -> None:
        """The outbox rows become visible."""
        self.database.outbox.update(zip(unit.drawn, unit.own, strict=True))

    # One event.

    def take(self, unit: Unit, place: Place, event: Event) -> None:
        """Accounts for one record: applied, ignored, duplicate, late, waiting, held, or dead."""
        loaded = unit.loaded[event.envelope.subject]
        verdict = self.judge(loaded, event.envelope)
        if verdict is Verdict.ready and not loaded.stands:
            self.apply(unit, loaded, place, event)
            self.drain(unit, loaded)
        elif verdict is Verdict.ready or verdict is Verdict.waits:
            unit.accounts[place] = "waiting"
            self.line_up(loaded, place, event)
            self.world.seen["waited"] += 1
        elif verdict is Verdict.lost_state:
            unit.accounts[place] = "lost state"
        elif verdict is Verdict.too_late:
            unit.accounts[place] = "late"
        elif verdict is Verdict.older:
            unit.accounts[place] = self.known(loaded, event)
        else:
            unit.accounts[place] = "duplicate" if verdict is Verdict.duplicate else "dead"

    def judge(self, loaded: Loaded, envelope: Envelope) -> Verdict:
        """The kit's answer."""
        return subject.judge(envelope, loaded.progress, own=self.name, subscribed=self.subscribed)

    def known(self, loaded: Loaded, event: Event) -> str:
        """What an event is whose number was passed: a copy, another event, or one that was given up."""
        for entry in loaded.journal:
            if entry.source == event.source and entry.sequence == event.envelope.sequence:
                if entry.event is None:
                    return "late"
                return "duplicate" if entry.event.number == event.number else "dead"
        return "dead"

    def line_up(self, loaded: Loaded, place: Place, event: Event) -> None:
        """It cannot be applied yet."""
        loaded.line[place] = event
        loaded.touched = True

    def apply(self, unit: Unit, loaded: Loaded, place: Place, event: Event) -> None:
        """Evolves, decides, emits; or holds the subject where the handler raises."""
        if (self.name, event.number) in self.world.raising:
            unit.accounts[place] = "held"
            self.line_up(loaded, place, event)
            self.hold_at(unit, loaded, event, Cause.handler_raised)
            return
        envelope = event.envelope
        status = "ignored" if envelope.type in self.ignored else "applied"
        unit.accounts[place] = status
        self.pass_by(loaded, event, status)
        if status == "applied":
            for _ in range(self.world.fanout(envelope.depth)):
                self.emit(unit, loaded, self.world.kind(), None, envelope.id, envelope.depth + 1)

    def pass_by(self, loaded: Loaded, event: Event, status: str) -> None:
        """The cursor moves, and the state with it."""
        loaded.progress = subject.advance(loaded.progress, event.envelope)
        loaded.journal = (*loaded.journal, Entry(status, event.source, event.envelope.sequence, event))
        loaded.known |= self.world.past[event.number] | 1 << event.number
        loaded.touched = True

    def drain(self, unit: Unit, loaded: Loaded) -> None:
        """Applies what lined up and is ready now; ends a hold for a missing event that came."""
        while loaded.line and not loaded.stands:
            found = self.next_ready(unit, loaded)
            if found is None:
                break
            place, event = found
            del loaded.line[place]
            self.apply(unit, loaded, place, event)
        at = loaded.progress.hold
        if (
            at is not None
            and subject.ends_by_itself(loaded.progress)
            and loaded.progress.cursor(at.source) >= at.sequence
        ):
            self.release(unit, loaded, at)

    def next_ready(self, unit: Unit, loaded: Loaded) -> tuple[Place, Event] | None:
        """The first of the line that may be applied, by place; copies of what was applied meanwhile leave the line."""
        for place, event in sorted(loaded.line.items()):
            expected = loaded.progress.cursor(event.source) + 1
            if event.envelope.sequence < expected:
                unit.accounts[place] = self.known(loaded, event)
                del loaded.line[place]
                loaded.touched = True
            elif event.envelope.sequence == expected and self.judge(loaded, event.envelope) is Verdict.ready:
                return place, event
        return None

    # Holds.

    def hold_at(self, unit: Unit, loaded: Loaded, event: Event, cause: Cause) -> None:
        """The subject stands still at an event, and says so."""
        envelope = event.envelope
        self.emit(unit, loaded, "input.held", About(event.source, envelope.sequence, cause), envelope.id, 0)
        since = str(self.world.tick())
        at = Hold(cause, "event", event.source, envelope.sequence, envelope.id, envelope.type, since)
        self.world.seen["held " + cause] += 1
        self.world.seen["hold replaced"] += loaded.progress.hold is not None
        loaded.progress = subject.hold(loaded.progress, at)

    def release(self, unit: Unit, loaded: Loaded, at: Hold) -> None:
        """The hold is gone, and the topic says so."""
        loaded.progress = subject.release(loaded.progress)
        self.emit(unit, loaded, "input.released", About(at.source, at.sequence, at.cause), at.input_id, 0)
        self.world.seen["released"] += 1

    def release_without(self, unit: Unit, loaded: Loaded, source: str, sequence: int) -> None:
        """An operator gives up on an input that never came."""
        loaded.progress = subject.skip(subject.release(loaded.progress), source, sequence)
        loaded.journal = (*loaded.journal, Entry("skipped", source, sequence, None))
        self.emit(unit, loaded, "input.released", About(source, sequence, "without"), "", 0)
        self.world.seen["skipped"] += 1

    def discard(self, unit: Unit, loaded: Loaded, at: Hold) -> None:
        """An operator discards the held input: its place in the order is passed, its effect never happens."""
        for place, event in list(loaded.line.items()):
            if event.source == at.source and event.envelope.id == at.input_id:
                del loaded.line[place]
                unit.accounts[place] = "discarded"
                self.pass_by(loaded, event, "discarded")
                break
        loaded.progress = subject.release(loaded.progress)
        self.emit(unit, loaded, "input.discarded", About(at.source, at.sequence, at.cause), at.input_id, 0)
        self.world.seen["discarded"] += 1

    def still(self, loaded: Loaded, at: Hold) -> bool:
        """Whether the hold an operator saw is the one that stands, now that its subject is locked."""
        return loaded.progress.hold == at

    def still_next(self, loaded: Loaded, source: str, sequence: int) -> bool:
        """Whether something still waits, and the input an operator gives up is the next of its source."""
        return (loaded.progress.hold is not None or bool(loaded.line)) and loaded.progress.cursor(
            source
        ) + 1 == sequence

    # Own events.

    def emit(self, unit: Unit, loaded: Loaded, kind: str, about: About | None, causation: str, depth: int) -> Event:
        """Numbers an event of this service's own, and evolves it."""
        progress = loaded.progress
        number = self.world.number()
        flow = progress.flow or str(number)
        envelope = Envelope(
            id=str(number),
            source=f"/xa/{self.name}",
            type=kind,
            time=NOW,
            subject=loaded.subject,
            sequence=progress.sequence + 1,
            seen=self.emitted_seen(progress),
            depth=depth,
            correlationid=flow,
            causationid=causation,
        )
        event = Event(envelope, self.name, number, about)
        self.world.past[number] = loaded.known
        loaded.known |= 1 << number
        loaded.journal = (*loaded.journal, Entry("own", self.name, envelope.sequence, event))
        loaded.progress = subject.emitted(progress if progress.flow else replace(progress, flow=flow))
        loaded.touched = True
        unit.own.append(event)
        if kind in TYPES:
            self.world.may_raise(event)
        return event

    def emitted_seen(self, progress: Progress) -> dict[str, int]:
        """What the event says it has seen."""
        return progress.emitted_seen(self.name)
