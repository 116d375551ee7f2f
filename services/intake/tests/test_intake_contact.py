"""Intake keeps how a survivor can be reached safely, closes cases, and shows its views."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from kintsugi.auth import Caller
from kintsugi.sealing import ERASED, Erased
from kintsugi.subject import Hold
from kintsugi.testing import MONDAY_AT_TEN, SUBJECT, Given, Match, Scenario
from kintsugi_contracts.base import Sealed
from kintsugi_contracts.causes import Cause
from kintsugi_country import load
from kintsugi_events import (
    AssessmentOverdue,
    CaseClosed,
    CaseOpened,
    CloseReason,
    ContactBy,
    ContactProfileChanged,
    ContactProfileChangedContact,
    Role,
)
from kintsugi_intake.commands import ChangeContactProfile, CloseCase, GrantConsent, OpenCase, StopContact
from kintsugi_intake.handlers import service
from kintsugi_intake.state import IntakeFile, evolve
from kintsugi_intake.views import rows, views
from pydantic import ValidationError

PACK = load("countries/xa")
SUPERVISOR = Caller("staff-7", frozenset({"supervisor"}), "xa")
CASEWORKER = Caller("staff-3", frozenset({"caseworker"}), "xa")

EVENINGS = [{"weekday": "monday", "start": "18:00", "end": "24:00"}]
BY_MAIL = [{"kind": "email", "verified": True, "safe": True}]
SAFE = {
    "contact_by": "organisation",
    "language": "fr",
    "windows": EVENINGS,
    "channels": BY_MAIL,
    "email": "wren@letterbox.example",
    "code_word": "saffron",
}


def patch(**changes: Any) -> ChangeContactProfile:
    return ChangeContactProfile.model_validate(changes)


def an_open_case(**changes: Any) -> Given[IntakeFile]:
    body = {"office": "harbour", "channel": "walk_in", "immediate_danger": "no", "identity": {"preferred_name": "Wren"}}
    opened = Scenario(service, PACK).given().when(OpenCase.model_validate({**body, **changes}))
    assert opened.rejected is None
    return opened.given


def reachable() -> Given[IntakeFile]:
    return an_open_case().when(patch(**SAFE)).then(ContactProfileChanged)


def addresses(case: Given[IntakeFile]) -> ContactProfileChangedContact:
    assert case.state.profile is not None
    assert case.state.profile.contact is not None
    opened = case.opened(case.state.profile.contact, ContactProfileChangedContact)
    assert isinstance(opened, ContactProfileChangedContact)
    return opened


def test_a_profile_travels_whole_with_its_addresses_sealed() -> None:
    then = an_open_case().when(patch(**SAFE))
    then.then(
        Match(
            ContactProfileChanged,
            profile_version=1,
            contact_by=ContactBy.organisation,
            time_zone=PACK.country.zone,
            code_word_set=True,
            reviewed_at=MONDAY_AT_TEN,
            review_due=PACK.due("profile_review", MONDAY_AT_TEN),
        )
    )
    wire = then.events[0].encode()
    assert b"letterbox" not in wire
    assert b"saffron" not in wire


def test_a_patch_changes_what_it_names_and_keeps_the_rest() -> None:
    after = reachable().when(patch(language="ar")).then(Match(ContactProfileChanged, profile_version=2, language="ar"))
    assert after.state.profile is not None
    assert after.state.profile.channels[0].verified
    assert after.state.profile.windows[0].end == "24:00"
    assert addresses(after).email == "wren@letterbox.example"


def test_null_takes_an_address_away() -> None:
    after = reachable().when(patch(email=None, channels=[])).then(ContactProfileChanged)
    assert addresses(after).email is None
    assert addresses(after).code_word == "saffron"


def test_a_profile_without_any_address_carries_nothing_sealed() -> None:
    after = reachable().when(patch(email=None, channels=[], code_word=None)).then(ContactProfileChanged)
    assert after.emitted[-1].event.sealed == {}


def test_a_new_address_is_neither_verified_nor_safe_until_somebody_says_so() -> None:
    after = reachable().when(patch(email="other@letterbox.example")).then(ContactProfileChanged)
    assert after.state.profile is not None
    [channel] = after.state.profile.channels
    assert not channel.verified
    assert not channel.safe
    confirmed = after.when(patch(channels=BY_MAIL)).then(ContactProfileChanged).state.profile
    assert confirmed is not None
    assert confirmed.channels[0].verified


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"windows": [{"weekday": "monday", "start": "22:00", "end": "06:00"}]}, "window_ends_before_start"),
        ({"windows": [{"weekday": "monday", "start": "08:00", "end": "08:00"}]}, "window_ends_before_start"),
        ({"channels": [*BY_MAIL, *BY_MAIL]}, "channel_twice"),
        ({"channels": [{"kind": "sms"}]}, "channel_without_address"),
        ({"channels": [{"kind": "webhook"}]}, "channel_without_address"),
        ({"email": None}, "channel_without_address"),
        ({"time_zone": "Moon/Tranquility"}, "time_zone_unknown"),
        ({"reviewed_at": "2027-01-01T00:00:00Z"}, "reviewed_in_future"),
    ],
)
def test_a_profile_that_could_not_be_followed_is_refused(changes: dict[str, Any], code: str) -> None:
    reachable().when(patch(**changes)).refused(code)


def test_the_organisation_starts_no_contact_in_a_language_nobody_chose() -> None:
    an_open_case().when(patch(contact_by="organisation")).refused("language_needed")
    an_open_case(languages=["ti"]).when(patch(contact_by="organisation")).then(
        Match(ContactProfileChanged, language="ti")
    )


def test_a_profile_confirmed_long_ago_is_due_for_review_already() -> None:
    long_ago = MONDAY_AT_TEN - timedelta(days=200)
    after = an_open_case().when(patch(**SAFE, reviewed_at=long_ago.isoformat())).then(ContactProfileChanged)
    assert after.state.profile is not None
    assert after.state.profile.review_due < MONDAY_AT_TEN


def test_stopping_contact_leaves_no_way_to_reach_the_survivor() -> None:
    after = (
        reachable()
        .when(StopContact())
        .then(
            Match(
                ContactProfileChanged,
                profile_version=2,
                contact_by=ContactBy.survivor_only,
                windows=(),
                channels=(),
                code_word_set=False,
                sealed={},
            )
        )
    )
    assert after.state.profile is not None
    assert after.state.profile.contact is None


def test_contact_can_be_stopped_before_anybody_asked_about_it_and_after_the_case_closed() -> None:
    an_open_case().when(StopContact()).then(Match(ContactProfileChanged, profile_version=1, language="und"))
    closed().when(StopContact()).then(ContactProfileChanged)


def test_contact_is_stopped_and_consent_refused_even_while_the_case_is_held() -> None:
    case = reachable()
    hold = Hold(Cause.handler_raised, "command", "intake", 0, "request/1", "ChangeContactProfile", "2026-03-02T10:00Z")
    held = replace(case, subject=replace(case.subject, progress=replace(case.subject.progress, hold=hold)))
    held.when(patch(language="ar")).refused("case_on_hold")
    held.when(StopContact()).then(ContactProfileChanged)


def test_an_erased_survivors_profile_cannot_be_changed_but_contact_can_be_stopped() -> None:
    case = reachable()
    case.scenario.stepper.vault.keys[(SUBJECT, "contact")] = ERASED
    assert isinstance(case.opened(_contact(case), ContactProfileChangedContact), Erased)
    case.when(patch(language="ar")).refused("erased")
    case.when(StopContact()).then(ContactProfileChanged)


def _contact(case: Given[IntakeFile]) -> Sealed:
    assert case.state.profile is not None
    assert case.state.profile.contact is not None
    return case.state.profile.contact


def closed() -> Given[IntakeFile]:
    return reachable().after(
        CaseClosed(reason=CloseReason.goals_met, closed_at=MONDAY_AT_TEN, approved_role=Role.supervisor)
    )


def test_a_supervisor_closes_a_case_with_a_reason() -> None:
    after = (
        reachable()
        .when(CloseCase(reason=CloseReason.goals_met), caller=SUPERVISOR)
        .then(Match(CaseClosed, reason=CloseReason.goals_met, closed_at=MONDAY_AT_TEN, approved_role=Role.supervisor))
    )
    assert after.state.status == "closed"


@pytest.mark.parametrize("caller", [CASEWORKER, None])
def test_nobody_else_closes_a_case(caller: Caller | None) -> None:
    reachable().when(CloseCase(reason=CloseReason.goals_met), caller=caller).refused("supervisor_approval_needed")


def test_a_closed_case_is_not_closed_again_and_its_profile_stays() -> None:
    closed().when(CloseCase(reason=CloseReason.duplicate), caller=SUPERVISOR).refused("case_closed")
    closed().when(patch(language="ar")).refused("case_closed")


def test_a_reason_for_closing_is_required() -> None:
    with pytest.raises(ValidationError):
        CloseCase.model_validate({"reason": "unknown"})
    with pytest.raises(ValidationError):
        CloseCase.model_validate({})


def test_the_views_hold_references_and_codes_and_nothing_personal() -> None:
    agency = PACK.directory.agencies[0].id
    grant = GrantConsent(
        decision="granted",
        purpose="sharing",
        agency=agency,
        text_version="1.0",
        language="en",
        obtained_from="individual",
    )
    case = reachable().when(grant).given
    found = views.of(SUBJECT, case.state)
    [row] = found["cases"]
    assert row["case_ref"] == case.state.case_ref
    assert (row["state"], row["contact_by"], row["profile_version"]) == ("open", "organisation", 1)
    assert [consent["agency"] for consent in found["consents"]] == [agency]
    assert found["contact_channels"] == [{"kind": "email", "verified": True, "safe": True}]
    shown = str(found)
    assert not any(word in shown for word in ("Wren", "letterbox", "saffron"))


def test_every_row_fills_the_columns_of_its_table() -> None:
    for name, found in rows(SUBJECT, closed().state).items():
        columns = {column.name for column in views.tables[name].c} - {"subject"}
        assert all(set(row) == columns for row in found)


def test_a_subject_without_a_case_has_no_rows() -> None:
    assert not any(rows(SUBJECT, IntakeFile()).values())


def test_the_state_survives_being_stored() -> None:
    state = closed().state
    assert IntakeFile.model_validate_json(state.model_dump_json(exclude_defaults=True)) == state


def test_the_fold_takes_its_events_in_any_order_without_failing() -> None:
    events = [own.event for own in an_open_case(immediate_danger="yes").when(patch(**SAFE)).given.emitted]
    assert isinstance(events[0], CaseOpened)
    state = IntakeFile()
    for event in [*reversed(events), *events]:
        state = evolve(event, state)
    assert state.status == "open"
    assert state.profile is not None


def test_a_type_that_intake_does_not_know_changes_nothing() -> None:
    event = AssessmentOverdue(assessment_id="a-1", due_at=MONDAY_AT_TEN)
    assert evolve(event, IntakeFile()) == IntakeFile()
