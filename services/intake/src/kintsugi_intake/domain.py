"""Intake's rules as pure functions: references, ages, guardians, danger, consents and contact profiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from kintsugi_events import (
    AgeBand,
    AgeBasis,
    Answer,
    ChannelKind,
    ContactChannel,
    ContactWindow,
    GuardianContact,
    GuardianPresence,
    ObtainedFrom,
    RiskLevel,
    RiskReason,
    Urgency,
)

from kintsugi_intake.htcds import band_of

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISREAD = str.maketrans({"I": "1", "L": "1", "O": "0"})

MINOR = frozenset({AgeBand.under_6, AgeBand.from_6_to_11, AgeBand.from_12_to_14, AgeBand.from_15_to_17, AgeBand.minor})
NO_BAND = frozenset({AgeBand.not_asked, AgeBand.declined, AgeBand.unknown})


def case_ref(country: str, random_id: str) -> str:
    """A short reference from a uuid4: the country and 40 random bits in Crockford base 32, ``XA-7F3K2M9Q``."""
    bits = int(random_id.replace("-", "")[:10], 16)
    letters = "".join(CROCKFORD[(bits >> shift) & 31] for shift in range(35, -1, -5))
    return f"{country.upper()}-{letters}"


def as_heard(ref: str) -> str:
    """A reference as people read it to each other: any case, I and L for 1, O for 0."""
    country, dash, letters = ref.strip().upper().partition("-")
    return f"{country}{dash}{letters.translate(_MISREAD)}"


def age_band(said: AgeBand, basis: AgeBasis, birthdate: date | None, day: date) -> AgeBand | None:
    """The age band that follows from what was said; None where the answers contradict each other.

    A birthdate decides where no band was said. An unknown age with reason to believe a child is a minor.
    """
    band = said
    if birthdate is not None:
        known = band_of(birthdate, day)
        if known is AgeBand.unknown:
            return None
        wide = AgeBand.minor if known in MINOR else AgeBand.adult
        if said not in NO_BAND and said not in (known, wide):
            return None
        band = known
    if basis is AgeBasis.presumed_minor:
        if band in NO_BAND:
            return AgeBand.minor
        return band if band in MINOR else None
    return band


def guardian_contact(band: AgeBand, presence: GuardianPresence, conflict: Answer) -> GuardianContact:
    """Whether a guardian may be contacted. A guardian who may be the suspect never is, whatever the age."""
    if conflict is Answer.yes:
        return GuardianContact.blocked
    if band not in MINOR and band not in NO_BAND:
        return GuardianContact.not_applicable
    if presence in (GuardianPresence.absent, GuardianPresence.not_applicable):
        return GuardianContact.not_applicable
    if presence in (GuardianPresence.present, GuardianPresence.designated_authority) and conflict is Answer.no:
        return GuardianContact.allowed
    if Answer.not_asked in (conflict, presence.value):
        return GuardianContact.not_asked
    return GuardianContact.unknown


def risk(
    danger: Answer, level: RiskLevel, reason: RiskReason, urgency: Urgency
) -> tuple[RiskLevel, RiskReason, Urgency]:
    """Immediate danger is always high and urgent; a high risk is never less than urgent."""
    if danger is Answer.yes:
        unsaid = (RiskReason.none, RiskReason.not_asked, RiskReason.declined, RiskReason.unknown)
        return RiskLevel.high, RiskReason.immediate_danger if reason in unsaid else reason, Urgency.high
    if level is RiskLevel.high:
        return level, reason, Urgency.high
    return level, reason, urgency


def alerts(danger: Answer, level: RiskLevel) -> bool:
    """Whether staff must be alerted at once."""
    return danger is Answer.yes or level is RiskLevel.high


def consent_objection(minor: bool, guardian: GuardianContact, obtained_from: ObtainedFrom) -> str | None:
    """Why this person cannot grant a consent, as a code. Refusing and withdrawing are open to everybody.

    A minor's assent alone is not enough: a guardian or a designated authority consents with them.
    """
    if guardian is GuardianContact.blocked and obtained_from is ObtainedFrom.caregiver:
        return "guardian_blocked"
    if minor and obtained_from not in (ObtainedFrom.caregiver, ObtainedFrom.designated_authority):
        return "guardian_or_authority_needed"
    return None


def profile_objection(
    windows: Iterable[ContactWindow], channels: Sequence[ContactChannel], *, email: bool, phone: bool
) -> str | None:
    """Why a contact profile cannot be followed, as a code."""
    if any(window.start >= window.end for window in windows):
        return "window_ends_before_start"
    kinds = [channel.kind for channel in channels]
    if len(set(kinds)) != len(kinds):
        return "channel_twice"
    addressed = {ChannelKind.email: email, ChannelKind.sms: phone, ChannelKind.voice: phone}
    if not all(addressed.get(kind, False) for kind in kinds):
        return "channel_without_address"
    return None


def unverified(
    channels: Sequence[ContactChannel], *, email_changed: bool, phone_changed: bool
) -> tuple[ContactChannel, ...]:
    """The channels after an address changed: nobody has confirmed the new one, or that it is safe."""
    changed = {ChannelKind.email: email_changed, ChannelKind.sms: phone_changed, ChannelKind.voice: phone_changed}
    return tuple(
        ContactChannel(kind=channel.kind, verified=False, safe=False) if changed.get(channel.kind) else channel
        for channel in channels
    )
