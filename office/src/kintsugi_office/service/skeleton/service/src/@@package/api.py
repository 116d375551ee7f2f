"""What staff ask over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from kintsugi.auth import Caller, require
from kintsugi.commands import Commands, commands
from pydantic import BaseModel
from sqlalchemy import select

from @@package.state import CaseFile
from @@package.views import @@NOUNS

router = APIRouter(tags=["@@service"])

Office = Annotated[Commands[CaseFile], Depends(commands)]
Staff = Annotated[Caller, Depends(require("caseworker", "supervisor"))]


class @@{Noun}Row(BaseModel):
    """One @@noun."""

    @@{noun}_id: str
    recorded_at: datetime


@router.get("/cases/{case_ref}/@@nouns")
async def read_@@nouns(case_ref: str, office: Office, _caller: Staff) -> list[@@{Noun}Row]:
    """What was recorded of a case, the oldest first."""
    await office.caught_up(@@NOUNS.c.case_ref == case_ref)
    found = await office.rows(
        select(@@NOUNS).where(@@NOUNS.c.case_ref == case_ref).order_by(@@NOUNS.c.recorded_at)
    )
    return [@@{Noun}Row.model_validate(dict(row)) for row in found]
