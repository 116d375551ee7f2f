"""Events of different sources that did not see each other may come in either order; none of them ever raises."""

from datetime import timedelta
from typing import Any

import kintsugi_events as e
from hypothesis import given, settings
from hypothesis import strategies as st
from kintsugi_contracts.base import Sealed
from kintsugi_notify.handlers import service
from kintsugi_notify.owed import agenda
from kintsugi_notify.records import TaskStatus
from kintsugi_notify.state import CaseFile, evolve
from kintsugi_notify.views import views

from services.notify.tests.notify_examples import (
    NOW,
    asked,
    case_closed,
    case_opened,
    consent,
    held,
    partner_purge,
    profile,
    proposed,
    purge,
    requested,
    risk,
    status,
    withdrawn,
    withheld,
)

REFERRALS = st.sampled_from(["referral-1", "referral-2"])
AGENCIES = st.sampled_from(["open-door", "far-shore"])
CONSENTS = st.sampled_from(["consent-1", "consent-2"])
PURPOSES = st.sampled_from(e.ConsentPurpose)
ABOUT = e.About(type="kintsugi.referral.proposed.v1", event_id="x")


def sealed(event: Any, id_: str) -> Any:
    box = Sealed(kid="k", ct="c", source="/xa/referral", id=id_, type=event.type, purpose="contact")
    return event.with_sealed({"contact": box})


def acknowledged(referral: str, agency: str) -> e.PurgeAcknowledged:
    return e.PurgeAcknowledged(referral_id=referral, agency=agency, acknowledged_at=NOW)


def released(input_id: str) -> e.InputReleased:
    return e.InputReleased(source="/xa/intake", sequence=1, input_id=input_id, released_by="operator:1")


HOLDS = st.one_of(
    st.builds(
        lambda id_, minutes: held(id_, at=NOW + timedelta(minutes=minutes)),
        st.sampled_from(["i1", "i2"]),
        st.integers(0, 2),
    ),
    st.builds(released, st.sampled_from(["i1", "i2"])),
)
REQUESTS = st.builds(lambda id_: asked(task_id=id_), st.sampled_from(["t1", "t2", "task-of-housing"]))
INTAKE = st.one_of(
    st.just(case_opened()),
    st.just(case_closed()),
    st.just(risk()),
    st.builds(lambda lang: sealed(profile(language=lang), "p"), st.sampled_from(["en", "ar"])),
    st.builds(
        lambda agency, id_, purpose, decision: consent(agency, id_=id_, purpose=purpose, decision=decision),
        st.one_of(AGENCIES, st.none()),
        CONSENTS,
        PURPOSES,
        st.sampled_from(e.ConsentDecision),
    ),
    st.builds(
        lambda agency, id_, purpose: withdrawn(agency, id_=id_, purpose=purpose),
        st.one_of(AGENCIES, st.none()),
        CONSENTS,
        PURPOSES,
    ),
    HOLDS,
)
ASSESSMENT = st.one_of(
    st.builds(
        lambda id_: e.AssessmentDeclined(
            assessment_id=id_, reason=e.AssessmentDeclineReason.survivor_declined, declined_at=NOW
        ),
        st.sampled_from(["assessment-1", "assessment-2"]),
    ),
    st.just(e.AssessmentOverdue(assessment_id="assessment-1", due_at=NOW)),
    HOLDS,
)
REFERRAL = st.one_of(
    REQUESTS,
    st.builds(proposed, REFERRALS),
    st.builds(
        lambda agency, referral, id_: sealed(requested(agency, referral_id=referral), id_),
        AGENCIES,
        REFERRALS,
        st.sampled_from(["r1", "r2"]),
    ),
    st.builds(lambda referral, id_: sealed(purge(referral_id=referral), id_), REFERRALS, st.sampled_from(["g1", "g2"])),
    st.builds(status, st.sampled_from(e.ReferralStatus), st.sampled_from(e.Party), REFERRALS),
    st.builds(acknowledged, REFERRALS, AGENCIES),
    st.just(withheld(e.WithheldReason.consent_missing)),
    HOLDS,
)
SHARE = st.one_of(
    REQUESTS,
    st.just(e.PartnerPurgeOverdue(due_at=NOW, **partner_purge())),
    st.just(e.PartnerPurgeAcknowledged(acknowledged_at=NOW, **partner_purge())),
    HOLDS,
)
OWN = st.one_of(
    st.builds(
        lambda id_, kind, reason, role, referral, above: e.StaffTaskCreated(
            task_id=id_,
            kind=kind,
            code="housing.visit_home" if kind is e.StaffTaskKind.other_task else None,
            reason=reason,
            role=role,
            due_at=NOW,
            about=ABOUT,
            created_at=NOW,
            referral_id=referral,
            assessment_id="assessment-1",
            escalates=above,
            alert_until=NOW,
            notice_until=NOW,
        ),
        st.sampled_from(["t1", "t2", "t3"]),
        st.sampled_from(e.StaffTaskKind),
        st.sampled_from(e.TaskReason),
        st.sampled_from(e.Role),
        st.one_of(REFERRALS, st.none()),
        st.sampled_from([None, "t1", "nobody"]),
    ),
    st.builds(
        lambda id_: e.StaffTaskAcknowledged(task_id=id_, role=e.Role.supervisor, acknowledged_at=NOW),
        st.sampled_from(["t1", "t2", "nobody"]),
    ),
    st.builds(
        lambda id_, final: e.NotificationFailed(
            notification_id=id_,
            audience=e.Audience.staff,
            template="staff_alert",
            locale="en",
            about=ABOUT,
            channel=e.ChannelKind.email,
            reason=e.FailureReason.not_attempted,
            failed_at=NOW,
            attempt=0,
            final=final,
        ),
        st.sampled_from(["n1", "n2"]),
        st.booleans(),
    ),
)


def folded(events: list[Any]) -> CaseFile:
    case = CaseFile()
    for event in events:
        case = evolve(event, case)
    return case


@settings(max_examples=300)
@given(
    before=st.lists(st.one_of(INTAKE, ASSESSMENT, REFERRAL, SHARE, OWN), max_size=8),
    intake=INTAKE,
    assessment=ASSESSMENT,
    referral=REFERRAL,
    share=SHARE,
)
def test_events_of_different_sources_commute(
    before: list[Any], intake: Any, assessment: Any, referral: Any, share: Any
) -> None:
    orders = [
        folded([*before, intake, assessment, referral, share]),
        folded([*before, share, referral, assessment, intake]),
        folded([*before, assessment, referral, intake, share]),
        folded([*before, share, assessment, intake, referral]),
    ]
    assert all(order == orders[0] for order in orders)
    assert all(agenda(order) == agenda(orders[0]) for order in orders)


@settings(max_examples=200)
@given(events=st.lists(st.one_of(INTAKE, ASSESSMENT, REFERRAL, SHARE, OWN), max_size=20))
def test_no_order_of_events_raises_and_every_state_can_be_stored_and_shown(events: list[Any]) -> None:
    case = folded(events)
    assert CaseFile.model_validate_json(case.model_dump_json()) == case
    rows = views.of("case/1", case)
    assert len(rows["staff_tasks"]) == len(case.tasks)
    columns = {column.name for column in views.tables["notifications"].c} - {"subject"}
    assert all(set(row) == columns for row in rows["notifications"])
    assert {name.partition("/")[0] for name in agenda(case)} <= set(service.preparations) | set(service.deadlines)


@given(events=st.lists(st.one_of(INTAKE, REFERRAL, OWN), max_size=15))
def test_only_open_tasks_escalate(events: list[Any]) -> None:
    case = folded(events)
    escalating = {name.partition("/")[2] for name in agenda(case) if name.startswith("task/")}
    assert escalating <= {task.task_id for task in case.tasks.values() if task.status is TaskStatus.open}
