"""Fictional inputs for the tests of notify: a case, a safe profile, referrals, risks and held inputs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kintsugi_events as e
from kintsugi.agenda import Outcome, Result
from kintsugi.auth import Caller
from kintsugi.testing import Given, Scenario
from kintsugi_country import Agency, Directory, Pack, load
from kintsugi_notify.handlers import service
from kintsugi_notify.state import CaseFile

# A Monday, 12:00 on the clocks of xa (two hours ahead of UTC until the end of March).
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ZONE = "Asia/Beirut"
LINK = "https://office.example/answer/abc"

OPEN_DOOR = Agency(id="open-door", name="Open Door", email="desk@door.example", languages=("de", "fr", "en"))
FAR_SHORE = Agency(id="far-shore", name="Far Shore", email="post@shore.example", languages=("de",))
COUNTRY = load(Path(__file__).parents[3] / "countries" / "xa")
PACK: Pack = replace(COUNTRY, directory=Directory(services=(), agencies=(OPEN_DOOR, FAR_SHORE)))

CASEWORKER = Caller("worker-1", frozenset({"caseworker"}), "xa")
SUPERVISOR = Caller("lead-1", frozenset({"supervisor"}), "xa")
OPERATOR = Caller("ops-1", frozenset({"operator"}), "xa")


def scenario(pack: Pack = PACK) -> Scenario[CaseFile]:
    """The service on a Monday at noon."""
    return Scenario(service, pack, now=NOW, caller=CASEWORKER)


def asking(*policies: str) -> Pack:
    """The pack of a country that adds these policies to the survivor's notice."""
    country = PACK.country.model_copy(update={"policies": {"notify": {"survivor_notice": policies}}})
    return replace(PACK, country=country)


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


def case_closed() -> e.CaseClosed:
    return e.CaseClosed(reason=e.CloseReason.goals_met, closed_at=NOW, approved_role=e.Role.supervisor)


def consent(agency: str | None = "open-door", *, id_: str = "consent-1", **changes: Any) -> e.ConsentRecorded:
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
    agency: str | None = "open-door",
    *,
    id_: str = "consent-1",
    purpose: e.ConsentPurpose = e.ConsentPurpose.sharing,
) -> e.ConsentWithdrawn:
    """The same taken back."""
    return e.ConsentWithdrawn(
        consent_id=id_, purpose=purpose, agency=agency, withdrawn_at=NOW, obtained_from=e.ObtainedFrom.individual
    )


def window(weekday: str, start: str, end: str) -> e.ContactWindow:
    return e.ContactWindow(weekday=e.Weekday(weekday), start=start, end=end)


def mail_channel(*, verified: bool = True, safe: bool = True) -> e.ContactChannel:
    return e.ContactChannel(kind=e.ChannelKind.email, verified=verified, safe=safe)


def profile(contact: e.ContactProfileChangedContact | None = None, **changes: Any) -> e.ContactProfileChanged:
    """A reviewed profile: Mondays from eleven to three, by a verified and safe e-mail address, in English."""
    facts: dict[str, Any] = {
        "profile_version": 1,
        "contact_by": e.ContactBy.organisation,
        "language": "en",
        "time_zone": ZONE,
        "windows": (window("monday", "11:00", "15:00"),),
        "channels": (mail_channel(),),
        "code_word_set": False,
        "reviewed_at": NOW,
        "review_due": NOW + 90 * DAY,
        "sealed": {"contact": contact or e.ContactProfileChangedContact(email="tala@post.example")},
    }
    return e.ContactProfileChanged(**{**facts, **changes})


def risk(danger: e.Answer = e.Answer.yes) -> e.RiskRaised:
    return e.RiskRaised(
        risk_level=e.RiskLevel.high,
        immediate_danger=danger,
        reason=e.RiskReason.threats_received,
        raised_at=NOW,
        alert_due=NOW + HOUR,
    )


def proposed(referral: str = "referral-1", assessment: str = "assessment-1", *, options: int = 2) -> e.ReferralProposed:
    """A proposal with so many options."""
    return e.ReferralProposed(
        referral_id=referral,
        assessment_id=assessment,
        need_id=f"need-of-{referral}",
        need="housing",
        band=e.NeedBand.high,
        options=tuple(
            e.Option(option_id=f"o{n}", service_id=f"s{n}", agency="open-door", reasons=(), rank=n)
            for n in range(1, options + 1)
        ),
        proposed_at=NOW,
    )


def requested(agency: str = "open-door", *, link: bool = True, **changes: Any) -> e.ReferralRequested:
    """A request to an agency, with its link."""
    facts: dict[str, Any] = {
        "referral_id": "referral-1",
        "option_id": "o1",
        "service_id": "s1",
        "agency": agency,
        "consent_id": "consent-1",
        "answer_due": NOW + 3 * DAY,
        "link_expires_at": NOW + 14 * DAY,
        "attempt": 1,
        "requested_at": NOW,
        "sealed": {"contact": e.ReferralRequestedContact(link=LINK)} if link else {},
    }
    return e.ReferralRequested(**{**facts, **changes})


def purge(*, link: bool = True, **changes: Any) -> e.PurgeRequested:
    """A request to delete."""
    facts: dict[str, Any] = {
        "referral_id": "referral-1",
        "agency": "open-door",
        "consent_id": "consent-1",
        "reason": e.PurgeReason.consent_withdrawn,
        "due_at": NOW + 7 * DAY,
        "requested_at": NOW,
        "sealed": {"contact": e.PurgeRequestedContact(link=LINK)} if link else {},
    }
    return e.PurgeRequested(**{**facts, **changes})


def status(
    to: e.ReferralStatus, by: e.Party = e.Party.provider, referral: str = "referral-1"
) -> e.ReferralStatusChanged:
    return e.ReferralStatusChanged(
        referral_id=referral, status=to, previous=e.ReferralStatus.requested, set_by=by, changed_at=NOW
    )


def withheld(reason: e.WithheldReason) -> e.ReferralWithheld:
    return e.ReferralWithheld(
        referral_id="referral-1", option_id="o1", agency="open-door", reason=reason, withheld_at=NOW
    )


def held(input_id: str = "0197-a", type_: str = "kintsugi.case.opened.v1", *, at: datetime = NOW) -> e.InputHeld:
    return e.InputHeld(
        source="/xa/intake",
        sequence=1,
        input_id=input_id,
        input_kind=e.InputKind.event,
        input_type=type_,
        cause=e.Cause.handler_raised,
        held_at=at,
    )


def asked(**changes: Any) -> e.StaffTaskRequested:
    """A service that is none of the five asks for a visit by the end of the week."""
    facts: dict[str, Any] = {
        "task_id": "task-of-housing",
        "code": "housing.visit_home",
        "role": e.Role.caseworker,
        "due_at": NOW + 4 * DAY,
        "urgent": False,
        "requested_at": NOW,
    }
    return e.StaffTaskRequested(**{**facts, **changes})


def owed(given: Given[CaseFile], kind: str) -> str:
    """The name of the one agenda entry of this kind."""
    [name] = owed_all(given, kind)
    return name


def owed_all(given: Given[CaseFile], kind: str) -> list[str]:
    """The names of all agenda entries of this kind."""
    return [name for name in given.scenario.stepper.agenda(given.subject) if name.startswith(f"{kind}/")]


def ended(name: str, result: Result, reason: str | None = None, attempt: int = 1) -> Outcome:
    return Outcome(name=name, result=result, reason=reason, attempt=attempt)


def partner_purge(purge_id: str = "purge-of-a-partner") -> dict[str, Any]:
    """What every event of a partner's purge says."""
    return {
        "purge_id": purge_id,
        "integrator": "labour-registry",
        "purpose": "wage-claims",
        "version": 1,
        "agency": "labour-ministry",
    }
