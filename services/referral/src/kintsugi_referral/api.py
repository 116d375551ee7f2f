"""What staff do over HTTP: list referrals, record the survivor's choice, offer again, cancel, take back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from kintsugi.auth import Caller, require
from kintsugi.commands import Commands, Done, commands
from kintsugi.http.problems import Problem
from kintsugi_events import ReferralProposed
from pydantic import BaseModel
from sqlalchemy import ColumnElement, RowMapping, select

from kintsugi_referral.commands import Cancel, Choose, Chosen, Ended, MarkAsError, OfferAgain
from kintsugi_referral.domain import Status
from kintsugi_referral.state import CaseFile
from kintsugi_referral.views import OPTIONS, REFERRALS

router = APIRouter(tags=["referrals"])

Office = Annotated[Commands[CaseFile], Depends(commands)]
Staff = Annotated[Caller, Depends(require("caseworker", "supervisor"))]


class OptionRow(BaseModel):
    """A service that is offered; ``reasons`` are the codes of why."""

    option_id: str
    service_id: str
    agency: str
    rank: int
    reasons: list[str]


class ReferralRow(BaseModel):
    """A referral as it stands: references, states, codes and times, nothing personal."""

    referral_id: str
    case_ref: str
    assessment_id: str
    need_id: str
    need: str
    band: str
    status: str
    sub_status: str | None
    reason: str | None
    choice: str | None
    option_id: str | None
    agency: str | None
    withheld: str | None
    consent_id: str | None
    attempt: int
    proposed_at: datetime
    requested_at: datetime | None
    answer_due: datetime | None
    overdue: bool
    purge_due: datetime | None
    purged_at: datetime | None
    options: list[OptionRow]


class ReferralList(BaseModel):
    """Referrals, oldest proposal first. ``next`` is the ``after`` of the next page."""

    referrals: list[ReferralRow]
    next: str | None


class ReferralState(BaseModel):
    """Where a referral stands after a request. ``withheld`` says why its agency was not asked yet."""

    referral_id: str
    status: str
    choice: str | None
    option_id: str | None
    agency: str | None
    withheld: str | None
    answer_due: datetime | None


@router.get("/referrals")
async def list_referrals(
    office: Office,
    _caller: Staff,
    case_ref: Annotated[str | None, Query(max_length=20)] = None,
    status: Status | None = None,
    overdue: bool | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(max_length=100)] = None,
) -> ReferralList:
    """Lists referrals, of one case or of all, in one state or in any."""
    where: list[ColumnElement[bool]] = []
    if case_ref is not None:
        await office.caught_up(REFERRALS.c.case_ref == case_ref)
        where.append(REFERRALS.c.case_ref == case_ref)
    if status is not None:
        where.append(REFERRALS.c.status == status.value)
    if overdue is not None:
        where.append(REFERRALS.c.overdue == overdue)
    if after is not None:
        where.append(await _behind(office, after))
    query = select(REFERRALS).where(*where).order_by(REFERRALS.c.proposed_at, REFERRALS.c.referral_id)
    found = await office.rows(query.limit(limit + 1))
    page = found[:limit]
    following = str(page[-1]["referral_id"]) if len(found) > limit else None
    return ReferralList(referrals=await _with_options(office, page), next=following)


@router.get("/referrals/{referral_id}")
async def read_referral(referral_id: str, office: Office, _caller: Staff) -> ReferralRow:
    """One referral with its options."""
    await office.subject(REFERRALS.c.referral_id == referral_id, what="referral")
    found = await office.rows(select(REFERRALS).where(REFERRALS.c.referral_id == referral_id).limit(1))
    return (await _with_options(office, found))[0]


@router.post("/referrals/{referral_id}/choice", response_model=ReferralState)
async def choose(referral_id: str, body: Chosen, office: Office, caller: Staff) -> Response:
    """The survivor's choice. Without a consent for the agency it is kept, and goes out when the consent arrives."""
    command = Choose(referral_id=referral_id, **body.model_dump())
    return await _execute(command, referral_id, office, caller)


@router.post("/referrals/{referral_id}/offer", response_model=ReferralState)
async def offer_again(referral_id: str, office: Office, caller: Staff) -> Response:
    """Asks the directory anew; the answer is the proposal, a new one where the referral has ended."""
    return await _execute(OfferAgain(referral_id=referral_id), referral_id, office, caller)


@router.post("/referrals/{referral_id}/cancel", response_model=ReferralState)
async def cancel(referral_id: str, body: Ended, office: Office, caller: Staff) -> Response:
    """Ends a referral from our side, with a reason."""
    command = Cancel(referral_id=referral_id, **body.model_dump())
    return await _execute(command, referral_id, office, caller)


@router.post("/referrals/{referral_id}/entered-in-error", response_model=ReferralState)
async def mark_as_error(referral_id: str, office: Office, caller: Staff) -> Response:
    """Takes back a referral that should never have been recorded."""
    return await _execute(MarkAsError(referral_id=referral_id), referral_id, office, caller)


async def _execute(command: BaseModel, referral_id: str, office: Commands[CaseFile], caller: Caller) -> Response:
    subject = await office.subject(REFERRALS.c.referral_id == referral_id, what="referral")

    def answer(done: Done[CaseFile]) -> ReferralState:
        proposed = next((event.referral_id for event in done.events if isinstance(event, ReferralProposed)), None)
        referral = done.state.referrals[proposed or referral_id]
        return ReferralState(
            referral_id=referral.referral_id,
            status=referral.status.value,
            choice=referral.choice,
            option_id=referral.option_id,
            agency=referral.agency,
            withheld=referral.withheld,
            answer_due=referral.answer_due,
        )

    return await office.execute(command, caller=caller, subject=subject, answer=answer)


async def _behind(office: Commands[CaseFile], after: str) -> ColumnElement[bool]:
    """What comes after a referral in the order of the list."""
    last = await office.rows(select(REFERRALS.c.proposed_at).where(REFERRALS.c.referral_id == after).limit(1))
    if not last:
        raise Problem(
            422,
            "page_unknown",
            "The page does not exist",
            None,
            "Send `next` of the last answer as `after`, unchanged.",
        )
    at = last[0]["proposed_at"]
    later: ColumnElement[bool] = (REFERRALS.c.proposed_at > at) | (
        (REFERRALS.c.proposed_at == at) & (REFERRALS.c.referral_id > after)
    )
    return later


async def _with_options(office: Commands[CaseFile], found: Sequence[RowMapping]) -> list[ReferralRow]:
    ids = [row["referral_id"] for row in found]
    options: dict[str, list[Any]] = {id_: [] for id_ in ids}
    if ids:
        query = select(OPTIONS).where(OPTIONS.c.referral_id.in_(ids)).order_by(OPTIONS.c.rank)
        for row in await office.rows(query):
            options[row["referral_id"]].append({name: row[name] for name in OptionRow.model_fields})
    return [ReferralRow.model_validate({**row, "options": options[row["referral_id"]]}) for row in found]
