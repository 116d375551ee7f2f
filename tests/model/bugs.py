"""Seeded bugs: one wrong step each. A simulation that does not catch them proves nothing about the right steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kintsugi import subject
from kintsugi.envelope import Envelope
from kintsugi.subject import Hold, Progress, Verdict
from kintsugi_contracts.causes import Cause

from tests.model.relay import MOST, Relay
from tests.model.shell import Loaded, Shell, Unit
from tests.model.storage import ABSENT, Entry, Event


class NoCursorCheck(Shell):
    """What comes again is applied again."""

    def judge(self, loaded: Loaded, envelope: Envelope) -> Verdict:
        """A copy is ready."""
        verdict = super().judge(loaded, envelope)
        return Verdict.ready if verdict in (Verdict.duplicate, Verdict.older) else verdict


class CursorWithoutState(Shell):
    """The cursor is written and the state is not, where a batch touches a subject that was there before."""

    def write(self, loaded: Loaded) -> None:
        """The row of before, with the progress of now."""
        if loaded.before.version:
            loaded.journal = loaded.before.journal
        super().write(loaded)


class PublishInside(Shell):
    """Own events go to the topic while the transaction is still open."""

    def work(self, unit: Unit) -> None:
        """Publishes at once; a rollback cannot take that back."""
        super().work(unit)
        for event in unit.own:
            self.world.append(event)

    def send_later(self, unit: Unit) -> None:
        """Nothing is left to send."""
        self.database.published.extend(unit.own)


class PublishAfterwards(Shell):
    """Own events are published after the commit, by the process that committed, if it still lives."""

    def send_later(self, unit: Unit) -> None:
        """No outbox: a crash between the commit and this loses them."""
        self.database.published.extend(unit.own)
        if self.world.rng.random() < self.setting.crashing:
            return
        for event in unit.own:
            self.world.append(event)


class AcknowledgeFirst(Shell):
    """The position is committed before the records are."""

    def begin(self, unit: Unit) -> bool:
        """Moves the position in a transaction of its own."""
        if not super().begin(unit):
            return False
        if self.in_place(unit):
            self.database.positions.update({queue: following for queue, (_, following) in unit.moves.items()})
            unit.moves = {}
        return True


class StaleRead(Shell):
    """Subjects are read without a lock, and written whatever has become of them meanwhile."""

    def lock(self, unit: Unit) -> bool:
        """None."""
        return True

    def roll_back(self, unit: Unit) -> None:
        """No locks to give back."""

    def fresh(self, unit: Unit) -> bool:
        """Not looked at."""
        return True


class FirstEventsUnlocked(Shell):
    """A row that is not there cannot be locked, and is not inserted before it is: the later writer wins."""

    def lock(self, unit: Unit) -> bool:
        """Only rows that are there."""
        there = [name for name in unit.names if name in self.database.rows]
        if len(there) == len(unit.names):
            return super().lock(unit)
        return self.database.locked.isdisjoint(there)

    def fresh(self, unit: Unit) -> bool:
        """Only rows that were there."""
        rows = self.database.rows
        return all(
            rows.get(loaded.subject, ABSENT).version == loaded.before.version
            for loaded in unit.loaded.values()
            if loaded.touched and loaded.before.version
        )


class InBatchDuplicates(Shell):
    """Copies are found by the cursors as they were when the batch began."""

    def judge(self, loaded: Loaded, envelope: Envelope) -> Verdict:
        """A copy of what this batch applied is ready again."""
        verdict = super().judge(loaded, envelope)
        if verdict in (Verdict.duplicate, Verdict.older):
            source = envelope.service
            if envelope.sequence > loaded.before.progress.cursor(source):
                return Verdict.ready
        return verdict


class PositionUnchecked(Shell):
    """A process that lost its partition moves the position back or forth as it remembers it."""

    def in_place(self, unit: Unit) -> bool:
        """Not looked at."""
        return True


class OwnPredecessorOnly(Shell):
    """Causes in other topics are not waited for."""

    def judge(self, loaded: Loaded, envelope: Envelope) -> Verdict:
        """As if the event had seen nothing."""
        return super().judge(loaded, replace(envelope, seen={}))


class SeenNotTransitive(Shell):
    """An event names what its emitter read, and not what lies behind that."""

    def emitted_seen(self, progress: Progress) -> dict[str, int]:
        """The cursors alone."""
        return {name: cursor.sequence for name, cursor in progress.cursors.items()}


class RaisingPassedBy(Shell):
    """A raising handler is logged and passed by: its event is lost, and nobody is told."""

    def hold_at(self, unit: Unit, loaded: Loaded, event: Event, cause: Cause) -> None:
        """Goes on with the next one."""
        for place, waiting in list(loaded.line.items()):
            if waiting is event:
                del loaded.line[place]
                unit.accounts[place] = "applied"
        loaded.progress = subject.advance(subject.release(loaded.progress), event.envelope)


class ReleaseDropsLine(Shell):
    """A release clears the hold, and with it what had lined up behind."""

    def release(self, unit: Unit, loaded: Loaded, at: Hold) -> None:
        """Takes the line for the held input's own."""
        super().release(unit, loaded, at)
        for place in loaded.line:
            unit.accounts[place] = "applied"
        loaded.line.clear()


class ReleaseDoesNotDrain(Shell):
    """What lined up behind a hold waits for the next record, which may never come."""

    def drain(self, unit: Unit, loaded: Loaded) -> None:
        """Only after something was applied."""
        if unit.moves:
            super().drain(unit, loaded)


class DiscardStays(Shell):
    """A discard removes the input and does not pass its place in the order."""

    def pass_by(self, loaded: Loaded, event: Event, status: str) -> None:
        """The state knows of the discard, the cursor does not."""
        if status != "discarded":
            super().pass_by(loaded, event, status)
            return
        loaded.journal = (*loaded.journal, Entry(status, event.source, event.envelope.sequence, event))
        loaded.touched = True


class DiscardUnmarked(Shell):
    """A discard leaves no event: whoever folds the topic applies what was discarded."""

    def discard(self, unit: Unit, loaded: Loaded, at: Hold) -> None:
        """Everything but the event."""
        before = len(unit.own)
        super().discard(unit, loaded, at)
        del unit.own[before:]
        loaded.progress = replace(loaded.progress, sequence=loaded.progress.sequence - 1)
        loaded.journal = loaded.journal[:-1]


class OperatorsBlind(Shell):
    """Operators' commands act on what was seen, not on what stands when they are carried out."""

    def still(self, loaded: Loaded, at: Hold) -> bool:
        """Not looked at again under the lock."""
        return True

    def still_next(self, loaded: Loaded, source: str, sequence: int) -> bool:
        """Not looked at again under the lock."""
        return True


class SkippingRelay(Relay):
    """A row whose sending fails is left for later, and the pass goes on behind it."""

    def failed(self, id_: int) -> None:
        """The failed row comes last."""
        failed = next(row for row in self.rows if row[0] == id_)
        self.rows.remove(failed)
        self.rows.append(failed)


class RelayByLastId(Relay):
    """The relay reads what lies behind the last id it sent: who commits late is never sent."""

    @property
    def last(self) -> int:
        """Shared by the relays of a service."""
        return self.shell.database.positions.get(("outbox", 0), 0)

    def read(self) -> list[tuple[int, Event]]:
        """Above the greatest id so far."""
        outbox = self.shell.database.outbox
        return [(id_, outbox[id_]) for id_ in sorted(outbox) if id_ > self.last][:MOST]

    def mark(self) -> None:
        """Remembers the greatest id."""
        self.shell.database.positions["outbox", 0] = max(self.last, *(id_ for id_, _ in self.rows))
        super().mark()


class MarkFirst(Relay):
    """Rows are marked when they are read: a crash before they are sent loses them."""

    def read(self) -> list[tuple[int, Event]]:
        """Reads and marks in one statement."""
        self.rows = super().read()
        self.mark()
        return self.rows


@dataclass(frozen=True, slots=True)
class Bug:
    """A wrong service or a wrong relay, and within how many histories the checker must have seen it."""

    name: str
    within: int
    shell: type[Shell] = Shell
    relay: type[Relay] = Relay


BUGS = (
    Bug("no cursor check", 50, NoCursorCheck),
    Bug("cursor written, state not", 50, CursorWithoutState),
    Bug("publish inside the transaction", 50, PublishInside),
    Bug("publish after the commit", 100, PublishAfterwards),
    Bug("acknowledge first", 100, AcknowledgeFirst),
    Bug("stale read instead of a lock", 100, StaleRead),
    Bug("first events of a subject unlocked", 500, FirstEventsUnlocked),
    Bug("in-batch duplicates", 100, InBatchDuplicates),
    Bug("position unchecked", 500, PositionUnchecked),
    Bug("only the own predecessor is waited for", 500, OwnPredecessorOnly),
    Bug("ce_seen not transitive", 2000, SeenNotTransitive),
    Bug("a raising handler is passed by", 100, RaisingPassedBy),
    Bug("release drops the line", 100, ReleaseDropsLine),
    Bug("release does not drain", 100, ReleaseDoesNotDrain),
    Bug("discard does not advance the cursor", 100, DiscardStays),
    Bug("discard leaves no event", 100, DiscardUnmarked),
    Bug("operators act on what they saw", 1000, OperatorsBlind),
    Bug("a relay that skips a failed row", 500, relay=SkippingRelay),
    Bug("a relay that reads behind its last id", 1000, relay=RelayByLastId),
    Bug("a relay that marks before it sends", 100, relay=MarkFirst),
)
