"""What must hold before anything leaves for an agency. A country may add to this, never take away."""

from __future__ import annotations

from datetime import datetime

from kintsugi.service import CASE_ON_HOLD, Allowed, Context, Judgement, Withheld
from kintsugi_country import Pack

from kintsugi_referral.commands import Choose
from kintsugi_referral.state import GRANTED, WITHDRAWN, CaseFile, Consent, Offer


def consent_for(agency: str, case: CaseFile, now: datetime) -> Consent | Withheld:
    """The consent that allows sharing with ``agency`` at ``now`` (business time), or why there is none."""
    if case.casework not in (None, GRANTED):
        return Withheld(_refusal(case.casework))
    consent = case.consents.get(agency)
    if consent is None:
        return Withheld("consent_missing")
    if consent.decision != GRANTED:
        return Withheld(_refusal(consent.decision))
    if consent.valid_until is not None and consent.valid_until <= now:
        return Withheld("consent_expired")
    if consent.obtained_from == "caregiver" and case.guardian_contact == "blocked":
        # The guardian may be the suspect: what they agreed to is no permission.
        return Withheld("guardian_blocked")
    return consent


def may_request(option: Offer, case: CaseFile, ctx: Context) -> Judgement:
    """Whether the agency of ``option`` may be asked now: consent first, then the case, then the service itself."""
    if isinstance(consent := consent_for(option.agency, case, ctx.now), Withheld):
        return consent
    if case.closed:
        return Withheld("case_closed")
    if ctx.on_hold:
        return Withheld(CASE_ON_HOLD)
    if not _available(option.service_id, ctx.pack):
        return Withheld("service_unavailable")
    return Allowed()


def consent_for_agency(command: Choose, case: CaseFile, ctx: Context) -> Judgement:
    """A choice reaches its agency only with a valid consent for it. "None" and "not now" reach nobody."""
    referral = case.referrals.get(command.referral_id)
    option = referral.option(command.option_id) if referral and command.choice == "option" else None
    return Allowed() if option is None else may_request(option, case, ctx)


def _refusal(decision: str | None) -> str:
    return "consent_withdrawn" if decision == WITHDRAWN else "consent_refused"


def _available(service_id: str, pack: Pack) -> bool:
    try:
        return pack.directory.service(service_id).active
    except LookupError:
        return False
