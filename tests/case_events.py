"""Fictional events of a case that more than one service consumes: opened, consents, an assessment, closed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import kintsugi_events as e

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def case_opened(**changes: Any) -> e.CaseOpened:
    """An adult in the harbour area who speaks English."""
    facts: dict[str, Any] = {
        "case_ref": "XA-7F3K2M9Q",
        "country": "xa",
        "office": "harbour",
        "channel": e.IntakeChannel.hotline,
        "received_at": NOW,
        "age_basis": e.AgeBasis.declared,
        "age_band": e.AgeBand.from_25_to_39,
        "languages": ("en",),
        "interpreter": e.Interpreter(
            needed=e.Answer.no, gender=e.InterpreterGender.no_preference, remote=e.Answer.not_asked
        ),
        "casework_type": e.CaseworkType.trafficking,
        "area": "XA-HB",
        "immediate_danger": e.Answer.no,
        "urgency": e.Urgency.medium,
        "risk_level": e.RiskLevel.low,
        "risk_reason": e.RiskReason.none,
        "guardian_contact": e.GuardianContact.not_applicable,
        "dependants": e.DependantsBand.none,
        "referral_source": e.ReferralSource.self,
    }
    return e.CaseOpened(**{**facts, **changes})


def consent(agency: str | None, *, id_: str = "consent-1", **changes: Any) -> e.ConsentRecorded:
    """A consent to share with one agency."""
    terms: dict[str, Any] = {
        "consent_id": id_,
        "purpose": e.ConsentPurpose.sharing,
        "agency": agency,
        "decision": e.ConsentDecision.granted,
        "recorded_at": NOW,
        "text_version": "1.0",
        "language": "en",
        "obtained_from": e.ObtainedFrom.individual,
    }
    return e.ConsentRecorded(**{**terms, **changes})


def withdrawn(
    agency: str | None, *, id_: str = "consent-1", purpose: e.ConsentPurpose = e.ConsentPurpose.sharing
) -> e.ConsentWithdrawn:
    """The same taken back."""
    return e.ConsentWithdrawn(
        consent_id=id_,
        purpose=purpose,
        agency=agency,
        withdrawn_at=NOW,
        obtained_from=e.ObtainedFrom.individual,
    )


def assessed(*needs: str, id_: str = "assessment-1") -> e.AssessmentCompleted:
    """A baseline assessment that found these needs."""
    return e.AssessmentCompleted(
        assessment_id=id_,
        instrument="demo-outcomes",
        instrument_version="1.0.0",
        purpose=e.AssessmentPurpose.baseline,
        completed_at=NOW,
        needs=tuple(
            e.Need(need_id=f"{id_}:{need}", domain="economic", need=need, band=e.NeedBand.high) for need in needs
        ),
        incomplete_domains=(),
    )


def closed() -> e.CaseClosed:
    """The case was closed as planned."""
    return e.CaseClosed(reason=e.CloseReason.goals_met, closed_at=NOW, approved_role=e.Role.supervisor)
