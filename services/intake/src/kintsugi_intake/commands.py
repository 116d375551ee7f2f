"""What intake can be asked to do. Personal values stay out of every repr and error text."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

import kintsugi_events as events
from kintsugi_events import Agency, Area, Code, Country, Id, Language, TimeOfDay, TimeZone, Version
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from kintsugi_intake import codes

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Email = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=r"^[^@\s]{1,64}@[^@\s]{1,255}$", max_length=320)
]
Phone = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[+0-9(][0-9A-Za-z ()./+-]{3,39}$")]

NOT_ASKED = events.Answer.not_asked


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Identity(_Said):
    """Who the survivor is. A name may be an alias and may be one word."""

    preferred_name: Name = Field(repr=False)
    real_name: Name | None = Field(None, repr=False)
    gender: codes.Gender = Field(events.Gender.not_asked, repr=False)
    gender_self_description: Annotated[Name, StringConstraints(max_length=200)] | None = Field(None, repr=False)
    birthdate: Annotated[date, Field(ge=date(1900, 1, 1))] | None = Field(None, repr=False)
    nationalities: tuple[Country, ...] = Field((), max_length=10, repr=False)
    excluded_communities: tuple[Phrase, ...] = Field((), max_length=20, repr=False)


class Interpreter(_Said):
    """What the survivor needs to be understood."""

    needed: codes.Answer = NOT_ASKED
    gender: codes.InterpreterGender = events.InterpreterGender.not_asked
    remote: codes.Answer = NOT_ASKED


class Trafficking(_Said):
    """An assertion, with who made it and when; it never decides whether help is given."""

    status: codes.TraffickingStatus = events.TraffickingStatus.not_asked
    decided_by: codes.DecidingBody = events.DecidingBody.unknown
    decided_on: date | None = None


class Guardian(_Said):
    """The guardian block of a minor. ``conflict`` yes: the guardian may be the suspect and is not contacted."""

    presence: codes.GuardianPresence = events.GuardianPresence.not_asked
    conflict: codes.Answer = NOT_ASKED
    assent: codes.Answer = NOT_ASKED
    relation: Phrase | None = Field(None, repr=False)


class Harm(_Said):
    """What the survivor said of the harm; optional at first contact."""

    trafficking: Trafficking = Field(default_factory=Trafficking, repr=False)
    exploitation_types: tuple[codes.ExploitationType, ...] = Field((), max_length=11, repr=False)
    control_methods: tuple[codes.ControlMethod, ...] = Field((), max_length=16, repr=False)
    recruitment_methods: tuple[codes.RecruitmentMethod, ...] = Field((), max_length=10, repr=False)


class Window(_Said):
    """A span of one day in which contact is safe, in the survivor's time zone."""

    weekday: codes.Weekday
    start: TimeOfDay
    end: TimeOfDay


class Channel(_Said):
    """A way to reach the survivor: whether its address was verified with them, and whether they said it is safe."""

    kind: codes.ChannelKind
    verified: bool = False
    safe: bool = False


class ChangeContactProfile(_Said):
    """A merge patch of the safe-contact profile: what is absent stays, null takes away.

    A changed address loses its verification unless ``channels`` are given with it. ``reviewed_at`` is when the
    survivor confirmed the profile; absent means now.
    """

    contact_by: codes.ContactBy | None = None
    language: Language | None = None
    time_zone: TimeZone | None = None
    windows: tuple[Window, ...] | None = Field(None, max_length=50)
    channels: tuple[Channel, ...] | None = Field(None, max_length=10)
    email: Email | None = Field(None, repr=False)
    phone: Phone | None = Field(None, repr=False)
    code_word: Phrase | None = Field(None, repr=False)
    reviewed_at: AwareDatetime | None = None


class StopContact(_Said):
    """The survivor wants no more contact: from now on only they make it."""


class _Consent(_Said):
    purpose: codes.ConsentPurpose
    agency: Agency | None = None


class GrantConsent(_Consent):
    """Consent for a purpose and, for ``sharing``, one receiving agency, with the text and language shown."""

    decision: Literal["granted"]
    text_version: Version
    language: Language
    obtained_from: codes.ObtainedFrom
    valid_until: AwareDatetime | None = None


class RefuseConsent(_Consent):
    """The survivor was asked and said no; a consent granted before ends with it."""

    decision: Literal["refused"]
    text_version: Version
    language: Language
    obtained_from: codes.ObtainedFrom = events.ObtainedFrom.individual


class WithdrawConsent(_Consent):
    """May be oral and acts at once. ``sharing`` without an agency withdraws every consent to share."""

    decision: Literal["withdrawn"]
    obtained_from: codes.ObtainedFrom = events.ObtainedFrom.individual


Consent = Annotated[GrantConsent | RefuseConsent | WithdrawConsent, Field(discriminator="decision")]
FirstConsent = Annotated[GrantConsent | RefuseConsent, Field(discriminator="decision")]


class _Facts(_Said):
    """The minimum data set. What nobody asked about is ``not_asked``, which is not ``unknown`` nor ``declined``."""

    channel: codes.IntakeChannel
    age_basis: codes.AgeBasis = events.AgeBasis.not_asked
    age_band: codes.AgeBand = events.AgeBand.not_asked
    languages: tuple[Language, ...] = Field((), max_length=20)
    interpreter: Interpreter = Interpreter()
    casework_type: codes.CaseworkType = events.CaseworkType.not_asked
    area: Area = "not_asked"
    immediate_danger: codes.Answer = NOT_ASKED
    urgency: codes.Urgency = events.Urgency.not_asked
    risk_level: codes.RiskLevel = events.RiskLevel.not_asked
    risk_reason: codes.RiskReason = events.RiskReason.not_asked
    dependants: codes.DependantsBand = events.DependantsBand.not_asked
    referral_source: codes.ReferralSource = events.ReferralSource.not_asked
    guardian: Guardian | None = Field(None, repr=False)
    harm: Harm | None = Field(None, repr=False)
    notes: Annotated[str, StringConstraints(min_length=1, max_length=20_000)] | None = Field(None, repr=False)
    contact_profile: ChangeContactProfile | None = Field(None, repr=False)
    extensions: dict[str, dict[str, JsonValue]] = Field(default_factory=dict, repr=False)


class OpenCase(_Facts):
    """A survivor was met. Whether they are in immediate danger is the one question that must have an answer."""

    office: Code
    received_at: AwareDatetime | None = None
    identity: Identity = Field(repr=False)
    immediate_danger: codes.Answer
    consents: tuple[FirstConsent, ...] = Field((), max_length=100)


class ImportCase(_Facts):
    """One row of an imported file. ``import_ref`` is the file's hash and the row's number.

    A file knows the day of the first contact, not the hour, and the office only where the country has a column for it.
    """

    import_ref: Id
    office: Code | None = None
    received_on: date | None = None
    identity: Identity = Field(repr=False)


class CloseCase(_Said):
    """The case is closed, with a supervisor's approval; it can be opened again without penalty."""

    reason: codes.CloseReason


Facts = OpenCase | ImportCase


def said(model: BaseModel | None) -> dict[str, Any]:
    """The fields of a part of a command, to build the contract's own model from; empty where nothing was said."""
    return {} if model is None else model.model_dump()
