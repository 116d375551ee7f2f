"""A partner receives a case only while a consent for it holds, only its own fields, and only when they changed."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import kintsugi_events as e
import pytest
from kintsugi.agenda import Message, Outcome, Refuse, Result
from kintsugi.sealing import ERASED
from kintsugi.testing import SUBJECT, Match, Scenario
from kintsugi_share.contract import EventSchemas
from kintsugi_share.handlers import service
from kintsugi_share.partners import contracts_of
from kintsugi_share.views import rows

from services.share.tests.share_examples import (
    AWARDS,
    COMPENSATION,
    FUND,
    MINISTRY,
    NOW,
    REGISTRY,
    ROOT,
    WAGES,
    agreed,
    assessed,
    closed,
    entry,
    left,
    message_of,
    opened,
    opened_by,
    pack,
    partners,
    record_of,
    scenario,
    stream,
    told,
    withdrawn,
)


def proposed(referral_id: str, need: str) -> e.ReferralProposed:
    return e.ReferralProposed(
        referral_id=referral_id, assessment_id="a", need_id=f"a:{need}", need=need, band=e.NeedBand.high,
        options=(), proposed_at=NOW,
    )  # fmt: skip


def requested(referral_id: str) -> e.ReferralRequested:
    return e.ReferralRequested(
        referral_id=referral_id, option_id="o", service_id="s", agency="a", consent_id="c", answer_due=NOW,
        link_expires_at=NOW, attempt=1, requested_at=NOW,
    )  # fmt: skip


def moved(referral_id: str, status: e.ReferralStatus) -> e.ReferralStatusChanged:
    return e.ReferralStatusChanged(
        referral_id=referral_id, status=status, previous=e.ReferralStatus.requested, set_by=e.Party.provider,
        changed_at=NOW,
    )  # fmt: skip


def test_without_a_consent_nothing_is_owed_to_anybody() -> None:
    scenario().given(opened(), assessed("legal_aid"), proposed("r1", "legal_aid")).owes_nothing()


def test_a_consent_for_another_agency_or_purpose_begins_nothing() -> None:
    given = scenario().given(opened())
    given.when(agreed("agency-harbour-house")).then()
    given.when(agreed(None, purpose=e.ConsentPurpose.casework)).then()


def test_a_consent_begins_the_stream_of_its_recipient_and_no_other() -> None:
    after = scenario().given(opened()).when(agreed()).then(Match(e.DisclosureDue, integrator=REGISTRY, revision=1))
    after.owes(f"record/{WAGES}/1")
    assert AWARDS not in after.state.streams


def test_the_record_holds_the_declared_fields_of_this_moment_and_nothing_else() -> None:
    given = scenario().given(
        opened(), assessed("legal_aid", "trauma_therapy", "employment"), proposed("r1", "legal_aid"),
        proposed("r2", "trauma_therapy"), proposed("r3", "employment"), requested("r1"), requested("r2"),
        moved("r1", e.ReferralStatus.accepted), agreed(),
    )  # fmt: skip
    record = record_of(given)
    sealed = record.pop("sealed")
    assert record == {
        "case": stream(given).recipient_ref,
        "revision": 1,
        "status": "open",
        "opened_month": "2026-03",
        "casework_type": "trafficking",
        "age_band": "from_25_to_39",
        "languages": ["en"],
        "area": "XA-HB",
        "needs": [{"need": "employment", "band": "high"}, {"need": "legal_aid", "band": "high"}],
        "requests": [{"need": "legal_aid", "status": "accepted"}],
    }
    assert opened_by(REGISTRY, sealed["identity"]) == {
        "case": record["case"],
        "preferred_name": "Amara",
        "real_name": "Amara Deniz Korhan",
    }


def test_two_partners_receive_different_fields_of_the_same_case() -> None:
    given = scenario().given(opened(), assessed("legal_aid"), agreed(), agreed(FUND, id_="consent-2"))
    assert set(record_of(given, AWARDS)) == {"case", "revision", "status", "opened_month", "area", "sealed"}
    assert opened_by(COMPENSATION, record_of(given, AWARDS)["sealed"]["identity"])["preferred_name"] == "Amara"


def test_a_record_travels_as_a_cloud_event_under_the_partner_s_id() -> None:
    given = scenario().given(opened(), agreed())
    message = message_of(given)
    ref = stream(given).recipient_ref
    assert message.to.get_secret_value() == f"xa.share.{WAGES}"
    assert message.subject.get_secret_value() == ref == record_of(given)["case"]
    assert not message.tombstone
    assert message.headers == {
        "ce_specversion": "1.0",
        "ce_id": message.headers["ce_id"],
        "ce_source": "/xa/share",
        "ce_type": "kintsugi.share.labour-registry.wage-claims.v1",
        "ce_time": "2026-03-02T08:00:00Z",
        "ce_subject": ref,
        "ce_dataschema": "https://schemas.kintsugi.example/share/xa/labour-registry/wage-claims/v1.schema.json",
        "ce_dataclassification": "confidential",
        "content-type": "application/json",
    }
    assert message_of(given).headers["ce_id"] == message.headers["ce_id"], "a repetition has the same id"
    assert SUBJECT not in message.body.get_secret_value() + str(message.headers)


def test_what_left_is_a_disclosure_with_names_of_fields_and_never_a_value() -> None:
    given = scenario().given(opened(), agreed())
    after = given.when(Outcome(name=entry(given), result=Result.sent, attempt=1)).then(
        Match(
            e.DisclosureMade,
            way=e.DisclosureWay.stream,
            certainty=e.Certainty.confirmed,
            agency=MINISTRY,
            integrator=REGISTRY,
            consent_id="consent-1",
            revision=1,
            sealed_fields=("identity.preferred_name", "identity.real_name"),
        )
    )
    after.owes_nothing()
    assert "Amara" not in after.state.model_dump_json()


def test_only_a_change_of_its_own_fields_renews_a_partner_s_record() -> None:
    given = told()
    given.when(assessed("trauma_therapy")).then()
    given.when(proposed("r1", "legal_aid")).then()
    after = given.when(assessed("legal_aid")).then(Match(e.DisclosureDue, revision=2)).owes(f"record/{WAGES}/2")
    assert record_of(after)["revision"] == 2
    left(after).when(assessed("legal_aid", id_="assessment-2")).then()


def test_a_newer_record_takes_the_place_of_one_that_has_not_left() -> None:
    given = scenario().given(opened(), agreed())
    after = given.when(assessed("legal_aid")).then(Match(e.DisclosureDue, revision=2))
    assert [name for name in after.scenario.stepper.agenda(after.subject) if name.startswith("record/")] == [
        f"record/{WAGES}/2"
    ]
    late = after.when(Outcome(name=f"record/{WAGES}/1", result=Result.sent, attempt=1))
    known = late.then(Match(e.DisclosureMade, revision=1)).owes(f"record/{WAGES}/2")
    known.when(Outcome(name=f"record/{WAGES}/2", result=Result.sent)).then(Match(e.DisclosureMade, revision=2))


def test_what_a_newer_record_took_the_place_of_may_have_left_and_is_a_possible_disclosure() -> None:
    given = scenario().given(opened(), agreed(), assessed("legal_aid"))
    after = given.when(Outcome(name=f"record/{WAGES}/2", result=Result.sent)).then(
        Match(e.DisclosureMade, revision=1, certainty=e.Certainty.possible),
        Match(e.DisclosureMade, revision=2, certainty=e.Certainty.confirmed),
    )
    shown = rows("case/1", after.state)["disclosures"]
    assert [(each["revision"], each["certainty"]) for each in shown] == [(2, "confirmed")], "it says nothing more"


def test_a_closed_case_is_told_as_closed_to_who_knew_it_and_to_nobody_else() -> None:
    given = told().when(closed()).then(Match(e.DisclosureDue, revision=2))
    assert record_of(given)["status"] == "closed"
    given.when(agreed(FUND, id_="consent-2")).then()


def test_a_case_that_was_closed_before_its_first_record_left_is_not_told() -> None:
    given = scenario().given(opened(), agreed(), closed())
    assert given.prepared(entry(given)) == Refuse(reason="case_closed")
    given.when(Outcome(name=entry(given), result=Result.refused, reason="case_closed")).then(
        Match(e.DisclosureWithheld, reason="case_closed", attempted=False)
    ).owes_nothing()


def test_a_case_that_was_closed_while_its_first_record_was_on_its_way_is_told_as_closed() -> None:
    given = scenario().given(opened(), agreed(), closed())
    after = given.when(Outcome(name=entry(given), result=Result.sent, attempt=1))
    after.then(e.DisclosureMade, Match(e.DisclosureDue, revision=2))
    assert record_of(after.given)["status"] == "closed"


def test_a_consent_that_ended_while_the_record_was_on_its_way_is_followed_by_a_purge() -> None:
    given = scenario().given(opened(), agreed(valid_until=NOW + timedelta(days=1))).at(NOW + timedelta(days=1))
    given.when(Outcome(name=entry(given), result=Result.sent, attempt=1)).then(
        e.DisclosureMade, Match(e.PartnerPurgeRequested, reason=e.PurgeReason.consent_expired)
    )


class TestTheConsentIsReadAgainWhenTheRecordLeaves:
    def test_it_expired_meanwhile(self) -> None:
        given = scenario().given(opened(), agreed(valid_until=NOW + timedelta(days=1)))
        assert isinstance(given.prepared(entry(given)), Message)
        assert given.at(NOW + timedelta(days=1)).prepared(entry(given)) == Refuse(reason="consent_expired")

    def test_an_unattempted_record_that_is_refused_was_never_received(self) -> None:
        given = scenario().given(opened(), agreed(valid_until=NOW + timedelta(days=1))).at(NOW + timedelta(days=1))
        refused = Outcome(name=entry(given), result=Result.refused, reason="consent_expired", attempt=0)
        after = given.when(refused).then(Match(e.DisclosureWithheld, reason="consent_expired", attempted=False))
        after.owes_nothing()

    def test_one_that_was_attempted_before_may_have_been_and_is_asked_back(self) -> None:
        given = scenario().given(opened(), agreed(valid_until=NOW + timedelta(days=1))).at(NOW + timedelta(days=1))
        refused = Outcome(name=entry(given), result=Result.refused, reason="consent_expired", attempt=2)
        after = given.when(refused).then(
            Match(e.DisclosureWithheld, reason="consent_expired", attempted=True),
            Match(e.DisclosureMade, certainty=e.Certainty.possible),
            Match(e.PartnerPurgeRequested, reason=e.PurgeReason.consent_expired),
        )
        after.owes("tombstone/…")

    def test_the_identity_was_erased(self) -> None:
        given = left(scenario().given(opened(), agreed())).when(assessed("legal_aid")).given
        given.scenario.stepper.vault.keys[(SUBJECT, "identity")] = ERASED
        assert given.prepared(entry(given)) == Refuse(reason="erased")
        erased = Outcome(name=entry(given), result=Result.refused, reason="erased", attempt=0)
        given.when(erased).then(
            Match(e.DisclosureWithheld, reason="erased"),
            Match(e.PartnerPurgeRequested, reason=e.PurgeReason.subject_erased),
        )

    def test_nothing_of_a_person_who_was_erased_leaves_for_a_purpose_without_personal_fields_either(self) -> None:
        bare = pack().integrators[1].purposes["awards"].model_copy(update={"sealed": {}})
        fund = pack().integrators[1].model_copy(update={"purposes": {"awards": bare}})
        only = replace(pack(), integrators=(pack().integrators[0], fund))
        resources = replace(partners(), contracts=contracts_of(only, EventSchemas(ROOT / "contracts")))
        given = Scenario(service, only, now=NOW, resources=resources).given(opened(), agreed(FUND))
        assert "sealed" not in record_of(given, AWARDS)
        given.scenario.stepper.vault.keys[(SUBJECT, "identity")] = ERASED
        assert given.prepared(entry(given, AWARDS)) == Refuse(reason="erased")


@pytest.mark.parametrize(
    "said",
    [
        [agreed(decision=e.ConsentDecision.refused)],
        [agreed(decision=e.ConsentDecision.unknown)],
        [agreed(valid_until=NOW)],
        [agreed(), withdrawn(MINISTRY)],
        [agreed(None, purpose=e.ConsentPurpose.casework, decision=e.ConsentDecision.refused, id_="c0"), agreed()],
        [agreed(obtained_from=e.ObtainedFrom.caregiver)],
        [agreed(obtained_from=e.ObtainedFrom.unknown)],
        [agreed(), withdrawn(MINISTRY, purpose=e.ConsentPurpose.unknown)],
        [agreed(), agreed(purpose=e.ConsentPurpose.unknown, decision=e.ConsentDecision.refused)],
        [agreed(purpose=e.ConsentPurpose.unknown)],
    ],
    ids=[
        "refused",
        "unreadable",
        "over already",
        "withdrawn",
        "no casework",
        "by a guardian who may be the suspect",
        "by nobody knows whom, where that guardian is about",
        "withdrawn for a purpose that cannot be read",
        "refused for a purpose that cannot be read",
        "granted for a purpose that cannot be read",
    ],
)
def test_nothing_is_ever_prepared_without_a_consent_that_holds(said: list[Any]) -> None:
    given = scenario().given(opened(guardian_contact=e.GuardianContact.blocked), *said)
    given.owes_nothing("record/…")


def test_a_record_that_kafka_never_took_is_withheld_and_owed_anew() -> None:
    given = scenario().given(opened(), agreed())
    gone = Outcome(name=entry(given), result=Result.expired, reason="expired", attempt=9)
    after = given.at(NOW + timedelta(days=2)).when(gone)
    after.then(Match(e.DisclosureWithheld, reason="expired", attempted=True), Match(e.DisclosureDue, revision=2)).owes(
        f"record/{WAGES}/2"
    )


def test_a_case_opened_without_an_identity_has_nothing_sealed() -> None:
    given = scenario().given(opened(sealed={}), agreed())
    assert "sealed" not in record_of(given)


def test_what_one_agency_is_asked_to_delete_says_nothing_of_the_next_one_for_the_same_referral() -> None:
    looks = [
        e.DisclosureMade(
            way=e.DisclosureWay.link, certainty=e.Certainty.confirmed, agency=agency, consent_id="c", fields=("need",),
            sealed_fields=(), made_at=NOW, referral_id="r1",
        )
        for agency in ("a", "b")
    ]  # fmt: skip
    asked = e.PurgeRequested(
        referral_id="r1", agency="b", consent_id="c", reason=e.PurgeReason.consent_withdrawn, due_at=NOW,
        requested_at=NOW,
    )  # fmt: skip
    deleted = e.PurgeAcknowledged(referral_id="r1", agency="b", acknowledged_at=NOW)
    found = rows(SUBJECT, scenario().given(opened(), *looks, asked, deleted).state)["disclosures"]
    assert {row["agency"]: (row["purge_requested_at"], row["purged_at"]) for row in found} == {
        "a": (None, None),
        "b": (NOW, NOW),
    }
