"""What agencies may say through their link, and what ends a referral from our side."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import kintsugi_events as e
import pytest
from kintsugi.testing import Given, Match
from kintsugi_referral.commands import AcknowledgePurge, Answer, Cancel, Look, MarkAsError, OfferAgain
from kintsugi_referral.domain import Status
from kintsugi_referral.shown import Facts
from kintsugi_referral.state import CaseFile, Referral

from services.referral.tests.referral_examples import (
    NOW,
    PACK,
    closed,
    consent,
    contact_of,
    links,
    offered,
    only,
    withdrawn,
)
from services.referral.tests.test_referral_requests import choosing, chosen, waiting


def requested(*before: Any) -> Given[CaseFile]:
    """A case whose survivor chose Open Door, which was asked."""
    return chosen(offered(PACK, *(before or (consent("open-door"),))))


def link(given: Given[CaseFile], referral: Referral | None = None) -> dict[str, Any]:
    of = referral or only(given)
    assert of.link_expires_at is not None
    return {
        "referral_id": of.referral_id,
        "agency": of.agency,
        "option_id": of.option_id,
        "expires": of.link_expires_at,
    }


def says(given: Given[CaseFile], status: str, reason: str | None = None, **more: Any) -> Answer:
    return Answer(status=status, reason=reason, **link(given), **more)


def after(given: Given[CaseFile], *statuses: str) -> Given[CaseFile]:
    for status in statuses:
        given = given.when(says(given, status, "other")).given
    return given


def test_an_agency_accepts_starts_and_completes() -> None:
    given = requested()
    accepted = given.when(says(given, "accepted")).then(
        Match(e.ReferralStatusChanged, status="accepted", previous="requested", set_by="provider", agency="open-door")
    )
    accepted.owes_nothing()
    started = accepted.when(says(accepted, "in-progress")).then(Match(e.ReferralStatusChanged, status="in-progress"))
    done = started.when(says(started, "completed")).then(Match(e.ReferralStatusChanged, status="completed"))
    assert only(done).status is Status.completed


def test_an_answer_after_the_deadline_still_counts() -> None:
    given = requested()
    late = given.when(f"answer/{only(given).referral_id}").given
    late.when(says(late, "accepted")).then(Match(e.ReferralStatusChanged, status="accepted"))


def test_a_rejection_offers_what_is_left_and_says_why() -> None:
    given = requested()
    rejected = given.when(says(given, "rejected", "out_of_funds")).then(
        Match(e.ReferralStatusChanged, status="rejected", reason="out_of_funds"), Match(e.ReferralProposed)
    )
    again = only(rejected)
    assert again.referral_id != only(given).referral_id
    assert again.need_id == only(given).need_id
    assert {option.agency for option in again.options} == {"harbour-rooms", "hill-house"}


def test_the_next_request_for_the_same_need_counts_as_the_second_attempt() -> None:
    given = requested(consent("open-door"), consent("hill-house", id_="c-2"))
    rejected = given.when(says(given, "rejected", "no_capacity")).given
    rejected.when(choosing(rejected, "hill-house")).then(
        e.ReferralChosen, Match(e.ReferralRequested, attempt=2, agency="hill-house", consent_id="c-2")
    )


def test_when_every_option_said_no_the_proposal_is_empty_and_stands() -> None:
    given = requested(consent("open-door"), consent("hill-house", id_="2"), consent("harbour-rooms", id_="3"))
    for agency in ("hill-house", "harbour-rooms"):
        given = given.when(says(given, "rejected", "no_capacity")).given
        given = given.when(choosing(given, agency)).given
    last = given.when(says(given, "rejected", "not_eligible")).then(
        e.ReferralStatusChanged, Match(e.ReferralProposed, options=())
    )
    assert only(last).status is Status.proposed


def test_a_service_that_failed_is_not_offered_again() -> None:
    given = after(requested(), "accepted", "failed")
    again = given.when(OfferAgain(referral_id=only(given).referral_id)).then(e.ReferralProposed)
    assert "open-door" not in {option.agency for option in only(again).options}


@pytest.mark.parametrize("status", ["rejected", "on-hold", "failed", "cancelled"])
def test_an_answer_that_hurts_needs_a_reason(status: str) -> None:
    given = requested() if status == "rejected" else after(requested(), "accepted")
    given.when(says(given, status)).refused("reason_required")


@pytest.mark.parametrize("status", ["in-progress", "on-hold", "completed", "failed"])
def test_nothing_is_in_progress_before_it_was_accepted(status: str) -> None:
    given = requested()
    given.when(says(given, status, "other")).refused("transition_refused")


@pytest.mark.parametrize(
    "way", [["rejected"], ["cancelled"], ["accepted", "completed"], ["accepted", "failed"]], ids=" then ".join
)
def test_an_ended_request_takes_no_other_answer(way: list[str]) -> None:
    given = requested()
    referral = only(given)
    for status in way:
        given = given.when(Answer(status=status, reason="other", **link(given, referral))).given
    back = given.when(Answer(status="accepted", **link(given, referral)))
    back.refused("referral_ended")


def test_the_same_answer_twice_is_one() -> None:
    given = after(requested(), "accepted")
    given.when(says(given, "accepted")).then()


def test_a_missed_appointment_is_no_failure() -> None:
    given = after(requested(), "accepted", "in-progress")
    missed = given.when(says(given, "in-progress", sub_status="unattended")).then(
        Match(e.ReferralStatusChanged, status="in-progress", previous="in-progress", sub_status="unattended")
    )
    missed.when(says(missed, "in-progress", sub_status="unattended")).then()
    on = missed.when(says(missed, "completed")).then(Match(e.ReferralStatusChanged, status="completed"))
    assert only(on).sub_status is None
    fresh = requested()
    fresh.when(says(fresh, "rejected", "other", sub_status="unattended")).refused("sub_status_refused")


def test_an_expired_link_takes_no_answer_and_shows_nothing() -> None:
    given = requested()
    late = given.at(only(given).link_expires_at)
    late.when(says(late, "accepted")).refused("link_expired")
    late.when(Look(kind="answer", **link(late))).refused("link_expired")
    just = given.at(only(given).link_expires_at - timedelta(microseconds=1))
    just.when(says(just, "accepted")).then(e.ReferralStatusChanged)


@pytest.mark.parametrize("wrong", ["referral_id", "agency", "option_id"])
def test_a_link_opens_only_what_it_was_made_for(wrong: str) -> None:
    given = requested()
    given.when(Answer(status="accepted", **{**link(given), wrong: "other"})).refused("link_invalid")
    given.when(Look(kind="answer", **{**link(given), wrong: "other"})).refused("link_invalid")


def test_facts_are_shown_while_the_consent_holds_and_the_case_moves() -> None:
    given = requested(consent("open-door", valid_until=NOW + timedelta(days=1)))
    look = Look(kind="answer", **link(given))
    given.when(look).then(e.DisclosureMade)
    waiting(given, 1).when(look).refused("not_now")
    later = given.at(NOW + timedelta(days=1))
    later.when(look).refused("facts_withheld")
    later.when(look.model_copy(update={"facts": False})).then()
    later.when(says(later, "accepted")).then(e.ReferralStatusChanged)


def purged(given: Given[CaseFile], at: datetime = NOW) -> AcknowledgePurge:
    return AcknowledgePurge(**{**link(given), "expires": PACK.due("link_validity", at)})


def test_a_withdrawal_cancels_asks_to_delete_and_takes_the_acknowledgement_once() -> None:
    given = after(requested(), "accepted")
    stopped = given.when(withdrawn("open-door")).then(
        Match(
            e.ReferralStatusChanged,
            status="cancelled",
            previous="accepted",
            reason="consent_withdrawn",
            set_by="survivor",
        ),
        Match(
            e.PurgeRequested,
            agency="open-door",
            consent_id="consent-1",
            reason="consent_withdrawn",
            due_at=PACK.due("purge_acknowledgement", NOW),
        ),
    )
    event = stopped.emitted[-1].event
    contact = stopped.opened(contact_of(event), e.PurgeRequestedContact)
    claims = links().read(contact.link.rpartition("/")[2], "purge")
    assert claims.referral_id == only(given).referral_id
    stopped.owes_nothing()
    done = stopped.when(purged(stopped)).then(Match(e.PurgeAcknowledged, agency="open-door"))
    done.when(purged(done)).then()
    stopped.when(withdrawn("open-door")).then()


def test_nothing_can_be_acknowledged_that_nobody_asked_for() -> None:
    given = requested()
    given.when(purged(given)).refused("link_invalid")
    given.when(Look(kind="purge", **link(given))).refused("link_invalid")


@pytest.mark.parametrize(
    "event",
    [withdrawn("open-door", id_="another"), withdrawn(None), withdrawn(None, id_="unheard-of"),
     withdrawn(None, purpose=e.ConsentPurpose.casework),
     consent("open-door", id_="c-2", decision=e.ConsentDecision.refused),
     consent(None, id_="c-2", purpose=e.ConsentPurpose.casework, decision=e.ConsentDecision.refused)],
    ids=["by agency", "by consent", "of everything", "of casework", "as a refusal", "as a refusal of casework"],
)  # fmt: skip
def test_every_way_of_taking_a_consent_back_stops_what_went_out(event: Any) -> None:
    requested().when(event).then(Match(e.ReferralStatusChanged, status="cancelled"), e.PurgeRequested)


@pytest.mark.parametrize(
    "event",
    [withdrawn("hill-house", id_="c-2"), withdrawn(None, purpose=e.ConsentPurpose.contact, id_="c-3")],
    ids=["another agency", "another purpose"],
)
def test_taking_back_something_else_stops_nothing(event: e.ConsentWithdrawn) -> None:
    requested(consent("open-door"), consent("hill-house", id_="c-2")).when(event).then()


def test_a_withdrawal_cancels_a_choice_that_waits_and_asks_nobody_to_delete_what_was_never_sent() -> None:
    given = chosen(offered(PACK, consent("open-door", valid_until=NOW)))
    given.when(withdrawn("open-door")).then(Match(e.ReferralStatusChanged, status="cancelled", previous="chosen"))


def test_a_withdrawal_after_the_end_still_asks_to_delete() -> None:
    given = after(requested(), "accepted", "completed")
    stopped = given.when(withdrawn("open-door")).then(e.PurgeRequested)
    assert only(stopped).status is Status.completed


def test_a_closed_case_cancels_what_is_open_and_proposes_nothing_more() -> None:
    given = requested()
    ended = given.when(closed()).then(
        Match(e.ReferralStatusChanged, status="cancelled", reason="case_closed", set_by="platform")
    )
    ended.owes_nothing()
    ended.when(closed()).then()
    ended.when(consent("open-door", id_="c-2")).then()


def test_staff_cancel_for_the_survivor_or_themselves_and_cannot_cancel_what_ended() -> None:
    given = requested()
    id_ = only(given).referral_id
    ended = given.when(Cancel(referral_id=id_, reason=e.StatusReason.survivor_withdrew, asked_by="survivor")).then(
        Match(e.ReferralStatusChanged, status="cancelled", set_by="survivor", reason="survivor_withdrew")
    )
    ended.when(Cancel(referral_id=id_, reason=e.StatusReason.other)).refused("transition_refused")
    given.when(Cancel(referral_id="nothing", reason=e.StatusReason.other)).refused("not_found")


def test_an_entry_in_error_is_taken_back_from_any_state_and_what_was_sent_is_asked_back() -> None:
    proposed = offered()
    taken = proposed.when(MarkAsError(referral_id=only(proposed).referral_id)).then(
        Match(e.ReferralStatusChanged, status="entered-in-error", reason="recorded_in_error")
    )
    taken.when(MarkAsError(referral_id=only(taken).referral_id)).refused("transition_refused")
    for way in ([], ["accepted"], ["accepted", "completed"], ["cancelled"]):
        given = after(requested(), *way)
        given.when(MarkAsError(referral_id=only(given).referral_id)).then(
            Match(e.ReferralStatusChanged, status="entered-in-error", set_by="caseworker"),
            Match(e.PurgeRequested, reason="sent_in_error"),
        )


def test_a_case_without_its_keys_is_still_asked_about_but_tells_no_way() -> None:
    from kintsugi.sealing import ERASED

    given = offered(PACK, consent("open-door"))
    given.scenario.stepper.vault.keys[(given.subject.id, "contact")] = ERASED
    then = replace(given).when(choosing(given))
    then.then(e.ReferralChosen, e.ReferralRequested)
    assert not then.events[-1].sealed


def test_the_first_look_at_facts_is_a_disclosure_and_moves_nothing() -> None:
    given = requested()
    seen = given.when(Look(kind="answer", **link(given))).then(
        Match(
            e.DisclosureMade,
            way=e.DisclosureWay.link,
            certainty=e.Certainty.confirmed,
            agency="open-door",
            consent_id="consent-1",
            referral_id=only(given).referral_id,
            fields=tuple(Facts.model_fields),
        )
    )
    assert only(seen).step == only(given).step
    seen.when(Look(kind="answer", **link(given))).then()


def test_a_look_that_shows_no_facts_is_no_disclosure() -> None:
    given = requested()
    given.when(Look(kind="answer", facts=False, **link(given))).then()
    over = given.when(withdrawn("open-door")).given
    over.when(Look(kind="answer", **link(over))).then()
    over.when(Look(kind="purge", **link(over))).then()
