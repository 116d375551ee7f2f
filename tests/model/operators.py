"""What people do: they look at a held subject, and later release it, discard its input, or do without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kintsugi.contracts.causes import Cause
from kintsugi.subject import Hold

from tests.model.shell import Shell, Unit

if TYPE_CHECKING:
    from tests.model.world import World


class Decision(NamedTuple):
    """What somebody decided about a hold: it is carried out later, when another hold may stand, or none."""

    subject: str
    at: Hold
    way: str


def look(world: World, shell: Shell) -> Decision | None:
    """Somebody looks at one held subject and decides to release it, to discard its input, or to do without it."""
    random = world.rng.random
    held = [(name, row.progress.hold) for name, row in shell.database.rows.items() if row.progress.hold is not None]
    if not held:
        return None
    name, at = held[int(random() * len(held))]
    drawn = random()
    if at.cause is not Cause.handler_raised:
        # A missing event may come late, or be given up; sometimes too early, so that it comes nevertheless.
        return Decision(name, at, "without") if drawn < (0.3 if world.faults else 0.5) else None
    if drawn < 0.35:
        return Decision(name, at, "discard")
    return Decision(name, at, "mend" if drawn < 0.85 or not world.faults else "release")


def carry_out(world: World, shell: Shell, decision: Decision) -> Unit:
    """The unit of a decision. A handler that was not mended raises again."""
    name, at, way = decision
    if way == "mend":
        world.raising.discard((shell.name, int(at.input_id)))

    def run(unit: Unit) -> None:
        loaded = unit.loaded[name]
        if not shell.still(loaded, at):
            world.seen["too late to decide"] += 1
            return
        if way == "discard":
            shell.discard(unit, loaded, at)
        elif way == "without":
            shell.release_without(unit, loaded, at)
        else:
            shell.release(unit, loaded, at)
        shell.drain(unit, loaded)

    unit = Unit([name], run)
    unit.done = lambda unit: _note(world, shell, unit, name, at)
    return unit


def _note(world: World, shell: Shell, unit: Unit, name: str, at: Hold) -> None:
    """The tool answered that an input was given up: from now on the topic has to say so."""
    if any(event.envelope.type == "input.discarded" for event in unit.own):
        world.given_up.append((shell.name, name, at.source, at.sequence))


def repeat(world: World) -> None:
    """Records come again: a run of what was published, unchanged and in order, or a few of a log in any order.

    A run may hold what the broker had lost: the gap is then filled, late.
    """
    rng = world.rng
    shell = world.shells[rng.choice(list(world.shells))]
    published = shell.database.published
    if published and rng.random() < 0.6:
        first = int(rng.random() * len(published))
        for event in published[first : first + 5]:
            world.append(event)
        world.seen["resent"] += 1
        return
    log = world.topics.logs[shell.name, rng.randrange(2)]
    if log:
        copies = [log[int(rng.random() * len(log))] for _ in range(3)]
        for event in copies:
            world.append(event)
        world.seen["repeated"] += 1


def fill_in(world: World) -> bool:
    """What a broker lost is sent again from what was published, the oldest first. True where there was any."""
    for shell in world.shells.values():
        for event in shell.database.published:
            if event.number in world.topics.lost and not world.on_log(event.number):
                world.append(event)
                world.seen["filled in"] += 1
                return True
    return False
