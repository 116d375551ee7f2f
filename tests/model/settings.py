"""What differs from history to history: who listens to whom, how many subjects there are, and what breaks how often."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

NAMES = ("intake", "assessment", "referral", "notify")
PARTITIONS = 2
TYPES = ("alpha", "beta", "gamma")
CONTROLS = frozenset({"input.held", "input.released", "input.discarded"})
DEEPEST = 7


@dataclass(frozen=True, slots=True)
class Setting:
    """One history's circumstances. Rates are chances per opportunity.

    ``locks``: whether units lock what they read. Without, the check of versions alone has to prevent damage.
    ``facts``: how many events that are not about holds may be emitted in all, so that every history ends.
    """

    subscribes: dict[str, frozenset[str]]
    ignores: dict[str, frozenset[str]]
    partitions: dict[str, int]
    locks: bool
    actions: int
    facts: int
    crashing: float
    raising: float
    swallowing: float
    repeating: float
    forging: float


def draw(rng: Random) -> Setting:
    """A ring of four services, with some more subscriptions across it, and one to three subjects."""
    subscribes: dict[str, frozenset[str]] = {}
    ignores: dict[str, frozenset[str]] = {}
    for at, name in enumerate(NAMES):
        others = [other for other in NAMES if other != name and rng.random() < 0.4]
        subscribes[name] = frozenset({NAMES[at - 1], *others})
        ignores[name] = CONTROLS | {kind for kind in TYPES if rng.random() < 0.2}
    subjects = rng.choice((1, 1, 2, 2, 3))
    return Setting(
        subscribes=subscribes,
        ignores=ignores,
        partitions={f"case/{number}": rng.randrange(PARTITIONS) for number in range(subjects)},
        locks=rng.random() < 0.6,
        actions=rng.randrange(80, 280),
        facts=rng.randrange(8, 20),
        crashing=rng.choice((0.0, 0.02, 0.06)),
        raising=rng.choice((0.0, 0.03, 0.08)),
        swallowing=rng.choice((0.0, 0.0, 0.15)),
        repeating=rng.choice((0.0, 0.03, 0.08)),
        forging=rng.choice((0.0, 0.0, 0.0, 0.02)),
    )
