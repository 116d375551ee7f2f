"""Assessment over HTTP. Every change needs a caseworker or supervisor and an Idempotency-Key."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from kintsugi.auth import Caller, require
from kintsugi.commands import Commands, commands
from kintsugi.http.problems import Problem
from kintsugi_country import Instrument, Pack
from kintsugi_events import AssessmentScheduled, Language
from pydantic import AwareDatetime
from sqlalchemy import ColumnElement, RowMapping, select

from kintsugi_assessment.answers import (
    AssessmentList,
    AssessmentRow,
    AssessmentState,
    NeedAnswer,
    Questionnaire,
    languages_of,
    wording,
)
from kintsugi_assessment.commands import Answered, AnswerItems, Decline, Declined, ScheduleAssessment
from kintsugi_assessment.domain import OPEN, Standing
from kintsugi_assessment.state import AssessmentFile
from kintsugi_assessment.views import ASSESSMENTS, CASES, INCOMPLETE, NEEDS

router = APIRouter(tags=["assessments"])


def _pack(request: Request) -> Pack:
    pack: Pack = request.app.state.office.pack
    return pack


Office = Annotated[Commands[AssessmentFile], Depends(commands)]
Staff = Annotated[Caller, Depends(require("caseworker", "supervisor"))]
CountryPack = Annotated[Pack, Depends(_pack)]


@router.get("/assessments")
async def list_assessments(
    office: Office,
    _caller: Staff,
    pack: CountryPack,
    due: Annotated[AwareDatetime | date | None, Query()] = None,
    status: Annotated[Standing | None, Query()] = None,
    overdue: Annotated[bool | None, Query()] = None,
    case_ref: Annotated[str | None, Query(max_length=20)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(max_length=100)] = None,
) -> AssessmentList:
    """List assessments, the one due first first.

    `due` (a day in the country's zone, or a moment) gives what is due by then and, without a `status`, only what can
    still be answered.
    """
    where: list[ColumnElement[bool]] = []
    if due is not None:
        where.append(_due_by(due, pack))
        if status is None:
            where.append(ASSESSMENTS.c.status.in_(sorted(OPEN)))
    if status is not None:
        where.append(ASSESSMENTS.c.status == status.value)
    if overdue is not None:
        where.append(ASSESSMENTS.c.overdue == overdue)
    if case_ref is not None:
        await office.caught_up(ASSESSMENTS.c.case_ref == case_ref)
        where.append(ASSESSMENTS.c.case_ref == case_ref)
    if after is not None:
        where.append(await _behind(office, after))
    query = select(ASSESSMENTS).where(*where).order_by(ASSESSMENTS.c.due_at, ASSESSMENTS.c.assessment_id)
    found = await office.rows(query.limit(limit + 1))
    page = tuple(AssessmentRow.model_validate(dict(row)) for row in found[:limit])
    return AssessmentList(assessments=page, next=page[-1].assessment_id if len(found) > limit else None)


@router.get("/assessments/{assessment_id}")
async def read_assessment(
    assessment_id: str,
    office: Office,
    _caller: Staff,
    pack: CountryPack,
    language: Annotated[Language | None, Query(max_length=35)] = None,
) -> Questionnaire:
    """Read what an assessment is for and its questions, in `language` or in the first of the survivor's that it has."""
    row = await _found(office, assessment_id)
    instrument = _instrument(row, pack)
    chosen = language or await _first_language(office, row, instrument)
    if chosen is not None and chosen not in languages_of(instrument):
        raise Problem(
            422,
            "language_not_available",
            "The instrument has no wording in that language",
            "Nothing falls back to another language.",
            "Ask for one of: " + ", ".join(languages_of(instrument)) + "; or work with an interpreter.",
        )
    needs = await office.rows(select(NEEDS).where(NEEDS.c.assessment_id == assessment_id).order_by(NEEDS.c.position))
    incomplete = await office.rows(
        select(INCOMPLETE.c.domain).where(INCOMPLETE.c.assessment_id == assessment_id).order_by(INCOMPLETE.c.position)
    )
    directions = {known.code: known.direction for known in pack.country.languages}
    return Questionnaire.model_validate(
        {
            **row,
            **wording(instrument, chosen),
            "direction": directions.get(chosen) if chosen else None,
            "needs": tuple(NeedAnswer.model_validate(dict(need)) for need in needs),
            "incomplete_domains": tuple(each["domain"] for each in incomplete),
        }
    )


@router.post("/assessments/{assessment_id}/answers", response_model=AssessmentState)
async def answer_items(assessment_id: str, body: Answered, office: Office, caller: Staff) -> Response:
    """Save answers, of any sections in any order; pause, or finish. Any question can be declined."""
    subject = await office.subject(ASSESSMENTS.c.assessment_id == assessment_id, what="assessment")
    command = AnswerItems(assessment_id=assessment_id, **body.model_dump())
    return await office.execute(
        command, caller=caller, subject=subject, answer=lambda done: AssessmentState.of(done, assessment_id)
    )


@router.post("/assessments/{assessment_id}/decline", response_model=AssessmentState)
async def decline(assessment_id: str, body: Declined, office: Office, caller: Staff) -> Response:
    """The assessment will not be made. Access to help does not change, and what was saved is not kept."""
    subject = await office.subject(ASSESSMENTS.c.assessment_id == assessment_id, what="assessment")
    command = Decline(assessment_id=assessment_id, **body.model_dump())
    return await office.execute(
        command, caller=caller, subject=subject, answer=lambda done: AssessmentState.of(done, assessment_id)
    )


@router.post("/cases/{ref}/assessments", status_code=201, response_model=AssessmentState)
async def schedule(ref: str, body: ScheduleAssessment, office: Office, caller: Staff) -> Response:
    """Schedule a follow-up, by the country's deadline or earlier; or a baseline again after it was declined."""
    subject = await office.subject(CASES.c.case_ref == ref)
    return await office.execute(
        body,
        caller=caller,
        subject=subject,
        status=201,
        answer=lambda done: AssessmentState.of(
            done, next(event.assessment_id for event in done.events if isinstance(event, AssessmentScheduled))
        ),
    )


async def _found(office: Commands[AssessmentFile], assessment_id: str) -> RowMapping:
    await office.subject(ASSESSMENTS.c.assessment_id == assessment_id, what="assessment")
    found = await office.rows(select(ASSESSMENTS).where(ASSESSMENTS.c.assessment_id == assessment_id).limit(1))
    return found[0]


def _instrument(row: RowMapping, pack: Pack) -> Instrument:
    try:
        return pack.instrument(row["instrument"], row["instrument_version"])
    except LookupError:
        raise Problem(
            409,
            "instrument_missing",
            "The instrument of this assessment is not in the country pack",
            "The pack no longer holds the version that this assessment began with.",
            "Put that version back into the pack's instruments; a version is immutable once used.",
        ) from None


async def _first_language(office: Commands[AssessmentFile], row: RowMapping, instrument: Instrument) -> str | None:
    found = await office.rows(select(CASES.c.languages).where(CASES.c.subject == row["subject"]).limit(1))
    spoken = str(found[0]["languages"]).split() if found else []
    return next((language for language in spoken if language in languages_of(instrument)), None)


def _due_by(due: datetime | date, pack: Pack) -> ColumnElement[bool]:
    if isinstance(due, datetime):
        return ASSESSMENTS.c.due_at <= due
    following = datetime.combine(due + timedelta(days=1), time(), tzinfo=pack.zone)
    return ASSESSMENTS.c.due_at < following.astimezone(UTC)


async def _behind(office: Commands[AssessmentFile], after: str) -> ColumnElement[bool]:
    """What comes after an assessment in the order of the list."""
    last = await office.rows(select(ASSESSMENTS.c.due_at).where(ASSESSMENTS.c.assessment_id == after).limit(1))
    if not last:
        raise Problem(
            422,
            "page_unknown",
            "The page does not exist",
            None,
            "Send `next` of the last answer as `after`, unchanged.",
        )
    at = last[0]["due_at"]
    later: ColumnElement[bool] = (ASSESSMENTS.c.due_at > at) | (
        (ASSESSMENTS.c.due_at == at) & (ASSESSMENTS.c.assessment_id > after)
    )
    return later
