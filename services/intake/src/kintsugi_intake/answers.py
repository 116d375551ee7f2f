"""What callers get: references, states and codes, never a personal value."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from kintsugi.commands import Done
from kintsugi_events import RiskRaised
from pydantic import BaseModel, ConfigDict
from sqlalchemy import RowMapping

from kintsugi_intake.state import Consent, IntakeFile


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class ConsentAnswer(_Answer):
    """The last word on one purpose and agency."""

    consent_id: str
    purpose: str
    agency: str | None
    decision: str
    decided_at: datetime
    valid_until: datetime | None

    @classmethod
    def of(cls, consent: Consent) -> ConsentAnswer:
        return cls(
            consent_id=consent.consent_id,
            purpose=consent.purpose.value,
            agency=consent.agency,
            decision=consent.decision,
            decided_at=consent.decided_at,
            valid_until=consent.valid_until,
        )


class CaseOpenedAnswer(_Answer):
    """The case that was opened. ``staff_alerted``: somebody is in danger and staff are being told."""

    case_ref: str
    state: str
    age_band: str
    risk_level: str
    staff_alerted: bool
    profile_version: int
    consents: tuple[ConsentAnswer, ...]

    @classmethod
    def of(cls, done: Done[IntakeFile]) -> CaseOpenedAnswer:
        case = done.state
        return cls(
            case_ref=case.case_ref,
            state=case.status,
            age_band=case.age_band.value,
            risk_level=case.risk_level.value,
            staff_alerted=any(isinstance(event, RiskRaised) for event in done.events),
            profile_version=case.profile.version if case.profile else 0,
            consents=tuple(ConsentAnswer.of(consent) for consent in case.consents.values()),
        )


class ConsentsAnswer(_Answer):
    """All consents of the case after the request."""

    case_ref: str
    consents: tuple[ConsentAnswer, ...]

    @classmethod
    def of(cls, done: Done[IntakeFile]) -> ConsentsAnswer:
        consents = tuple(ConsentAnswer.of(consent) for consent in done.state.consents.values())
        return cls(case_ref=done.state.case_ref, consents=consents)


class ProfileAnswer(_Answer):
    """The contact profile after the request, without its addresses."""

    case_ref: str
    profile_version: int
    contact_by: str
    review_due: datetime | None

    @classmethod
    def of(cls, done: Done[IntakeFile]) -> ProfileAnswer:
        profile = done.state.profile
        return cls(
            case_ref=done.state.case_ref,
            profile_version=profile.version if profile else 0,
            contact_by=profile.contact_by.value if profile else "not_asked",
            review_due=profile.review_due if profile else None,
        )


class StateAnswer(_Answer):
    """A case and its state: open or closed."""

    case_ref: str
    state: str

    @classmethod
    def of(cls, done: Done[IntakeFile]) -> StateAnswer:
        return cls(case_ref=done.state.case_ref, state=done.state.status)


class CaseList(_Answer):
    """Cases in the order of their references. ``next`` is sent as ``after`` for those that follow."""

    cases: tuple[StateAnswer, ...]
    next: str | None


class WindowAnswer(_Answer):
    """A span of one day in which contact is safe."""

    weekday: str
    start: str
    end: str


class ChannelAnswer(_Answer):
    """A way to reach the survivor, without the address."""

    kind: str
    verified: bool
    safe: bool


class ContactProfileAnswer(_Answer):
    """The contact profile, without its addresses. Version 0: nobody has asked yet."""

    profile_version: int
    contact_by: str
    language: str | None
    time_zone: str | None
    code_word_set: bool | None
    reviewed_at: datetime | None
    review_due: datetime | None
    windows: tuple[WindowAnswer, ...]
    channels: tuple[ChannelAnswer, ...]


class CaseAnswer(_Answer):
    """One case in references and codes."""

    case_ref: str
    state: str
    office: str
    channel: str
    received_at: datetime
    age_band: str
    casework_type: str
    area: str
    urgency: str
    risk_level: str
    immediate_danger: str
    guardian_contact: str
    closed_at: datetime | None
    close_reason: str | None
    import_ref: str | None
    consents: tuple[ConsentAnswer, ...]
    contact_profile: ContactProfileAnswer

    @classmethod
    def of(
        cls,
        case: RowMapping,
        consents: Iterable[RowMapping],
        windows: Iterable[RowMapping],
        channels: Iterable[RowMapping],
    ) -> CaseAnswer:
        """The answer from the rows of the views."""
        profile = {
            **case,
            "windows": [{"weekday": row["weekday"], "start": row["starts"], "end": row["ends"]} for row in windows],
            "channels": [dict(row) for row in channels],
        }
        return cls.model_validate({**case, "consents": [dict(row) for row in consents], "contact_profile": profile})
