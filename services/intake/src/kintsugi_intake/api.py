"""Intake over HTTP. Every change needs a caseworker or supervisor and an Idempotency-Key."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from kintsugi.auth import Caller, require
from kintsugi.commands import Commands, commands
from kintsugi.http.border import MIB, BodyRule
from kintsugi.http.problems import Problem
from kintsugi_events import Code
from sqlalchemy import select

from kintsugi_intake import htcds
from kintsugi_intake.answers import (
    CaseAnswer,
    CaseList,
    CaseOpenedAnswer,
    ConsentsAnswer,
    ProfileAnswer,
    StateAnswer,
)
from kintsugi_intake.commands import ChangeContactProfile, CloseCase, Consent, ImportCase, OpenCase, StopContact
from kintsugi_intake.domain import as_heard
from kintsugi_intake.imports import ImportReport, Result, RowReport, command_of, summed
from kintsugi_intake.state import IntakeFile
from kintsugi_intake.views import CASES, CONSENTS, CONTACT_CHANNELS, CONTACT_WINDOWS, SUBJECTS

router = APIRouter(tags=["intake"])

Office = Annotated[Commands[IntakeFile], Depends(commands)]
Staff = Annotated[Caller, Depends(require("caseworker", "supervisor"))]
Supervisor = Annotated[Caller, Depends(require("supervisor"))]

BODY_RULES = {"/imports/htcds": BodyRule(media_types=("text/csv",), limit=16 * MIB, seconds=60.0)}
"""What paths take that take something else than JSON of ordinary size."""

AT_ONCE = 4
"""Rows of a file that are taken at the same time: few enough to leave the database to the people at work."""


@router.post("/cases", status_code=201, response_model=CaseOpenedAnswer)
async def open_case(body: OpenCase, office: Office, caller: Staff) -> Response:
    """Open a case for a survivor who was met. Staff are alerted at once where somebody is in immediate danger."""
    return await office.execute(body, caller=caller, status=201, answer=CaseOpenedAnswer.of)


@router.get("/cases")
async def list_cases(
    office: Office,
    _caller: Staff,
    state: Annotated[Literal["open", "closed"] | None, Query()] = None,
    after: Annotated[str, Query(max_length=20)] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> CaseList:
    """List cases by reference and state."""
    query = select(CASES.c.case_ref, CASES.c.state).where(CASES.c.case_ref > after)
    if state is not None:
        query = query.where(CASES.c.state == state)
    found = await office.rows(query.order_by(CASES.c.case_ref).limit(limit + 1))
    cases = tuple(StateAnswer(case_ref=row["case_ref"], state=row["state"]) for row in found[:limit])
    return CaseList(cases=cases, next=cases[-1].case_ref if len(found) > limit else None)


@router.get("/cases/{ref}")
async def show_case(ref: str, office: Office, _caller: Staff, response: Response) -> CaseAnswer:
    """Show one case in references and codes. Addresses, names and notes are not here. The ETag is for If-Match."""
    subject = await _subject(office, ref)
    # The version is read first: what changes while the rest is read makes the ETag old, never the answer.
    [row] = await office.rows(select(SUBJECTS.c.version).where(SUBJECTS.c.subject == subject))
    response.headers["ETag"] = f'"{row["version"]}"'
    [case] = await office.rows(select(CASES).where(CASES.c.subject == subject))
    consents = await office.rows(
        select(CONSENTS).where(CONSENTS.c.subject == subject).order_by(CONSENTS.c.purpose, CONSENTS.c.agency)
    )
    windows = await office.rows(
        select(CONTACT_WINDOWS).where(CONTACT_WINDOWS.c.subject == subject).order_by(CONTACT_WINDOWS.c.position)
    )
    channels = await office.rows(
        select(CONTACT_CHANNELS).where(CONTACT_CHANNELS.c.subject == subject).order_by(CONTACT_CHANNELS.c.kind)
    )
    return CaseAnswer.of(case, consents, windows, channels)


@router.post("/cases/{ref}/consents", response_model=ConsentsAnswer)
async def decide_consent(ref: str, body: Annotated[Consent, Body()], office: Office, caller: Staff) -> Response:
    """Record that a consent was granted or refused, or withdraw it. A withdrawal is accepted in every state."""
    subject = await _subject(office, ref)
    return await office.execute(body, caller=caller, subject=subject, answer=ConsentsAnswer.of)


@router.patch("/cases/{ref}/contact-profile", response_model=ProfileAnswer)
async def change_contact_profile(ref: str, body: ChangeContactProfile, office: Office, caller: Staff) -> Response:
    """Change how the survivor is reached safely: a merge patch. Needs If-Match."""
    subject = await _subject(office, ref)
    return await office.execute(body, caller=caller, subject=subject, etag=True, answer=ProfileAnswer.of)


@router.post("/cases/{ref}/stop-contact", response_model=ProfileAnswer)
async def stop_contact(ref: str, office: Office, caller: Staff) -> Response:
    """From now on only the survivor makes contact. Needs no body and no If-Match, and is accepted in every state."""
    subject = await _subject(office, ref)
    return await office.execute(StopContact(), caller=caller, subject=subject, answer=ProfileAnswer.of)


@router.post("/cases/{ref}/close", response_model=StateAnswer)
async def close_case(ref: str, body: CloseCase, office: Office, caller: Supervisor) -> Response:
    """Close a case. The supervisor who sends the request approves it."""
    subject = await _subject(office, ref)
    return await office.execute(body, caller=caller, subject=subject, answer=StateAnswer.of)


@router.post(
    "/imports/htcds",
    openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def import_htcds(
    request: Request,
    office: Office,
    caller: Staff,
    default_office: Annotated[Code | None, Query(alias="office")] = None,
) -> ImportReport:
    """Take the cases of an HTCDS 2.0 CSV. The same file, sent again by anybody, takes no row twice.

    Every row ends as taken, taken before, or refused with a reason and the field; the other rows are taken. `office`
    is for rows that name none.
    """
    data = await request.body()
    try:
        found = await asyncio.to_thread(lambda: list(htcds.read(data, caller.country)))
        not_read = await asyncio.to_thread(htcds.unknown_columns, data, caller.country)
    except htcds.NotHtcds as error:
        raise Problem(
            422, error.code, "The file is not an HTCDS CSV", "No row of it was taken.", error.mend.capitalize() + "."
        ) from None
    before = await _taken_before(office, [row.key for row in found if isinstance(row, htcds.Row)])
    rows, reports, failures = iter(found), list[RowReport](), list[Exception]()

    async def take_in_turn() -> None:
        for row in rows:
            if failures:
                return
            try:
                reports.append(await _report(office, row, before, default_office))
            except Exception as error:
                failures.append(error)

    await asyncio.gather(*(take_in_turn() for _ in range(AT_ONCE)))
    if failures:
        # What was taken stays taken: the caller sends the whole file again.
        raise failures[0]
    return summed(reports, len(not_read))


async def _report(
    office: Commands[IntakeFile], row: htcds.Row | htcds.Refused, before: dict[str, str], default_office: str | None
) -> RowReport:
    if isinstance(row, htcds.Refused):
        return RowReport(row=row.row_number, result=Result.refused, reason=row.reason.value, field=row.field)
    if row.key in before:
        return RowReport(row=row.row_number, result=Result.already_taken, case_ref=before[row.key])
    command = command_of(row, default_office)
    return command if isinstance(command, RowReport) else await _take(office, row.row_number, command)


async def _take(office: Commands[IntakeFile], number: int, command: ImportCase) -> RowReport:
    try:
        # Without a caller, so that a row has one key in the whole office, whoever sends the file.
        answered = await office.execute(
            command, caller=None, status=201, key=f"htcds:{command.import_ref}", answer=CaseOpenedAnswer.of
        )
    except Problem as problem:
        if problem.status >= 500:
            raise
        return RowReport(row=number, result=Result.refused, reason=problem.code)
    return RowReport(row=number, result=Result.taken, case_ref=json.loads(bytes(answered.body))["case_ref"])


async def _taken_before(office: Commands[IntakeFile], keys: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for start in range(0, len(keys), 1000):
        part = keys[start : start + 1000]
        rows = await office.rows(select(CASES.c.import_ref, CASES.c.case_ref).where(CASES.c.import_ref.in_(part)))
        found |= {row["import_ref"]: row["case_ref"] for row in rows}
    return found


async def _subject(office: Commands[IntakeFile], ref: str) -> str:
    return await office.subject(CASES.c.case_ref == as_heard(ref))
