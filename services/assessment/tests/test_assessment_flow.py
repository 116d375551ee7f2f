"""What assessment decides: schedule, answer, pause, resume, finish, decline, overdue, alarm, close."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import kintsugi_events as e
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kintsugi.auth import Caller
from kintsugi.sealing import Erased
from kintsugi.subject import Hold
from kintsugi.testing import SUBJECT, Match
from kintsugi_assessment.commands import Answered, Decline, ScheduleAssessment
from kintsugi_assessment.domain import Standing, scorer
from kintsugi_assessment.state import AssessmentFile, agenda, evolve
from kintsugi_contracts.base import Event, Sealed
from kintsugi_contracts.causes import Cause
from pydantic import ValidationError

from services.assessment.tests.assessment_examples import (
    ALL_WELL,
    COLLEAGUE,
    DEMO,
    NOW,
    PACK,
    WORKER,
    answers,
    case_closed,
    case_opened,
    domain,
    finished,
    instrument,
    opened,
    pack_with,
    scenario,
    sealed,
    the,
)

DUE = PACK.due("assessment_baseline", NOW)
UNSAFE = {"safety.home": 1, "safety.contact": 1}


def follow_up(case: Any, **options: Any) -> Any:
    return case.when(ScheduleAssessment(**options)).then(e.AssessmentScheduled)


def test_an_opened_case_gets_a_baseline_assessment_by_the_countrys_deadline() -> None:
    case = (
        scenario()
        .given()
        .when(case_opened())
        .then(
            Match(
                e.AssessmentScheduled,
                instrument="demo-outcomes",
                instrument_version="1.0.0",
                purpose=e.AssessmentPurpose.baseline,
                due_at=DUE,
            )
        )
    )
    case.owes(f"due/{the(case).assessment_id}", at=DUE)


def test_an_assessment_not_completed_in_time_is_overdue_once_and_can_still_be_made() -> None:
    case = opened()
    late = case.when(f"due/{the(case).assessment_id}").then(Match(e.AssessmentOverdue, due_at=DUE))
    late.owes_nothing()
    done = finished(late.at(DUE + timedelta(days=3)))
    assert the(done).standing is Standing.completed
    assert the(done).overdue


@pytest.mark.parametrize("paused", [False, True])
def test_a_begun_assessment_is_still_owed_by_its_date(paused: bool) -> None:
    case = opened()
    begun = case.when(answers(case, {"safety.home": 2}, pause=paused)).then(e.AssessmentAnswersSaved)
    begun.owes(f"due/{the(case).assessment_id}", at=DUE)


def test_answers_are_saved_with_their_counts_and_sealed() -> None:
    case = opened()
    then = case.when(answers(case, {"safety.home": 2, "wish": 1, "safety.away": "declined"}, context="current_living"))
    saved = then.then(Match(e.AssessmentAnswersSaved, status=e.AnsweringStatus.in_progress, answered=2, declined=1,
                            remaining=len(DEMO.items) - 2, saved_at=NOW))  # fmt: skip
    inside = sealed(saved, then.events[0], e.AssessmentAnswersSavedAssessment)
    assert inside.answers["safety.home"] == e.ItemAnswer(kind=e.AnswerKind.value, value=2)
    assert inside.answers["safety.away"] == e.ItemAnswer(kind=e.AnswerKind.declined)
    assert inside.context is e.AssessmentContext.current_living
    assert inside.scorer == "caseworker:77a0"
    assert "safety.home" not in saved.state.model_dump_json()


def test_a_paused_assessment_is_resumed_with_everything_that_was_saved() -> None:
    case = opened()
    paused = case.when(answers(case, {"physical.health": 1, "safety.home": 3}, pause=True)).then(
        Match(e.AssessmentAnswersSaved, status=e.AnsweringStatus.paused)
    )
    assert the(paused).standing is Standing.paused
    rest = {item: 4 for item in ALL_WELL if item not in ("physical.health", "safety.home", "legal.papers")}
    then = paused.when(answers(paused, {**rest, "safety.home": 4, "legal.papers": "declined"}, finish=True))
    done = then.then(e.AssessmentCompleted)
    inside = sealed(done, then.events[0], e.AssessmentCompletedAssessment)
    assert set(inside.answers) == set(ALL_WELL)
    assert inside.answers["physical.health"].value == 1
    assert inside.answers["safety.home"].value == 4
    assert inside.answers["legal.papers"].kind is e.AnswerKind.declined


def test_an_answer_can_be_taken_back() -> None:
    case = opened()
    saved = case.when(answers(case, {"safety.home": 2, "safety.away": 3})).then(e.AssessmentAnswersSaved)
    saved.when(answers(saved, {"safety.home": None})).then(Match(e.AssessmentAnswersSaved, answered=1))


def test_completion_carries_needs_in_clear_and_scores_sealed() -> None:
    case = opened()
    then = case.when(
        answers(case, {**ALL_WELL, **UNSAFE, "safety.plan": "declined"}, finish=True, certification="trained 2026",
                context="reintegration_environment")
    )  # fmt: skip
    done = then.then(
        Match(
            e.AssessmentCompleted,
            purpose=e.AssessmentPurpose.baseline,
            completed_at=NOW,
            incomplete_domains=(),
            instrument_version="1.0.0",
        )
    )
    [need] = then.events[0].needs  # type: ignore[attr-defined]
    assert (need.domain, need.need, need.band) == ("safety", "safe_shelter", e.NeedBand.urgent)
    inside = sealed(done, then.events[0], e.AssessmentCompletedAssessment)
    assert inside.scores[0] == e.DomainScore(domain="safety", scored_items=3, score=2.0)
    assert inside.certification == "trained 2026"
    assert inside.context is e.AssessmentContext.reintegration_environment
    assert inside.compared_with is None
    done.owes_nothing()


def test_a_questionnaire_finished_early_leaves_the_unasked_domains_incomplete() -> None:
    case = opened()
    only_safety = {item.id: 1 for item in DEMO.domain("safety").items}
    then = case.when(answers(case, only_safety, finish=True))
    then.then(Match(e.AssessmentCompleted, incomplete_domains=tuple(d.code for d in DEMO.domains[1:])))
    assert {need.need for need in then.events[0].needs} == {"safe_shelter", "safety_planning"}  # type: ignore[attr-defined]


def test_declining_every_question_still_completes_and_finds_no_need() -> None:
    case = opened()
    case.when(answers(case, dict.fromkeys(ALL_WELL, "declined"), finish=True)).then(
        Match(e.AssessmentCompleted, needs=(), incomplete_domains=tuple(d.code for d in DEMO.domains))
    )


def test_without_a_single_answer_nothing_is_completed() -> None:
    case = opened()
    case.when(answers(case, finish=True)).refused("nothing_answered")


@pytest.mark.parametrize(
    ("given_", "code"),
    [
        ({"safety.roof": 2}, "item_unknown"),
        ({"safety.home": 5}, "value_out_of_scale"),
        ({"wish": 0}, "value_out_of_scale"),
    ],
)
def test_what_the_instrument_does_not_know_is_refused(given_: dict[str, Any], code: str) -> None:
    case = opened()
    case.when(answers(case, given_)).refused(code)


@pytest.mark.parametrize("value", [True, 2.5, "2", "refused", [1]])
def test_an_answer_is_a_whole_number_or_one_of_three_reasons(value: Any) -> None:
    with pytest.raises(ValidationError):
        Answered(answers={"safety.home": value})


def test_pausing_and_finishing_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="exclude"):
        Answered(pause=True, finish=True)


def test_answers_never_show_in_a_repr() -> None:
    assert "safety" not in repr(Answered(answers={"safety.home": 1}))


def test_a_declined_assessment_is_over_and_what_was_saved_is_not_kept() -> None:
    case = opened()
    saved = case.when(answers(case, {"safety.home": 2})).then(e.AssessmentAnswersSaved)
    declined = saved.when(Decline(assessment_id=the(case).assessment_id)).then(
        Match(e.AssessmentDeclined, reason=e.AssessmentDeclineReason.survivor_declined, declined_at=NOW)
    )
    declined.owes_nothing()
    assert the(declined).answers is None
    declined.when(answers(declined, {"safety.home": 2})).refused("assessment_declined")
    declined.when(Decline(assessment_id=the(case).assessment_id)).refused("assessment_declined")


def test_declining_is_accepted_while_the_case_is_held() -> None:
    case = opened()
    hold = Hold(Cause.handler_raised, "event", "intake", 2, "x", "t", NOW.isoformat())
    held = replace(case, subject=replace(case.subject, progress=replace(case.subject.progress, hold=hold)))
    held.when(answers(held, {"safety.home": 2})).refused("case_on_hold")
    held.when(Decline(assessment_id=the(held).assessment_id)).then(e.AssessmentDeclined)


def test_who_declined_the_baseline_may_want_it_later() -> None:
    case = opened()
    declined = case.when(Decline(assessment_id=the(case).assessment_id)).then(e.AssessmentDeclined)
    again = follow_up(declined, purpose="baseline")
    again.owes(f"due/{the(again).assessment_id}", at=DUE)
    assert the(again).purpose is e.AssessmentPurpose.baseline
    assert the(finished(again)).standing is Standing.completed


def test_a_completed_assessment_does_not_change_any_more() -> None:
    done = finished(opened())
    done.when(answers(done, {"safety.home": 1})).refused("assessment_completed")
    done.when(Decline(assessment_id=the(done).assessment_id)).refused("assessment_completed")
    done.when(ScheduleAssessment(purpose="baseline")).refused("baseline_completed")


def test_an_assessment_of_another_case_is_not_found() -> None:
    opened().when(Decline(assessment_id="elsewhere")).refused("not_found")


def test_one_assessment_at_a_time() -> None:
    opened().when(ScheduleAssessment()).refused("assessment_open")


def test_a_follow_up_is_due_by_the_countrys_deadline_or_earlier_where_a_case_needs_it() -> None:
    done = finished(opened())
    latest = PACK.due("assessment_follow_up", NOW)
    plain = follow_up(done)
    plain.owes(f"due/{the(plain).assessment_id}", at=latest)
    soon = NOW + timedelta(days=14)
    early = follow_up(done, due_at=soon)
    early.owes(f"due/{the(early).assessment_id}", at=soon)
    done.when(ScheduleAssessment(due_at=NOW)).refused("due_date_refused")
    done.when(ScheduleAssessment(due_at=latest + timedelta(seconds=1))).refused("due_date_refused")


def test_a_follow_up_says_what_changed_and_against_which_assessment() -> None:
    first = finished(opened(), {"mental.sleep": 2})
    again = follow_up(first)
    then = again.when(answers(again, {**ALL_WELL, "mental.sleep": 3}, finish=True))
    done = then.then(e.AssessmentCompleted)
    inside = sealed(done, then.events[0], e.AssessmentCompletedAssessment)
    assert inside.compared_with == the(first).assessment_id
    assert {score.domain: score.change for score in inside.scores} == {
        d.code: 0.25 if d.code == "mental_wellbeing" else 0.0 for d in DEMO.domains
    }


def test_a_fall_in_safety_alerts_staff_in_time_whatever_got_better() -> None:
    again = follow_up(finished(opened(), dict.fromkeys(ALL_WELL, 2) | {"safety.home": 3}))
    then = again.when(answers(again, {**ALL_WELL, "safety.home": 2, "safety.away": 2, "safety.contact": 2,
                                      "safety.plan": 2}, finish=True))  # fmt: skip
    done = then.then(
        e.AssessmentCompleted,
        Match(e.SafetyDeteriorated, assessment_id=the(again).assessment_id, alert_due=PACK.due("risk_alert", NOW)),
    )
    inside = sealed(done, then.events[1], e.SafetyDeterioratedAssessment)
    assert (inside.domain, inside.previous, inside.current) == ("safety", 2.25, 2.0)


def test_safety_that_stays_low_or_a_fall_elsewhere_is_no_alarm() -> None:
    low = dict.fromkeys([item.id for item in DEMO.domain("safety").items], 1)
    again = follow_up(finished(opened(), low))
    again.when(answers(again, {**ALL_WELL, **low, "mental.sleep": 1}, finish=True)).then(e.AssessmentCompleted)


def test_a_fall_in_safety_is_not_hidden_by_an_assessment_in_which_it_was_incomplete() -> None:
    unasked = {item.id: "declined" for item in DEMO.domain("safety").items}
    second = finished(follow_up(finished(opened())), unasked)
    third = follow_up(second)
    then = third.when(answers(third, {**ALL_WELL, "safety.home": 1}, finish=True))
    done = then.then(e.AssessmentCompleted, e.SafetyDeteriorated)
    inside = sealed(done, then.events[0], e.AssessmentCompletedAssessment)
    assert inside.compared_with == the(second).assessment_id
    assert inside.scores[0].change is None


def test_a_fall_that_was_told_once_is_not_told_again() -> None:
    fallen = {"safety.home": 1, "safety.contact": 2}
    second = finished(follow_up(finished(opened())), fallen)
    third = follow_up(second)
    third.when(answers(third, {**ALL_WELL, **fallen}, finish=True)).then(e.AssessmentCompleted)


def test_another_major_version_of_the_instrument_is_not_compared_with() -> None:
    watched = [domain("calm", ["a", "b", "c"], alert_on_drop=True)]
    one, two = instrument(domains=watched), instrument(domains=watched, version="2.0.0")
    before = opened(pack_with(one))
    done = before.when(answers(before, dict.fromkeys("abc", 9), finish=True)).then(e.AssessmentCompleted)
    for newer, expected in ((two, 1), (instrument(domains=watched, version="1.1.0"), 2)):
        done.scenario.stepper.office = replace(done.scenario.stepper.office, pack=pack_with(one, newer))
        again = follow_up(done)
        assert the(again).instrument_version == newer.version
        then = again.when(answers(again, dict.fromkeys("abc", 1), finish=True))
        assert len(then.events) == expected


def test_an_assessment_keeps_the_version_it_began_with() -> None:
    one = instrument()
    case = opened(pack_with(one))
    office = case.scenario.stepper.office
    case.scenario.stepper.office = replace(
        office, pack=pack_with(one, instrument(version="1.1.0", domains=[domain("kin", ["x", "y"])]))
    )
    case.when(answers(case, {"a": 1})).then(e.AssessmentAnswersSaved)
    case.scenario.stepper.office = replace(office, pack=pack_with(instrument(version="1.1.0")))
    case.when(answers(case, {"a": 1})).refused("instrument_missing")


def test_closing_a_case_cancels_what_is_open_and_leaves_nothing_owed() -> None:
    case = opened()
    begun = case.when(answers(case, {"safety.home": 2})).then(e.AssessmentAnswersSaved)
    closed = begun.after(case_closed())
    closed.owes_nothing()
    assert closed.state.standing(the(closed)) is Standing.cancelled
    closed.when(answers(closed, {"safety.home": 2})).refused("case_closed")
    closed.when(Decline(assessment_id=the(closed).assessment_id)).refused("case_closed")
    closed.when(ScheduleAssessment()).refused("case_closed")


def test_closing_a_case_leaves_completed_assessments_as_they_are() -> None:
    closed = finished(opened()).after(case_closed())
    assert closed.state.standing(the(closed)) is Standing.completed


def test_after_erasure_nothing_is_resumed_and_nothing_compared() -> None:
    case = opened()
    saved = case.when(answers(case, {"safety.home": 2})).then(e.AssessmentAnswersSaved)
    saved.scenario.stepper.vault.keys[(SUBJECT, "assessment")] = Erased()
    saved.when(answers(saved, {"safety.away": 2})).refused("erased")

    again = follow_up(finished(opened(), {"safety.home": 4}))
    again.scenario.stepper.vault.keys[(SUBJECT, "assessment")] = Erased()
    then = again.when(answers(again, {**ALL_WELL, "safety.home": 1}, finish=True))
    then.then(e.AssessmentCompleted)
    assert then.events[0].sealed == {}


def test_a_certification_stays_with_the_person_who_has_it() -> None:
    case = opened()
    first = case.when(answers(case, {"safety.home": 2}, certification="trained 2026", context="current_living"))
    saved = first.then(e.AssessmentAnswersSaved)
    own = saved.when(answers(saved, {"safety.away": 2}))
    other = saved.when(answers(saved, {"safety.away": 2}), caller=COLLEAGUE)
    inside = sealed(own.given, own.events[0], e.AssessmentAnswersSavedAssessment)
    assert (inside.scorer, inside.certification) == ("caseworker:77a0", "trained 2026")
    inside = sealed(other.given, other.events[0], e.AssessmentAnswersSavedAssessment)
    assert (inside.scorer, inside.certification) == ("supervisor:91c4", None)
    assert inside.context is e.AssessmentContext.current_living


def test_a_staff_id_the_contract_cannot_hold_is_hashed() -> None:
    name = scorer(Caller("someone@office.example", frozenset({"caseworker"}), "xa"))
    assert name.startswith("caseworker:")
    assert "someone" not in name
    assert scorer(WORKER) == "caseworker:77a0"


BOX = Sealed(kid="k", ct="c", source="/xa/assessment", id="1", type="t", purpose="assessment")


def own(id_: str, which: int) -> Event:
    """One of assessment's own events, as a consumer reads it."""
    return [
        e.AssessmentScheduled(
            assessment_id=id_, instrument="demo-outcomes", instrument_version="1.0.0",
            purpose=e.AssessmentPurpose.baseline, due_at=DUE,
        ),
        e.AssessmentOverdue(assessment_id=id_, due_at=DUE),
        e.AssessmentAnswersSaved(
            assessment_id=id_, status=e.AnsweringStatus.paused, answered=1, declined=0, remaining=3, saved_at=NOW,
            sealed={"assessment": BOX},
        ),
        e.AssessmentAnswersSaved(
            assessment_id=id_, status=e.AnsweringStatus.unknown, answered=0, declined=0, remaining=0, saved_at=NOW,
        ),
        e.AssessmentCompleted(
            assessment_id=id_, instrument="demo-outcomes", instrument_version="1.0.0",
            purpose=e.AssessmentPurpose.unknown, completed_at=NOW, needs=(), incomplete_domains=("safety",),
            sealed={"assessment": BOX},
        ),
        e.AssessmentDeclined(assessment_id=id_, reason=e.AssessmentDeclineReason.unknown, declined_at=NOW),
        e.SafetyDeteriorated(assessment_id=id_, alert_due=NOW),
    ][which]  # fmt: skip


OWN = st.builds(own, st.sampled_from(["a1", "a2"]), st.integers(0, 6))
INTAKE = st.sampled_from([case_opened(), case_opened("ar", "fr"), case_closed()])


def folded(events: list[Event]) -> AssessmentFile:
    case = AssessmentFile()
    for event in events:
        case = evolve(event, case)
        agenda(case)
    return case


@given(st.lists(OWN, max_size=8), st.lists(INTAKE, max_size=3), st.data())
def test_events_of_intake_and_own_events_come_in_any_order_and_never_raise(
    own_events: list[Event], intake: list[Event], data: st.DataObject
) -> None:
    turns = data.draw(st.permutations([True] * len(own_events) + [False] * len(intake)))
    mine, theirs = iter(own_events), iter(intake)
    woven = [next(mine) if turn else next(theirs) for turn in turns]
    assert folded(woven) == folded([*intake, *own_events]) == folded([*own_events, *intake])


@given(st.lists(OWN, max_size=10))
def test_state_survives_being_stored(own_events: list[Event]) -> None:
    case = folded([case_opened(), *own_events])
    assert AssessmentFile.model_validate_json(case.model_dump_json(exclude_defaults=True)) == case
