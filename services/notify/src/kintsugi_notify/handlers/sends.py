"""The moment of sending: all that allows a message is read again, and only then it gets words and an address."""

from __future__ import annotations

from datetime import datetime
from email.utils import formataddr
from typing import Any, Literal

from kintsugi.agenda import Message, Postpone, Refuse, Send
from kintsugi.sealing import Erased
from kintsugi.service import CASE_ON_HOLD, Context
from kintsugi_contracts.base import Purpose
from kintsugi_events import (
    Audience,
    ContactProfileChangedContact,
    PurgeRequestedContact,
    ReferralRequestedContact,
    Role,
    WithheldReason,
)
from pydantic import SecretStr

from kintsugi_notify.handlers.core import HOLDS_GO_TO, service
from kintsugi_notify.handlers.letters import (
    Letter,
    alert_letter,
    hold_letter,
    mail_letter,
    notice_letter,
    office_of,
)
from kintsugi_notify.policies import NOTICE, PURGE, REQUEST, TIGHTENING, withheld
from kintsugi_notify.records import MailKind, Profile, TaskStatus
from kintsugi_notify.state import CaseFile, key_of
from kintsugi_notify.windows import is_open, next_opening, zone_of

Prepared = Message | Postpone | Refuse
_AUDIENCE: dict[Audience, Literal["provider", "staff", "survivor"]] = {
    Audience.provider: "provider",
    Audience.staff: "staff",
    Audience.survivor: "survivor",
}


@service.prepare("provider_request", reads=(Purpose.contact,))
@service.prepare("purge_request", reads=(Purpose.contact,))
def to_provider(send: Send, case: CaseFile, ctx: Context) -> Prepared:
    """The provider gets a link and a date, and learns nothing of the case before it opens the link."""
    mail = case.mails[send.detail["entry"]]
    if ctx.on_hold:
        return Postpone(reason=CASE_ON_HOLD)
    request = mail.kind is MailKind.request
    if verdict := withheld(REQUEST if request else PURGE, mail, case, ctx):
        return Refuse(reason=verdict.reason)
    opened: ReferralRequestedContact | PurgeRequestedContact | Erased = (
        ctx.open(mail.link, ReferralRequestedContact) if request else ctx.open(mail.link, PurgeRequestedContact)
    )
    if isinstance(opened, Erased):
        return _refuse(WithheldReason.erased)
    try:
        address = ctx.pack.directory.agency(mail.agency).email
    except LookupError:
        return _refuse(WithheldReason.no_address)
    due = {"answer_due" if request else "due": mail.due}
    return _worded(mail_letter(mail, ctx), address, ctx, link=opened.link, **due)


@service.prepare("staff_alert")
def to_staff(send: Send, case: CaseFile, ctx: Context) -> Prepared:
    """A reference and a date to whoever holds the role. Staff are told even while the case stands still."""
    task = case.tasks[key_of(send.detail["entry"])]
    if task.status is not TaskStatus.open:
        return _refuse(WithheldReason.no_longer_wanted)
    return _alert(alert_letter(task, case, ctx), task.role, task.task_id, task.due_at, case, ctx)


@service.prepare("hold_alert")
def about_own_hold(send: Send, case: CaseFile, ctx: Context) -> Prepared:
    """Notify holds the case itself, so nothing here can make a task of it: a supervisor hears of it all the same."""
    held = case.held[key_of(send.detail["entry"])]
    due = ctx.pack.due("risk_alert", held.held_at)
    return _alert(hold_letter(held, case, ctx), HOLDS_GO_TO, held.task_id, due, case, ctx)


@service.prepare("survivor_notice", reads=(Purpose.contact,))
def to_survivor(send: Send, case: CaseFile, ctx: Context) -> Prepared:
    """That there is news, and no more: to a safe address, in the survivor's language, in an open window."""
    task = case.tasks[key_of(send.detail["entry"])]
    if ctx.on_hold:
        return Postpone(reason=CASE_ON_HOLD)
    if task.status is TaskStatus.settled:
        return _refuse(WithheldReason.case_closed if case.closed else WithheldReason.no_longer_wanted)
    asked = [TIGHTENING[name] for name in ctx.pack.tightened("notify", "survivor_notice")]
    if verdict := withheld((*NOTICE, *asked), task, case, ctx):
        return Refuse(reason=verdict.reason)
    profile = case.profile
    if profile is None or profile.contact is None:
        return _refuse(WithheldReason.no_address)
    opened = ctx.open(profile.contact, ContactProfileChangedContact)
    if isinstance(opened, Erased):
        return _refuse(WithheldReason.erased)
    if not opened.email:
        return _refuse(WithheldReason.no_address)
    coded: dict[str, Any] = {}
    if profile.code_word_set:
        if not opened.code_word:
            # Without the word they agreed on, the survivor cannot tell that the message is ours.
            return _refuse(WithheldReason.profile_stale)
        coded = {"code_word": opened.code_word}
    message = _worded(notice_letter(task, case), opened.email, ctx, **coded)
    return message if isinstance(message, Refuse) else _in_window(message, profile, send, ctx)


def _in_window(message: Message, profile: Profile, send: Send, ctx: Context) -> Prepared:
    zone = zone_of(profile.time_zone)
    if zone is None:
        return _refuse(WithheldReason.no_window)
    if is_open(profile.windows, zone, ctx.now):
        return message
    opening = next_opening(profile.windows, zone, ctx.now)
    # A profile that is stale by then would not be trusted then either: staff hear of it now.
    if opening is None or opening >= min(send.expires, profile.review_due):
        return _refuse(WithheldReason.outside_window)
    return Postpone(reason=WithheldReason.outside_window.value, until=opening)


def _alert(letter: Letter, role: Role, reference: str, due: datetime, case: CaseFile, ctx: Context) -> Prepared:
    staff = ctx.pack.office(office_of(case, ctx)[0]).staff
    address = next((address for name, address in staff.items() if name == role.value), None)
    if address is None:
        return _refuse(WithheldReason.no_address)
    return _worded(letter, address, ctx, task=reference, due=due)


def _worded(letter: Letter, address: str, ctx: Context, **arguments: Any) -> Message | Refuse:
    text = ctx.pack.message(letter.template, letter.locale, _AUDIENCE[letter.audience], **arguments)
    if text is None:
        return _refuse(WithheldReason.no_translation)
    sender = ctx.pack.country.channels["email"]
    headers = {"From": formataddr((sender.sender_name or "", sender.sender))} if sender.sender else {}
    return Message(
        to=SecretStr(address),
        subject=SecretStr(text.subject),
        body=SecretStr(text.body),
        template=letter.template,
        locale=letter.locale,
        headers=headers,
    )


def _refuse(reason: WithheldReason) -> Refuse:
    return Refuse(reason=reason.value)
