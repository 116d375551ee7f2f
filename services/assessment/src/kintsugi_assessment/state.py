"""What assessment remembers of a case, how events change it, and what is owed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import singledispatch

from kintsugi.agenda import Agenda, Deadline
from kintsugi.service import State
from kintsugi_contracts.base import Event, Purpose, Sealed
from kintsugi_events import (
    AnsweringStatus,
    AssessmentAnswersSaved,
    AssessmentCompleted,
    AssessmentDeclined,
    AssessmentDeclineReason,
    AssessmentOverdue,
    AssessmentPurpose,
    AssessmentScheduled,
    CaseClosed,
    CaseOpened,
    Need,
)
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from kintsugi_assessment.domain import OPEN, Standing


class Assessment(BaseModel):
    """One assessment of a case. ``answers`` are the last saved or the completed ones, sealed.

    ``answered``, ``declined_items`` and ``remaining`` count scored items when answers were last saved; None before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    assessment_id: str
    instrument: str
    instrument_version: str
    purpose: AssessmentPurpose
    due_at: AwareDatetime
    standing: Standing = Standing.scheduled
    overdue: bool = False
    answers: Sealed | None = None
    answered: int | None = None
    declined_items: int | None = None
    remaining: int | None = None
    saved_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None
    declined_at: AwareDatetime | None = None
    decline_reason: AssessmentDeclineReason | None = None
    needs: tuple[Need, ...] = ()
    incomplete_domains: tuple[str, ...] = ()


class AssessmentFile(State):
    """One case as assessment knows it. ``assessments`` keep the order in which they were scheduled."""

    case_ref: str = ""
    office: str = ""
    languages: tuple[str, ...] = ()
    closed_at: AwareDatetime | None = None
    assessments: Mapping[str, Assessment] = Field(default_factory=dict)

    @property
    def closed(self) -> bool:
        """Whether the case was closed, which cancels what is open."""
        return self.closed_at is not None

    def standing(self, assessment: Assessment) -> Standing:
        """Where an assessment of this case stands."""
        # Derived rather than written, so that closing a case commutes with whatever was answered meanwhile.
        return Standing.cancelled if self.closed and assessment.standing in OPEN else assessment.standing

    def open(self) -> Iterator[Assessment]:
        """The assessments that can still be answered."""
        return (each for each in self.assessments.values() if self.standing(each) in OPEN)

    def completed(self) -> tuple[Assessment, ...]:
        """The completed assessments, the latest first. One is open at a time: they end in the order of scheduling."""
        found = [each for each in self.assessments.values() if each.standing is Standing.completed]
        return tuple(reversed(found))


@singledispatch
def evolve(_event: Event, case: AssessmentFile) -> AssessmentFile:
    """The case after an event."""
    return case


@evolve.register
def _(event: CaseOpened, case: AssessmentFile) -> AssessmentFile:
    return case.model_copy(update={"case_ref": event.case_ref, "office": event.office, "languages": event.languages})


@evolve.register
def _(event: CaseClosed, case: AssessmentFile) -> AssessmentFile:
    return case.model_copy(update={"closed_at": event.closed_at})


@evolve.register
def _(event: AssessmentScheduled, case: AssessmentFile) -> AssessmentFile:
    if event.assessment_id in case.assessments:
        return case
    scheduled = Assessment(
        assessment_id=event.assessment_id,
        instrument=event.instrument,
        instrument_version=event.instrument_version,
        purpose=event.purpose,
        due_at=event.due_at,
    )
    return case.model_copy(update={"assessments": {**case.assessments, scheduled.assessment_id: scheduled}})


@evolve.register
def _(event: AssessmentOverdue, case: AssessmentFile) -> AssessmentFile:
    return _changed(case, event.assessment_id, overdue=True)


@evolve.register
def _(event: AssessmentAnswersSaved, case: AssessmentFile) -> AssessmentFile:
    paused = event.status is AnsweringStatus.paused
    return _changed(
        case,
        event.assessment_id,
        standing=Standing.paused if paused else Standing.in_progress,
        answers=event.sealed_as(Purpose.assessment),
        answered=event.answered,
        declined_items=event.declined,
        remaining=event.remaining,
        saved_at=event.saved_at,
    )


@evolve.register
def _(event: AssessmentCompleted, case: AssessmentFile) -> AssessmentFile:
    return _changed(
        case,
        event.assessment_id,
        standing=Standing.completed,
        answers=event.sealed_as(Purpose.assessment),
        answered=None,
        declined_items=None,
        remaining=None,
        completed_at=event.completed_at,
        needs=event.needs,
        incomplete_domains=event.incomplete_domains,
    )


@evolve.register
def _(event: AssessmentDeclined, case: AssessmentFile) -> AssessmentFile:
    # What was answered before the survivor declined is not kept.
    return _changed(
        case,
        event.assessment_id,
        standing=Standing.declined,
        answers=None,
        answered=None,
        declined_items=None,
        remaining=None,
        declined_at=event.declined_at,
        decline_reason=event.reason,
    )


def agenda(case: AssessmentFile) -> Agenda:
    """Each assessment that can still be made is owed by its date, once."""
    return {f"due/{each.assessment_id}": Deadline(at=each.due_at) for each in case.open() if not each.overdue}


def _changed(case: AssessmentFile, assessment_id: str, **update: object) -> AssessmentFile:
    """The case with one assessment changed; what has ended, or is not known, stays as it is."""
    before = case.assessments.get(assessment_id)
    if before is None or before.standing not in OPEN:
        return case
    after = before.model_copy(update=update)
    return case.model_copy(update={"assessments": {**case.assessments, assessment_id: after}})
