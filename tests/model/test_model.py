"""The protocol of one subject's order holds in random histories, and the same checker catches every seeded bug."""

from __future__ import annotations

import pytest

from tests.model.bugs import BUGS, Bug
from tests.model.history import history, run

PARTS = 8
HISTORIES = 1_250
SEED = 7
HAPPENS = (
    "applied",
    "crashed",
    "dead",
    "discarded",
    "duplicate",
    "expired",
    "filled in",
    "forged",
    "held cause_missing",
    "held gap",
    "held handler_raised",
    "hold replaced",
    "ignored",
    "late",
    "relay failed",
    "repeated",
    "resent",
    "skipped",
    "stale",
    "too late to decide",
    "waited",
)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_history_is_lost_doubled_reordered_or_stuck(part: int) -> None:
    result = run(SEED, HISTORIES, first=part * HISTORIES)
    assert not result.faults, f"replay with 'python -m tests.model --replay {result.seed}'"
    assert result.histories == HISTORIES
    assert [what for what in HAPPENS if not result.seen[what]] == []


def test_all_parts_together_are_ten_thousand_histories() -> None:
    assert PARTS * HISTORIES >= 10_000


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_a_seeded_bug_is_caught(bug: Bug) -> None:
    result = run(SEED, bug.within, bug.shell, bug.relay)
    assert result.faults, f"'{bug.name}' went unseen for {result.histories} histories"


def test_a_history_is_the_same_each_time_it_is_run() -> None:
    first, _ = history("7/1")
    again, _ = history("7/1")
    for name in first.shells:
        assert first.shells[name].database.rows == again.shells[name].database.rows
    assert first.topics.logs == again.topics.logs
