"""One history from one seed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from tests.model.checker import faults
from tests.model.relay import Relay
from tests.model.settings import draw
from tests.model.shell import Shell
from tests.model.world import Endless, World


@dataclass(slots=True)
class Result:
    """What a run of histories found: the first history with faults, and how often everything happened."""

    histories: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    seed: str = ""
    faults: list[str] = field(default_factory=list)


def history(seed: str, shell: type[Shell] = Shell, relay: type[Relay] = Relay) -> tuple[World, list[str]]:
    """Runs the history of a seed, and says what is wrong with it."""
    rng = Random(seed)
    world = World(draw(rng), rng, shell, relay)
    try:
        rested = world.run()
    except Endless:
        return world, ["endless: a unit tries the same again and again"]
    except ValueError as refused:
        return world, [f"refused by the kit: {refused}"]
    return world, faults(world, rested)


def run(seed: int, histories: int, shell: type[Shell] = Shell, relay: type[Relay] = Relay, *, first: int = 0) -> Result:
    """Runs histories until one has faults, from number ``first``. The seed of each is ``{seed}/{number}``."""
    result = Result()
    for number in range(first, first + histories):
        name = f"{seed}/{number}"
        world, found = history(name, shell, relay)
        result.histories += 1
        result.seen.update(world.seen)
        for each in world.shells.values():
            result.seen.update(each.database.accounts.values())
            result.seen["emitted"] += len(each.database.published)
        if found:
            result.seed, result.faults = name, found
            break
    return result
