"""What staff and integrators ask over HTTP: who received what of a case, and what an integrator must still delete."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from kintsugi.auth import INTEGRATOR, Caller, require
from kintsugi.commands import Commands, Done, commands
from kintsugi.http.problems import Problem
from pydantic import BaseModel
from sqlalchemy import select

from kintsugi_share.commands import AcknowledgePurge
from kintsugi_share.state import CaseFile
from kintsugi_share.views import CASES, DISCLOSURES, PURGES

router = APIRouter(tags=["sharing"])

Office = Annotated[Commands[CaseFile], Depends(commands)]
Staff = Annotated[Caller, Depends(require("caseworker", "supervisor"))]
Partner = Annotated[Caller, Depends(require(INTEGRATOR))]


class DisclosureRow(BaseModel):
    """Something that left the office: names of fields and references, never a value.

    ``way`` is a partner's stream or an agency's link. ``certainty`` is ``possible`` where an attempt may have arrived
    and nobody can say. ``purged_at`` is when the recipient said that it deleted what it had.
    """

    way: str
    certainty: str
    agency: str
    integrator: str | None
    purpose: str | None
    version: int | None
    revision: int | None
    referral_id: str | None
    consent_id: str
    fields: list[str]
    sealed_fields: list[str]
    made_at: datetime
    purge_requested_at: datetime | None
    purge_due: datetime | None
    purged_at: datetime | None


class DisclosureList(BaseModel):
    """Who received what of one case, the newest first."""

    case_ref: str
    disclosures: list[DisclosureRow]


class PurgeRow(BaseModel):
    """A case to forget. ``case`` is the id under which the integrator knows it; ``purge_id`` the tombstone's."""

    purge_id: str
    case: str
    purpose: str
    version: int
    requested_at: datetime
    due_at: datetime
    overdue: bool


class PurgeList(BaseModel):
    """What an integrator has not yet said to have deleted, the oldest first."""

    purges: list[PurgeRow]


class Acknowledged(BaseModel):
    """What stands in the office's books after an acknowledgement."""

    purge_id: str
    case: str
    acknowledged_at: datetime


@router.get("/cases/{case_ref}/disclosures")
async def disclosures(case_ref: str, office: Office, _caller: Staff) -> DisclosureList:
    """Who received what of a case, when, under which consent, and whether it was asked back."""
    await office.subject(CASES.c.case_ref == case_ref)
    newest = (DISCLOSURES.c.made_at.desc(), DISCLOSURES.c.agency, DISCLOSURES.c.revision.desc())
    found = await office.rows(select(DISCLOSURES).where(DISCLOSURES.c.case_ref == case_ref).order_by(*newest))
    return DisclosureList(case_ref=case_ref, disclosures=[DisclosureRow.model_validate(dict(row)) for row in found])


@router.get("/integrators/{name}/purges")
async def purges(
    name: str, office: Office, caller: Partner, limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> PurgeList:
    """The purges whose tombstones stand on the integrator's streams and that it has not acknowledged.

    No other: who acknowledged from this list before the tombstone stood could receive a record after it.
    """
    _own(name, caller)
    query = (
        select(PURGES, PURGES.c.recipient_ref.label("case"))
        .where(PURGES.c.integrator == name, PURGES.c.sent_at.is_not(None), PURGES.c.acknowledged_at.is_(None))
        .order_by(PURGES.c.requested_at, PURGES.c.purge_id)
        .limit(limit)
    )
    return PurgeList(purges=[PurgeRow.model_validate(dict(row)) for row in await office.rows(query)])


@router.post("/integrators/{name}/purges/{purge_id}/acknowledgement", response_model=Acknowledged)
async def acknowledge(name: str, purge_id: str, office: Office, caller: Partner) -> Response:
    """The integrator says that it deleted what it had of a case. Said again, the answer is the same."""
    _own(name, caller)
    subject = await office.subject(PURGES.c.purge_id == purge_id, PURGES.c.integrator == name, what="purge")

    def answer(done: Done[CaseFile]) -> Acknowledged:
        purge = done.state.purges[purge_id]
        assert purge.acknowledged_at is not None
        return Acknowledged(purge_id=purge_id, case=purge.recipient_ref, acknowledged_at=purge.acknowledged_at)

    command = AcknowledgePurge(purge_id=purge_id, integrator=name)
    return await office.execute(command, caller=caller, subject=subject, answer=answer, key=f"purge/{purge_id}")


def _own(name: str, caller: Caller) -> None:
    """Another integrator's purges are nobody's business: not even that there are any."""
    if caller.sub != name:
        raise Problem(
            404,
            "not_found",
            "No such integrator",
            "Your token speaks for no integrator of that name.",
            "Use the name that your token was issued for.",
        )
