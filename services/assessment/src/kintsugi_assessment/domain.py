"""What an answer may be, how saved and new answers come together, and where a questionnaire stands."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from kintsugi.auth import Caller
from kintsugi_country import Instrument
from kintsugi_events import AnswerKind, ItemAnswer

NotScored = Literal["not_applicable", "declined", "insufficient_information"]
GivenAnswer = int | NotScored | None
"""A point of the scale, a reason why there is none, or None: the earlier answer is taken back."""

Answers = Mapping[str, ItemAnswer]


class Standing(StrEnum):
    """Where an assessment stands. Overdue is no standing of its own: an overdue one can still be made."""

    scheduled = "scheduled"
    in_progress = "in_progress"
    paused = "paused"
    completed = "completed"
    declined = "declined"
    cancelled = "cancelled"


OPEN = frozenset({Standing.scheduled, Standing.in_progress, Standing.paused})
"""An answer can still be given."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a questionnaire has come, in scored items. ``answered`` includes those ``declined``."""

    answered: int
    declined: int
    remaining: int


def objection(given: Mapping[str, GivenAnswer], instrument: Instrument) -> str | None:
    """Why answers cannot be taken: ``item_unknown`` or ``value_out_of_scale``; None where they can."""
    known = {item.id for item in instrument.items} | {question.id for question in instrument.unscored}
    if not known.issuperset(given):
        return "item_unknown"
    scale = instrument.scale
    values = [answer for answer in given.values() if isinstance(answer, int)]
    if any(not scale.minimum <= value <= scale.maximum for value in values):
        return "value_out_of_scale"
    return None


def merged(saved: Answers, given: Mapping[str, GivenAnswer]) -> dict[str, ItemAnswer]:
    """The answers so far: a new one takes the place of an earlier one, None takes it away; the rest stays."""
    answers = dict(saved)
    for item, answer in given.items():
        if answer is None:
            answers.pop(item, None)
        else:
            answers[item] = _kept(answer)
    return answers


def counts(answers: Answers, instrument: Instrument) -> Counts:
    """Where the questionnaire stands. Questions a country added are not counted: they are never scored."""
    found = [answers[item.id] for item in instrument.items if item.id in answers]
    declined = sum(answer.kind is AnswerKind.declined for answer in found)
    return Counts(answered=len(found), declined=declined, remaining=len(instrument.items) - len(found))


def scorer(caller: Caller | None) -> str:
    """Who scored: a role and an opaque staff identifier, hashed where it does not fit the contract's form."""
    if caller is None:
        return "unknown"
    role = next((role for role in ("caseworker", "supervisor") if role in caller.roles), "staff")
    name = f"{role}:{caller.sub}"
    if re.fullmatch(r"[0-9A-Za-z._:-]{1,64}", name):
        return name
    return f"{role}:{hashlib.sha256(caller.sub.encode()).hexdigest()[:32]}"


def _kept(answer: int | NotScored) -> ItemAnswer:
    if isinstance(answer, int):
        return ItemAnswer(kind=AnswerKind.value, value=answer)
    return ItemAnswer(kind=AnswerKind(answer))
