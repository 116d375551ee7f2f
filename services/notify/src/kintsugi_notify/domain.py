"""The rules of telling people: who is asked next, what a refusal asks of staff, which tasks cannot wait."""

from __future__ import annotations

import uuid
from datetime import datetime

from kintsugi_events import ReferralStatus, Role, StaffTaskKind, WithheldReason

Kind = StaffTaskKind
Reason = WithheldReason

LADDER = {
    Role.caseworker: Role.supervisor,
    Role.operator: Role.supervisor,
    Role.supervisor: Role.country_lead,
}
"""Who is asked when a role lets a task fall due; after the country lead there is nobody else to ask."""

URGENT = frozenset({Kind.act_on_risk, Kind.check_safety, Kind.release_input})
"""Tasks that are announced by mail at once; others wait in the list until they escalate, unless they were asked for
as urgent."""

ENDS_WITH_THE_CASE = frozenset(
    {
        Kind.present_options,
        Kind.obtain_consent,
        Kind.follow_up_provider,
        Kind.complete_assessment,
        Kind.contact_survivor,
        Kind.review_profile,
    }
)
"""Tasks that have no object once a case is closed. Risk, purges, deliveries and held inputs outlive it,
and so does what another service asked for: only that service knows whether it has lost its object."""

ANSWERED = frozenset(
    {
        ReferralStatus.accepted,
        ReferralStatus.rejected,
        ReferralStatus.in_progress,
        ReferralStatus.on_hold,
        ReferralStatus.completed,
        ReferralStatus.failed,
        ReferralStatus.cancelled,
        ReferralStatus.entered_in_error,
    }
)
"""States after which a provider is no longer to be asked."""

_BEFORE_CHOICE = frozenset({ReferralStatus.draft, ReferralStatus.proposed, ReferralStatus.unknown})
_REVIEW = frozenset(
    {
        Reason.no_window,
        Reason.no_safe_channel,
        Reason.channel_unverified,
        Reason.channel_suspended,
        Reason.profile_missing,
        Reason.profile_stale,
        Reason.no_address,
    }
)
_ASK_CONSENT = frozenset({Reason.consent_missing, Reason.consent_expired, Reason.consent_not_fresh})
_TAKE_NO_AS_AN_ANSWER = frozenset({Reason.consent_refused, Reason.consent_withdrawn})
_NAMESPACE = uuid.UUID("5b0f2d63-6f3e-4d6a-9a55-6a1d4f0c7e21")


def settled_by(status: ReferralStatus) -> frozenset[StaffTaskKind]:
    """The kinds of task about a referral that its new state makes needless."""
    kinds: set[StaffTaskKind] = set()
    if status not in _BEFORE_CHOICE:
        kinds.add(Kind.present_options)
    if status not in _BEFORE_CHOICE and status is not ReferralStatus.chosen:
        kinds.add(Kind.obtain_consent)
    if status in ANSWERED:
        kinds.add(Kind.follow_up_provider)
    return frozenset(kinds)


def after_withheld_referral(reason: WithheldReason) -> StaffTaskKind:
    """What staff do when nothing may go to a provider. A refusal is an answer: nobody is asked again."""
    if reason in _ASK_CONSENT:
        return Kind.obtain_consent
    if reason in _TAKE_NO_AS_AN_ANSWER:
        return Kind.present_options
    return Kind.follow_up_provider


def after_withheld_notice(reason: WithheldReason) -> StaffTaskKind:
    """What staff do when the survivor may not be written to."""
    return Kind.review_profile if reason in _REVIEW else Kind.contact_survivor


def notification_id(entry: str) -> str:
    """The identifier of the notification behind an agenda entry: the same before and after it is sent."""
    return str(uuid.uuid5(_NAMESPACE, entry))


def hold_task_id(source: str, input_id: str, held_at: datetime) -> str:
    """The identifier of the task for one hold at one input; state and decision find it independently."""
    return str(uuid.uuid5(_NAMESPACE, f"{source} {input_id} {held_at.isoformat()}"))
