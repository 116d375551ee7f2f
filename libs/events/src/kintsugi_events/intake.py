# Generated from contracts/ by `python -m kintsugi_contracts.generate`; edit the schemas, not this file.
"""Events of intake."""

from __future__ import annotations

from typing import Annotated, ClassVar

from kintsugi_contracts.base import Day, Event, Instant, Part, Plaintext, Purposes, SealedOr
from pydantic import ConfigDict, Field, JsonValue, StringConstraints
from typing_extensions import TypedDict

from kintsugi_events.common import (
    AgeBand,
    AgeBasis,
    Agency,
    Answer,
    Area,
    CaseRef,
    CaseworkType,
    ChannelKind,
    CloseReason,
    Code,
    ConsentDecision,
    ConsentPurpose,
    ContactBy,
    ControlMethod,
    Country,
    CountryCode,
    DecidingBody,
    DependantsBand,
    ExploitationType,
    Gender,
    GuardianContact,
    GuardianPresence,
    Id,
    IntakeChannel,
    InterpreterGender,
    Language,
    ObtainedFrom,
    RecruitmentMethod,
    ReferralSource,
    RiskLevel,
    RiskReason,
    Role,
    TimeOfDay,
    TimeZone,
    TraffickingStatus,
    Urgency,
    Version,
    Weekday,
)


class Interpreter(Part):
    """What the survivor needs to be understood."""

    needed: Answer
    """Whether an interpreter is needed."""
    gender: InterpreterGender
    """The gender asked for."""
    remote: Answer
    """Whether a remote interpreter is acceptable."""


class CaseOpenedIdentity(Plaintext):
    """Who the survivor is."""

    preferred_name: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    """The name or alias the survivor wants to be called by."""
    gender: Gender
    """Gender as the survivor gives it."""
    real_name: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None
    """The legal name, only if the survivor gave it."""
    gender_self_description: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """The survivor's own words for it."""
    birthdate: Day | None = None
    """The date of birth, if known."""
    nationalities: Annotated[tuple[Country, ...], Field(max_length=10)] = ()
    """Citizenships."""
    excluded_communities: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=100)], ...], Field(max_length=20)
    ] = ()
    """Communities from which no interpreter may come."""


class Guardian(Part):
    """The guardian block of a minor."""

    presence: GuardianPresence
    """Whether there is a guardian."""
    conflict: Answer
    """Whether the guardian may be the suspect; `yes` blocks contact with the guardian."""
    assent: Answer
    """Whether the minor assents."""
    relation: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """The guardian's relation to the minor."""


class TraffickingAssertion(Part):
    """Who asserted the status, and when."""

    status: TraffickingStatus
    """The status asserted."""
    decided_by: DecidingBody
    """The kind of body that decided."""
    decided_on: Day | None = None
    """The day it was decided."""


class CaseOpenedAssessment(Plaintext):
    """What the survivor said of the harm; read by assessment only."""

    trafficking_status: TraffickingAssertion
    """The assertion of trafficking."""
    exploitation_types: Annotated[tuple[ExploitationType, ...], Field(max_length=11)] = ()
    """Forms of exploitation; empty when not asked."""
    control_methods: Annotated[tuple[ControlMethod, ...], Field(max_length=16)] = ()
    """Means of control."""
    recruitment_methods: Annotated[tuple[RecruitmentMethod, ...], Field(max_length=10)] = ()
    """Ways of recruitment."""
    guardian: Guardian | None = None
    """The guardian block of a minor."""


class CaseOpenedNarrative(Plaintext):
    """What was written down in words."""

    notes: Annotated[str, StringConstraints(min_length=1, max_length=20000)]
    """The worker's notes."""


class CaseOpenedSealed(TypedDict, total=False):
    """The sealed purposes of CaseOpened."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    identity: SealedOr[CaseOpenedIdentity]
    assessment: SealedOr[CaseOpenedAssessment]
    narrative: SealedOr[CaseOpenedNarrative]


class CaseOpened(Event):
    """A survivor was met and a case was opened."""

    type: ClassVar[str] = "kintsugi.case.opened.v1"
    service: ClassVar[str] = "intake"
    dataclassification: ClassVar[str] = "restricted"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/case.opened/v1.schema.json"
    purposes: ClassVar[Purposes] = {
        "identity": CaseOpenedIdentity,
        "assessment": CaseOpenedAssessment,
        "narrative": CaseOpenedNarrative,
    }

    case_ref: CaseRef
    """The case's short reference."""
    country: CountryCode
    """The country office that owns the case."""
    office: Code
    """The country office."""
    channel: IntakeChannel
    """How the survivor came."""
    received_at: Instant
    """When the first contact was received."""
    age_basis: AgeBasis
    """What the age band rests on."""
    age_band: AgeBand
    """The age band."""
    languages: Annotated[tuple[Language, ...], Field(max_length=20)]
    """Languages the survivor speaks, the preferred one first; empty when not known."""
    interpreter: Interpreter
    """Whether and which interpreter is needed."""
    casework_type: CaseworkType
    """The kind of casework."""
    area: Area
    """The coarse area where help is needed."""
    immediate_danger: Answer
    """Whether the survivor is in immediate danger."""
    urgency: Urgency
    """How soon first contact must happen."""
    risk_level: RiskLevel
    """The level of risk at intake."""
    risk_reason: RiskReason
    """Why the risk level is what it is."""
    guardian_contact: GuardianContact
    """Whether a guardian may be contacted."""
    dependants: DependantsBand
    """How many people depend on the survivor."""
    referral_source: ReferralSource
    """Who sent the survivor."""
    import_ref: Id | None = None
    """The file and row the case was imported from, as a hash and a number; absent when it was not imported."""
    extensions: dict[Annotated[str, StringConstraints(pattern="^[a-z]{2}$")], dict[str, JsonValue]] = Field(
        default_factory=dict
    )
    """Fields a country adds, by country code; each country's pack holds their schema."""
    sealed: CaseOpenedSealed = Field(default_factory=CaseOpenedSealed)


class ConsentRecorded(Event):
    """A consent was granted or refused."""

    type: ClassVar[str] = "kintsugi.consent.recorded.v1"
    service: ClassVar[str] = "intake"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/consent.recorded/v1.schema.json"

    consent_id: Id
    """The consent."""
    purpose: ConsentPurpose
    """What the consent is for."""
    decision: ConsentDecision
    """What was decided."""
    recorded_at: Instant
    """When it was recorded."""
    text_version: Version
    """The version of the text that was shown or read aloud."""
    language: Language
    """The language it was shown in."""
    obtained_from: ObtainedFrom
    """Who decided."""
    agency: Agency | None = None
    """The receiving agency; only for `sharing`."""
    valid_until: Instant | None = None
    """When it ends; absent when it has no end."""


class ConsentWithdrawn(Event):
    """A consent was withdrawn; it acts at once."""

    type: ClassVar[str] = "kintsugi.consent.withdrawn.v1"
    service: ClassVar[str] = "intake"
    protective: ClassVar[bool] = True
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/consent.withdrawn/v1.schema.json"

    consent_id: Id
    """The consent."""
    purpose: ConsentPurpose
    """What the consent is for."""
    withdrawn_at: Instant
    """When it was withdrawn."""
    obtained_from: ObtainedFrom
    """Who withdrew it."""
    agency: Agency | None = None
    """The receiving agency; only for `sharing`."""


class ContactWindow(Part):
    """A span of one day in which contact is safe."""

    weekday: Weekday
    """The day."""
    start: TimeOfDay
    """Its start."""
    end: TimeOfDay
    """Its end, after the start."""


class ContactChannel(Part):
    """A way to reach the survivor, without the address."""

    kind: ChannelKind
    """The medium."""
    verified: bool
    """Whether the address was verified with the survivor."""
    safe: bool
    """Whether the survivor said it is safe."""


class ContactProfileChangedContact(Plaintext):
    """Where the survivor can be reached."""

    email: Annotated[str, StringConstraints(min_length=1, max_length=320)] | None = None
    """E-mail address."""
    phone: Annotated[str, StringConstraints(min_length=1, max_length=40)] | None = None
    """Phone number."""
    code_word: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """The word that proves who is speaking."""


class ContactProfileChangedSealed(TypedDict, total=False):
    """The sealed purposes of ContactProfileChanged."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    contact: SealedOr[ContactProfileChangedContact]


class ContactProfileChanged(Event):
    """The ways in which the survivor may be reached changed; this is the whole profile."""

    type: ClassVar[str] = "kintsugi.contact_profile.changed.v1"
    service: ClassVar[str] = "intake"
    protective: ClassVar[bool] = True
    dataclassification: ClassVar[str] = "confidential"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/contact_profile.changed/v1.schema.json"
    purposes: ClassVar[Purposes] = {"contact": ContactProfileChangedContact}

    profile_version: Annotated[int, Field(ge=1, le=1000000)]
    """The profile's version, from 1."""
    contact_by: ContactBy
    """Who may start a contact."""
    language: Language
    """The language of messages."""
    time_zone: TimeZone
    """The survivor's time zone."""
    windows: Annotated[tuple[ContactWindow, ...], Field(max_length=50)]
    """Times at which contact is safe; no window, no message."""
    channels: Annotated[tuple[ContactChannel, ...], Field(max_length=10)]
    """The channels and whether they may be used."""
    code_word_set: bool
    """Whether a code word is agreed."""
    reviewed_at: Instant
    """When the survivor last confirmed the profile."""
    review_due: Instant
    """When it goes stale."""
    sealed: ContactProfileChangedSealed = Field(default_factory=ContactProfileChangedSealed)


class RiskRaised(Event):
    """Someone may be in danger: staff must act before the deadline."""

    type: ClassVar[str] = "kintsugi.risk.raised.v1"
    service: ClassVar[str] = "intake"
    protective: ClassVar[bool] = True
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/risk.raised/v1.schema.json"

    risk_level: RiskLevel
    """The level of risk."""
    immediate_danger: Answer
    """Whether danger is immediate."""
    reason: RiskReason
    """Why."""
    raised_at: Instant
    """When it was raised."""
    alert_due: Instant
    """When staff must have been alerted."""


class CaseClosed(Event):
    """The case was closed with an approval."""

    type: ClassVar[str] = "kintsugi.case.closed.v1"
    service: ClassVar[str] = "intake"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/case.closed/v1.schema.json"

    reason: CloseReason
    """Why."""
    closed_at: Instant
    """When."""
    approved_role: Role
    """The role that approved it."""
