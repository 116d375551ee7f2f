"""The service itself, and how every decision here makes a task."""

from __future__ import annotations

from datetime import datetime

from kintsugi.service import Context, Service
from kintsugi_contracts.base import Event
from kintsugi_events import About, Role, StaffTaskCreated, StaffTaskKind, TaskReason

from kintsugi_notify.domain import ENDS_WITH_THE_CASE, URGENT
from kintsugi_notify.owed import agenda
from kintsugi_notify.policies import TIGHTENING
from kintsugi_notify.state import CaseFile, evolve

service: Service[CaseFile] = Service(
    "notify",
    state=CaseFile,
    evolve=evolve,
    agenda=agenda,
    fold_version=3,
    subscribes=("intake", "assessment", "referral", "share"),
    tightening=TIGHTENING,
)

UNNAMED = "unknown"
HOLDS_GO_TO = Role.supervisor
"""Who hears that a case stands still; releasing it is then an operator's work."""


def about(event: Event, ctx: Context) -> About:
    """A reference to the event that led here."""
    return About(type=event.type, event_id=ctx.cause or UNNAMED)


def task(
    kind: StaffTaskKind,
    reason: TaskReason,
    why: About,
    case: CaseFile,
    ctx: Context,
    *,
    role: Role = Role.caseworker,
    due_at: datetime | None = None,
    referral_id: str | None = None,
    assessment_id: str | None = None,
    notice: bool = False,
    task_id: str | None = None,
    code: str | None = None,
    urgent: bool = False,
    announced: bool = False,
) -> list[StaffTaskCreated]:
    """A new task; none where the case is closed and the task has lost its object.

    ``due_at`` defaults to the country's time for staff tasks, for urgent ones to its time for alerts. ``notice``
    lets a neutral message tell the survivor that there is news. Urgent tasks, by their kind or because ``urgent`` says
    so, are announced by mail at once, unless ``announced`` says that this was done. ``code`` says what to do where
    another service words the task.
    """
    if case.closed and kind in ENDS_WITH_THE_CASE:
        return []
    urgent = urgent or kind in URGENT
    due = due_at or ctx.pack.due("risk_alert" if urgent else "staff_task", ctx.now)
    return [
        StaffTaskCreated(
            task_id=task_id or ctx.new_id(),
            kind=kind,
            code=code,
            reason=reason,
            role=role,
            office=case.office or None,
            due_at=due,
            about=why,
            created_at=ctx.now,
            referral_id=referral_id,
            assessment_id=assessment_id,
            alert_until=announced_until(due, ctx) if urgent and not announced else None,
            notice_until=ctx.pack.due("send_expiry_survivor", ctx.now) if notice else None,
        )
    ]


def announced_until(due: datetime, ctx: Context) -> datetime:
    """How long the announcement of a task is worth sending: the country's time, and at least until it is due."""
    return max(due, ctx.pack.due("send_expiry_staff", ctx.now))
