"""Tasks for staff: taken by somebody, or passed on to the next role when they fall due."""

from __future__ import annotations

from collections.abc import Sequence

from kintsugi.service import Context, Rejected
from kintsugi_contracts.base import Event
from kintsugi_events import (
    Role,
    StaffTaskAcknowledged,
    StaffTaskCreated,
    StaffTaskKind,
    TaskReason,
)
from pydantic import BaseModel, ConfigDict

from kintsugi_notify.domain import LADDER
from kintsugi_notify.handlers.core import announced_until, service, task
from kintsugi_notify.policies import role_may_take
from kintsugi_notify.records import Task, TaskStatus
from kintsugi_notify.state import CaseFile, key_of


class AcknowledgeTask(BaseModel):
    """A member of staff takes a task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task_id: str


# Taking a task can only end alerts, so a fault elsewhere never stands in its way.
@service.command(AcknowledgeTask, tightens=True, requires=[role_may_take])
def take(command: AcknowledgeTask, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """The task is somebody's now: neither it nor what it escalated to escalates further."""
    known = case.tasks.get(command.task_id)
    if known is None:
        raise Rejected("task_unknown", "There is no such task.", status=404, next_step="Read the list of tasks again.")
    if known.status is TaskStatus.acknowledged:
        raise Rejected(
            "already_acknowledged", "Somebody has taken this task.", next_step="Read the list of tasks again."
        )
    return [StaffTaskAcknowledged(task_id=known.task_id, role=_acting(known, ctx), acknowledged_at=ctx.now)]


@service.due("task")
def escalate(name: str, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """Nobody took the task in time: the next role gets it, with a mail."""
    return escalated(case.tasks[key_of(name)], case, ctx)


@service.due("purge")
def chase_purge(name: str, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """The provider has not confirmed that it deleted what it received."""
    mail = case.mails[f"purge_request/{key_of(name)}"]
    return task(
        StaffTaskKind.check_purge, TaskReason.purge_overdue, mail.about, case, ctx, referral_id=mail.referral_id
    )


def escalated(known: Task, case: CaseFile, ctx: Context) -> Sequence[StaffTaskCreated]:
    """The same task for the next role. Raises KeyError for a role above which there is none."""
    due = ctx.pack.due("risk_alert" if case.cannot_wait(known) else "staff_task", ctx.now)
    return [
        StaffTaskCreated(
            task_id=ctx.new_id(),
            kind=known.kind,
            code=known.code,
            reason=known.reason,
            role=LADDER[known.role],
            office=case.office or None,
            due_at=due,
            about=known.about,
            created_at=ctx.now,
            referral_id=known.referral_id,
            assessment_id=known.assessment_id,
            escalates=known.task_id,
            alert_until=announced_until(due, ctx),
        )
    ]


def _acting(known: Task, ctx: Context) -> Role:
    roles = ctx.caller.roles if ctx.caller else frozenset()
    if known.role.value in roles:
        return known.role
    return next((role for role in (Role.supervisor, Role.operator, Role.caseworker) if role.value in roles), known.role)
