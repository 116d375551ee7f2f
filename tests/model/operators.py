"""What people do: they look at a held subject, and later release it, discard its input, or do without it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from kintsugi.subject import Hold, missing
from kintsugi_contracts.causes import Cause

from tests.model.settings import NAMES, PARTITIONS
from tests.model.shell import Shell, Unit

if TYPE_CHECKING:
    from tests.model.world import World


class Decision(NamedTuple):
    """What somebody decided about a hold: it is carried out later, when another hold may stand, or none.

    ``source`` and ``sequence`` name the input that is given up, if one is.
    """

    subject: str
    at: Hold
    way: str
    source: str
    sequence: int


def look(world: World, shell: Shell) -> Decision | None:
    """Somebody looks at one held subject and decides to release it, to discard its input, or to do without another."""
    random = world.rng.random
    held = [(name, row.progress.hold) for name, row in shell.database.rows.items() if row.progress.hold is not None]
    if not held:
        return None
    name, at = held[int(random() * len(held))]
    drawn = random()
    if at.cause is not Cause.handler_raised:
        return _without(world, shell, name, at) if drawn < 0.5 else None
    way = "discard" if drawn < 0.35 else "mend" if drawn < 0.85 or not world.faults else "release"
    return Decision(name, at, way, at.source, at.sequence)


def _without(world: World, shell: Shell, name: str, at: Hold) -> Decision | None:
    """A missing event may come late, or be given up; while things go wrong even one that is on its way."""
    progress = shell.database.rows[name].progress
    for event in shell.database.lines[name].values():
        if event.envelope.id == at.input_id and (
            awaited := missing(event.envelope, progress, subscribed=shell.subscribed)
        ):
            source, sequence = awaited
            log = world.topics.logs[source, world.setting.partitions[name]]
            there = any(e.envelope.subject == name and e.envelope.sequence == sequence for e in log)
            return Decision(name, at, "without", source, sequence) if world.faults or not there else None
    return None


def carry_out(world: World, shell: Shell, decision: Decision) -> Unit:
    """The unit of a decision. A handler that was not mended raises again."""
    name, at, way, source, sequence = decision
    if way == "mend":
        world.raising.discard((shell.name, int(at.input_id)))
    given_up: list[tuple[str, str, str, int]] = []

    def run(unit: Unit) -> None:
        loaded = unit.loaded[name]
        if not (shell.still_next(loaded, source, sequence) if way == "without" else shell.still(loaded, at)):
            world.seen["too late to decide"] += 1
            return
        if way == "discard":
            shell.discard(unit, loaded, at)
            given_up.append((shell.name, name, source, sequence))
        elif way == "without":
            shell.release_without(unit, loaded, source, sequence)
            given_up.append((shell.name, name, source, sequence))
        else:
            shell.release(unit, loaded, at)
        shell.drain(unit, loaded)

    unit = Unit([name], run)
    # The tool answers that it was done: from now on the topic has to say so.
    unit.done = lambda _: world.given_up.extend(given_up)
    return unit


def repeat(world: World) -> None:
    """Records come again: a run of what was published, unchanged and in order, or a few of a log in any order.

    A run may hold what the broker had lost: the gap is then filled, late.
    """
    rng = world.rng
    shell = world.shells[NAMES[rng.randrange(len(NAMES))]]
    published = shell.database.published
    if published and rng.random() < 0.6:
        first = int(rng.random() * len(published))
        for event in published[first : first + 5]:
            world.append(event)
        world.seen["resent"] += 1
        return
    log = world.topics.logs[shell.name, rng.randrange(PARTITIONS)]
    if log:
        copies = [log[int(rng.random() * len(log))] for _ in range(3)]
        for event in copies:
            world.append(event)
        world.seen["repeated"] += 1


def forge(world: World) -> None:
    """Somebody writes another event under a number that is taken. It must change nothing, and not vanish."""
    rng = world.rng
    log = world.topics.logs[NAMES[rng.randrange(len(NAMES))], rng.randrange(PARTITIONS)]
    if log:
        taken = log[int(rng.random() * len(log))]
        number = world.number()
        world.forged.add(number)
        world.append(taken._replace(number=number, envelope=replace(taken.envelope, id=str(number))))
        world.seen["forged"] += 1


def fill_in(world: World) -> bool:
    """What a broker lost is sent again from what was published, the oldest first. True where there was any."""
    for shell in world.shells.values():
        for event in shell.database.published:
            if event.number in world.topics.lost and not world.on_log(event.number):
                world.append(event)
                world.seen["filled in"] += 1
                return True
    return False
