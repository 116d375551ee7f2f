"""Baseline policies: what must hold before a command is decided. A country may only add to them."""

from __future__ import annotations

from typing import Any, NoReturn

from kintsugi.service import Allowed, Context, Judgement, Rejected, Withheld

from kintsugi_assessment.commands import AnswerItems, Decline
from kintsugi_assessment.domain import OPEN
from kintsugi_assessment.state import AssessmentFile

_ALLOWED = Allowed()

_EXPLAINED = {
    "case_closed": ("The case is closed.", "Nothing is assessed in a closed case."),
    "assessment_completed": (
        "The assessment is complete; its answers do not change any more.",
        "Schedule a follow-up with POST /cases/{ref}/assessments.",
    ),
    "assessment_declined": (
        "The assessment was declined.",
        "If the survivor wants one now, schedule it with POST /cases/{ref}/assessments.",
    ),
    "assessment_open": (
        "The case has an assessment that is still open.",
        "Finish or decline that one first; GET /assessments lists it.",
    ),
    "baseline_completed": ("The baseline assessment is complete.", "Schedule a follow_up instead."),
}


def case_is_open(_command: object, case: AssessmentFile, _ctx: Context) -> Judgement:
    """Nothing is assessed in a closed case."""
    return Withheld("case_closed") if case.closed else _ALLOWED


def assessment_is_open(command: AnswerItems | Decline, case: AssessmentFile, _ctx: Context) -> Judgement:
    """What was completed or declined stays as it is. An overdue assessment is still open."""
    assessment = case.assessments.get(command.assessment_id)
    if assessment is None:
        raise Rejected(
            "not_found",
            "This case has no assessment with that reference.",
            status=404,
            next_step="Check the reference; GET /assessments lists them.",
        )
    return _ALLOWED if assessment.standing in OPEN else Withheld(f"assessment_{assessment.standing.value}")


def none_is_open(_command: object, case: AssessmentFile, _ctx: Context) -> Judgement:
    """One assessment at a time: nobody is asked the same twice because two are open."""
    return Withheld("assessment_open") if any(case.open()) else _ALLOWED


def refuse(_command: Any, verdict: Withheld, _case: AssessmentFile, _ctx: Context) -> NoReturn:
    """Tells the caller why a policy withholds, and what to do."""
    detail, next_step = _EXPLAINED.get(
        verdict.reason, ("A policy of this country withholds it.", "See the country pack's policies.")
    )
    raise Rejected(verdict.reason, detail, next_step=next_step)
