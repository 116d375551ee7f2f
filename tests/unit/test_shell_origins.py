"""Whose trace a send continues, when one transaction takes a subject through several states."""

from datetime import UTC, datetime

from kintsugi.agenda import Agenda, Deadline, Delivery, Send
from kintsugi.shell.origins import origins

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


def send(recipient: str) -> Send:
    return Send(channel="email", recipient=recipient, delivery=Delivery.at_least_once, expires=NOW)


def owed(state: str) -> Agenda:
    """A state is named by those it owes a letter: ``ab`` owes one to a and one to b."""
    if "!" in state:
        raise ValueError(state)
    return {f"letter/{each.lower()}": send(each) for each in state}


def test_each_send_continues_the_step_that_made_it_owed_and_not_a_later_one() -> None:
    steps = [("", "t1"), ("a", "t2"), ("a", "t3"), ("ab", "t4"), ("ab", "")]
    assert origins(steps, owed("ab"), owed) == {"letter/a": "t2", "letter/b": "t4"}


def test_a_send_that_was_owed_anew_or_otherwise_continues_the_last_step_that_changed_it() -> None:
    assert origins([("a", "t1"), ("", "t2"), ("a", "t3")], owed("a"), owed) == {"letter/a": "t3"}
    assert origins([("A", "t1"), ("a", "t2")], owed("a"), owed) == {"letter/a": "t2"}


def test_a_send_of_an_untraced_step_continues_nothing_though_others_are_traced() -> None:
    assert origins([("a", ""), ("a", "t2")], owed("a"), owed) == {"letter/a": ""}


def test_a_deadline_continues_nothing() -> None:
    assert origins([("a", "t1")], {"answer": Deadline(at=NOW)}, owed) == {}


def test_a_state_that_was_only_passed_through_may_be_one_whose_agenda_fails() -> None:
    assert origins([("a", "t1"), ("!", "t2"), ("ab", "t3")], owed("ab"), owed) == {"letter/a": "t1", "letter/b": "t3"}
