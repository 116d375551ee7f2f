"""What staff are asked to do after something happened, and what becomes of a task."""

import kintsugi_events as e
import pytest
from kintsugi.agenda import Deadline, Message
from kintsugi.testing import Given, Match
from kintsugi_contracts.base import Event
from kintsugi_events import Role
from kintsugi_events import StaffTaskKind as Kind
from kintsugi_events import TaskReason as Reason
from kintsugi_notify.domain import LADDER
from kintsugi_notify.handlers.tasks import AcknowledgeTask
from kintsugi_notify.records import Task, TaskStatus
from kintsugi_notify.state import CaseFile

from services.notify.tests.notify_examples import (
    CASEWORKER,
    COUNTRY,
    DAY,
    HOUR,
    LINK,
    NOW,
    OPERATOR,
    PACK,
    SUPERVISOR,
    asked,
    case_closed,
    case_opened,
    consent,
    held,
    owed,
    owed_all,
    partner_purge,
    profile,
    proposed,
    purge,
    requested,
    risk,
    scenario,
    status,
    withheld,
)

A_TASK_LATER = PACK.due("staff_task", NOW)


def task(kind: Kind, reason: Reason, **fields: object) -> Match:
    return Match(e.StaffTaskCreated, kind=kind, reason=reason, **fields)


def only_task(given: Given[CaseFile]) -> Task:
    [found] = given.state.tasks.values()
    return found


def overdue() -> e.ReferralOverdue:
    return e.ReferralOverdue(referral_id="referral-1", agency="open-door", answer_due=NOW)


def assessment_overdue() -> e.AssessmentOverdue:
    return e.AssessmentOverdue(assessment_id="assessment-1", due_at=NOW)


def test_danger_is_a_task_with_the_deadline_of_the_event_and_an_alert() -> None:
    then = scenario().given(case_opened()).when(risk())
    given = then.then(
        task(Kind.act_on_risk, Reason.immediate_danger, role=Role.caseworker, office="harbour", due_at=NOW + HOUR)
    )
    given.owes(f"task/{only_task(given).task_id}", at=NOW + HOUR).owes("staff_alert/…")


def test_a_risk_without_danger_says_so() -> None:
    scenario().given(case_opened()).when(risk(e.Answer.not_asked)).then(task(Kind.act_on_risk, Reason.risk_raised))


def test_a_drop_in_safety_is_looked_at_by_its_deadline() -> None:
    fell = e.SafetyDeteriorated(assessment_id="assessment-1", alert_due=NOW + HOUR)
    scenario().given(case_opened()).when(fell).then(
        task(Kind.check_safety, Reason.safety_deteriorated, due_at=NOW + HOUR, assessment_id="assessment-1")
    ).owes("staff_alert/…")


def test_an_ordinary_task_waits_in_the_list_without_a_mail() -> None:
    given = (
        scenario()
        .given(case_opened())
        .when(assessment_overdue())
        .then(task(Kind.complete_assessment, Reason.assessment_overdue, due_at=A_TASK_LATER, alert_until=None))
    )
    given.owes("task/…", at=A_TASK_LATER).owes_nothing("staff_alert/…")


def test_options_are_presented_and_the_survivor_is_told_once_per_assessment() -> None:
    given = (
        scenario()
        .given(case_opened(), profile())
        .when(proposed())
        .then(task(Kind.present_options, Reason.options_proposed, referral_id="referral-1"))
    )
    given = given.when(proposed("referral-2")).then(task(Kind.present_options, Reason.options_proposed))
    assert len(owed_all(given, "survivor_notice")) == 1
    given = given.when(proposed("referral-3", "assessment-2")).then(e.StaffTaskCreated)
    assert len(owed_all(given, "survivor_notice")) == 2


def test_nothing_to_offer_is_a_task_and_no_notice() -> None:
    scenario().given(case_opened()).when(proposed(options=0)).then(
        task(Kind.present_options, Reason.options_exhausted)
    ).owes_nothing("survivor_notice/…")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (e.WithheldReason.consent_missing, Kind.obtain_consent),
        (e.WithheldReason.consent_expired, Kind.obtain_consent),
        (e.WithheldReason.consent_refused, Kind.present_options),
        (e.WithheldReason.consent_withdrawn, Kind.present_options),
        (e.WithheldReason.service_unavailable, Kind.follow_up_provider),
        (e.WithheldReason.unknown, Kind.follow_up_provider),
    ],
)
def test_a_withheld_referral_asks_for_consent_only_where_nobody_said_no(reason: e.WithheldReason, kind: Kind) -> None:
    scenario().given(case_opened()).when(withheld(reason)).then(
        task(kind, Reason(reason.value), referral_id="referral-1")
    )


def test_a_provider_that_does_not_answer_is_asked_by_a_person() -> None:
    scenario().given(case_opened()).when(overdue()).then(task(Kind.follow_up_provider, Reason.provider_overdue))


def test_a_providers_yes_and_no_return_to_the_case() -> None:
    given = scenario().given(case_opened())
    given.when(status(e.ReferralStatus.accepted)).then(
        task(Kind.contact_survivor, Reason.provider_accepted, referral_id="referral-1")
    ).owes("survivor_notice/…", at=None)
    for no in (e.ReferralStatus.rejected, e.ReferralStatus.failed, e.ReferralStatus.cancelled):
        given.when(status(no)).then(task(Kind.present_options, Reason.provider_rejected)).owes_nothing(
            "survivor_notice/…"
        )


@pytest.mark.parametrize("by", [e.Party.platform, e.Party.survivor, e.Party.caseworker, e.Party.unknown])
def test_what_nobody_outside_decided_is_no_news(by: e.Party) -> None:
    scenario().given(case_opened()).when(status(e.ReferralStatus.cancelled, by)).then()


def test_progress_is_no_task() -> None:
    scenario().given(case_opened()).when(status(e.ReferralStatus.in_progress)).then()


@pytest.mark.parametrize(
    ("event", "template", "kind"),
    [
        (requested(link=False), "provider_request", Kind.follow_up_provider),
        (purge(link=False), "purge_request", Kind.check_purge),
    ],
)
def test_a_provider_cannot_be_written_to_without_a_link(event: Event, template: str, kind: Kind) -> None:
    scenario().given(case_opened(), consent()).when(event).then(
        Match(e.NotificationWithheld, template=template, reason=e.WithheldReason.link_unavailable, locale="fr"),
        task(kind, Reason.link_unavailable, referral_id="referral-1"),
    ).owes_nothing("provider_request/…").owes_nothing("purge_request/…")


def test_a_held_input_alerts_a_supervisor_at_once_about_the_held_event() -> None:
    about = e.About(type="kintsugi.case.opened.v1", event_id="0197-a")
    given = (
        scenario()
        .given(case_opened())
        .when(held())
        .then(task(Kind.release_input, Reason.input_held, role=Role.supervisor, about=about, due_at=NOW + HOUR))
    )
    given.owes("staff_alert/…").owes_nothing("hold_alert/…")


def test_an_alert_does_not_wait_for_the_case_to_be_known() -> None:
    given = scenario().given().when(held()).then(task(Kind.release_input, Reason.input_held, office=None))
    given.owes("staff_alert/…")


def test_a_held_command_is_named_by_the_hold() -> None:
    stuck = held("request/9", "ChooseOption").model_copy(update={"input_kind": e.InputKind.command})
    about = e.About(type="kintsugi.input.held.v1", event_id="request/9")
    scenario().given().when(stuck).then(task(Kind.release_input, Reason.input_held, about=about))


def test_each_hold_is_a_task_of_its_own() -> None:
    given = scenario().given(held(), held(at=NOW + HOUR), held("0197-b"))
    assert len(given.state.tasks) == 3


def test_nobody_works_on_a_closed_case_but_risk_and_purges_outlive_it() -> None:
    given = scenario().given(case_opened(), case_closed())
    for needless in (overdue(), assessment_overdue(), proposed(), withheld(e.WithheldReason.consent_missing)):
        given.when(needless).then()
    given.when(risk()).then(task(Kind.act_on_risk, Reason.immediate_danger))
    given.when(held()).then(task(Kind.release_input, Reason.input_held))


def test_a_case_that_opens_again_has_work_again() -> None:
    scenario().given(case_opened(), case_closed(), case_opened()).when(overdue()).then(e.StaffTaskCreated)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (proposed(), status(e.ReferralStatus.chosen, e.Party.survivor)),
        (proposed(), requested()),
        (withheld(e.WithheldReason.consent_missing), requested()),
        (withheld(e.WithheldReason.consent_missing), status(e.ReferralStatus.consented, e.Party.platform)),
        (overdue(), status(e.ReferralStatus.in_progress)),
        (overdue(), status(e.ReferralStatus.cancelled, e.Party.platform)),
        (
            assessment_overdue(),
            e.AssessmentDeclined(
                assessment_id="assessment-1", reason=e.AssessmentDeclineReason.survivor_declined, declined_at=NOW
            ),
        ),
        (proposed(), case_closed()),
    ],
)
def test_a_task_that_lost_its_object_is_settled_and_never_escalates(before: Event, after: Event) -> None:
    given = scenario().given(case_opened(), consent(), before, after)
    assert only_task(given).status is TaskStatus.settled
    given.owes_nothing("task/…")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (proposed(), status(e.ReferralStatus.chosen, e.Party.survivor, "another")),
        (withheld(e.WithheldReason.consent_missing), status(e.ReferralStatus.chosen, e.Party.survivor)),
        (overdue(), status(e.ReferralStatus.requested, e.Party.platform)),
        (risk(), case_closed()),
    ],
)
def test_a_task_that_still_has_its_object_stays_open(before: Event, after: Event) -> None:
    given = scenario().given(case_opened(), before, after)
    assert only_task(given).status is TaskStatus.open
    given.owes("task/…")


def test_a_task_nobody_takes_goes_up_the_ladder_with_a_mail_and_stops_at_the_top() -> None:
    given = scenario().given(case_opened(), assessment_overdue())
    first = only_task(given)
    late = A_TASK_LATER
    given = given.when(f"task/{first.task_id}").then(
        task(
            Kind.complete_assessment,
            Reason.assessment_overdue,
            role=Role.supervisor,
            escalates=first.task_id,
            about=first.about,
            assessment_id="assessment-1",
            created_at=late,
            due_at=PACK.due("staff_task", late),
        )
    )
    given.owes("staff_alert/…").owes_nothing(f"task/{first.task_id}")
    given = given.when(owed(given, "task")).then(Match(e.StaffTaskCreated, role=Role.country_lead))
    given.owes_nothing("task/…")
    assert [entry.role for entry in given.state.tasks.values()] == [
        Role.caseworker,
        Role.supervisor,
        Role.country_lead,
    ]


def test_a_risk_escalates_within_the_hour() -> None:
    given = scenario().given(case_opened(), risk())
    given = given.when(owed(given, "task")).then(Match(e.StaffTaskCreated, due_at=NOW + 2 * HOUR))
    assert given.scenario.stepper.agenda(given.subject)[owed(given, "task")] == Deadline(at=NOW + 2 * HOUR)


def test_taking_a_task_ends_its_escalation() -> None:
    given = scenario().given(case_opened(), risk())
    task_id = only_task(given).task_id
    given = given.when(AcknowledgeTask(task_id=task_id)).then(
        e.StaffTaskAcknowledged(task_id=task_id, role=Role.caseworker, acknowledged_at=NOW)
    )
    given.owes_nothing("task/…")
    assert only_task(given).acknowledged_by is Role.caseworker


def test_whoever_takes_one_task_of_a_chain_takes_the_chain() -> None:
    given = scenario().given(case_opened(), risk())
    first = only_task(given).task_id
    given = given.when(owed(given, "task")).then(e.StaffTaskCreated)
    given = given.when(AcknowledgeTask(task_id=first)).then(e.StaffTaskAcknowledged)
    assert {found.status for found in given.state.tasks.values()} == {TaskStatus.acknowledged}
    given.owes_nothing("task/…")


def test_a_task_is_taken_once() -> None:
    given = scenario().given(case_opened(), risk())
    take = AcknowledgeTask(task_id=only_task(given).task_id)
    given.when(take).then(e.StaffTaskAcknowledged).when(take).refused("already_acknowledged")


def test_a_task_that_does_not_exist_is_not_found() -> None:
    then = scenario().given(case_opened()).when(AcknowledgeTask(task_id="nobody"))
    then.refused("task_unknown")
    assert then.rejected is not None
    assert then.rejected.status == 404


def test_an_escalated_task_is_a_supervisors_to_take() -> None:
    given = scenario().given(case_opened(), risk())
    given = given.when(owed(given, "task")).then(e.StaffTaskCreated)
    take = AcknowledgeTask(task_id=list(given.state.tasks)[-1])
    given.when(take, caller=CASEWORKER).refused("role_missing")
    given.when(take, caller=OPERATOR).refused("role_missing")
    given.when(take, caller=SUPERVISOR).then(Match(e.StaffTaskAcknowledged, role=Role.supervisor))


def test_an_operator_takes_what_is_held_and_nothing_else() -> None:
    given = scenario().given(case_opened(), held())
    take = AcknowledgeTask(task_id=only_task(given).task_id)
    given.when(take, caller=CASEWORKER).refused("role_missing")
    given.when(take, caller=OPERATOR).then(Match(e.StaffTaskAcknowledged, role=Role.operator))
    given = scenario().given(case_opened(), risk())
    given.when(AcknowledgeTask(task_id=only_task(given).task_id), caller=OPERATOR).refused("role_missing")


def test_a_purge_nobody_confirms_is_chased_by_a_person() -> None:
    given = scenario().given(case_opened(), purge())
    name = owed(given, "purge")
    given.owes(name, at=NOW + 7 * DAY)
    given = given.when(name).then(task(Kind.check_purge, Reason.purge_overdue, referral_id="referral-1"))
    given.owes_nothing("purge/…")
    done = e.PurgeAcknowledged(referral_id="referral-1", agency="open-door", acknowledged_at=NOW)
    assert only_task(given.after(done)).status is TaskStatus.settled


def test_a_confirmed_purge_is_not_chased() -> None:
    done = e.PurgeAcknowledged(referral_id="referral-1", agency="open-door", acknowledged_at=NOW)
    other = done.model_copy(update={"agency": "far-shore"})
    given = scenario().given(case_opened(), purge())
    given.after(other).owes("purge/…")
    given.after(done).owes_nothing("purge/…")


def test_a_new_profile_settles_its_review() -> None:
    given = scenario().given(case_opened())
    created = e.StaffTaskCreated(
        task_id="t",
        kind=Kind.review_profile,
        reason=Reason.profile_stale,
        role=Role.caseworker,
        due_at=NOW + DAY,
        about=e.About(type="kintsugi.referral.proposed.v1", event_id="x"),
        created_at=NOW,
    )
    given.after(created).after(profile()).owes_nothing("task/…")


def test_every_rung_of_the_ladder_has_an_address_in_every_office() -> None:
    for office in COUNTRY.country.offices.values():
        assert {role.value for role in LADDER.values()} <= set(office.staff)


def test_no_event_of_notify_carries_anything_personal() -> None:
    given = scenario().given(case_opened(), consent(), profile(), risk(), proposed(), requested(), purge())
    wire = b"".join(own.value for own in given.emitted).decode()
    for secret in ("tala", LINK, "desk@door.example", "@office.example"):
        assert secret not in wire


def test_a_partner_that_did_not_delete_in_time_is_a_task_that_its_acknowledgement_settles() -> None:
    given = scenario().given(case_opened(), case_closed())
    overdue_by_now = e.PartnerPurgeOverdue(due_at=NOW, **partner_purge())
    asked = given.when(overdue_by_now).then(
        task(Kind.check_purge, Reason.purge_overdue, role=Role.caseworker, task_id="purge-of-a-partner")
    )
    late = asked.when(e.PartnerPurgeAcknowledged(acknowledged_at=NOW, **partner_purge())).then()
    assert only_task(late).status is TaskStatus.settled
    late.owes_nothing("task/…")


def test_it_settles_the_task_it_escalated_to_as_well() -> None:
    given = scenario().given(case_opened()).when(e.PartnerPurgeOverdue(due_at=NOW, **partner_purge())).given
    raised = given.when("task/purge-of-a-partner").given
    settled = raised.when(e.PartnerPurgeAcknowledged(acknowledged_at=NOW, **partner_purge())).given
    assert {each.status for each in settled.state.tasks.values()} == {TaskStatus.settled}
    settled.owes_nothing("task/…")


def test_a_service_notify_has_never_heard_of_asks_for_a_task_in_its_own_words() -> None:
    then = scenario().given(case_opened()).when(asked(referral_id="referral-1"), source="housing")
    given = then.then(
        task(
            Kind.other_task,
            Reason.requested,
            task_id="task-of-housing",
            code="housing.visit_home",
            role=Role.caseworker,
            office="harbour",
            due_at=NOW + 4 * DAY,
            referral_id="referral-1",
            alert_until=None,
            notice_until=None,
        )
    )
    made = only_task(given)
    assert made.about.type == e.StaffTaskRequested.type
    assert made.about.event_id == then.own[0].envelope.causationid
    given.owes("task/task-of-housing", at=NOW + 4 * DAY).owes_nothing("staff_alert/…")
    assert given.subject.progress.cursor("housing") == 1


def test_a_request_may_say_which_event_made_it_necessary() -> None:
    why = e.About(type="kintsugi.tenancy.ended.v1", event_id="0197-tenancy")
    then = scenario().given(case_opened()).when(asked(about=why), source="housing")
    then.then(task(Kind.other_task, Reason.requested, about=why))


def test_a_task_asked_for_twice_is_one_task() -> None:
    given = scenario().given(case_opened()).when(asked(), source="housing").then(e.StaffTaskCreated)
    given.when(asked(urgent=True), source="housing").then()


def test_an_urgent_request_is_announced_at_once_and_its_mail_says_neither_service_nor_code() -> None:
    given = scenario().given(case_opened()).when(asked(urgent=True), source="housing").then(e.StaffTaskCreated)
    name = owed(given, "staff_alert")
    mail = given.prepared(name)
    assert isinstance(mail, Message)
    assert mail.template == "staff_alert"
    words = f"{mail.subject.get_secret_value()} {mail.body.get_secret_value()}"
    assert "task-of-housing" in words
    assert "visit" not in words.lower()
    assert "other_task" not in words


def test_a_requested_task_goes_up_with_its_code_and_its_chain_ends_when_it_is_taken() -> None:
    given = scenario().given(case_opened()).when(asked(), source="housing").then(e.StaffTaskCreated)
    late = given.at(NOW + 4 * DAY).when("task/task-of-housing")
    above = late.then(
        task(
            Kind.other_task,
            Reason.requested,
            code="housing.visit_home",
            role=Role.supervisor,
            escalates="task-of-housing",
            due_at=PACK.due("staff_task", NOW + 4 * DAY),
        )
    )
    mail = above.prepared(owed(above, "staff_alert"))
    assert isinstance(mail, Message)
    assert mail.template == "staff_task"
    taken = above.when(AcknowledgeTask(task_id="task-of-housing"), caller=SUPERVISOR).then(e.StaffTaskAcknowledged)
    taken.owes_nothing("task/…")


def test_an_urgent_request_goes_up_as_fast_as_an_alert_to_the_last_role() -> None:
    given = scenario().given(case_opened()).when(asked(urgent=True), source="housing").then(e.StaffTaskCreated)
    for role in (Role.supervisor, Role.country_lead):
        last = owed(given, "task")
        due = given.scenario.stepper.agenda(given.subject)[last]
        assert isinstance(due, Deadline)
        given = given.at(due.at)
        given = given.when(last).then(
            task(Kind.other_task, Reason.requested, role=role, due_at=PACK.due("risk_alert", due.at))
        )
        mail = given.prepared(owed_all(given, "staff_alert")[-1])
        assert isinstance(mail, Message)
        assert mail.template == "staff_alert"


def test_a_role_of_next_year_is_a_supervisors_task() -> None:
    read = e.StaffTaskRequested.decode(asked().encode().replace(b'"caseworker"', b'"housing_officer"'))
    then = scenario().given(case_opened()).when(read, source="housing")
    then.then(task(Kind.other_task, Reason.requested, role=Role.supervisor))


def test_what_another_service_asked_for_outlives_the_case() -> None:
    given = scenario().given(case_opened()).when(asked(), source="housing").then(e.StaffTaskCreated)
    given.after(case_closed()).owes("task/task-of-housing")
