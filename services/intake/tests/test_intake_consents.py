"""Intake records consent by purpose and agency, and lets go of it at once."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st
from kintsugi.testing import MONDAY_AT_TEN, Given, Match, Scenario
from kintsugi_country import load
from kintsugi_events import (
    CaseClosed,
    CaseOpened,
    CloseReason,
    ConsentDecision,
    ConsentPurpose,
    ConsentRecorded,
    ConsentWithdrawn,
    Role,
)
from kintsugi_intake.commands import Consent, OpenCase
from kintsugi_intake.handlers import service
from kintsugi_intake.state import IntakeFile
from pydantic import BaseModel, TypeAdapter, ValidationError

PACK = load("countries/xa")
AGENCY, OTHER_AGENCY = (agency.id for agency in PACK.directory.agencies[:2])
scenario = Scenario(service, PACK)
_decision: TypeAdapter[Any] = TypeAdapter(Consent)


def said(decision: str, purpose: str = "sharing", agency: str | None = AGENCY, **changes: Any) -> BaseModel:
    """A decision on a consent as a caller sends it."""
    body: dict[str, Any] = {"decision": decision, "purpose": purpose, **changes}
    if agency is not None and (purpose == "sharing" or agency != AGENCY):
        body["agency"] = agency
    if decision != "withdrawn":
        body = {"text_version": "1.0", "language": "en", "obtained_from": "individual", **body}
    command: BaseModel = _decision.validate_python(body)
    return command


def an_open_case(**changes: Any) -> Given[IntakeFile]:
    body = {"office": "harbour", "channel": "walk_in", "immediate_danger": "no", "identity": {"preferred_name": "Wren"}}
    return scenario.given().when(OpenCase.model_validate({**body, **changes})).then(CaseOpened)


def a_closed_case() -> Given[IntakeFile]:
    granted = an_open_case().when(said("granted")).given
    return granted.after(
        CaseClosed(reason=CloseReason.goals_met, closed_at=MONDAY_AT_TEN, approved_role=Role.supervisor)
    )


def test_a_consent_keeps_the_text_and_language_that_were_shown() -> None:
    an_open_case().when(said("granted", text_version="2.1", language="ar")).then(
        Match(
            ConsentRecorded,
            agency=AGENCY,
            decision=ConsentDecision.granted,
            text_version="2.1",
            language="ar",
            recorded_at=MONDAY_AT_TEN,
        )
    )


def test_consent_for_one_agency_says_nothing_about_another() -> None:
    case = an_open_case().when(said("granted")).then(ConsentRecorded).state
    assert case.consent(ConsentPurpose.sharing, AGENCY) is not None
    assert case.consent(ConsentPurpose.sharing, OTHER_AGENCY) is None


def test_a_refusal_ends_what_was_granted_before() -> None:
    granted = an_open_case().when(said("granted")).then(ConsentRecorded)
    [first] = granted.state.consents.values()
    after = granted.when(said("refused")).then(
        Match(ConsentWithdrawn, consent_id=first.consent_id),
        Match(ConsentRecorded, decision=ConsentDecision.refused),
    )
    [last] = after.state.consents.values()
    assert last.decision == "refused"


def test_a_refusal_of_what_was_never_granted_is_only_recorded() -> None:
    an_open_case().when(said("refused")).then(Match(ConsentRecorded, decision=ConsentDecision.refused))


def test_a_withdrawal_needs_no_text_and_acts_at_once() -> None:
    granted = an_open_case().when(said("granted")).then(ConsentRecorded)
    [consent] = granted.state.consents.values()
    after = granted.when(said("withdrawn")).then(
        Match(ConsentWithdrawn, consent_id=consent.consent_id, agency=AGENCY, withdrawn_at=MONDAY_AT_TEN)
    )
    assert not next(iter(after.state.consents.values())).granted


def test_withdrawing_twice_is_no_error_and_changes_nothing() -> None:
    withdrawn = an_open_case().when(said("granted")).given.when(said("withdrawn")).then(ConsentWithdrawn)
    withdrawn.when(said("withdrawn")).then()


def test_sharing_without_an_agency_withdraws_every_consent_to_share_and_no_other() -> None:
    case = an_open_case()
    for each in (said("granted"), said("granted", agency=OTHER_AGENCY), said("granted", "contact")):
        case = case.when(each).then(ConsentRecorded)
    after = case.when(said("withdrawn", agency=None)).then(ConsentWithdrawn, ConsentWithdrawn)
    assert [c.purpose for c in after.state.consents.values() if c.granted] == [ConsentPurpose.contact]


def test_a_withdrawal_of_something_nobody_was_asked_for_is_told_to_the_caller() -> None:
    an_open_case().when(said("withdrawn", agency="shelter-with-a-typing-error")).refused("nothing_to_withdraw")
    an_open_case().when(said("withdrawn", "peer_network")).refused("nothing_to_withdraw")


def test_an_expired_consent_can_still_be_withdrawn() -> None:
    until = (MONDAY_AT_TEN + timedelta(days=1)).isoformat()
    granted = an_open_case().when(said("granted", valid_until=until)).then(ConsentRecorded)
    granted.at(MONDAY_AT_TEN + timedelta(days=2)).when(said("withdrawn")).then(ConsentWithdrawn)


def test_a_closed_case_takes_no_consent_and_still_lets_go_of_one() -> None:
    a_closed_case().when(said("granted", "contact")).refused("case_closed")
    a_closed_case().when(said("withdrawn")).then(ConsentWithdrawn)
    a_closed_case().when(said("refused")).then(ConsentWithdrawn, ConsentRecorded)


def test_a_new_consent_takes_the_place_of_the_one_before() -> None:
    case = an_open_case().when(said("granted")).then(ConsentRecorded)
    again = case.when(said("withdrawn")).then(ConsentWithdrawn).when(said("granted")).then(ConsentRecorded)
    [consent] = again.state.consents.values()
    assert consent.granted
    assert consent.consent_id != next(iter(case.state.consents.values())).consent_id


def test_sharing_names_an_agency_of_the_directory_and_nothing_else_does() -> None:
    an_open_case().when(said("granted", agency=None)).refused("agency_needed")
    an_open_case().when(said("granted", agency="nobody-knows-it")).refused("agency_unknown")
    an_open_case().when(said("granted", "contact", OTHER_AGENCY)).refused("agency_not_applicable")


def test_a_consent_that_has_already_ended_is_refused() -> None:
    an_open_case().when(said("granted", valid_until=MONDAY_AT_TEN.isoformat())).refused("consent_already_expired")


def test_a_minors_assent_alone_is_not_a_consent() -> None:
    child = an_open_case(age_band="from_12_to_14", guardian={"presence": "present", "conflict": "no"})
    child.when(said("granted")).refused("guardian_or_authority_needed")
    child.when(said("granted", obtained_from="caregiver")).then(ConsentRecorded)
    child.when(said("refused")).then(ConsentRecorded)


def test_a_guardian_who_may_be_the_suspect_consents_to_nothing() -> None:
    child = an_open_case(age_band="minor", guardian={"presence": "present", "conflict": "yes"})
    child.when(said("granted", obtained_from="caregiver")).refused("guardian_blocked")
    child.when(said("granted", obtained_from="designated_authority")).then(ConsentRecorded)


def test_consents_given_at_the_first_meeting_follow_the_same_rules() -> None:
    body = {"office": "harbour", "channel": "walk_in", "immediate_danger": "no", "identity": {"preferred_name": "Wren"}}
    grant = said("granted").model_dump()
    scenario.given().when(OpenCase.model_validate({**body, "consents": [grant]})).then(CaseOpened, ConsentRecorded)
    child = OpenCase.model_validate({**body, "age_band": "minor", "consents": [grant]})
    scenario.given().when(child).refused("guardian_or_authority_needed")


@pytest.mark.parametrize("body", [{"decision": "granted", "purpose": "sharing", "agency": AGENCY}, {"decision": "yes"}])
def test_a_consent_without_its_text_and_language_is_refused_at_the_door(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _decision.validate_python(body)


@settings(max_examples=60, deadline=None)
@forall(
    st.lists(
        st.tuples(
            st.sampled_from(["granted", "refused", "withdrawn"]), st.sampled_from(["sharing", "contact", "casework"])
        ),
        max_size=12,
    )
)
def test_whatever_is_decided_in_whatever_order_the_last_word_stands(words: list[tuple[str, str]]) -> None:
    case, last = an_open_case(), dict[str, str]()
    for decision, purpose in words:
        then = case.when(said(decision, purpose))
        if decision == "withdrawn" and purpose not in last:
            then.refused("nothing_to_withdraw")
            continue
        last[purpose] = "refused" if (decision, last.get(purpose)) == ("withdrawn", "refused") else decision
        case = then.given
    assert {c.purpose.value: c.decision for c in case.state.consents.values()} == last
    open_at_recipients: set[str] = set()
    for own in case.emitted:
        if isinstance(own.event, ConsentRecorded) and own.event.decision is ConsentDecision.granted:
            open_at_recipients.add(own.event.consent_id)
        if isinstance(own.event, ConsentWithdrawn):
            open_at_recipients.discard(own.event.consent_id)
    standing = {c.consent_id for c in case.state.consents.values() if c.granted}
    assert standing <= open_at_recipients
    if not any(word == "granted" for word in last.values()):
        assert not standing
