"""What notify owes a case: messages that are to leave, tasks that escalate, purges that await their confirmation."""

from __future__ import annotations

from datetime import datetime, timedelta

from kintsugi.agenda import Agenda, Deadline, Delivery, Send

from kintsugi_notify.domain import LADDER, notification_id
from kintsugi_notify.records import MailKind, TaskStatus
from kintsugi_notify.state import CaseFile

HOLD_ALERT_LASTS = timedelta(days=1)
SURVIVOR = "survivor"


def agenda(case: CaseFile) -> Agenda:
    """Messages that have not ended, tasks that escalate, and purges that await their acknowledgement."""
    owed: Agenda = {}
    for mail in case.mails.values():
        if case.ends(mail.entry) is None:
            owed[mail.entry] = _send(case, mail.entry, mail.agency, mail.due)
        if mail.kind is MailKind.purge and not mail.answered and not mail.chased:
            owed[f"purge/{mail.about.event_id}"] = Deadline(at=mail.due)
    for task in case.tasks.values():
        if task.alert_until and case.ends(task.alert) is None:
            owed[task.alert] = _send(case, task.alert, f"staff/{task.role}", task.alert_until)
        if task.notice_until and case.ends(task.notice) is None:
            owed[task.notice] = _send(case, task.notice, SURVIVOR, task.notice_until)
        if task.status is TaskStatus.open and not task.escalated and task.role in LADDER:
            owed[f"task/{task.task_id}"] = Deadline(at=task.due_at)
    for held in case.held.values():
        if held.task_id not in case.tasks and case.stands(held):
            owed[held.entry] = _send(case, held.entry, "staff/supervisor", held.held_at + HOLD_ALERT_LASTS)
    return owed


def _send(case: CaseFile, entry: str, recipient: str, expires: datetime) -> Send:
    delivery = Delivery.at_most_once if recipient == SURVIVOR else Delivery.at_least_once
    again = case.again.get(notification_id(entry), 0)
    return Send(
        channel="email",
        recipient=recipient,
        delivery=delivery,
        expires=expires,
        outward=not recipient.startswith("staff/"),
        detail={"entry": entry, **({"again": str(again)} if again else {})},
    )
