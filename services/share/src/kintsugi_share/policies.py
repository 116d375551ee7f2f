"""What must hold at the moment a record leaves for a partner. A country may add to this, never take away."""

from __future__ import annotations

from datetime import datetime

from kintsugi.service import Withheld
from kintsugi_events import PurgeReason

from kintsugi_share.records import GRANTED, WITHDRAWN, Consent
from kintsugi_share.state import CaseFile


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
    if consent.obtained_from in ("caregiver", "unknown") and case.guardian_contact == "blocked":
        # The guardian may be the suspect: what they, or nobody knows who, agreed to is no permission.
        return Withheld("guardian_blocked")
    return consent


def purge_reason(withheld: str) -> PurgeReason:
    """Why a partner is asked to forget, of why nothing may go to it any more."""
    return _PURGES.get(withheld, PurgeReason.consent_withdrawn)


_PURGES = {
    "consent_expired": PurgeReason.consent_expired,
    "guardian_blocked": PurgeReason.guardian_blocked,
    "erased": PurgeReason.subject_erased,
}


def _refusal(decision: str | None) -> str:
    return "consent_withdrawn" if decision == WITHDRAWN else "consent_refused"
