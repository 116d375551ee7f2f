"""A desk that makes a task of every danger and every overdue assessment, and tells the survivor once."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import singledispatch

from kintsugi.agenda import Agenda, Deadline, Delivery, Message, Outcome, Send
from kintsugi.application import Application
from kintsugi.service import Context, Service, State
from kintsugi.views import Rows, Views
from kintsugi_contracts.base import Event
from kintsugi_events import (
    About,
    AssessmentOverdue,
    CaseClosed,
    ConsentRecorded,
    RiskRaised,
    Role,
    StaffTaskAcknowledged,
    StaffTaskCreated,
    StaffTaskKind,
    TaskReason,
)
from pydantic import AwareDatetime, Field, SecretStr
from sqlalchemy import Column, DateTime, MetaData, Table, Text

SURVIVOR = "00000000-0000-4000-8000-000000000001"


class Desk(State):
    """What the desk remembers of a case. ``answered``: who has been told, or will not be."""

    dangers: int = 0
    consents: int = 0
    closed_at: AwareDatetime | None = None
    tasks: Mapping[str, AwareDatetime] = Field(default_factory=dict)
    answered: tuple[str, ...] = ()


class Trouble:
    """Lets the handler of a closed case raise, as a bad release would."""

    raising = False


@singledispatch
def evolve(event: Event, state: Desk) -> Desk:
    """What is not registered changes nothing."""
    return state


@evolve.register
def _(event: RiskRaised, state: Desk) -> Desk:
    return state.model_copy(update={"dangers": state.dangers + 1})


@evolve.register
def _(event: ConsentRecorded, state: Desk) -> Desk:
    return state.model_copy(update={"consents": state.consents + 1})


@evolve.register
def _(event: CaseClosed, state: Desk) -> Desk:
    return state.model_copy(update={"closed_at": event.closed_at})


@evolve.register
def _(event: StaffTaskCreated, state: Desk) -> Desk:
    return state.model_copy(update={"tasks": {**state.tasks, event.task_id: event.due_at}})


@evolve.register
def _(event: StaffTaskAcknowledged, state: Desk) -> Desk:
    left = {task: due for task, due in state.tasks.items() if task != event.task_id}
    return state.model_copy(update={"tasks": left, "answered": (*state.answered, event.task_id)})


def agenda(state: Desk) -> Agenda:
    """Every task wants an answer and an alert; a survivor who consented is told once."""
    owed: Agenda = {}
    for task, due in state.tasks.items():
        owed[f"answer/{task}"] = Deadline(at=due + timedelta(days=36_500))
        owed[f"alert/{task}"] = _send(Delivery.at_least_once, "caseworker", due)
    if state.consents and SURVIVOR not in state.answered:
        owed["survivor/1"] = _send(Delivery.at_most_once, "survivor", None)
    return owed


def _send(delivery: Delivery, recipient: str, due: AwareDatetime | None) -> Send:
    expires = (due or datetime(2026, 1, 1, tzinfo=UTC)) + timedelta(days=36_500)
    return Send(channel="mail", recipient=recipient, delivery=delivery, expires=expires)


desk = Service("notify", state=Desk, evolve=evolve, agenda=agenda, fold_version=1)


def _task(event: Event, ctx: Context) -> StaffTaskCreated:
    return StaffTaskCreated(
        task_id=str(uuid.uuid4()),
        kind=StaffTaskKind.follow_up_provider,
        reason=TaskReason.provider_overdue,
        role=Role.caseworker,
        due_at=ctx.now,
        about=About(type=event.type, event_id=str(uuid.uuid4())),
        created_at=ctx.now,
    )


@desk.on(RiskRaised)
def alert(event: RiskRaised, state: Desk, ctx: Context) -> list[Event]:
    """Two tasks for each danger, so that one decision makes several events."""
    return [_task(event, ctx), _task(event, ctx)]


@desk.on(AssessmentOverdue)
def remind(event: AssessmentOverdue, state: Desk, ctx: Context) -> list[Event]:
    """One task."""
    return [_task(event, ctx)]


@desk.on(CaseClosed)
def close(event: CaseClosed, state: Desk, ctx: Context) -> list[Event]:
    """One task, or the trouble."""
    if Trouble.raising:
        raise ValueError("a bad release")
    return [_task(event, ctx)]


@desk.prepare("survivor")
@desk.prepare("alert")
def write(send: Send, state: Desk, ctx: Context) -> Message:
    """The same neutral words for everybody."""
    words = SecretStr("There is an update.")
    return Message(to=SecretStr("desk@office.example"), subject=words, body=words, template="update", locale="en")


@desk.outcome("survivor")
def told(outcome: Outcome, state: Desk, ctx: Context) -> list[Event]:
    """Told, or never to be told again."""
    return [StaffTaskAcknowledged(task_id=SURVIVOR, role=Role.caseworker, acknowledged_at=ctx.now)]


@desk.outcome("alert")
def alerted(outcome: Outcome, state: Desk, ctx: Context) -> list[Event]:
    """The task is taken."""
    task = outcome.name.partition("/")[2]
    return [StaffTaskAcknowledged(task_id=task, role=Role.caseworker, acknowledged_at=ctx.now)]


metadata = MetaData()
TASKS = Table(
    "tasks",
    metadata,
    Column("subject", Text, nullable=False),
    Column("task_id", Text, nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
)


def _rows(subject: str, state: Desk) -> Rows:
    return {"tasks": [{"task_id": task, "due_at": due} for task, due in state.tasks.items()]}


application: Application[Desk] = Application(service=desk, views=Views(metadata, _rows))
