"""How each send ended, as exactly one event, and what staff do where it did not end well."""

from __future__ import annotations

from collections.abc import Sequence

from kintsugi.agenda import Outcome, Result
from kintsugi.service import Context
from kintsugi_contracts.base import Event
from kintsugi_events import (
    Audience,
    ChannelKind,
    FailureReason,
    NotificationFailed,
    NotificationSent,
    NotificationWithheld,
    StaffTaskKind,
    TaskReason,
    WithheldReason,
)

from kintsugi_notify.domain import LADDER, after_withheld_notice, after_withheld_referral
from kintsugi_notify.handlers.core import HOLDS_GO_TO, service, task
from kintsugi_notify.handlers.letters import Letter, alert_letter, hold_letter, mail_letter, notice_letter
from kintsugi_notify.handlers.tasks import escalated
from kintsugi_notify.records import TaskStatus
from kintsugi_notify.state import CaseFile, key_of

Ended = NotificationSent | NotificationFailed | NotificationWithheld

_FAILED = {
    Result.expired: FailureReason.expired,
    Result.not_attempted: FailureReason.not_attempted,
    Result.unknown: FailureReason.outcome_unknown,
}
_CHANNEL_CODES = {"no_answer": FailureReason.timed_out}


@service.outcome("provider_request")
def request_ended(outcome: Outcome, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """A request that did not reach the provider comes back to a person, with the reason."""
    mail = case.mails[outcome.name]
    ended = _ended(outcome, mail_letter(mail, ctx), ctx)
    reason = _reason(ended)
    if reason is None:
        return [ended]
    kind = StaffTaskKind.check_delivery
    if isinstance(ended, NotificationWithheld):
        kind = after_withheld_referral(ended.reason)
    return [ended, *task(kind, reason, mail.about, case, ctx, referral_id=mail.referral_id)]


@service.outcome("purge_request")
def purge_ended(outcome: Outcome, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """A provider that could not be asked to delete what it has is asked by a person."""
    mail = case.mails[outcome.name]
    ended = _ended(outcome, mail_letter(mail, ctx), ctx)
    reason = _reason(ended)
    if reason is None:
        return [ended]
    return [
        ended,
        *task(StaffTaskKind.check_purge, reason, mail.about, case, ctx, referral_id=mail.referral_id),
    ]


@service.outcome("survivor_notice")
def notice_ended(outcome: Outcome, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """A survivor who was not told, or perhaps not, is a person's concern and never a second message."""
    about = case.tasks[key_of(outcome.name)]
    ended = _ended(outcome, notice_letter(about, case), ctx)
    reason = _reason(ended)
    if reason is None:
        return [ended]
    kind = StaffTaskKind.check_delivery
    if isinstance(ended, NotificationWithheld):
        kind = after_withheld_notice(ended.reason)
    return [
        ended,
        *task(
            kind,
            reason,
            about.about,
            case,
            ctx,
            referral_id=about.referral_id,
            assessment_id=about.assessment_id,
        ),
    ]


@service.outcome("staff_alert")
def alert_ended(outcome: Outcome, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """An alert that reached nobody goes to the next role at once: waiting for the deadline would lose the hour."""
    about = case.tasks[key_of(outcome.name)]
    ended = _ended(outcome, alert_letter(about, case, ctx), ctx)
    lost = _reason(ended) is not None
    open_ = about.status is TaskStatus.open and not about.escalated and about.role in LADDER
    return [ended, *(escalated(about, case, ctx) if lost and open_ else [])]


@service.outcome("hold_alert")
def hold_alert_ended(outcome: Outcome, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """The alert that notify holds the case becomes a task; one that did not get out is announced anew with it."""
    held = case.held[key_of(outcome.name)]
    ended = _ended(outcome, hold_letter(held, case, ctx), ctx)
    created = task(
        StaffTaskKind.release_input,
        TaskReason.input_held,
        held.about,
        case,
        ctx,
        role=HOLDS_GO_TO,
        task_id=held.task_id,
        announced=isinstance(ended, NotificationSent),
    )
    return [ended, *created]


def _ended(outcome: Outcome, letter: Letter, ctx: Context) -> Ended:
    if outcome.result is Result.sent:
        return NotificationSent(
            notification_id=letter.notification_id,
            audience=letter.audience,
            template=outcome.template or letter.template,
            locale=outcome.locale or letter.locale,
            about=letter.about,
            channel=ChannelKind.email,
            sent_at=ctx.now,
            attempt=max(1, outcome.attempt),
            agency=letter.agency,
            referral_id=letter.referral_id,
            task_id=letter.task_id,
        )
    if _kept_back(outcome, letter):
        return NotificationWithheld(
            notification_id=letter.notification_id,
            audience=letter.audience,
            template=letter.template,
            locale=letter.locale,
            about=letter.about,
            reason=WithheldReason(outcome.reason or "unknown"),
            withheld_at=ctx.now,
            channel=ChannelKind.email,
            agency=letter.agency,
            referral_id=letter.referral_id,
            task_id=letter.task_id,
        )
    return NotificationFailed(
        notification_id=letter.notification_id,
        audience=letter.audience,
        template=outcome.template or letter.template,
        locale=outcome.locale or letter.locale,
        about=letter.about,
        channel=ChannelKind.email,
        reason=_failure(outcome),
        failed_at=ctx.now,
        attempt=outcome.attempt,
        # Nothing was handed over, so it may be tried again even where a second message is forbidden.
        final=outcome.result is not Result.not_attempted,
        agency=letter.agency,
        referral_id=letter.referral_id,
        task_id=letter.task_id,
    )


def _kept_back(outcome: Outcome, letter: Letter) -> bool:
    # A survivor's notice expires only while its window stays shut; a mail to others, while its gateway is away.
    if outcome.result is Result.expired or outcome.reason == WithheldReason.expired:
        return letter.audience is Audience.survivor
    return outcome.result is Result.refused


def _failure(outcome: Outcome) -> FailureReason:
    if outcome.result is Result.refused:
        return FailureReason.expired
    if outcome.result in _FAILED:
        return _FAILED[outcome.result]
    code = outcome.reason or "unknown"
    return _CHANNEL_CODES.get(code) or FailureReason(code)


def _reason(ended: Ended) -> TaskReason | None:
    """Why staff must know; None where the message left, is tried again, or is no longer wanted."""
    if isinstance(ended, NotificationWithheld):
        return None if ended.reason is WithheldReason.no_longer_wanted else TaskReason(ended.reason.value)
    if isinstance(ended, NotificationSent) or not ended.final:
        return None
    unknown = ended.reason is FailureReason.outcome_unknown
    return TaskReason.delivery_unknown if unknown else TaskReason.notification_failed
