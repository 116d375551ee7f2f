"""Notify over HTTP: the list of tasks, taking one, and what became of a case's notifications."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from kintsugi.auth import Caller, require
from kintsugi.commands import Commands, Done, commands
from pydantic import BaseModel
from sqlalchemy import select

from kintsugi_notify.handlers.tasks import AcknowledgeTask
from kintsugi_notify.records import TaskStatus
from kintsugi_notify.state import CaseFile
from kintsugi_notify.views import NOTIFICATIONS, STAFF_TASKS

router = APIRouter(tags=["notify"])

Office = Annotated[Commands[CaseFile], Depends(commands)]
Staff = Annotated[Caller, Depends(require("caseworker", "supervisor", "operator"))]
Caseworkers = Annotated[Caller, Depends(require("caseworker", "supervisor"))]
Limit = Annotated[int, Query(ge=1, le=200, description="At most so many, the most urgent or newest first.")]


class StaffTask(BaseModel):
    """A task in references and codes."""

    task_id: str
    case_ref: str
    status: Literal["open", "acknowledged", "settled"]
    kind: str
    code: str | None
    reason: str
    role: str
    office: str | None
    due_at: datetime
    created_at: datetime
    about_type: str
    about_event: str
    referral_id: str | None
    assessment_id: str | None
    escalates: str | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class StaffTasks(BaseModel):
    """Tasks, those due first at the top."""

    tasks: list[StaffTask]


class TaskTaken(BaseModel):
    """The answer to taking a task."""

    task_id: str
    status: Literal["open", "acknowledged", "settled"]
    acknowledged_at: datetime | None


class NotificationOf(BaseModel):
    """A notification in references and codes: neither text nor address is kept."""

    notification_id: str
    case_ref: str
    audience: str
    status: Literal["owed", "sent", "failed", "withheld"]
    reason: str | None
    template: str
    locale: str | None
    about_type: str
    about_event: str
    agency: str | None
    referral_id: str | None
    task_id: str | None
    attempt: int
    ended_at: datetime | None


class Notifications(BaseModel):
    """Notifications of a case: those still owed, then the newest."""

    notifications: list[NotificationOf]


@router.get("/staff-tasks")
async def list_tasks(
    office: Office,
    _caller: Staff,
    role: Annotated[Literal["caseworker", "supervisor", "country_lead", "operator"] | None, Query()] = None,
    open: Annotated[bool | None, Query(description="True: nobody took it yet. False: all others.")] = None,
    case: Annotated[str | None, Query(max_length=20)] = None,
    limit: Limit = 50,
) -> StaffTasks:
    """List staff tasks, the earliest due first."""
    query = select(*(column for column in STAFF_TASKS.c if column.name != "subject"))
    if role is not None:
        query = query.where(STAFF_TASKS.c.role == role)
    if open is not None:
        is_open = STAFF_TASKS.c.status == TaskStatus.open.value
        query = query.where(is_open if open else ~is_open)
    if case is not None:
        await office.caught_up(STAFF_TASKS.c.case_ref == case)
        query = query.where(STAFF_TASKS.c.case_ref == case)
    found = await office.rows(query.order_by(STAFF_TASKS.c.due_at, STAFF_TASKS.c.task_id).limit(limit))
    return StaffTasks(tasks=[StaffTask.model_validate(dict(row)) for row in found])


@router.post("/staff-tasks/{task_id}/acknowledge", response_model=TaskTaken)
async def acknowledge(task_id: Annotated[str, Path(max_length=100)], office: Office, caller: Staff) -> Response:
    """Take a task. It no longer escalates, and whoever else got it by escalation is relieved of it."""
    subject = await office.subject(STAFF_TASKS.c.task_id == task_id, what="task")

    def answer(done: Done[CaseFile]) -> TaskTaken:
        taken = done.state.tasks[task_id]
        return TaskTaken(task_id=task_id, status=taken.status.value, acknowledged_at=taken.acknowledged_at)

    return await office.execute(AcknowledgeTask(task_id=task_id), caller=caller, subject=subject, answer=answer)


@router.get("/notifications")
async def list_notifications(
    office: Office, _caller: Caseworkers, case: Annotated[str, Query(max_length=20)], limit: Limit = 50
) -> Notifications:
    """List what was sent, failed, was withheld or is still owed for one case."""
    await office.caught_up(NOTIFICATIONS.c.case_ref == case)
    at = NOTIFICATIONS.c.ended_at
    query = select(*(column for column in NOTIFICATIONS.c if column.name != "subject"))
    query = query.where(NOTIFICATIONS.c.case_ref == case)
    found = await office.rows(query.order_by(at.desc().nulls_first(), NOTIFICATIONS.c.notification_id).limit(limit))
    return Notifications(notifications=[NotificationOf.model_validate(dict(row)) for row in found])
