"""Events of different sources that did not see each other may come in either order; none of them ever raises."""

from typing import Any

import kintsugi_events as e
from hypothesis import given, settings
from hypothesis import strategies as st
from kintsugi_share.owed import agenda
from kintsugi_share.state import CaseFile, evolve
from kintsugi_share.views import rows

from tests.case_events import NOW, assessed, case_opened, closed, consent, withdrawn

REFERRALS = st.sampled_from(["r1", "r2"])
AGENCIES = st.sampled_from(["labour-ministry", "fund-office"])
STREAMS = st.sampled_from([("labour-registry", "wage-claims"), ("compensation-fund", "awards")])
PURGES = st.sampled_from(["p1", "p2"])
REVISIONS = st.integers(1, 3)


def of_stream(name: tuple[str, str], agency: str, revision: int, purge_id: str, which: int) -> Any:
    place = {"integrator": name[0], "purpose": name[1], "version": 1, "agency": agency}
    ref = "k5xq3mzt7bdyh2waf4rnc6ejpu"
    made = {"way": e.DisclosureWay.stream, "consent_id": "c", "fields": (), "sealed_fields": (), "made_at": NOW}
    return [
        e.DisclosureDue(
            consent_id="c", recipient_ref=ref, revision=revision, digest=f"d{revision}", fields=(), sealed_fields=(),
            due_at=NOW, expires_at=NOW, **place,
        ),
        e.DisclosureMade(certainty=e.Certainty.confirmed, revision=revision, **made, **place),
        e.DisclosureMade(certainty=e.Certainty.possible, revision=revision, **made, **place),
        e.DisclosureWithheld(
            revision=revision, reason=e.WithheldReason.expired, attempted=revision > 1, withheld_at=NOW, **place
        ),
        e.PartnerPurgeRequested(
            purge_id=purge_id, consent_id="c", recipient_ref=ref, reason=e.PurgeReason.consent_withdrawn, due_at=NOW,
            requested_at=NOW, **place,
        ),
        e.PartnerPurgeSent(purge_id=purge_id, sent_at=NOW, **place),
        e.PartnerPurgeAcknowledged(purge_id=purge_id, acknowledged_at=NOW, **place),
        e.PartnerPurgeOverdue(purge_id=purge_id, due_at=NOW, **place),
    ][which]  # fmt: skip


def of_referral(referral_id: str, which: int) -> Any:
    return [
        e.ReferralProposed(
            referral_id=referral_id, assessment_id="a", need_id="n", need="legal_aid", band=e.NeedBand.high,
            options=(), proposed_at=NOW,
        ),
        e.ReferralRequested(
            referral_id=referral_id, option_id="o", service_id="s", agency="a", consent_id="c", answer_due=NOW,
            link_expires_at=NOW, attempt=1, requested_at=NOW,
        ),
        e.ReferralStatusChanged(
            referral_id=referral_id, status=e.ReferralStatus.unknown, previous=e.ReferralStatus.requested,
            set_by=e.Party.unknown, changed_at=NOW,
        ),
        e.DisclosureMade(
            way=e.DisclosureWay.link, certainty=e.Certainty.confirmed, agency="a", consent_id="c", fields=("need",),
            sealed_fields=(), made_at=NOW, referral_id=referral_id,
        ),
        e.PurgeRequested(
            referral_id=referral_id, agency="a", consent_id="c", reason=e.PurgeReason.consent_withdrawn, due_at=NOW,
            requested_at=NOW,
        ),
        e.PurgeAcknowledged(referral_id=referral_id, agency="a", acknowledged_at=NOW),
    ][which]  # fmt: skip


OWN = st.builds(of_stream, STREAMS, AGENCIES, REVISIONS, PURGES, st.integers(0, 7))
REFERRAL = st.builds(of_referral, REFERRALS, st.integers(0, 5))
INTAKE = st.one_of(
    st.just(case_opened()),
    st.just(closed()),
    st.builds(consent, st.one_of(AGENCIES, st.none()), decision=st.sampled_from(e.ConsentDecision),
              purpose=st.sampled_from(e.ConsentPurpose)),
    st.builds(withdrawn, st.one_of(AGENCIES, st.none()), purpose=st.sampled_from(e.ConsentPurpose)),
)  # fmt: skip
ASSESSMENT = st.builds(lambda needs: assessed(*needs), st.lists(st.sampled_from(["housing", "legal_aid"])))
ANY = st.one_of(INTAKE, ASSESSMENT, REFERRAL, OWN)


def folded(events: list[Any], case: CaseFile | None = None) -> CaseFile:
    case = case or CaseFile()
    for event in events:
        case = evolve(event, case)
    return case


def same(one: CaseFile, other: CaseFile) -> bool:
    """Equal, whatever the order in which disclosures of different sources were written down."""
    ordered = [
        case.model_copy(update={"disclosures": tuple(sorted(case.disclosures, key=str))}) for case in (one, other)
    ]
    return ordered[0] == ordered[1]


@settings(max_examples=300, deadline=None)
@given(st.lists(ANY, max_size=12), st.tuples(INTAKE, ASSESSMENT, REFERRAL), st.permutations([0, 1, 2]))
def test_events_of_the_other_services_commute(before: list[Any], three: Any, order: list[int]) -> None:
    start = folded(before)
    assert same(folded(list(three), start), folded([three[i] for i in order], start))


@settings(max_examples=300, deadline=None)
@given(st.lists(ANY, max_size=12), st.one_of(INTAKE, ASSESSMENT, REFERRAL), OWN)
def test_what_others_say_and_what_was_decided_without_it_commute(before: list[Any], theirs: Any, ours: Any) -> None:
    start = folded(before)
    assert same(evolve(theirs, evolve(ours, start)), evolve(ours, evolve(theirs, start)))


@settings(max_examples=300, deadline=None)
@given(st.lists(ANY, max_size=20))
def test_the_fold_takes_any_order_and_its_state_survives_being_stored(events: list[Any]) -> None:
    case = folded(events)
    agenda(case)
    rows("case/1", case)
    assert CaseFile.model_validate_json(case.model_dump_json()) == case


@settings(max_examples=300, deadline=None)
@given(st.lists(ANY, max_size=25))
def test_no_record_is_ever_owed_while_a_tombstone_is(events: list[Any]) -> None:
    case = folded(events)
    owed = agenda(case)
    for stream in case.streams.values():
        if any(name.startswith(f"tombstone/{stream.key}/{stream.purge_id}") for name in owed if stream.purge_id):
            assert not any(name.startswith(f"record/{stream.key}/") for name in owed)
