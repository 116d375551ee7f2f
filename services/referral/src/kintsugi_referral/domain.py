"""The rules of a referral as data: its states, who may move it, what a move must say, and what an age band means.

The states and moves are those of the HL7 SDOH Clinical Care task, with three of our own before ``requested``
(``proposed``, ``chosen``, ``consented``). Nothing here knows of events, consents or HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Status(StrEnum):
    """The state of a referral."""

    draft = "draft"
    proposed = "proposed"
    chosen = "chosen"
    consented = "consented"
    requested = "requested"
    accepted = "accepted"
    rejected = "rejected"
    in_progress = "in-progress"
    on_hold = "on-hold"
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"
    entered_in_error = "entered-in-error"


class Party(StrEnum):
    """Who moves a referral: the agency that was asked, or our side (worker, survivor, the platform itself)."""

    responder = "responder"
    requester = "requester"


_WITHDRAWABLE = frozenset({Status.cancelled, Status.entered_in_error})

TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.draft: frozenset({Status.proposed, Status.requested, Status.entered_in_error}),
    Status.proposed: _WITHDRAWABLE | {Status.proposed, Status.chosen},
    Status.chosen: _WITHDRAWABLE | {Status.proposed, Status.chosen, Status.consented},
    Status.consented: _WITHDRAWABLE | {Status.proposed, Status.chosen, Status.requested},
    Status.requested: _WITHDRAWABLE | {Status.accepted, Status.rejected},
    Status.accepted: _WITHDRAWABLE | {Status.in_progress, Status.on_hold, Status.completed, Status.failed},
    Status.in_progress: _WITHDRAWABLE | {Status.on_hold, Status.completed, Status.failed},
    Status.on_hold: _WITHDRAWABLE | {Status.in_progress, Status.completed, Status.failed},
    Status.rejected: frozenset({Status.entered_in_error}),
    Status.completed: frozenset({Status.entered_in_error}),
    Status.failed: frozenset({Status.entered_in_error}),
    Status.cancelled: frozenset({Status.entered_in_error}),
    Status.entered_in_error: frozenset(),
}
"""Every move there is. A state that only goes to ``entered-in-error``, or nowhere, is terminal."""

TERMINAL = frozenset(status for status, after in TRANSITIONS.items() if after <= {Status.entered_in_error})
BEFORE_REQUEST = frozenset({Status.draft, Status.proposed, Status.chosen, Status.consented})
WITH_PROVIDER = frozenset({Status.requested, Status.accepted, Status.in_progress, Status.on_hold})
REASON_REQUIRED = frozenset({Status.rejected, Status.cancelled, Status.on_hold, Status.failed})

SETS: Mapping[Party, frozenset[Status]] = {
    Party.responder: frozenset(
        {
            Status.accepted,
            Status.rejected,
            Status.in_progress,
            Status.on_hold,
            Status.completed,
            Status.failed,
            Status.cancelled,
        }
    ),
    Party.requester: frozenset(
        {
            Status.proposed,
            Status.chosen,
            Status.consented,
            Status.requested,
            Status.cancelled,
            Status.entered_in_error,
        }
    ),
}
"""Who sets what. Either side cancels; only the agency answers; only our side takes an entry back."""

UNATTENDED = "unattended"
MAY_BE_UNATTENDED = frozenset({Status.accepted, Status.in_progress, Status.on_hold})


class Refusal(StrEnum):
    """Why a move is refused."""

    not_yours = "status_not_yours"
    no_such_move = "transition_refused"
    reason_missing = "reason_required"


def refusal(now: Status, to: Status, by: Party, *, reason: bool) -> Refusal | None:
    """Why ``by`` may not move a referral from ``now`` to ``to``, with or without a ``reason``; None when it may."""
    if to not in SETS[by]:
        return Refusal.not_yours
    if to not in TRANSITIONS[now]:
        return Refusal.no_such_move
    if to in REASON_REQUIRED and not reason:
        return Refusal.reason_missing
    return None


def answers(now: Status) -> tuple[Status, ...]:
    """What an agency may answer now, in the order of :class:`Status`."""
    if now not in WITH_PROVIDER:
        return ()
    return tuple(status for status in Status if status in TRANSITIONS[now] & SETS[Party.responder])


FACTS = ("need", "area", "age_band", "languages")
"""What an agency's link shows of a case while the request is open and the consent holds."""

OLDEST = 120.0
AGES: Mapping[str, tuple[float, float]] = {
    "under_6": (0, 5),
    "from_6_to_11": (6, 11),
    "from_12_to_14": (12, 14),
    "from_15_to_17": (15, 17),
    "minor": (0, 17),
    "from_18_to_24": (18, 24),
    "from_25_to_39": (25, 39),
    "from_40_to_59": (40, 59),
    "from_60": (60, OLDEST),
    "adult": (18, OLDEST),
}
"""Years covered by an age band, both ends included."""


def ages(band: str, basis: str) -> tuple[float, float]:
    """The youngest and the oldest age in years that a band may mean; a presumed minor is one until it is known."""
    known = AGES.get(band)
    if known is not None:
        return known
    return AGES["minor"] if basis == "presumed_minor" else (0, OLDEST)


ANSWER_REASONS: Mapping[Status, tuple[str, ...]] = {
    Status.rejected: (
        "no_capacity",
        "not_eligible",
        "out_of_funds",
        "language_not_available",
        "area_not_served",
        "service_closed",
        "other",
    ),
    Status.on_hold: ("no_capacity", "survivor_not_ready", "unreachable", "out_of_funds", "other"),
    Status.failed: (
        "unreachable",
        "survivor_declined",
        "moved_away",
        "not_eligible",
        "out_of_funds",
        "service_closed",
        "other",
    ),
    Status.cancelled: ("no_capacity", "out_of_funds", "service_closed", "safety_concern", "transferred", "other"),
}
"""The reasons an agency is asked to choose from; why referrals fail in the field comes first."""
