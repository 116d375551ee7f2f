"""What staff must do, and whom a message goes to, after something happened in another service."""

from __future__ import annotations

from collections.abc import Sequence

from kintsugi.service import Context
from kintsugi_contracts.base import Event
from kintsugi_events import (
    Answer,
    AssessmentOverdue,
    InputHeld,
    PartnerPurgeOverdue,
    Party,
    PurgeRequested,
    ReferralOverdue,
    ReferralProposed,
    ReferralRequested,
    ReferralStatus,
    ReferralStatusChanged,
    ReferralWithheld,
    RiskRaised,
    Role,
    SafetyDeteriorated,
    StaffTaskKind,
    StaffTaskRequested,
    TaskReason,
)

from kintsugi_notify.domain import after_withheld_referral
from kintsugi_notify.handlers.core import HOLDS_GO_TO, about, service, task
from kintsugi_notify.handlers.letters import unlinked
from kintsugi_notify.records import MailKind
from kintsugi_notify.state import CaseFile, held_input


@service.on(RiskRaised)
def alert_on_risk(event: RiskRaised, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """Somebody acts on the risk, and is told within the country's deadline."""
    danger = event.immediate_danger is Answer.yes
    reason = TaskReason.immediate_danger if danger else TaskReason.risk_raised
    return task(StaffTaskKind.act_on_risk, reason, about(event, ctx), case, ctx, due_at=event.alert_due)


@service.on(SafetyDeteriorated)
def alert_on_safety(event: SafetyDeteriorated, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """A drop in safety is looked at whatever the other scores say. The scores stay sealed."""
    return task(
        StaffTaskKind.check_safety,
        TaskReason.safety_deteriorated,
        about(event, ctx),
        case,
        ctx,
        due_at=event.alert_due,
        assessment_id=event.assessment_id,
    )


@service.on(AssessmentOverdue)
def chase_assessment(event: AssessmentOverdue, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """The assessment was promised for today."""
    return task(
        StaffTaskKind.complete_assessment,
        TaskReason.assessment_overdue,
        about(event, ctx),
        case,
        ctx,
        assessment_id=event.assessment_id,
    )


@service.on(ReferralProposed)
def present_options(event: ReferralProposed, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """Staff present the options; the survivor gets one notice per assessment, however many needs it found."""
    told = any(known.notice_until and known.assessment_id == event.assessment_id for known in case.tasks.values())
    return task(
        StaffTaskKind.present_options,
        TaskReason.options_proposed if event.options else TaskReason.options_exhausted,
        about(event, ctx),
        case,
        ctx,
        referral_id=event.referral_id,
        assessment_id=event.assessment_id,
        notice=bool(event.options) and not told,
    )


@service.on(ReferralWithheld)
def explain_withheld(event: ReferralWithheld, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """Nothing went to the provider: staff learn why, as a code."""
    return task(
        after_withheld_referral(event.reason),
        TaskReason(event.reason.value),
        about(event, ctx),
        case,
        ctx,
        referral_id=event.referral_id,
    )


@service.on(ReferralOverdue)
def chase_provider(event: ReferralOverdue, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """The provider did not answer in time: a person asks."""
    return task(
        StaffTaskKind.follow_up_provider,
        TaskReason.provider_overdue,
        about(event, ctx),
        case,
        ctx,
        referral_id=event.referral_id,
    )


@service.on(ReferralStatusChanged)
def bring_back_answer(event: ReferralStatusChanged, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """A provider's yes or no always returns to the case."""
    if event.set_by is not Party.provider:
        return []
    if event.status is ReferralStatus.accepted:
        kind, reason = StaffTaskKind.contact_survivor, TaskReason.provider_accepted
    elif event.status in (ReferralStatus.rejected, ReferralStatus.failed, ReferralStatus.cancelled):
        kind, reason = StaffTaskKind.present_options, TaskReason.provider_rejected
    else:
        return []
    accepted = event.status is ReferralStatus.accepted
    return task(kind, reason, about(event, ctx), case, ctx, referral_id=event.referral_id, notice=accepted)


@service.on(ReferralRequested)
def write_to_provider(event: ReferralRequested, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """The request is owed from here on. Without a link there is nothing to send, and staff take over."""
    if event.sealed_as("contact") is not None:
        return []
    return unlinked(MailKind.request, event, case, ctx, referral_id=event.referral_id, agency=event.agency)


@service.on(PurgeRequested)
def ask_to_purge(event: PurgeRequested, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """The provider is asked to delete what it received; without a link, a person asks."""
    if event.sealed_as("contact") is not None:
        return []
    return unlinked(MailKind.purge, event, case, ctx, referral_id=event.referral_id, agency=event.agency)


@service.on(PartnerPurgeOverdue)
def chase_partner(event: PartnerPurgeOverdue, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """A partner has not said in time that it deleted what it received: a person asks. The task is the purge's own."""
    if event.purge_id in case.tasks:
        return []
    return task(
        StaffTaskKind.check_purge, TaskReason.purge_overdue, about(event, ctx), case, ctx, task_id=event.purge_id
    )


@service.on(StaffTaskRequested)
def pass_on_request(event: StaffTaskRequested, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """A service, whichever it is, asks staff for something in its own words. Asked for twice, it is one task."""
    if event.task_id in case.tasks:
        return []
    return task(
        StaffTaskKind.other_task,
        TaskReason.requested,
        event.about or about(event, ctx),
        case,
        ctx,
        # A role this release does not know must not leave the task without a reader.
        role=Role.supervisor if event.role is Role.unknown else event.role,
        due_at=event.due_at,
        referral_id=event.referral_id,
        assessment_id=event.assessment_id,
        task_id=event.task_id,
        code=event.code,
        urgent=event.urgent,
    )


@service.on(InputHeld)
def alert_on_hold(event: InputHeld, case: CaseFile, ctx: Context) -> Sequence[Event]:
    """A service stands still for this case: a supervisor hears of it at once, whatever is held."""
    held = held_input(event)
    if held.task_id in case.tasks:
        return []
    return task(
        StaffTaskKind.release_input,
        TaskReason.input_held,
        held.about,
        case,
        ctx,
        role=HOLDS_GO_TO,
        task_id=held.task_id,
    )
