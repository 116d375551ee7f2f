"""What must hold at the moment a message leaves, or a task is taken. A country may tighten, never loosen.

Each policy is pure and answers ``Allowed`` or ``Withheld(reason)``; the first that withholds decides.
"""

from __future__ import annotations

from collections.abc import Sequence

from kintsugi.service import Allowed, Context, Judgement, Policy, Withheld
from kintsugi_events import (
    AgeBand,
    ChannelKind,
    ConsentPurpose,
    ContactBy,
    GuardianContact,
    ObtainedFrom,
    Role,
    StaffTaskKind,
    WithheldReason,
)

from kintsugi_notify.records import Consent, Given, MailKind, ProviderMail
from kintsugi_notify.state import CaseFile, consent_key
from kintsugi_notify.windows import usable, zone_of

_ALLOWED = Allowed()
_MINORS = frozenset(
    {
        AgeBand.under_6,
        AgeBand.from_6_to_11,
        AgeBand.from_12_to_14,
        AgeBand.from_15_to_17,
        AgeBand.minor,
    }
)
ROLE_MISSING = "role_missing"


def withheld(policies: Sequence[Policy], given: object, case: CaseFile, ctx: Context) -> Withheld | None:
    """The first verdict of ``policies`` that is not Allowed."""
    for policy in policies:
        judgement = policy(given, case, ctx)
        if isinstance(judgement, Withheld):
            return judgement
    return None


def _no(reason: WithheldReason) -> Withheld:
    return Withheld(reason.value)


# Providers


def request_still_wanted(mail: ProviderMail, case: CaseFile, _ctx: Context) -> Judgement:
    """A provider is not asked after it answered, or once the referral or the case ended."""
    if mail.kind is MailKind.request and case.closed:
        return _no(WithheldReason.case_closed)
    return _no(WithheldReason.no_longer_wanted) if mail.answered else _ALLOWED


def sharing_is_consented(mail: ProviderMail, case: CaseFile, ctx: Context) -> Judgement:
    """The consent the request names, and the latest word for this agency, both hold now."""
    if mail.consent_id in case.withdrawn:
        return _no(WithheldReason.consent_withdrawn)
    if (refused := _casework_refused(case)) is not None:
        return refused
    consent = case.consents.get(consent_key(ConsentPurpose.sharing, mail.agency))
    return _no(WithheldReason.consent_missing) if consent is None else _holds(consent, case, ctx)


def link_still_opens(mail: ProviderMail, _case: CaseFile, ctx: Context) -> Judgement:
    """A mail whose link has expired only confuses whoever gets it."""
    if mail.link_expires_at is not None and mail.link_expires_at <= ctx.now:
        return _no(WithheldReason.link_unavailable)
    return _ALLOWED


def sent_in_time(mail: ProviderMail, _case: CaseFile, ctx: Context) -> Judgement:
    """The country says how old a message to a provider may become before it leaves."""
    return _no(WithheldReason.expired) if ctx.pack.due("send_expiry_provider", mail.since) <= ctx.now else _ALLOWED


# Survivors


def case_is_open(_given: object, case: CaseFile, _ctx: Context) -> Judgement:
    """Nobody is written to about a case that was closed."""
    return _no(WithheldReason.case_closed) if case.closed else _ALLOWED


def organisation_may_write(_given: object, case: CaseFile, _ctx: Context) -> Judgement:
    """The survivor said that the organisation may make contact. Not asked is not a yes."""
    if case.profile is None:
        return _no(WithheldReason.profile_missing)
    if case.profile.contact_by is ContactBy.survivor_only:
        return _no(WithheldReason.survivor_contacts_us)
    return _ALLOWED if case.profile.contact_by is ContactBy.organisation else _no(WithheldReason.profile_missing)


def profile_is_fresh(_given: object, case: CaseFile, ctx: Context) -> Judgement:
    """What was safe at the last review is trusted until the next one is due."""
    if case.profile is None or case.profile.review_due <= ctx.now:
        return _no(WithheldReason.profile_stale)
    return _ALLOWED


def contact_not_refused(_given: object, case: CaseFile, ctx: Context) -> Judgement:
    """Where consent to contact was asked for, its answer counts. Whether it must be asked is the country's word."""
    if (refused := _casework_refused(case)) is not None:
        return refused
    consent = case.consents.get(consent_key(ConsentPurpose.contact, None))
    return _ALLOWED if consent is None else _holds(consent, case, ctx)


def channel_is_safe(_given: object, case: CaseFile, ctx: Context) -> Judgement:
    """An e-mail address that was verified and that the survivor called safe, in a country that uses e-mail."""
    mail = ctx.pack.country.channels.get("email")
    kinds = [] if case.profile is None else [c for c in case.profile.channels if c.kind is ChannelKind.email]
    if mail is None or not mail.enabled or not any(channel.safe for channel in kinds):
        return _no(WithheldReason.no_safe_channel)
    if not any(channel.safe and channel.verified for channel in kinds):
        return _no(WithheldReason.channel_unverified)
    return _ALLOWED


def has_a_window(_given: object, case: CaseFile, _ctx: Context) -> Judgement:
    """Windows are an allow-list: without one, or without a time zone to read it in, nothing is sent."""
    profile = case.profile
    if profile is None or zone_of(profile.time_zone) is None or not usable(profile.windows):
        return _no(WithheldReason.no_window)
    return _ALLOWED


# What a country may add, by name, under `policies: {notify: {survivor_notice: [...]}}` of its pack


def contact_consent_required(_given: object, case: CaseFile, ctx: Context) -> Judgement:
    """No survivor is written to before consent to contact was recorded."""
    consent = case.consents.get(consent_key(ConsentPurpose.contact, None))
    return _no(WithheldReason.consent_missing) if consent is None else _holds(consent, case, ctx)


def minors_contacted_by_worker_only(_given: object, case: CaseFile, _ctx: Context) -> Judgement:
    """No message goes to anyone under 18, or of unknown age: a caseworker gets a task instead."""
    minor = case.age_band in _MINORS or case.age_band in (AgeBand.unknown, AgeBand.not_asked, AgeBand.declined)
    return _no(WithheldReason.no_safe_channel) if minor else _ALLOWED


TIGHTENING = {
    "contact_consent_required": contact_consent_required,
    "minors_contacted_by_worker_only": minors_contacted_by_worker_only,
}

REQUEST = (sharing_is_consented, request_still_wanted, link_still_opens, sent_in_time)
PURGE = (request_still_wanted,)
NOTICE = (
    case_is_open,
    organisation_may_write,
    profile_is_fresh,
    contact_not_refused,
    channel_is_safe,
    has_a_window,
)


# Staff


def role_may_take(command: object, case: CaseFile, ctx: Context) -> Judgement:
    """A task that escalated is taken by a supervisor. Operators take what is held, and nothing else."""
    task = case.tasks.get(getattr(command, "task_id", ""))
    roles = ctx.caller.roles if ctx.caller else frozenset()
    if task is None or Role.supervisor in roles:
        return _ALLOWED
    if task.kind is StaffTaskKind.release_input and Role.operator in roles:
        return _ALLOWED
    if task.role is Role.caseworker and Role.caseworker in roles:
        return _ALLOWED
    return Withheld(ROLE_MISSING)


def _casework_refused(case: CaseFile) -> Withheld | None:
    """A no to casework, whether first or taken back later, is a no to everything that goes outward."""
    casework = case.consents.get(consent_key(ConsentPurpose.casework, None))
    if casework is None or casework.given is Given.granted:
        return None
    withdrawn = casework.given is Given.withdrawn
    return _no(WithheldReason.consent_withdrawn if withdrawn else WithheldReason.consent_refused)


def _holds(consent: Consent, case: CaseFile, ctx: Context) -> Judgement:
    if consent.given is Given.withdrawn:
        return _no(WithheldReason.consent_withdrawn)
    if consent.given is Given.refused:
        return _no(WithheldReason.consent_refused)
    if consent.valid_until is not None and consent.valid_until <= ctx.now:
        return _no(WithheldReason.consent_expired)
    if consent.obtained_from is ObtainedFrom.caregiver and case.guardian_contact is GuardianContact.blocked:
        # The guardian may be the suspect: what they agreed to is no permission.
        return _no(WithheldReason.guardian_blocked)
    return _ALLOWED
