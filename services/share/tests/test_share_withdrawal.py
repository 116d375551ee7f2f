"""A withdrawal stops a partner's stream at once; a tombstone follows, and the partner says in time that it forgot."""

from datetime import timedelta
from typing import Any

import kintsugi_events as e
import pytest
from kintsugi.agenda import Message, Outcome, Refuse, Result, Send
from kintsugi.testing import Given, Match
from kintsugi_share.commands import AcknowledgePurge
from kintsugi_share.records import Purge
from kintsugi_share.state import CaseFile
from kintsugi_share.views import rows

from services.share.tests.share_examples import (
    FUND,
    MINISTRY,
    NOW,
    REGISTRY,
    WAGES,
    agreed,
    assessed,
    entry,
    left,
    opened,
    record_of,
    scenario,
    stream,
    told,
    withdrawn,
)


def purge(given: Given[CaseFile]) -> Purge:
    return list(given.state.purges.values())[-1]


def stands(given: Given[CaseFile]) -> Given[CaseFile]:
    """The tombstone was written."""
    return given.when(Outcome(name=purge(given).entry, result=Result.sent, attempt=1)).then(e.PartnerPurgeSent)


def test_a_withdrawal_asks_back_what_was_received_and_owes_nothing_but_the_tombstone() -> None:
    after = (
        told()
        .when(withdrawn(MINISTRY))
        .then(
            Match(
                e.PartnerPurgeRequested,
                integrator=REGISTRY,
                agency=MINISTRY,
                consent_id="consent-1",
                reason=e.PurgeReason.consent_withdrawn,
                requested_at=NOW,
            )
        )
    )
    after.owes_nothing("record/…").owes(f"tombstone/{WAGES}/…").owes("purge/…", at=purge(after).due_at)
    assert purge(after).due_at == NOW + timedelta(days=7), "five working days, by the integrator's own purpose"


@pytest.mark.parametrize(
    "end",
    [
        withdrawn(None),
        withdrawn(None, id_="another"),
        withdrawn(None, purpose=e.ConsentPurpose.casework),
        agreed(decision=e.ConsentDecision.refused, id_="consent-2"),
        agreed(None, purpose=e.ConsentPurpose.casework, decision=e.ConsentDecision.refused, id_="consent-2"),
    ],
    ids=["this consent", "all of them", "casework", "a refusal after it", "casework refused"],
)
def test_every_end_of_a_consent_stops_the_stream(end: Any) -> None:
    told().when(end).then(e.PartnerPurgeRequested).owes_nothing("record/…")


def test_the_withdrawal_from_another_agency_stops_nothing() -> None:
    told().when(withdrawn(FUND, id_="consent-2")).then()


def test_a_consent_for_a_time_ends_by_itself() -> None:
    until = NOW + timedelta(days=30)
    given = left(scenario().given(opened(), agreed(valid_until=until))).owes(f"expiry/{WAGES}", at=until)
    after = given.when(f"expiry/{WAGES}").then(Match(e.PartnerPurgeRequested, reason=e.PurgeReason.consent_expired))
    after.owes_nothing("expiry/…").owes_nothing("record/…").owes("tombstone/…")


@pytest.mark.parametrize("received", [True, False], ids=["it had received", "it had not"])
def test_a_consent_that_has_ended_does_not_begin_again_with_a_clock_set_back(received: bool) -> None:
    until = NOW + timedelta(days=30)
    given = scenario().given(opened(), agreed(valid_until=until))
    if received:
        ended = left(given).at(until).when(f"expiry/{WAGES}").given
    else:
        refused = Outcome(name=entry(given), result=Result.refused, reason="consent_expired", attempt=0)
        ended = given.at(until).when(refused).then(e.DisclosureWithheld)
    back = ended.at(until - timedelta(hours=2))
    back.when(assessed("legal_aid")).then().owes_nothing("record/…")
    renewed = agreed(valid_until=until + timedelta(days=30), id_="consent-2")
    back.when(renewed).then(Match(e.DisclosureDue, consent_id="consent-2"))


def test_a_consent_ends_at_its_very_moment_and_not_before() -> None:
    until = NOW + timedelta(days=30)
    given = scenario().given(opened(), agreed(valid_until=until))
    assert isinstance(given.at(until - timedelta(microseconds=1)).prepared(entry(given)), Message)
    assert given.at(until).prepared(entry(given)) == Refuse(reason="consent_expired")


def test_a_renewed_consent_moves_its_end() -> None:
    given = left(scenario().given(opened(), agreed(valid_until=NOW + timedelta(days=30))))
    later = NOW + timedelta(days=60)
    given.when(agreed(valid_until=later, id_="consent-2")).then().owes(f"expiry/{WAGES}", at=later)


def test_where_nothing_was_ever_owed_nothing_is_asked_back() -> None:
    scenario().given(opened()).when(withdrawn(MINISTRY)).then().owes_nothing()


def test_a_record_that_may_be_on_its_way_counts_as_received() -> None:
    given = scenario().given(opened(), agreed())
    after = given.when(withdrawn(MINISTRY)).then(
        Match(e.DisclosureMade, certainty=e.Certainty.possible, revision=1), e.PartnerPurgeRequested
    )
    after.owes_nothing("record/…").owes("tombstone/…")


def test_so_does_every_earlier_one_whose_end_nobody_knows_and_the_survivor_sees_it() -> None:
    given = scenario().given(opened(), agreed(), assessed("legal_aid"))
    after = given.when(withdrawn(MINISTRY)).then(
        Match(e.DisclosureMade, certainty=e.Certainty.possible, revision=1),
        Match(e.DisclosureMade, certainty=e.Certainty.possible, revision=2),
        e.PartnerPurgeRequested,
    )
    assert {each["certainty"] for each in rows("case/1", after.state)["disclosures"]} == {"possible"}


def test_its_late_outcome_is_recorded_and_the_tombstone_still_comes_after_it() -> None:
    under_way = scenario().given(opened(), agreed())
    given = under_way.when(withdrawn(MINISTRY)).given
    tombstone = given.scenario.stepper.agenda(given.subject)[purge(given).entry]
    record = under_way.scenario.stepper.agenda(under_way.subject)[entry(under_way)]
    assert isinstance(tombstone, Send)
    assert isinstance(record, Send)
    assert tombstone.recipient == record.recipient, "one claim at a time: the tombstone waits for the record's end"
    after = given.when(Outcome(name=f"record/{WAGES}/1", result=Result.sent, attempt=1))
    known = after.then(Match(e.DisclosureMade, certainty=e.Certainty.confirmed, revision=1)).owes("tombstone/…")
    assert [(each.certainty, each.purge_id) for each in known.state.disclosures] == [
        ("confirmed", purge(known).purge_id)
    ]
    stands(known).owes_nothing("tombstone/…").owes_nothing("record/…")


def test_the_tombstone_is_a_null_value_under_the_case_s_id_with_what_the_partner_must_do() -> None:
    given = told()
    ref = stream(given).recipient_ref
    given = given.when(withdrawn(MINISTRY)).given
    message = given.prepared(purge(given).entry)
    assert isinstance(message, Message)
    assert (message.tombstone, message.body.get_secret_value()) == (True, "")
    assert message.to.get_secret_value() == f"xa.share.{WAGES}"
    assert message.subject.get_secret_value() == ref
    assert message.headers["ce_purgeid"] == purge(given).purge_id
    assert message.headers["ce_purgedue"] == f"{purge(given).due_at:%Y-%m-%dT%H:%M:00Z}"
    assert not {"ce_dataschema", "content-type", "traceparent", "ce_causationid"} & message.headers.keys()


def test_the_tombstone_leaves_also_while_the_case_stands_still_and_never_gives_up() -> None:
    given = told().when(withdrawn(MINISTRY)).given
    send = given.scenario.stepper.agenda(given.subject)[purge(given).entry]
    assert isinstance(send, Send)
    assert not send.outward
    record = told().when(assessed("legal_aid")).given.owes("record/…")
    renewed = record.scenario.stepper.agenda(record.subject)[entry(record)]
    assert isinstance(renewed, Send)
    assert renewed.outward, "a record waits for a held case, by the kit"
    assert send.expires > NOW + timedelta(days=36_000)


class TestAConsentGivenAgain:
    @pytest.mark.parametrize(
        "no",
        [
            withdrawn(None, purpose=e.ConsentPurpose.casework, id_="c0"),
            agreed(None, purpose=e.ConsentPurpose.casework, decision=e.ConsentDecision.refused, id_="c0"),
        ],
        ids=["withdrawn", "refused"],
    )
    def test_a_yes_to_casework_after_a_no_begins_no_stream_again_by_itself(self, no: Any) -> None:
        given = stands(told().when(no).given)
        again = given.when(agreed(None, purpose=e.ConsentPurpose.casework, id_="c1")).then().owes_nothing("record/…")
        again.when(agreed(id_="consent-2")).then(Match(e.DisclosureDue, consent_id="consent-2"))

    def test_first_the_tombstone_then_a_new_record_with_a_higher_revision(self) -> None:
        given = told().when(withdrawn(MINISTRY)).given
        again = given.when(agreed(id_="consent-2")).then(Match(e.DisclosureDue, revision=2, consent_id="consent-2"))
        again.owes_nothing("record/…").owes("tombstone/…")
        after = stands(again).owes(f"record/{WAGES}/2")
        assert record_of(after)["revision"] == 2
        assert left(after).state.disclosures[-1].purge_id is None

    def test_withdrawn_again_before_the_tombstone_left_it_needs_no_second_one(self) -> None:
        given = told().when(withdrawn(MINISTRY)).given.when(agreed(id_="consent-2")).given
        after = given.when(withdrawn(MINISTRY, id_="consent-2")).then(
            Match(e.DisclosureWithheld, revision=2, attempted=False)
        )
        assert len(after.state.purges) == 1
        stands(after).owes_nothing("record/…")

    def test_withdrawn_again_later_it_is_another_purge(self) -> None:
        given = left(stands(told().when(withdrawn(MINISTRY)).given).when(agreed(id_="consent-2")).given)
        after = given.when(withdrawn(MINISTRY, id_="consent-2")).then(e.PartnerPurgeRequested)
        assert len(after.state.purges) == 2
        assert len({each.recipient_ref for each in after.state.purges.values()}) == 1


class TestTheAcknowledgement:
    def asked(self) -> Given[CaseFile]:
        return stands(told().when(withdrawn(MINISTRY)).given)

    def test_it_ends_the_wait_and_saying_it_twice_changes_nothing(self) -> None:
        given = self.asked()
        said = AcknowledgePurge(purge_id=purge(given).purge_id, integrator=REGISTRY)
        after = given.when(said).then(Match(e.PartnerPurgeAcknowledged, integrator=REGISTRY)).owes_nothing()
        after.when(said).then()

    def test_another_integrator_does_not_learn_that_there_is_a_purge(self) -> None:
        given = self.asked()
        given.when(AcknowledgePurge(purge_id=purge(given).purge_id, integrator="compensation-fund")).refused(
            "not_found"
        )
        given.when(AcknowledgePurge(purge_id="another", integrator=REGISTRY)).refused("not_found")

    def test_it_may_come_before_share_knows_that_the_tombstone_stands_there_which_stays_owed_until_then(self) -> None:
        given = told().when(withdrawn(MINISTRY)).given
        said = AcknowledgePurge(purge_id=purge(given).purge_id, integrator=REGISTRY)
        early = given.when(said).then(e.PartnerPurgeAcknowledged).owes_nothing("purge/…").owes("tombstone/…")
        assert isinstance(early.prepared(purge(early).entry), Message)
        after = stands(early).owes_nothing()
        assert purge(after).acknowledged_at == NOW
        after.when(said).then()

    def test_when_it_does_not_come_in_time_staff_hear_of_it_once_and_late_still_counts(self) -> None:
        given = self.asked()
        name = f"purge/{purge(given).purge_id}"
        late = given.when(name).then(Match(e.PartnerPurgeOverdue, due_at=purge(given).due_at)).owes_nothing()
        late.when(AcknowledgePurge(purge_id=purge(given).purge_id, integrator=REGISTRY)).then(
            e.PartnerPurgeAcknowledged
        )


def test_facts_that_change_after_a_withdrawal_reach_nobody() -> None:
    given = stands(told().when(withdrawn(MINISTRY)).given)
    given.when(assessed("legal_aid")).then().owes_nothing("record/…")
