"""Cases that stand still in the way each repair is for. None is of the table; all are put on the topics with it."""

from __future__ import annotations

from collections.abc import Callable

from tests.badrecords.records import NEXT, ODD, Case, Story

REPAIRS: dict[str, Callable[[Case], Story]] = {}


def _repair(make: Callable[[Case], Story]) -> Callable[[Case], Story]:
    REPAIRS[make.__name__] = make
    return make


@_repair
def unreadable(case: Case) -> Story:
    """A consent that nobody can read, and a good one behind it."""
    odd = case.consent().valued(b"{")
    return Story(case, [case.opening()], [odd], [case.consent(3, NEXT)])


@_repair
def still_unreadable(case: Case) -> Story:
    """The same; it is released although nothing was mended."""
    odd = case.consent().valued(b"{")
    return Story(case, [case.opening()], [odd], [case.consent(3, NEXT)])


@_repair
def gap_before_a_withdrawal(case: Case) -> Story:
    """A consent, then a gap, then its withdrawal, which could be applied."""
    return Story(case, [case.opening(), case.consent()], [], [case.withdrawal(4)])


@_repair
def gap_before_a_consent(case: Case) -> Story:
    """A gap that nothing protective lies behind."""
    return Story(case, [case.opening()], [], [case.consent(3, NEXT)])


@_repair
def unreadable_withdrawal(case: Case) -> Story:
    """A withdrawal that nobody can read, and a good consent behind it."""
    odd = case.withdrawal(3).valued(b"{")
    return Story(case, [case.opening(), case.consent()], [odd], [case.consent(4, NEXT)])


@_repair
def readable_withdrawal(case: Case) -> Story:
    """A withdrawal that says it follows an event of referral's own that referral has never emitted."""
    odd = case.withdrawal(3).named("ce_seen", b"referral:99")
    return Story(case, [case.opening(), case.consent()], [odd], [])


@_repair
def withdrawal_under_another_content_type(case: Case) -> Story:
    """A withdrawal whose body is good and whose header is not."""
    odd = case.withdrawal(3).named("content-type", b"application/avro")
    return Story(case, [case.opening(), case.consent()], [odd], [])


@_repair
def gap_to_be_released(case: Case) -> Story:
    """A gap whose missing event is known to be lost."""
    return Story(case, [case.opening()], [], [case.consent(3, NEXT)])


@_repair
def gap_released_too_early(case: Case) -> Story:
    """A gap whose missing event was thought to be lost, and comes after all."""
    return Story(case, [case.opening()], [], [case.consent(3, NEXT)])


@_repair
def dead_letter(case: Case) -> Story:
    """A record without an id."""
    return Story(case, [case.opening()], [case.consent(2, ODD).without("ce_id")], [])
