"""What intake remembers of a case, and how its own events change it. Intake owes nothing by a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import singledispatch
from typing import Literal

from kintsugi.service import State
from kintsugi_contracts.base import Event, Purpose, Sealed
from kintsugi_events import (
    AgeBand,
    Answer,
    CaseClosed,
    CaseOpened,
    CaseworkType,
    CloseReason,
    ConsentPurpose,
    ConsentRecorded,
    ConsentWithdrawn,
    ContactBy,
    ContactChannel,
    ContactProfileChanged,
    ContactWindow,
    GuardianContact,
    IntakeChannel,
    RiskLevel,
    RiskRaised,
    Urgency,
)
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from kintsugi_intake.domain import MINOR


class Consent(BaseModel):
    """The last word on one purpose and, for sharing, one agency."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    consent_id: str
    purpose: ConsentPurpose
    agency: str | None = None
    decision: Literal["granted", "refused", "withdrawn"]
    decided_at: AwareDatetime
    valid_until: AwareDatetime | None = None

    @property
    def granted(self) -> bool:
        """Whether it was given and not taken back; it may have ended by its own date."""
        return self.decision == "granted"


class Profile(BaseModel):
    """The safe-contact profile as last changed; addresses stay sealed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    contact_by: ContactBy
    language: str
    time_zone: str
    windows: tuple[ContactWindow, ...] = ()
    channels: tuple[ContactChannel, ...] = ()
    code_word_set: bool = False
    reviewed_at: AwareDatetime
    review_due: AwareDatetime
    contact: Sealed | None = None


class IntakeFile(State):
    """One case as intake knows it."""

    status: Literal["none", "open", "closed"] = "none"
    case_ref: str = ""
    office: str = ""
    channel: IntakeChannel = IntakeChannel.not_asked
    received_at: AwareDatetime | None = None
    age_band: AgeBand = AgeBand.not_asked
    languages: tuple[str, ...] = ()
    casework_type: CaseworkType = CaseworkType.not_asked
    area: str = ""
    urgency: Urgency = Urgency.not_asked
    risk_level: RiskLevel = RiskLevel.not_asked
    immediate_danger: Answer = Answer.not_asked
    guardian_contact: GuardianContact = GuardianContact.not_asked
    import_ref: str | None = None
    consents: Mapping[str, Consent] = Field(default_factory=dict)
    profile: Profile | None = None
    closed_at: AwareDatetime | None = None
    close_reason: CloseReason | None = None

    @property
    def minor(self) -> bool:
        """Whether the survivor is, or is presumed to be, a child."""
        return self.age_band in MINOR

    def consent(self, purpose: ConsentPurpose, agency: str | None) -> Consent | None:
        """The last word on a purpose and agency; None where it was never asked."""
        return self.consents.get(key(purpose, agency))

    def consents_for(self, purpose: ConsentPurpose) -> Iterator[Consent]:
        """The last words on a purpose, for every agency."""
        return (consent for consent in self.consents.values() if consent.purpose is purpose)


def key(purpose: ConsentPurpose, agency: str | None) -> str:
    """What a consent is about, as one key."""
    return f"{purpose.value}/{agency or ''}"


@singledispatch
def evolve(_event: Event, case: IntakeFile) -> IntakeFile:
    """The case after an event."""
    return case


@evolve.register
def _(event: CaseOpened, case: IntakeFile) -> IntakeFile:
    return case.model_copy(
        update={
            "status": "open",
            "case_ref": event.case_ref,
            "office": event.office,
            "channel": event.channel,
            "received_at": event.received_at,
            "age_band": event.age_band,
            "languages": event.languages,
            "casework_type": event.casework_type,
            "area": event.area,
            "urgency": event.urgency,
            "risk_level": event.risk_level,
            "immediate_danger": event.immediate_danger,
            "guardian_contact": event.guardian_contact,
            "import_ref": event.import_ref,
        }
    )


@evolve.register
def _(event: RiskRaised, case: IntakeFile) -> IntakeFile:
    return case.model_copy(update={"risk_level": event.risk_level, "immediate_danger": event.immediate_danger})


@evolve.register
def _(event: ConsentRecorded, case: IntakeFile) -> IntakeFile:
    consent = Consent(
        consent_id=event.consent_id,
        purpose=event.purpose,
        agency=event.agency,
        decision="granted" if event.decision == "granted" else "refused",
        decided_at=event.recorded_at,
        valid_until=event.valid_until,
    )
    return _decided(case, consent)


@evolve.register
def _(event: ConsentWithdrawn, case: IntakeFile) -> IntakeFile:
    consent = Consent(
        consent_id=event.consent_id,
        purpose=event.purpose,
        agency=event.agency,
        decision="withdrawn",
        decided_at=event.withdrawn_at,
    )
    return _decided(case, consent)


@evolve.register
def _(event: ContactProfileChanged, case: IntakeFile) -> IntakeFile:
    profile = Profile(
        version=event.profile_version,
        contact_by=event.contact_by,
        language=event.language,
        time_zone=event.time_zone,
        windows=event.windows,
        channels=event.channels,
        code_word_set=event.code_word_set,
        reviewed_at=event.reviewed_at,
        review_due=event.review_due,
        contact=event.sealed_as(Purpose.contact),
    )
    return case.model_copy(update={"profile": profile})


@evolve.register
def _(event: CaseClosed, case: IntakeFile) -> IntakeFile:
    return case.model_copy(update={"status": "closed", "closed_at": event.closed_at, "close_reason": event.reason})


def _decided(case: IntakeFile, consent: Consent) -> IntakeFile:
    return case.model_copy(update={"consents": {**case.consents, key(consent.purpose, consent.agency): consent}})
