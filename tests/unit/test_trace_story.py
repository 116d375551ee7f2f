"""The story of a case, put together from what the services say: causes, delays, what is missing, what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kintsugi_contracts.causes import Cause
from kintsugi_office.story import Story, build, short
from kintsugi_office.telling import CAUSES, advice, as_json, tell

SUBJECT = "case/8a6012e0-9ede-4a3a-b5f0-20f605f11327"
START = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
TRACE = "4f2a91c0aabbccddeeff001122334455"


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def own(
    service: str, sequence: int, type_: str, seconds: float, cause: str, seen: str = "", published: bool = True
) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "type": f"kintsugi.{type_}.v1",
        "created_at": at(seconds),
        "published_at": at(seconds + 0.01) if published else None,
        "ce_id": f"{service}-{sequence}",
        "ce_time": at(seconds),
        "ce_causationid": cause,
        "ce_correlationid": "flow",
        "ce_seen": seen,
        "ce_depth": "0",
        "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
    }


def taken(source: str, sequence: int, type_: str, status: str, seconds: float, **more: Any) -> dict[str, Any]:
    return {
        "kind": "event",
        "source": source,
        "id": f"{source}-{sequence}",
        "sequence": sequence,
        "type": f"kintsugi.{type_}.v1",
        "status": status,
        "cause": None,
        "detail": None,
        "appended_at": at(seconds),
        "arrived_at": at(seconds),
        "settled_at": at(seconds) if status == "applied" else None,
        **more,
    }


def service(status: str = "ok", **said: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {
        **{"subject": SUBJECT, "version": 1, "sequence": 0, "cursors": {}, "hold": None, "held_since": None},
        **{"waiting": 0, "waiting_since": None, "agenda": [], "inputs": [], "own": []},
    }
    return empty | {"status": status} | said


def healthy() -> Story:
    return build(
        SUBJECT,
        {
            "assessment": service(
                sequence=1,
                cursors={"intake": 2},
                own=[own("assessment", 1, "assessment.scheduled", 0.412, "intake-1", "intake:1")],
                inputs=[taken("intake", 1, "case.opened", "applied", 0.4)],
                agenda=[{"name": "due/1", "kind": "deadline", "due_at": at(7 * 86400), "attempt": 0}],
            ),
            "intake": service(
                sequence=2,
                own=[
                    own("intake", 1, "case.opened", 0, "request/1"),
                    own("intake", 2, "risk.raised", 0.001, "request/1"),
                ],
            ),
        },
    )


def gap(*, known: bool, published: bool = True) -> Story:
    """Assessment has intake:1 and intake:4, and is held for what lies between."""
    intake = [own("intake", 1, "case.opened", 0, "request/1"), own("intake", 4, "case.closed", 9, "request/2")]
    if known:
        intake.append(own("intake", 2, "risk.raised", 1, "request/1", published=published))
    hold = {"cause": "gap", "source": "intake", "sequence": 4, "type": "kintsugi.case.closed.v1"}
    held = service(
        "held",
        cursors={"intake": 1},
        waiting=1,
        hold=hold,
        held_since=at(15),
        inputs=[
            taken("intake", 1, "case.opened", "applied", 0.1),
            taken("intake", 4, "case.closed", "waiting", 9.1),
        ],
    )
    return build(SUBJECT, {"intake": service(own=intake), "assessment": held})


def test_events_hang_under_their_causes_across_services_in_time_order() -> None:
    shape = [(depth, node.type, node.service, node.sequence) for depth, node in healthy().nodes()]
    assert shape == [
        (0, "request", "intake", None),
        (1, "case.opened", "intake", 1),
        (2, "assessment.scheduled", "assessment", 1),
        (1, "risk.raised", "intake", 2),
    ]


def test_the_delay_counts_from_the_commit_of_the_cause() -> None:
    delays = {node.type: node.delay_s for _, node in healthy().nodes()}
    assert delays["assessment.scheduled"] == pytest.approx(0.412)
    assert delays["case.opened"] is None


def test_the_order_of_the_services_answers_does_not_matter() -> None:
    told = {
        "intake": service(own=[own("intake", 1, "case.opened", 0, "request/1")]),
        "notify": service(own=[own("notify", 1, "staff_task.created", 1, "intake-1")]),
    }
    backwards = dict(reversed(told.items()))
    assert [n.id for _, n in build(SUBJECT, told).nodes()] == [n.id for _, n in build(SUBJECT, backwards).nodes()]


def test_an_event_that_only_a_consumer_knows_is_told_from_there() -> None:
    story = build(SUBJECT, {"referral": service(inputs=[taken("intake", 1, "case.opened", "applied", 5)])}, ["intake"])
    [(_, node)] = story.nodes()
    assert (node.type, node.service, node.published) == ("case.opened", "intake", None)
    assert "kintsugi doctor" in advice(story)


def test_causes_that_form_a_ring_are_still_told_once_each() -> None:
    story = build(
        SUBJECT,
        {"intake": service(own=[own("intake", 1, "a.b", 0, "intake-2"), own("intake", 2, "c.d", 1, "intake-1")])},
    )
    assert sorted(node.id for _, node in story.nodes()) == ["intake-1", "intake-2"]


def test_a_gap_whose_event_its_source_does_not_know_is_released_without_it() -> None:
    story = gap(known=False)
    assert advice(story) == ["kintsugi held release case/8a6012e0 --service assessment --without intake:2-3"]


def test_a_gap_whose_event_was_published_is_mended_by_its_source() -> None:
    assert advice(gap(known=True)) == ["kintsugi resend intake --since 2h"]


def test_a_gap_whose_event_is_not_sent_yet_points_to_the_outbox() -> None:
    story = gap(known=True, published=False)
    assert story.stands_still[0].missing is not None
    assert story.stands_still[0].missing.whereabouts == "unsent"
    assert any(each.startswith("kintsugi status") for each in advice(story))


def test_a_wait_for_a_cause_names_the_source_that_is_behind() -> None:
    story = build(
        SUBJECT,
        {
            "assessment": service(own=[own("assessment", 1, "assessment.scheduled", 1, "intake-2", "intake:2")]),
            "referral": service(
                "waiting",
                cursors={"intake": 1},
                waiting=1,
                waiting_since=at(2),
                inputs=[taken("assessment", 1, "assessment.scheduled", "waiting", 1.1)],
            ),
        },
    )
    [waiting] = story.stands_still
    assert str(waiting.missing) == "intake:2"
    assert "--follow" in advice(story)[0]


def test_a_failed_handler_leads_to_the_hold_and_never_to_a_release_without_the_event() -> None:
    hold = {"cause": "handler_raised", "source": "intake", "sequence": 1, "type": "kintsugi.case.opened.v1"}
    held = taken("intake", 1, "case.opened", "held", 0.1, cause="handler_raised", detail="KeyError")
    behind = taken("intake", 2, "risk.raised", "waiting", 0.2)
    story = build(
        SUBJECT,
        {
            "intake": service(own=[own("intake", 1, "case.opened", 0, "request/1")]),
            "assessment": service("held", waiting=2, hold=hold, held_since=at(1), inputs=[held, behind]),
        },
    )
    text = "\n".join(line.text for line in tell(story, START))
    assert "! held in assessment (handler_raised, KeyError)" in text
    assert "1 event lines up behind it" in text
    assert advice(story) == ["kintsugi held show case/8a6012e0 --service assessment"]


@pytest.mark.parametrize(
    ("status", "cause", "expected"),
    [
        ("blocked", None, "kintsugi held lift case/8a6012e0 --service notify   (a supervisor)"),
        ("held", "lost_state", "kintsugi recover notify"),
    ],
)
def test_each_way_of_standing_still_has_its_next_command(status: str, cause: str | None, expected: str) -> None:
    hold = {"cause": cause, "source": "intake", "sequence": 1, "type": "kintsugi.case.opened.v1"} if cause else None
    assert advice(build(SUBJECT, {"notify": service(status, hold=hold)})) == [expected]


def test_what_is_owed_is_said_soonest_first_and_what_waits_for_a_change_last() -> None:
    agenda = [
        {"name": "mail/2", "kind": "send", "due_at": at(0), "postponed": "no_window", "retry_at": "infinity"},
        {"name": "answer/1", "kind": "deadline", "due_at": at(3600)},
        {"name": "mail/1", "kind": "send", "due_at": at(0), "postponed": "window", "retry_at": at(60)},
        {"name": "mail/3", "kind": "send", "due_at": "1970-01-01T00:00:00Z", "attempt": 2},
    ]
    story = build(SUBJECT, {"notify": service(agenda=agenda)})
    assert [each.name for each in story.owed] == ["mail/1", "answer/1", "mail/2", "mail/3"]
    text = "\n".join(line.text for line in tell(story, START))
    assert "postponed: window, in 60 s" in text
    assert "due in 1 h" in text
    assert "1970" not in text


def test_a_case_at_rest_needs_nobody() -> None:
    assert advice(build(SUBJECT, {"intake": service()})) == ["none; this case needs no operator"]


def test_every_line_of_a_tree_of_six_steps_fits_eighty_columns() -> None:
    events = [own("referral", n, "referral.status_changed", n, f"referral-{n - 1}") for n in range(2, 8)]
    first = own("referral", 1, "referral.status_changed", 1, "request/1")
    lines = tell(build(SUBJECT, {"referral": service(own=[first, *events])}), START)
    assert max(len(line.text) for line in lines) <= 80
    assert any(TRACE[:8] in line.text for line in lines)


def test_programs_get_the_same_tree() -> None:
    said = as_json(healthy())
    [root] = said["tree"]
    assert root["children"][0]["children"][0]["type"] == "assessment.scheduled"
    assert root["children"][0]["effects"] == [
        {"service": "assessment", "status": "applied", "cause": None, "detail": None, "after_s": pytest.approx(0.4)}
    ]
    assert said["owed"][0]["due"] == "2026-11-30T03:00:00Z"


def test_every_cause_an_operator_can_meet_is_explained() -> None:
    assert set(CAUSES) == {each.value for each in Cause}


@pytest.mark.parametrize(
    ("type_", "said"), [("kintsugi.case.opened.v1", "case.opened"), ("kintsugi.case.opened.v2", "case.opened.v2")]
)
def test_types_are_said_shortly_but_another_major_version_shows(type_: str, said: str) -> None:
    assert short(type_) == said
