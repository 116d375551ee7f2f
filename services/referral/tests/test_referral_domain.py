"""The whole table of states, compared move by move with the text of the standard it comes from."""

from itertools import product

import pytest
from kintsugi_events import MatchReason, ReferralStatus, StatusReason
from kintsugi_referral.domain import (
    ANSWER_REASONS,
    REASON_REQUIRED,
    SETS,
    TERMINAL,
    TRANSITIONS,
    WITH_PROVIDER,
    Party,
    Refusal,
    Status,
    ages,
    answers,
    refusal,
)

HL7 = {
    "draft": "requested",
    "requested": "accepted rejected cancelled",
    "accepted": "in-progress on-hold cancelled completed failed",
    "in-progress": "on-hold completed failed cancelled",
    "on-hold": "in-progress completed failed cancelled",
    "rejected": "",
    "cancelled": "",
    "completed": "",
    "failed": "",
}
OURS = {
    "draft": "proposed",
    "proposed": "proposed chosen cancelled",
    "chosen": "proposed chosen consented cancelled",
    "consented": "proposed chosen requested cancelled",
}
BY_PROVIDER = {"accepted", "rejected", "in-progress", "on-hold", "completed", "failed", "cancelled"}
BY_US = {"proposed", "chosen", "consented", "requested", "cancelled", "entered-in-error"}


def allowed(now: str, to: str) -> bool:
    if to == "entered-in-error":
        return now != to
    return to in f"{HL7.get(now, '')} {OURS.get(now, '')}".split()


@pytest.mark.parametrize(("now", "to"), list(product(Status, Status)), ids=lambda status: status.value)
def test_every_pair_of_states_is_a_move_exactly_where_the_standard_or_our_addition_says_so(
    now: Status, to: Status
) -> None:
    assert (to in TRANSITIONS[now]) is allowed(now.value, to.value)


@pytest.mark.parametrize(("now", "to", "by", "reason"), list(product(Status, Status, Party, (True, False))))
def test_a_move_is_refused_by_whose_it_is_then_by_the_table_then_for_want_of_a_reason(
    now: Status, to: Status, by: Party, reason: bool
) -> None:
    theirs = BY_PROVIDER if by is Party.responder else BY_US
    expected = (
        Refusal.not_yours
        if to.value not in theirs
        else Refusal.no_such_move
        if not allowed(now.value, to.value)
        else Refusal.reason_missing
        if to.value in {"rejected", "cancelled", "on-hold", "failed"} and not reason
        else None
    )
    assert refusal(now, to, by, reason=reason) is expected


def test_the_terminal_states_are_those_of_the_standard() -> None:
    assert {status.value for status in TERMINAL} == {
        "rejected",
        "cancelled",
        "completed",
        "failed",
        "entered-in-error",
    }


def test_the_states_are_those_of_the_contract() -> None:
    assert {status.value for status in Status} == {status.value for status in ReferralStatus} - {"unknown"}


def test_what_an_agency_may_answer_follows_from_the_table() -> None:
    assert answers(Status.requested) == (Status.accepted, Status.rejected, Status.cancelled)
    for status in Status:
        assert set(answers(status)) <= TRANSITIONS[status]
        assert bool(answers(status)) is (status in WITH_PROVIDER)


def test_every_answer_that_needs_a_reason_offers_some_and_all_are_codes_of_the_contract() -> None:
    assert set(ANSWER_REASONS) == REASON_REQUIRED & SETS[Party.responder]
    for reasons in ANSWER_REASONS.values():
        assert reasons
        assert {StatusReason(reason) for reason in reasons}.isdisjoint({StatusReason.unknown})
    assert MatchReason("need_met") is MatchReason.need_met


@pytest.mark.parametrize(
    ("band", "basis", "expected"),
    [
        ("from_15_to_17", "documented", (15, 17)),
        ("unknown", "presumed_minor", (0, 17)),
        ("not_asked", "not_asked", (0, 120)),
        ("a band of a later release", "declared", (0, 120)),
        ("adult", "presumed_minor", (18, 120)),
    ],
)
def test_a_presumed_minor_is_a_minor_until_the_age_is_known(
    band: str, basis: str, expected: tuple[float, float]
) -> None:
    assert ages(band, basis) == expected
