"""One history: processes take turns at random and break at random; then faults stop, and all must come to rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from kintsugi.subject import gap_cause, missing
from kintsugi_contracts.causes import Cause

from tests.model import operators
from tests.model.relay import Relay
from tests.model.settings import DEEPEST, NAMES, PARTITIONS, TYPES, Setting
from tests.model.shell import Loaded, Shell, Unit
from tests.model.storage import Event, Place, Queue, Topics

ROUNDS = 60
ENDLESS = 3_000


class Endless(Exception):
    """Something is tried again and again within one unit."""


class Process:
    """One process of a service. ``positions`` are the next offsets as it remembers them, perhaps wrongly."""

    def __init__(self, shell: Shell, relay: Relay) -> None:
        self.shell = shell
        self.relay = relay
        self.unit: Unit | None = None
        self.positions: dict[Queue, int] = {}


class World:
    """Services, topics, a client and operators; ``seen`` counts what happened, ``past`` who knew of what."""

    def __init__(self, setting: Setting, rng: Random, shell: type[Shell] = Shell, relay: type[Relay] = Relay) -> None:
        self.setting = setting
        self.rng = rng
        self.seen: Counter[str] = Counter()
        self.past: list[int] = []
        self.raising: set[tuple[str, int]] = set()
        self.forged: set[int] = set()
        self.facts = 0
        self.faults = True
        self.topics = Topics([(name, at) for name in NAMES for at in range(PARTITIONS)], setting.partitions)
        self.shells = {name: shell(name, self) for name in NAMES}
        self.processes = [Process(each, relay(each, self)) for each in self.shells.values() for _ in range(2)]
        self.subjects = list(setting.partitions)
        self.decided: dict[str, list[operators.Decision]] = {name: [] for name in NAMES}
        self.keys: dict[str, list[str]] = {name: [] for name in NAMES}
        self.answered: dict[str, tuple[int, ...]] = {}
        self.contradicted: list[str] = []
        self.given_up: list[tuple[str, str, str, int]] = []
        self._appended: set[int] = set()
        self._ticks = 0

    # What the shell asks.

    def number(self) -> int:
        """The id of a new event. Raises Endless where there are far more than a history can have."""
        if len(self.past) == ENDLESS:
            raise Endless
        self.past.append(0)
        return len(self.past) - 1

    def tick(self) -> int:
        """A number that is never given twice."""
        self._ticks += 1
        return self._ticks

    def kind(self) -> str:
        """A type for a new event."""
        return TYPES[int(self.rng.random() * len(TYPES))]

    def fanout(self, depth: int) -> int:
        """How many events a decision leads to. Fewer and fewer, so that every history ends."""
        if depth >= DEEPEST or self.facts >= self.setting.facts:
            return 0
        drawn = self.rng.random()
        return 0 if drawn < 0.3 else 1 if drawn < 0.75 else 2

    def may_raise(self, event: Event) -> None:
        """Marks an event that some service's handler will raise at, until it is mended."""
        self.facts += 1
        if self.setting.raising:
            for name in NAMES:
                if self.rng.random() < self.setting.raising and event.source in self.setting.subscribes[name]:
                    self.raising.add((name, event.number))

    def append(self, event: Event) -> None:
        """A record reaches its topic."""
        self._appended.add(event.number)
        self.topics.append(event)

    def on_log(self, number: int) -> bool:
        """Whether an event is on its topic already."""
        return number in self._appended

    # A history.

    def run(self) -> bool:
        """The random part, then the fair part. False where it did not come to rest."""
        random, processes = self.rng.random, self.processes
        for _ in range(self.setting.actions):
            self._act(processes[int(random() * len(processes))])
            if random() < self.setting.repeating:
                operators.repeat(self)
            if random() < self.setting.forging:
                operators.forge(self)
        return self._settle()

    def _act(self, process: Process) -> None:
        random = self.rng.random
        if process.unit is not None:
            self._go_on(process)
            return
        drawn = random()
        if drawn < 0.28:
            while process.relay.step(faults=True) and random() < 0.7:
                pass
            if random() < self.setting.crashing:
                self._crash(process)
        elif drawn < 0.72:
            self._start(process, self._batch(process))
        elif drawn < 0.86:
            self._start(process, self._command(process))
        elif drawn < 0.93:
            self._start(process, self._patience(process))
        else:
            self._start(process, self._operator(process.shell))

    def _start(self, process: Process, unit: Unit | None) -> None:
        if unit is None or not process.shell.begin(unit):
            return
        process.unit = unit
        if self.rng.random() < 0.5:
            while process.unit is not None:
                self._go_on(process)

    def _go_on(self, process: Process) -> None:
        """The next phase of a transaction, or its end by a crash or by the server."""
        unit, shell = process.unit, process.shell
        assert unit is not None
        chance = self.rng.random()
        if chance < self.setting.crashing:
            self._crash(process)
        elif chance > 0.985 and not unit.expired and self.faults:
            shell.roll_back(unit)
            unit.expired = True
            self.seen["expired"] += 1
        elif not unit.worked:
            shell.work(unit)
        else:
            process.unit = None
            if not shell.commit(unit):
                process.positions.clear()
                self.seen["stale"] += 1
            elif self.rng.random() < self.setting.crashing:
                self._crash(process)
            else:
                for queue, (_, following) in unit.moves.items():
                    process.positions[queue] = following
                if unit.done is not None:
                    unit.done(unit)

    def _crash(self, process: Process) -> None:
        if process.unit is not None:
            process.shell.roll_back(process.unit)
        process.unit = None
        process.positions.clear()
        process.relay.forget()
        self.seen["crashed"] += 1

    # What a process may start.

    def _batch(self, process: Process) -> Unit | None:
        """Some records of some partitions. Both processes believe that every partition is theirs."""
        random, shell = self.rng.random, process.shell
        if random() < 0.7:
            process.positions.clear()
        positions, stored = process.positions, shell.database.positions
        taken: list[tuple[Queue, int, list[Event]]] = []
        for queue in shell.queues:
            log = self.topics.logs[queue]
            position = positions.get(queue)
            if position is None:
                position = positions[queue] = stored[queue]
            if position < len(log) and random() < 0.7:
                taken.append((queue, position, log[position : position + 1 + int(random() * 4)]))
        if not taken:
            return None
        records: list[tuple[Place, Event]] = []
        moves: dict[Queue, tuple[int, int]] = {}
        heads = [0] * len(taken)
        while True:
            left = [at for at, (_, _, events) in enumerate(taken) if heads[at] < len(events)]
            if not left or (records and random() < 0.03):
                break
            at = left[int(random() * len(left))]
            queue, position, events = taken[at]
            offset = position + heads[at]
            records.append(((*queue, offset), events[heads[at]]))
            moves[queue] = position, offset + 1
            heads[at] += 1

        def run(unit: Unit) -> None:
            for place, event in records:
                shell.take(unit, place, event)

        unit = Unit(sorted({event.envelope.subject for _, event in records}), run)
        unit.moves = moves
        return unit

    def _command(self, process: Process) -> Unit | None:
        """A client's request, new or repeated under its key. Refused on a held subject, unless it only tightens."""
        random, shell = self.rng.random, process.shell
        known = self.keys[shell.name]
        if known and random() < 0.3:
            key = known[int(random() * len(known))]
        elif self.facts >= self.setting.facts:
            return None
        else:
            key = f"{shell.name}/{self.tick()}"
            known.append(key)
        if key in shell.database.answers:
            self._answer(key, shell.database.answers[key])
            return None
        name = self.subjects[self._of_key(key)]
        tightens = int(key.rpartition("/")[2]) % 3 == 0
        many = 1 + int(random() * 2)

        def run(unit: Unit) -> None:
            loaded = unit.loaded[name]
            if (not loaded.before.version and shell.name != NAMES[0]) or (loaded.progress.hold and not tightens):
                unit.refused = True
                return
            for _ in range(many):
                shell.emit(unit, loaded, self.kind(), None, f"request/{key}", 0)

        unit = Unit([name], run, key)
        unit.done = lambda unit: self._answer(key, tuple(event.number for event in unit.own))
        return unit

    def _of_key(self, key: str) -> int:
        return sum(key.encode()) % len(self.subjects)

    def _answer(self, key: str, numbers: tuple[int, ...]) -> None:
        self.seen["answered"] += 1
        if self.answered.setdefault(key, numbers) != numbers:
            self.contradicted.append(f"request {key} has two answers")

    def _patience(self, process: Process) -> Unit | None:
        """Somewhere a wait has outlived the reading of the awaited topic to its end: it becomes a hold."""
        shell = process.shell
        waiting = [name for name, line in shell.database.lines.items() if line]
        if not waiting:
            return None
        name = waiting[int(self.rng.random() * len(waiting))]

        def run(unit: Unit) -> None:
            loaded = unit.loaded[name]
            shell.drain(unit, loaded)
            if loaded.progress.hold is None:
                self._become_a_hold(shell, unit, loaded)

        return Unit([name], run)

    def _become_a_hold(self, shell: Shell, unit: Unit, loaded: Loaded) -> None:
        at = self.setting.partitions[loaded.subject]
        read = shell.database.positions
        # Since a topic was read to its end, more may have come: then the hold is early, and ends by itself.
        early = self.faults and self.rng.random() < 0.3
        if not early and any(read[queue] < len(self.topics.logs[queue]) for queue in shell.queues if queue[1] == at):
            return
        line = list(loaded.line.values())
        self.rng.shuffle(line)
        for event in line:
            awaited = missing(event.envelope, loaded.progress, subscribed=shell.subscribed)
            if awaited is not None:
                cause = gap_cause(event.envelope, loaded.progress)
                if (cause is Cause.gap) != (awaited[0] == event.source):
                    self.contradicted.append(f"a hold of {shell.name} that waits for {awaited} is called {cause}")
                shell.hold_at(unit, loaded, event, cause)
                return

    def _operator(self, shell: Shell) -> Unit | None:
        """Somebody looks, or carries out what was decided earlier."""
        decided = self.decided[shell.name]
        if decided and self.rng.random() < 0.6:
            return operators.carry_out(self, shell, decided.pop(0))
        if decision := operators.look(self, shell):
            decided.append(decision)
        return None

    def _operator_at_last(self, shell: Shell) -> Unit | None:
        decided = self.decided[shell.name]
        decision = decided.pop() if decided else operators.look(self, shell)
        return operators.carry_out(self, shell, decision) if decision else None

    # The end.

    def _settle(self) -> bool:
        """Faults stop; everybody does what is left to do. False where something is still left after many rounds."""
        self.faults = False
        for process in self.processes:
            if process.unit is not None:
                self._crash(process)
            process.relay.forget()
        for number in range(ROUNDS):
            busy = False
            turn = self.processes[number % 2 :: 2]
            for process in turn:
                while process.relay.step(faults=False):
                    busy = True
            for process in turn:
                busy |= self._finish(process, lambda process=process: self._batch(process))  # type: ignore[misc]
            if not busy:
                for process in turn:
                    shell = process.shell
                    busy |= self._finish(process, lambda process=process: self._patience(process))  # type: ignore[misc]
                    busy |= self._finish(process, lambda shell=shell: self._operator_at_last(shell))  # type: ignore[misc]
                busy |= operators.fill_in(self)
            if not busy and self._at_rest():
                return True
        return False

    def _finish(self, process: Process, make: Callable[[], Unit | None]) -> bool:
        unit = make()
        if unit is None or not process.shell.begin(unit):
            return False
        shell = process.shell
        shell.work(unit)
        if not shell.commit(unit):
            process.positions.clear()
            return True
        for queue, (_, following) in unit.moves.items():
            process.positions[queue] = following
        if unit.done is not None:
            unit.done(unit)
        return bool(unit.moves) or any(loaded.touched for loaded in unit.loaded.values())

    def _at_rest(self) -> bool:
        return all(
            not shell.database.outbox
            and not any(shell.database.lines.values())
            and all(row.progress.hold is None for row in shell.database.rows.values())
            and all(shell.database.positions[queue] == len(self.topics.logs[queue]) for queue in shell.queues)
            for shell in self.shells.values()
        )
