"""Rows for queries: staff tasks and notifications, in references and codes."""

from __future__ import annotations

from kintsugi.views import Row, Rows, Views
from sqlalchemy import Column, DateTime, Index, Integer, MetaData, Table, Text

from kintsugi_notify.domain import notification_id
from kintsugi_notify.state import CaseFile

METADATA = MetaData()
OWED = "owed"

STAFF_TASKS = Table(
    "staff_tasks",
    METADATA,
    Column("subject", Text, nullable=False),
    Column("task_id", Text, nullable=False),
    Column("case_ref", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("code", Text),
    Column("reason", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("office", Text),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("about_type", Text, nullable=False),
    Column("about_event", Text, nullable=False),
    Column("referral_id", Text),
    Column("assessment_id", Text),
    Column("escalates", Text),
    Column("acknowledged_at", DateTime(timezone=True)),
    Column("acknowledged_by", Text),
    Index("staff_tasks_subject", "subject"),
    Index("staff_tasks_task_id", "task_id"),
    Index("staff_tasks_due", "status", "role", "due_at"),
)

NOTIFICATIONS = Table(
    "notifications",
    METADATA,
    Column("subject", Text, nullable=False),
    Column("notification_id", Text, nullable=False),
    Column("case_ref", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("template", Text, nullable=False),
    Column("locale", Text),
    Column("about_type", Text, nullable=False),
    Column("about_event", Text, nullable=False),
    Column("agency", Text),
    Column("referral_id", Text),
    Column("task_id", Text),
    Column("attempt", Integer, nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Index("notifications_subject", "subject"),
    Index("notifications_case_ref", "case_ref"),
)


def rows(_subject: str, case: CaseFile) -> Rows:
    """The rows of one case."""
    return {
        "staff_tasks": [
            {
                "task_id": task.task_id,
                "case_ref": case.case_ref,
                "status": task.status.value,
                "kind": task.kind.value,
                "code": task.code,
                "reason": task.reason.value,
                "role": task.role.value,
                "office": task.office,
                "due_at": task.due_at,
                "created_at": task.created_at,
                "about_type": task.about.type,
                "about_event": task.about.event_id,
                "referral_id": task.referral_id,
                "assessment_id": task.assessment_id,
                "escalates": task.escalates,
                "acknowledged_at": task.acknowledged_at,
                "acknowledged_by": task.acknowledged_by.value if task.acknowledged_by else None,
            }
            for task in case.tasks.values()
        ],
        "notifications": [*_ended(case), *_owed(case)],
    }


def _ended(case: CaseFile) -> list[Row]:
    return [
        {
            "notification_id": ended.notification_id,
            "case_ref": case.case_ref,
            "audience": ended.audience.value,
            "status": ended.status.value,
            "reason": ended.reason,
            "template": ended.template,
            "locale": ended.locale,
            "about_type": ended.about.type,
            "about_event": ended.about.event_id,
            "agency": ended.agency,
            "referral_id": ended.referral_id,
            "task_id": ended.task_id,
            "attempt": ended.attempt,
            "ended_at": ended.at,
        }
        for ended in case.ended.values()
    ]


def _owed(case: CaseFile) -> list[Row]:
    # Which language an owed message will have is decided when it leaves.
    common: Row = {
        "case_ref": case.case_ref,
        "status": OWED,
        "reason": None,
        "locale": None,
        "attempt": 0,
        "ended_at": None,
    }
    mails: list[Row] = [
        {
            **common,
            "notification_id": notification_id(mail.entry),
            "audience": "provider",
            "template": mail.kind.value,
            "about_type": mail.about.type,
            "about_event": mail.about.event_id,
            "agency": mail.agency,
            "referral_id": mail.referral_id,
            "task_id": None,
        }
        for mail in case.mails.values()
        if case.ends(mail.entry) is None
    ]
    of_tasks: list[Row] = [
        {
            **common,
            "notification_id": notification_id(entry),
            "audience": audience,
            "template": template,
            "about_type": task.about.type,
            "about_event": task.about.event_id,
            "agency": None,
            "referral_id": task.referral_id,
            "task_id": task.task_id,
        }
        for task in case.tasks.values()
        for entry, audience, template, until in (
            (task.alert, "staff", "staff_alert", task.alert_until),
            (task.notice, "survivor", "survivor_notice", task.notice_until),
        )
        if until is not None and case.ends(entry) is None
    ]
    return [*mails, *of_tasks]


views: Views[CaseFile] = Views(METADATA, rows)
