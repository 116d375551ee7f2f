"""Intake opens cases: the facts, the alarm, ages and guardians."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st
from kintsugi.testing import MONDAY_AT_TEN, Match, Scenario
from kintsugi_country import load
from kintsugi_events import (
    AgeBand,
    AgeBasis,
    Answer,
    CaseOpened,
    CaseOpenedAssessment,
    CaseOpenedIdentity,
    CaseOpenedNarrative,
    ConsentRecorded,
    ContactProfileChanged,
    GuardianContact,
    GuardianPresence,
    RiskLevel,
    RiskRaised,
    RiskReason,
    Urgency,
)
from kintsugi_intake.commands import OpenCase
from kintsugi_intake.domain import CROCKFORD, MINOR, age_band, as_heard, case_ref, guardian_contact, risk
from kintsugi_intake.handlers import service
from kintsugi_intake.state import IntakeFile
from pydantic import ValidationError

PACK = load("countries/xa")
scenario = Scenario(service, PACK)


def opening(**changes: Any) -> OpenCase:
    """The least a caseworker says, with changes."""
    said: dict[str, Any] = {
        "office": "harbour",
        "channel": "hotline",
        "immediate_danger": "no",
        "identity": {"preferred_name": "Moonlit Heron"},
    }
    return OpenCase.model_validate({**said, **changes})


def opened(**changes: Any) -> CaseOpened:
    """The event that follows from opening a case."""
    event = scenario.given().when(opening(**changes)).events[0]
    assert isinstance(event, CaseOpened)
    return event


def test_a_case_is_opened_with_the_least_that_is_known() -> None:
    after = scenario.given().when(opening()).then(CaseOpened)
    assert after.state.status == "open"
    assert after.state.received_at == MONDAY_AT_TEN
    assert after.state.risk_level is RiskLevel.not_asked


def test_what_nobody_asked_is_not_asked_and_not_unknown() -> None:
    event = opened()
    answers = {event.dependants.value, event.referral_source.value, event.age_band.value, event.guardian_contact.value}
    assert answers == {"not_asked"}
    assert event.area == "not_asked"
    assert event.languages == ()


def test_names_and_answers_travel_sealed_by_purpose() -> None:
    then = scenario.given().when(
        opening(
            identity={"preferred_name": "Moonlit Heron", "birthdate": "2001-05-06", "nationalities": ["XB"]},
            harm={"trafficking": {"status": "possible", "decided_by": "ngo"}, "exploitation_types": ["servitude"]},
            notes="Told her story once; nobody asks again.",
        )
    )
    event = then.events[0]
    assert set(event.sealed) == {"identity", "assessment", "narrative"}
    assert b"Heron" not in event.encode()
    assert b"servitude" not in event.encode()
    identity = then.given.opened(event.sealed_as("identity"), CaseOpenedIdentity)  # type: ignore[arg-type]
    harm = then.given.opened(event.sealed_as("assessment"), CaseOpenedAssessment)  # type: ignore[arg-type]
    notes = then.given.opened(event.sealed_as("narrative"), CaseOpenedNarrative)  # type: ignore[arg-type]
    assert (identity.preferred_name, identity.birthdate) == ("Moonlit Heron", date(2001, 5, 6))
    assert harm.trafficking_status.decided_by == "ngo"
    assert notes.notes.startswith("Told her story")


def test_every_event_of_an_opening_keeps_to_its_contract_on_the_wire() -> None:
    then = scenario.given().when(
        opening(
            immediate_danger="yes",
            extensions={"xa": {"outreach_point": "OP-001"}},
            consents=[consent("casework")],
            contact_profile={"email": "heron@letterbox.example", "language": "en"},
        )
    )
    for event in then.events:
        assert type(event).decode(event.encode()) is not None
    then.then(CaseOpened, RiskRaised, ConsentRecorded, ContactProfileChanged)


def consent(purpose: str, **changes: Any) -> dict[str, Any]:
    """A consent given by the survivor."""
    return {
        "decision": "granted",
        "purpose": purpose,
        "text_version": "1.0",
        "language": "en",
        "obtained_from": "individual",
        **changes,
    }


def test_immediate_danger_alerts_staff_within_the_countrys_deadline() -> None:
    scenario.given().when(opening(immediate_danger="yes")).then(
        Match(CaseOpened, risk_level=RiskLevel.high, urgency=Urgency.high, risk_reason=RiskReason.immediate_danger),
        Match(
            RiskRaised,
            reason=RiskReason.immediate_danger,
            raised_at=MONDAY_AT_TEN,
            alert_due=MONDAY_AT_TEN + timedelta(hours=1),
        ),
    )


def test_a_high_risk_alerts_staff_and_keeps_its_reason() -> None:
    scenario.given().when(opening(risk_level="high", risk_reason="threats_received")).then(
        Match(CaseOpened, urgency=Urgency.high),
        Match(RiskRaised, reason=RiskReason.threats_received, immediate_danger=Answer.no),
    )


@pytest.mark.parametrize("danger", ["no", "not_asked", "declined", "unknown"])
def test_only_a_yes_is_immediate_danger(danger: str) -> None:
    scenario.given().when(opening(immediate_danger=danger)).then(CaseOpened)


def test_not_being_a_victim_of_trafficking_never_denies_help() -> None:
    scenario.given().when(opening(harm={"trafficking": {"status": "not_a_victim", "decided_by": "police"}})).then(
        CaseOpened
    )


def test_a_birthdate_gives_the_age_band_on_the_day_of_first_contact() -> None:
    child = opened(identity={"preferred_name": "Wren", "birthdate": "2010-03-03"})
    assert child.age_band is AgeBand.from_15_to_17
    grown = opened(identity={"preferred_name": "Wren", "birthdate": "2008-03-02"})
    assert grown.age_band is AgeBand.from_18_to_24


def test_an_unknown_age_with_reason_to_believe_a_child_is_a_minor() -> None:
    assert opened(age_basis="presumed_minor").age_band is AgeBand.minor
    assert opened(age_basis="presumed_minor", age_band="declined").age_band is AgeBand.minor


@pytest.mark.parametrize(
    "changes",
    [
        {"age_basis": "presumed_minor", "age_band": "from_25_to_39"},
        {"age_band": "adult", "identity": {"preferred_name": "Wren", "birthdate": "2015-01-01"}},
        {"identity": {"preferred_name": "Wren", "birthdate": "2031-01-01"}},
    ],
)
def test_ages_that_contradict_each_other_are_refused(changes: dict[str, Any]) -> None:
    scenario.given().when(opening(**changes)).refused("age_contradiction")


def test_a_guardian_who_may_be_the_suspect_is_never_contacted() -> None:
    guardian = {"presence": "present", "conflict": "yes"}
    assert opened(age_band="minor", guardian=guardian).guardian_contact is GuardianContact.blocked
    assert opened(guardian=guardian).guardian_contact is GuardianContact.blocked


def test_a_guardian_may_be_contacted_only_after_a_clear_no_to_conflict() -> None:
    for conflict in Answer:
        found = guardian_contact(AgeBand.minor, GuardianPresence.present, conflict)
        assert (found is GuardianContact.allowed) == (conflict is Answer.no)


def test_an_unknown_office_or_area_is_refused_with_those_that_exist() -> None:
    then = scenario.given().when(opening(office="moonbase"))
    then.refused("office_unknown")
    assert then.rejected is not None
    assert "harbour" in then.rejected.next_step
    scenario.given().when(opening(area="XA-ZZ")).refused("area_unknown")
    scenario.given().when(opening(area="XA-HB")).then(CaseOpened)


def test_a_first_contact_in_the_future_is_refused() -> None:
    scenario.given().when(opening(received_at=(MONDAY_AT_TEN + timedelta(days=1)).isoformat())).refused(
        "received_in_future"
    )


def test_a_time_with_an_offset_is_recorded_in_utc() -> None:
    assert opened(received_at="2026-03-01T23:30:00+02:00").received_at == datetime(2026, 3, 1, 21, 30, tzinfo=UTC)


def test_a_countrys_own_fields_keep_to_its_schema_and_its_code() -> None:
    assert opened(extensions={"xa": {"outreach_point": "OP-001"}}).extensions == {"xa": {"outreach_point": "OP-001"}}
    scenario.given().when(opening(extensions={"xa": {"outreach_point": "the blue house"}})).refused("extension_refused")
    scenario.given().when(opening(extensions={"xb": {"outreach_point": "OP-001"}})).refused("extension_refused")


@pytest.mark.parametrize("name", ["Suharyanti", "نورهان الزيتوني", "Ö" * 300, "Maria-José de la Cruz 🌙"])
def test_mononyms_long_names_and_every_script_are_names(name: str) -> None:
    then = scenario.given().when(opening(identity={"preferred_name": name}))
    sealed = then.events[0].sealed_as("identity")
    assert sealed is not None
    assert then.given.opened(sealed, CaseOpenedIdentity).preferred_name == name


@pytest.mark.parametrize(
    "changes",
    [
        {"channel": "carrier_pigeon"},
        {"immediate_danger": None},
        {"status": "closed"},
        {"role": "supervisor"},
        {"consents": [{"decision": "granted", "purpose": "unknown"}]},
        {"import_ref": "abc:1"},
        {"identity": {"preferred_name": " "}},
    ],
)
def test_what_the_door_does_not_know_is_refused_and_never_read_as_unknown(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        opening(**changes)


def test_a_command_never_shows_a_name() -> None:
    assert "Heron" not in repr(opening(notes="Heron", contact_profile={"email": "heron@letterbox.example"}))


def test_a_reference_is_short_random_and_read_aloud_without_doubt() -> None:
    ref = case_ref("xa", "ffffffff-ffff-4fff-bfff-ffffffffffff")
    assert ref == "XA-ZZZZZZZZ"
    assert case_ref("xa", "00000000-0100-4000-8000-000000000000") == "XA-00000001"
    assert as_heard(" xa-o7f3kiL9 ") == "XA-07F3K119"


@forall(st.uuids(version=4))
def test_every_reference_is_heard_as_it_was_said(random: Any) -> None:
    ref = case_ref("xa", str(random))
    assert len(ref) == 11
    assert set(ref[3:]) <= set(CROCKFORD)
    assert as_heard(ref.lower()) == ref


@forall(st.sampled_from(AgeBand), st.sampled_from(AgeBasis), st.none() | st.dates(date(1920, 1, 1), date(2026, 3, 2)))
def test_nobody_presumed_a_minor_ends_as_an_adult(band: AgeBand, basis: AgeBasis, born: date | None) -> None:
    found = age_band(band, basis, born, date(2026, 3, 2))
    if basis is AgeBasis.presumed_minor:
        assert found is None or found in MINOR
    if born is not None and found is not None:
        assert (found in MINOR) == ((born.year + 18, born.month, born.day) > (2026, 3, 2))


@forall(*(st.sampled_from(codes) for codes in (Answer, RiskLevel, RiskReason, Urgency)))
def test_risk_is_never_lowered(danger: Answer, level: RiskLevel, reason: RiskReason, urgency: Urgency) -> None:
    after = risk(danger, level, reason, urgency)
    if danger is Answer.yes or level is RiskLevel.high:
        assert after[0] is RiskLevel.high
        assert after[2] is Urgency.high
    else:
        assert after == (level, reason, urgency)


def test_an_empty_file_knows_no_case() -> None:
    assert IntakeFile().status == "none"
    assert not IntakeFile().minor
