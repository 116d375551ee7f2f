"""What referral remembers of a case: its facts, the consents, every referral; how events change it; what is owed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import singledispatch
from typing import Any

from kintsugi.agenda import Agenda, Deadline
from kintsugi.service import CASE_ON_HOLD, State
from kintsugi_events import (
    CaseClosed,
    CaseOpened,
    ConsentPurpose,
    ConsentRecorded,
    ConsentWithdrawn,
    DisclosureMade,
    PurgeAcknowledged,
    PurgeRequested,
    ReferralChosen,
    ReferralOverdue,
    ReferralProposed,
    ReferralRequested,
    ReferralStatus,
    ReferralStatusChanged,
    ReferralWithheld,
)
from pydantic import BaseModel, ConfigDict, Field

from kintsugi_referral.domain import TERMINAL, Status

GRANTED, REFUSED, WITHDRAWN = "granted", "refused", "withdrawn"
CONSENT_REASONS = frozenset(
    {"consent_missing", "consent_refused", "consent_withdrawn", "consent_expired", "guardian_blocked"}
)
TRY_AGAIN_AFTER = timedelta(minutes=1)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Consent(_Frozen):
    """The last word on sharing with one agency. ``decision`` is granted, refused or withdrawn."""

    consent_id: str
    decision: str
    valid_until: datetime | None = None
    obtained_from: str = "unknown"


class Offer(_Frozen):
    """A service that is offered, and why."""

    option_id: str
    service_id: str
    agency: str
    reasons: tuple[str, ...]
    rank: int


class Referral(_Frozen):
    """One need's way to one agency. ``step`` counts its changes; ``withheld`` says why a choice was not requested."""

    referral_id: str
    assessment_id: str
    need_id: str
    need: str
    band: str
    options: tuple[Offer, ...]
    proposed_at: datetime
    status: Status = Status.proposed
    sub_status: str | None = None
    reason: str | None = None
    choice: str | None = None
    option_id: str | None = None
    agency: str | None = None
    withheld: str | None = None
    resume_at: datetime | None = None
    consent_id: str | None = None
    attempt: int = 0
    requested_at: datetime | None = None
    answer_due: datetime | None = None
    link_expires_at: datetime | None = None
    overdue: bool = False
    purge_due: datetime | None = None
    purged_at: datetime | None = None
    disclosed: bool = False
    """Whether its agency's link has shown facts of the case."""
    step: int = 1

    @property
    def open(self) -> bool:
        """Whether anything may still come of it."""
        return self.status not in TERMINAL

    @property
    def waits_for_request(self) -> bool:
        """Whether an option was chosen that its agency has not been asked about yet."""
        return self.status in (Status.chosen, Status.consented)

    @property
    def received(self) -> bool:
        """Whether the agency was told anything, and has not been asked to delete it."""
        return self.requested_at is not None and self.purge_due is None

    def option(self, option_id: str | None) -> Offer | None:
        """The option with this id."""
        return next((option for option in self.options if option.option_id == option_id), None)


class CaseFile(State):
    """A case as referral knows it. ``consents`` holds the last word by agency."""

    case_ref: str = ""
    area: str = ""
    age_band: str = "unknown"
    age_basis: str = "unknown"
    languages: tuple[str, ...] = ()
    guardian_contact: str = "unknown"
    closed: bool = False
    casework: str | None = None
    """The last word on casework, like the decision of a consent; None while nobody was asked."""
    consents: Mapping[str, Consent] = Field(default_factory=dict)
    referrals: Mapping[str, Referral] = Field(default_factory=dict)

    @property
    def opened(self) -> bool:
        """Whether the case's facts are known."""
        return bool(self.case_ref)

    def concerned(self, consent_id: str, purpose: str, agency: str | None) -> frozenset[str] | None:
        """The agencies that a consent is about; None for all of them."""
        if purpose == ConsentPurpose.casework:
            return None
        if agency is not None:
            return frozenset({agency})
        found = frozenset(name for name, consent in self.consents.items() if consent.consent_id == consent_id)
        return found or None


@singledispatch
def evolve(_event: object, case: CaseFile) -> CaseFile:
    """The case after an event, consumed or own; an event that says nothing new of it leaves it as it is."""
    return case


@evolve.register
def _(event: CaseOpened, case: CaseFile) -> CaseFile:
    return case.model_copy(
        update={
            "case_ref": event.case_ref,
            "area": event.area,
            "age_band": event.age_band.value,
            "age_basis": event.age_basis.value,
            "languages": tuple(event.languages),
            "guardian_contact": event.guardian_contact.value,
        }
    )


@evolve.register
def _(_event: CaseClosed, case: CaseFile) -> CaseFile:
    return case.model_copy(update={"closed": True})


@evolve.register
def _(event: ConsentRecorded, case: CaseFile) -> CaseFile:
    if event.purpose is ConsentPurpose.casework:
        return case.model_copy(update={"casework": GRANTED if event.decision == GRANTED else REFUSED})
    if event.purpose is not ConsentPurpose.sharing or event.agency is None:
        return case
    consent = Consent(
        consent_id=event.consent_id,
        # What this release cannot read is not a permission.
        decision=GRANTED if event.decision == GRANTED else REFUSED,
        valid_until=event.valid_until,
        obtained_from=event.obtained_from.value,
    )
    return case.model_copy(update={"consents": {**case.consents, event.agency: consent}})


@evolve.register
def _(event: ConsentWithdrawn, case: CaseFile) -> CaseFile:
    if event.purpose is ConsentPurpose.casework:
        return case.model_copy(update={"casework": WITHDRAWN})
    if event.purpose is not ConsentPurpose.sharing:
        return case
    agencies = case.concerned(event.consent_id, event.purpose, event.agency)
    consents = dict(case.consents)
    for agency in sorted(case.consents.keys() if agencies is None else agencies):
        known = consents.get(agency, Consent(consent_id=event.consent_id, decision=WITHDRAWN))
        consents[agency] = known.model_copy(update={"decision": WITHDRAWN})
    return case.model_copy(update={"consents": consents})


@evolve.register
def _(event: ReferralProposed, case: CaseFile) -> CaseFile:
    known = case.referrals.get(event.referral_id)
    referral = Referral(
        referral_id=event.referral_id,
        assessment_id=event.assessment_id,
        need_id=event.need_id,
        need=event.need,
        band=event.band.value,
        options=tuple(
            Offer(
                option_id=option.option_id,
                service_id=option.service_id,
                agency=option.agency,
                reasons=tuple(reason.value for reason in option.reasons),
                rank=option.rank,
            )
            for option in event.options
        ),
        proposed_at=event.proposed_at,
        step=known.step + 1 if known else 1,
    )
    return case.model_copy(update={"referrals": {**case.referrals, event.referral_id: referral}})


@evolve.register
def _(event: ReferralChosen, case: CaseFile) -> CaseFile:
    if event.choice != "option":
        back = {"status": Status.proposed, "option_id": None, "agency": None, "withheld": None, "resume_at": None}
        return _changed(case, event.referral_id, choice=event.choice.value, **back)
    return _changed(
        case,
        event.referral_id,
        status=Status.chosen,
        choice=event.choice.value,
        option_id=event.option_id,
        agency=event.agency,
        withheld=None,
        resume_at=None,
    )


@evolve.register
def _(event: ReferralWithheld, case: CaseFile) -> CaseFile:
    referral = case.referrals.get(event.referral_id)
    resume_at = None
    if event.reason == CASE_ON_HOLD:
        again = referral is not None and referral.resume_at is not None
        resume_at = event.withheld_at + TRY_AGAIN_AFTER if again else event.withheld_at
    return _changed(
        case,
        event.referral_id,
        status=Status.chosen if event.reason in CONSENT_REASONS else Status.consented,
        withheld=event.reason.value,
        resume_at=resume_at,
    )


@evolve.register
def _(event: ReferralRequested, case: CaseFile) -> CaseFile:
    return _changed(
        case,
        event.referral_id,
        status=Status.requested,
        withheld=None,
        resume_at=None,
        option_id=event.option_id,
        agency=event.agency,
        consent_id=event.consent_id,
        attempt=event.attempt,
        requested_at=event.requested_at,
        answer_due=event.answer_due,
        link_expires_at=event.link_expires_at,
    )


@evolve.register
def _(event: ReferralStatusChanged, case: CaseFile) -> CaseFile:
    if event.status is ReferralStatus.unknown:
        return case  # a state of a later release: which of ours it is like is not for us to guess
    return _changed(
        case,
        event.referral_id,
        status=Status(event.status.value),
        sub_status=event.sub_status.value if event.sub_status else None,
        reason=event.reason.value if event.reason else None,
        resume_at=None,
    )


@evolve.register
def _(event: ReferralOverdue, case: CaseFile) -> CaseFile:
    return _changed(case, event.referral_id, overdue=True)


@evolve.register
def _(event: DisclosureMade, case: CaseFile) -> CaseFile:
    referral = case.referrals.get(event.referral_id or "")
    if referral is None:
        return case
    # The request is where it was: looking is no step of it.
    known = referral.model_copy(update={"disclosed": True})
    return case.model_copy(update={"referrals": {**case.referrals, referral.referral_id: known}})


@evolve.register
def _(event: PurgeRequested, case: CaseFile) -> CaseFile:
    return _changed(case, event.referral_id, purge_due=event.due_at)


@evolve.register
def _(event: PurgeAcknowledged, case: CaseFile) -> CaseFile:
    return _changed(case, event.referral_id, purged_at=event.acknowledged_at)


def _changed(case: CaseFile, referral_id: str, **update: Any) -> CaseFile:
    referral = case.referrals.get(referral_id)
    if referral is None:
        return case
    after = referral.model_copy(update={**update, "step": referral.step + 1})
    return case.model_copy(update={"referrals": {**case.referrals, referral_id: after}})


def agenda(case: CaseFile) -> Agenda:
    """The answers that agencies owe, and the requests to try again once the case is no longer on hold."""
    owed: Agenda = {}
    for referral in case.referrals.values():
        if referral.status is Status.requested and referral.answer_due and not referral.overdue:
            owed[f"answer/{referral.referral_id}"] = Deadline(at=referral.answer_due)
        if referral.waits_for_request and referral.resume_at:
            owed[f"resume/{referral.referral_id}"] = Deadline(at=referral.resume_at)
    return owed
