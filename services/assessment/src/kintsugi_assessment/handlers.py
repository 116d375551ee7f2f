"""Decides: one function per input; it returns the events that follow, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

from kintsugi.service import Context, Rejected, Service, Withheld
from kintsugi_contracts.base import Event, Purpose
from kintsugi_events import (
    AnsweringStatus,
    AssessmentAnswersSaved,
    AssessmentAnswersSavedSealed,
    AssessmentDeclined,
    AssessmentOverdue,
    AssessmentPurpose,
    AssessmentScheduled,
    CaseOpened,
)

from kintsugi_assessment.answering import answered, answers_of, instrument_of
from kintsugi_assessment.commands import AnswerItems, Decline, ScheduleAssessment
from kintsugi_assessment.completing import completed
from kintsugi_assessment.domain import counts
from kintsugi_assessment.policies import assessment_is_open, case_is_open, none_is_open, refuse
from kintsugi_assessment.state import AssessmentFile, agenda, evolve

service = Service("assessment", state=AssessmentFile, evolve=evolve, agenda=agenda, fold_version=1)

_SEALED = (Purpose.assessment,)


@service.on(CaseOpened)
def schedule_baseline(_event: CaseOpened, case: AssessmentFile, ctx: Context) -> list[Event]:
    """A case was opened: its baseline assessment is due by the country's deadline."""
    if case.assessments:
        return []
    return [_scheduled(AssessmentPurpose.baseline, ctx)]


@service.command(ScheduleAssessment, requires=[case_is_open, none_is_open])
def schedule(command: ScheduleAssessment, case: AssessmentFile, ctx: Context) -> list[Event]:
    """A caseworker wants to look again, or the survivor who declined the baseline now wants it."""
    purpose = AssessmentPurpose(command.purpose)
    if purpose is AssessmentPurpose.baseline and any(each.purpose is purpose for each in case.completed()):
        refuse(command, Withheld("baseline_completed"), case, ctx)
    return [_scheduled(purpose, ctx, command.due_at)]


@service.command(AnswerItems, reads=_SEALED, seals=_SEALED, requires=[case_is_open, assessment_is_open])
def answer(command: AnswerItems, case: AssessmentFile, ctx: Context) -> list[Event]:
    """Answers are added to those saved before; the questionnaire goes on, pauses, or is complete."""
    assessment = case.assessments[command.assessment_id]
    instrument = instrument_of(assessment, ctx)
    said = answered(command, answers_of(assessment, ctx), instrument, ctx)
    if command.finish:
        return completed(assessment, said, instrument, case, ctx)
    stand = counts(said.answers, instrument)
    return [
        AssessmentAnswersSaved(
            assessment_id=assessment.assessment_id,
            status=AnsweringStatus.paused if command.pause else AnsweringStatus.in_progress,
            answered=stand.answered,
            declined=stand.declined,
            remaining=stand.remaining,
            saved_at=ctx.now,
            sealed=AssessmentAnswersSavedSealed(assessment=said),
        )
    ]


@service.command(Decline, tightens=True, requires=[case_is_open, assessment_is_open])
def decline(command: Decline, _case: AssessmentFile, ctx: Context) -> list[Event]:
    """The assessment will not be made. It acts at once, even on hold, and changes nothing about access to help."""
    return [AssessmentDeclined(assessment_id=command.assessment_id, reason=command.code, declined_at=ctx.now)]


@service.due("due")
def overdue(name: str, case: AssessmentFile, _ctx: Context) -> list[Event]:
    """An assessment was not complete in time: said once. It may still be made."""
    assessment = case.assessments[name.partition("/")[2]]
    return [AssessmentOverdue(assessment_id=assessment.assessment_id, due_at=assessment.due_at)]


for _handler in (schedule, answer, decline):
    _handler.withheld(refuse)


def _scheduled(purpose: AssessmentPurpose, ctx: Context, wanted: datetime | None = None) -> AssessmentScheduled:
    instrument = ctx.pack.baseline_instrument
    baseline = purpose is AssessmentPurpose.baseline
    latest = ctx.pack.due("assessment_baseline" if baseline else "assessment_follow_up", ctx.now)
    due_at = latest if wanted is None else wanted.astimezone(UTC)
    if not ctx.now < due_at <= latest:
        raise Rejected(
            "due_date_refused",
            "The date lies in the past or behind the country's deadline.",
            status=422,
            next_step="Send a date before that, or leave it out for the country's deadline.",
        )
    return AssessmentScheduled(
        assessment_id=ctx.new_id(),
        instrument=instrument.id,
        instrument_version=instrument.version,
        purpose=purpose,
        due_at=due_at,
    )
