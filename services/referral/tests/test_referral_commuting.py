"""Events of different sources that did not see each other may come in either order; none of them ever raises."""

from typing import Any

import kintsugi_events as e
from hypothesis import given, settings
from hypothesis import strategies as st
from kintsugi_referral.state import CaseFile, agenda, evolve

from services.referral.tests.referral_examples import NOW, assessed, case_opened, closed, consent, withdrawn

IDS = st.sampled_from(["r1", "r2"])
AGENCIES = st.sampled_from(["open-door", "hill-house"])


def own(id_: str, agency: str, which: int) -> Any:
    common = {"referral_id": id_, "agency": agency}
    option = e.Option(option_id=agency, service_id="s", agency=agency, reasons=(), rank=1)
    return [
        e.ReferralProposed(
            referral_id=id_, assessment_id="a", need_id="n", need="housing", band=e.NeedBand.high,
            options=(option,), proposed_at=NOW,
        ),
        e.ReferralChosen(choice=e.Choice.option, option_id=agency, chosen_at=NOW, **common),
        e.ReferralChosen(referral_id=id_, choice=e.Choice.not_now, chosen_at=NOW),
        e.ReferralWithheld(option_id=agency, reason=e.WithheldReason.case_on_hold, withheld_at=NOW, **common),
        e.ReferralRequested(
            option_id=agency, service_id="s", consent_id="c", answer_due=NOW, link_expires_at=NOW, attempt=1,
            requested_at=NOW, **common,
        ),
        e.ReferralStatusChanged(
            referral_id=id_, status=e.ReferralStatus.accepted, previous=e.ReferralStatus.requested,
            set_by=e.Party.provider, changed_at=NOW,
        ),
        e.ReferralStatusChanged(
            referral_id=id_, status=e.ReferralStatus.unknown, previous=e.ReferralStatus.unknown,
            set_by=e.Party.unknown, changed_at=NOW,
        ),
        e.ReferralOverdue(answer_due=NOW, **common),
        e.PurgeRequested(
            consent_id="c", reason=e.PurgeReason.consent_withdrawn, due_at=NOW, requested_at=NOW, **common
        ),
        e.PurgeAcknowledged(acknowledged_at=NOW, **common),
        e.DisclosureMade(
            way=e.DisclosureWay.link, certainty=e.Certainty.confirmed, consent_id="c", fields=("need",),
            sealed_fields=(), made_at=NOW, **common,
        ),
    ][which]  # fmt: skip


OWN = st.builds(own, IDS, AGENCIES, st.integers(0, 10))
INTAKE = st.one_of(
    st.just(case_opened()),
    st.just(closed()),
    st.builds(consent, st.one_of(AGENCIES, st.none()), decision=st.sampled_from(e.ConsentDecision),
              purpose=st.sampled_from(e.ConsentPurpose)),
    st.builds(withdrawn, st.one_of(AGENCIES, st.none()), purpose=st.sampled_from(e.ConsentPurpose)),
)  # fmt: skip
ASSESSMENT = st.builds(lambda needs: assessed(*needs), st.lists(st.sampled_from(["housing", "legal_aid"])))


def folded(events: list[Any]) -> CaseFile:
    case = CaseFile()
    for event in events:
        case = evolve(event, case)
    return case


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(INTAKE, ASSESSMENT, OWN), max_size=12), st.one_of(INTAKE, OWN), ASSESSMENT)
def test_events_of_intake_and_assessment_commute(before: list[Any], one: Any, other: Any) -> None:
    start = folded(before)
    assert evolve(other, evolve(one, start)) == evolve(one, evolve(other, start))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(INTAKE, OWN), max_size=12), INTAKE, OWN)
def test_what_intake_says_and_what_was_decided_without_it_commute(before: list[Any], theirs: Any, ours: Any) -> None:
    start = folded(before)
    assert evolve(theirs, evolve(ours, start)) == evolve(ours, evolve(theirs, start))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(INTAKE, ASSESSMENT, OWN), max_size=20))
def test_the_fold_takes_any_order_and_its_state_survives_being_stored(events: list[Any]) -> None:
    case = folded(events)
    agenda(case)
    assert CaseFile.model_validate_json(case.model_dump_json()) == case
