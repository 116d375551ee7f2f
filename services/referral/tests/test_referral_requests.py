"""Proposals, choices, and the gate between a choice and an agency."""

from dataclasses import replace
from datetime import timedelta

import kintsugi_events as e
import pytest
from kintsugi.subject import Hold
from kintsugi.testing import Given, Match
from kintsugi_contracts.base import Event
from kintsugi_contracts.causes import Cause
from kintsugi_country import ServiceStatus
from kintsugi_referral.commands import Cancel, Choose, OfferAgain
from kintsugi_referral.domain import Status
from kintsugi_referral.state import CaseFile
from pydantic import ValidationError

from services.referral.tests.referral_examples import (
    FLATS,
    LEGAL,
    NOW,
    OPEN_DOOR,
    PACK,
    ROOMS,
    assessed,
    case_opened,
    closed,
    consent,
    contact_of,
    entry,
    links,
    offered,
    only,
    option_of,
    pack_with,
    scenario,
    withdrawn,
)

REFUSED_CASEWORK = consent(None, id_="c-no", purpose=e.ConsentPurpose.casework, decision=e.ConsentDecision.refused)


def choosing(given: Given[CaseFile], agency: str = "open-door") -> Choose:
    return Choose(referral_id=only(given).referral_id, choice="option", option_id=option_of(given, agency))


def chosen(given: Given[CaseFile], agency: str = "open-door") -> Given[CaseFile]:
    return given.when(choosing(given, agency)).given


def test_each_need_becomes_a_proposal_with_at_least_two_options_where_the_directory_has_them() -> None:
    then = scenario().given(case_opened()).when(assessed("housing", "legal_aid"))
    after = then.then(Match(e.ReferralProposed, need="housing"), Match(e.ReferralProposed, need="legal_aid"))
    assert [each.agency for each in only(after).options] == ["open-door", "harbour-rooms", "hill-house"]
    assert [each.rank for each in only(after).options] == [1, 2, 3]
    assert len(only(after, "legal_aid").options) == 1


def test_a_need_that_nothing_answers_is_still_proposed_so_that_somebody_sees_it() -> None:
    after = scenario().given(case_opened()).when(assessed("education")).then(Match(e.ReferralProposed, options=()))
    assert only(after, "education").status is Status.proposed


def test_no_needs_no_proposals() -> None:
    scenario().given(case_opened()).when(assessed()).then()


def test_a_case_that_is_not_known_gets_its_needs_noted_without_guessing_options() -> None:
    scenario().given().when(assessed("housing")).then(Match(e.ReferralProposed, options=()))


def test_a_newer_assessment_replaces_a_proposal_nobody_chose_from() -> None:
    given = offered()
    older = only(given).referral_id
    given.when(assessed("housing", id_="assessment-2")).then(
        Match(e.ReferralStatusChanged, referral_id=older, status="cancelled", reason="duplicate"),
        Match(e.ReferralProposed, assessment_id="assessment-2"),
    )


def test_a_newer_assessment_leaves_a_referral_alone_whose_agency_was_chosen() -> None:
    chosen(offered()).when(assessed("housing", id_="assessment-2")).then(e.ReferralProposed)


def test_with_a_consent_the_agency_is_asked_at_once_by_a_link_that_names_the_consent() -> None:
    given = offered(PACK, consent("open-door", id_="c-9"))
    after = given.when(choosing(given)).then(
        Match(e.ReferralChosen, choice="option", agency="open-door"),
        Match(
            e.ReferralRequested,
            agency="open-door",
            service_id="flats",
            consent_id="c-9",
            attempt=1,
            answer_due=PACK.due("provider_answer", NOW),
            link_expires_at=PACK.due("link_validity", NOW),
        ),
    )
    event = after.emitted[-1].event
    assert isinstance(event, e.ReferralRequested)
    contact = after.opened(contact_of(event), e.ReferralRequestedContact)
    assert contact.link.startswith("https://office.example/provider/")
    claims = links().read(contact.link.rpartition("/")[2], "answer")
    assert (claims.referral_id, claims.agency, claims.subject) == (
        event.referral_id,
        "open-door",
        after.subject.id,
    )
    assert claims.expires == event.link_expires_at
    after.owes(f"answer/{event.referral_id}", at=event.answer_due)


def test_without_a_consent_the_choice_is_kept_and_the_request_withheld() -> None:
    given = offered()
    after = given.when(choosing(given)).then(
        e.ReferralChosen, Match(e.ReferralWithheld, reason="consent_missing", agency="open-door")
    )
    after.owes_nothing()
    assert only(after).status is Status.chosen


def test_it_resumes_by_itself_when_the_consent_arrives() -> None:
    after = chosen(offered()).when(consent("open-door")).then(Match(e.ReferralRequested, consent_id="consent-1"))
    assert only(after).status is Status.requested
    assert only(after).withheld is None
    after.when(consent("open-door", id_="consent-2")).then()


@pytest.mark.parametrize(
    "other",
    [
        consent("hill-house"),
        consent(None, purpose=e.ConsentPurpose.contact),
        consent(None, purpose=e.ConsentPurpose.statistics),
        consent(None, purpose=e.ConsentPurpose.peer_network),
    ],
    ids=lambda event: f"{event.purpose}-{event.agency}",
)
def test_a_consent_for_something_else_opens_nothing(other: e.ConsentRecorded) -> None:
    chosen(offered()).when(other).then()


@pytest.mark.parametrize(
    ("recorded", "reason"),
    [
        ([consent("open-door", decision=e.ConsentDecision.refused)], "consent_refused"),
        ([consent("open-door", decision=e.ConsentDecision.unknown)], "consent_refused"),
        ([consent("open-door"), withdrawn("open-door")], "consent_withdrawn"),
        ([consent("open-door"), withdrawn(None)], "consent_withdrawn"),
        ([consent("open-door"), withdrawn(None, purpose=e.ConsentPurpose.casework)], "consent_withdrawn"),
        ([consent("open-door"), REFUSED_CASEWORK], "consent_refused"),
        (
            [consent("open-door"), withdrawn(None, purpose=e.ConsentPurpose.casework), REFUSED_CASEWORK],
            "consent_refused",
        ),
        ([consent("open-door", valid_until=NOW)], "consent_expired"),
    ],
)
def test_what_is_no_valid_consent_is_withheld_with_its_own_reason(recorded: list[Event], reason: str) -> None:
    given = offered(PACK, *recorded)
    given.when(choosing(given)).then(e.ReferralChosen, Match(e.ReferralWithheld, reason=reason))


def test_a_consent_counts_until_the_moment_it_ends() -> None:
    given = offered(PACK, consent("open-door", valid_until=NOW + timedelta(seconds=1)))
    given.when(choosing(given)).then(e.ReferralChosen, e.ReferralRequested)
    late = given.at(NOW + timedelta(seconds=1))
    late.when(choosing(late)).then(e.ReferralChosen, Match(e.ReferralWithheld, reason="consent_expired"))


def test_the_end_of_a_consent_counts_again_when_a_withheld_request_resumes() -> None:
    given = chosen(offered())
    given.when(consent("open-door", valid_until=NOW)).then(Match(e.ReferralWithheld, reason="consent_expired"))


def test_a_withdrawn_consent_that_is_given_again_resumes() -> None:
    given = chosen(offered(PACK, consent("open-door"), withdrawn("open-door")))
    given.when(consent("open-door", id_="consent-2")).then(Match(e.ReferralRequested, consent_id="consent-2"))


def test_consent_to_casework_given_again_releases_what_waited_for_it() -> None:
    given = chosen(offered(PACK, consent("open-door"), withdrawn(None, purpose=e.ConsentPurpose.casework)))
    given.when(consent(None, id_="consent-3", purpose=e.ConsentPurpose.casework)).then(e.ReferralRequested)


def test_a_refusal_of_what_still_waits_changes_the_reason_once() -> None:
    refusal = consent("open-door", decision=e.ConsentDecision.refused)
    after = chosen(offered()).when(refusal).then(Match(e.ReferralWithheld, reason="consent_refused"))
    after.when(refusal).then()


def test_what_a_guardian_who_may_be_the_suspect_agreed_to_is_no_permission() -> None:
    blocked = case_opened(guardian_contact=e.GuardianContact.blocked)
    given = scenario().given(blocked, consent("open-door", obtained_from=e.ObtainedFrom.caregiver), assessed("housing"))
    given.when(choosing(given)).then(e.ReferralChosen, Match(e.ReferralWithheld, reason="guardian_blocked"))


def test_a_service_that_closed_since_it_was_offered_is_not_asked_and_another_can_be_chosen() -> None:
    given = offered(PACK, consent("open-door"), consent("harbour-rooms", id_="c-2"))
    shut = scenario(pack_with(ROOMS, entry("flats", OPEN_DOOR, status=ServiceStatus.defunct), LEGAL))
    later = replace(given, scenario=shut)
    after = later.when(choosing(later)).then(e.ReferralChosen, Match(e.ReferralWithheld, reason="service_unavailable"))
    assert only(after).status is Status.consented
    after.when(choosing(after, "harbour-rooms")).then(e.ReferralChosen, Match(e.ReferralRequested, service_id="rooms"))


def test_a_service_that_left_the_directory_is_not_asked() -> None:
    given = offered(PACK, consent("open-door"))
    later = replace(given, scenario=scenario(pack_with(ROOMS)))
    later.when(choosing(later)).then(e.ReferralChosen, Match(e.ReferralWithheld, reason="service_unavailable"))


def waiting(given: Given[CaseFile], inputs: int) -> Given[CaseFile]:
    progress = replace(given.subject.progress, waiting=inputs)
    return replace(given, subject=replace(given.subject, progress=progress))


def test_while_an_input_waits_nothing_goes_out_and_the_request_is_tried_again_without_firing_for_ever() -> None:
    given = waiting(offered(PACK, consent("open-door")), 1)
    held = given.when(choosing(given)).then(e.ReferralChosen, Match(e.ReferralWithheld, reason="case_on_hold"))
    entry_name = f"resume/{only(held).referral_id}"
    held.owes(entry_name, at=NOW)
    again = held.when(entry_name).then(Match(e.ReferralWithheld, reason="case_on_hold"))
    again.owes(entry_name, at=NOW + timedelta(minutes=1))
    free = waiting(again, 0)
    free.when(entry_name).then(Match(e.ReferralRequested, agency="open-door")).owes_nothing("resume…")


def test_a_choice_on_a_held_case_is_refused_and_a_cancellation_is_not() -> None:
    given = offered()
    hold = Hold(Cause.handler_raised, "event", "intake", 2, "x", "kintsugi.case.closed.v1", "2026-03-02T08:00:00Z")
    held = replace(given, subject=replace(given.subject, progress=replace(given.subject.progress, hold=hold)))
    held.when(choosing(held)).refused("case_on_hold")
    held.when(Cancel(referral_id=only(held).referral_id, reason=e.StatusReason.other)).then(e.ReferralStatusChanged)


def test_not_now_leaves_the_proposal_open_for_another_day() -> None:
    given = offered(PACK, consent("open-door"))
    later = given.when(Choose(referral_id=only(given).referral_id, choice="not_now")).then(
        Match(e.ReferralChosen, choice="not_now", option_id=None)
    )
    assert only(later).status is Status.proposed
    later.when(choosing(later)).then(e.ReferralChosen, e.ReferralRequested)


def test_none_ends_the_proposal_as_the_survivor_s_own_decision() -> None:
    given = offered()
    after = given.when(Choose(referral_id=only(given).referral_id, choice="none")).then(
        Match(e.ReferralChosen, choice="none"),
        Match(
            e.ReferralStatusChanged,
            status="cancelled",
            previous="proposed",
            reason="survivor_declined",
            set_by="survivor",
            agency=None,
        ),
    )
    after.when(OfferAgain(referral_id=only(after).referral_id)).then(Match(e.ReferralProposed, need="housing"))


def test_a_survivor_may_change_their_mind_until_the_agency_was_asked() -> None:
    given = chosen(offered())
    other = given.when(choosing(given, "hill-house")).then(
        Match(e.ReferralChosen, agency="hill-house"), Match(e.ReferralWithheld, agency="hill-house")
    )
    other.when(consent("open-door")).then()
    back = other.when(Choose(referral_id=only(other).referral_id, choice="not_now")).then(e.ReferralChosen)
    assert only(back).agency is None
    back.when(consent("hill-house")).then()
    asked = other.when(consent("hill-house")).then(e.ReferralRequested)
    asked.when(choosing(asked)).refused("choice_past")


def test_a_choice_that_makes_no_sense_is_refused() -> None:
    given = offered()
    referral_id = only(given).referral_id
    given.when(Choose(referral_id="nothing", choice="none")).refused("not_found")
    given.when(Choose(referral_id=referral_id, choice="option", option_id="nothing")).refused("option_unknown")
    given.after(closed()).when(Choose(referral_id=referral_id, choice="none")).refused("case_closed")
    with pytest.raises(ValidationError):
        Choose(referral_id=referral_id, choice="option")
    with pytest.raises(ValidationError):
        Choose(referral_id=referral_id, choice="none", option_id="x")


def test_no_answer_by_the_deadline_is_overdue_once_and_can_still_be_answered() -> None:
    given = chosen(offered(PACK, consent("open-door")))
    referral = only(given)
    late = given.when(f"answer/{referral.referral_id}").then(
        Match(e.ReferralOverdue, agency="open-door", answer_due=referral.answer_due)
    )
    late.owes_nothing()
    assert only(late).status is Status.requested


def test_a_fresh_offer_replaces_the_options_of_an_open_proposal() -> None:
    given = offered(pack_with(ROOMS))
    assert len(only(given).options) == 1
    wider = replace(given, scenario=scenario(pack_with(ROOMS, FLATS)))
    after = wider.when(OfferAgain(referral_id=only(given).referral_id)).then(
        Match(e.ReferralProposed, referral_id=only(given).referral_id)
    )
    assert len(only(after).options) == 2


def test_nothing_is_offered_again_while_an_agency_is_chosen_or_another_proposal_stands_or_the_case_is_closed() -> None:
    given = chosen(offered())
    again = OfferAgain(referral_id=only(given).referral_id)
    given.when(again).refused("referral_open")
    ended = given.when(Cancel(referral_id=again.referral_id, reason=e.StatusReason.other)).given
    ended.when(again).given.when(again).refused("referral_open")
    ended.after(closed()).when(again).refused("case_closed")
    given.when(OfferAgain(referral_id="nothing")).refused("not_found")
