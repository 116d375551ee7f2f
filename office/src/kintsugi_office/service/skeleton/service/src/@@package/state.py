"""What the service remembers of a case, and how events change it. State changes in no other way."""

from __future__ import annotations

from datetime import datetime
from functools import singledispatch
from typing import Any

from kintsugi.agenda import Agenda
from kintsugi.service import State
from @@events import @@Event
from kintsugi_events import @@evolved
from pydantic import BaseModel, ConfigDict


class @@Noun(BaseModel):
    """One @@noun, as it was recorded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @@{noun}_id: str
    recorded_at: datetime


class CaseFile(State):
    """One case. Every field has a default: a case begins with nothing known."""

    case_ref: str = ""
    @@nouns: tuple[@@Noun, ...] = ()


@singledispatch
def evolve(_event: Any, case: CaseFile) -> CaseFile:
    """The case after an event; one that nothing is remembered of leaves it as it is."""
    return case


@evolve.register
def _(event: CaseOpened, case: CaseFile) -> CaseFile:
    return case.model_copy(update={"case_ref": event.case_ref})


@evolve.register
def _(event: @@Event, case: CaseFile) -> CaseFile:
    found = @@Noun(@@{noun}_id=event.@@{noun}_id, recorded_at=event.recorded_at)
    return case.model_copy(update={"@@nouns": (*case.@@nouns, found)})


def agenda(_case: CaseFile) -> Agenda:
    """What is owed: deadlines and messages by name. Nothing yet."""
    return {}
