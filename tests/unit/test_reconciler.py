"""The reconciler on small fabricated evidence: it is silent where all is well, and names what is not."""

import json
from pathlib import Path
from typing import Any

import pytest
from kintsugi_sandbox.reconciler.evidence import EvidenceMissing
from kintsugi_sandbox.reconciler.judge import judge

from tests.unit.reconciler_run import ADDRESS, AGENCY, REF, ROW, Run, said


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A case that was imported, assessed, chosen for, consented to and brought to an agency."""
    run = Run(tmp_path)
    report = [{"row": ROW, "result": "taken", "case_ref": REF}]
    run.answer("intake", "import", {"taken": 1, "report": report})
    opened = run.event("intake", "case.opened", "row-1", case_ref=REF)
    run.event("intake", "contact_profile.changed", "row-1")
    run.event(
        "assessment", "assessment.scheduled", opened, "intake:1", assessment_id="a1", due_at="2026-11-30T08:00:00Z"
    )
    run.answer("assessment", "answers", case_ref=REF, assessment_id="a1", finish=True)
    need = {"need_id": "n1", "need": "safe_shelter"}
    done = run.event("assessment", "assessment.completed", "r2", "intake:2", assessment_id="a1", needs=[need])
    option = {"option_id": "o1", "agency": AGENCY}
    proposed = run.event(
        "referral", "referral.proposed", done, "intake:2 assessment:2", referral_id="r1", need_id="n1", options=[option]
    )
    run.event("notify", "staff_task.created", proposed, "intake:2 assessment:2 referral:1", **_task("t1", proposed))
    run.answer("referral", "choice", case_ref=REF, referral_id="r1", choice="option", option_id="o1", agency=AGENCY)
    chosen: dict[str, Any] = {"referral_id": "r1", "choice": "option", "option_id": "o1", "agency": AGENCY}
    run.event("referral", "referral.chosen", "r3", "intake:2 assessment:2", **chosen)
    held = run.event(
        "referral",
        "referral.withheld",
        "r3",
        "intake:2 assessment:2",
        referral_id="r1",
        option_id="o1",
        agency=AGENCY,
        reason="consent_missing",
    )
    run.event("notify", "staff_task.created", held, "intake:2 assessment:2 referral:3", **_task("t2", held))
    run.answer("intake", "consent", case_ref=REF, purpose="sharing", decision="granted", agency=AGENCY)
    consent: dict[str, Any] = {"consent_id": "c1", "purpose": "sharing", "agency": AGENCY, "decision": "granted"}
    given = run.event("intake", "consent.recorded", "r4", **consent)
    asked = run.event(
        "referral",
        "referral.requested",
        given,
        "intake:3 assessment:2",
        referral_id="r1",
        agency=AGENCY,
        consent_id="c1",
        answer_due="2026-11-26T08:00:00Z",
    )
    told: dict[str, Any] = {"audience": "provider", "agency": AGENCY, "about": {"type": "x", "event_id": asked}}
    run.event("notify", "notification.sent", "send-1", "intake:3 referral:4", notification_id="m1", **told)
    run.mail("0001.eml", ADDRESS, "Please answer: http://127.0.0.1/provider/abc", "m1")
    return run


def _task(id_: str, about: str) -> dict[str, Any]:
    return {
        "task_id": id_,
        "kind": "present_options",
        "role": "caseworker",
        "due_at": "2026-11-25T08:00:00Z",
        "about": {"type": "x", "event_id": about},
    }


def _without(run: Run, type_: str) -> None:
    run.records = [r for r in run.records if r["headers"]["ce_type"] != f"kintsugi.{type_}.v1"]
    for topic in {record["topic"] for record in run.records}:
        for number, record in enumerate(r for r in run.records if r["topic"] == topic):
            record["offset"] = number


def test_a_run_in_which_all_is_well_has_no_finding(run: Run) -> None:
    verdict = run.judged()
    assert verdict.findings == []
    assert sum(verdict.effects.values()) == sum(verdict.found.values()) > 20


@pytest.mark.parametrize(
    ("type_", "words"),
    [
        ("assessment.scheduled", "assessment.scheduled, because case.opened"),
        ("referral.proposed", "found the need safe_shelter"),
        ("referral.requested", "is the consent that referral r1 waited for"),
        ("staff_task.created", "asks something of staff"),
        ("notification.sent", "asks an agency"),
        ("consent.recorded", "consent.recorded XA-00000001 sharing agency-1 granted, because answer 4"),
        ("assessment.completed", "because answer 2 (answers at assessment) was 200"),
    ],
)
def test_an_effect_that_is_absent_is_lost_and_named_with_its_cause(run: Run, type_: str, words: str) -> None:
    _without(run, type_)
    assert words in said(run.judged(), "lost")


def test_an_effect_that_is_there_twice_is_doubled(run: Run) -> None:
    scheduled = next(r for r in run.records if r["headers"]["ce_type"] == "kintsugi.assessment.scheduled.v1")
    data = json.loads(scheduled["value"])
    run.event("assessment", "assessment.scheduled", "intake-1", "intake:1", **{**data, "assessment_id": "a2"})
    assert "assessment.scheduled" in said(run.judged(), "doubled")


def test_an_event_that_no_answer_promised_is_unexplained(run: Run) -> None:
    run.event("intake", "case.closed", "r9", reason="goals_met")
    assert "no request with a 2xx answer asked for it" in said(run.judged(), "unexplained")


def test_a_record_that_a_relay_sent_again_is_no_second_effect(run: Run) -> None:
    again = next(r for r in reversed(run.records) if r["topic"] == "xa.referral.v1")
    run.records.append({**again, "offset": again["offset"] + 1})
    assert run.judged().holds


def test_the_same_id_with_another_content_is_doubled(run: Run) -> None:
    again = next(r for r in reversed(run.records) if r["topic"] == "xa.referral.v1")
    run.records.append({**again, "offset": again["offset"] + 1, "value": '{"referral_id": "r7"}'})
    assert "its content is not" in said(run.judged(), "doubled")


def test_a_doubled_mail_is_found_by_its_message_id(run: Run) -> None:
    run.mails["0002.eml"] = run.mails["0001.eml"]
    assert "2 files carry its Message-ID" in said(run.judged(), "doubled")


def test_a_mail_that_never_arrived_is_lost(run: Run) -> None:
    run.mails.clear()
    assert "mail to an agency, because 1 messages to agency-1" in said(run.judged(), "lost")


def test_a_mail_nobody_reported_is_unexplained(run: Run) -> None:
    run.mail("0002.eml", "somebody@else.example", "Hello", "m9")
    assert "1 mails" in said(run.judged(), "unexplained")


def test_an_unsent_row_in_an_outbox_is_unsettled(run: Run) -> None:
    run.unsent.append("kintsugi.case.closed.v1")
    assert "still in the outbox" in said(run.judged(), "unsettled")


@pytest.mark.parametrize("text", ["to Amarande now", '{"name": "Velisso"}', "+999 71 100 000", '"99971100000"'])
def test_a_name_or_a_number_in_a_log_is_leaked_and_not_repeated(run: Run, text: str) -> None:
    run.logs["notify.log"] = text
    verdict = run.judged()
    assert "logs/notify.log holds a" in said(verdict, "leaked")
    assert "of row 3" in said(verdict, "leaked")
    assert "Amarande" not in said(verdict, "leaked")


def test_a_name_inside_a_longer_word_is_no_leak(run: Run) -> None:
    run.logs["notify.log"] = "xAmarandez"
    assert run.judged().holds


def test_a_request_without_a_consent_for_that_agency_is_unsafe(run: Run) -> None:
    for record in run.records:
        if record["headers"]["ce_type"] == "kintsugi.consent.recorded.v1":
            record["value"] = record["value"].replace(AGENCY, "agency-2")
    assert "no consent names that agency" in said(run.judged(), "unsafe")


def test_an_agency_that_answered_without_a_disclosure_in_the_books_is_lost(run: Run) -> None:
    run.answer("referral", "provider_answer", referral_id="r1", status="accepted", agency=AGENCY)
    run.event("referral", "referral.status_changed", "r9", referral_id="r1", status="accepted", set_by="provider")
    run.event("notify", "staff_task.created", "referral-5", **_task("t3", "referral-5"))
    assert "disclosure.made (link), because referral.requested" in said(run.judged(), "lost")


def test_one_look_is_one_disclosure(run: Run) -> None:
    made = {"referral_id": "r1", "way": "link", "agency": AGENCY, "certainty": "confirmed"}
    for _ in range(2):
        run.event("referral", "disclosure.made", "look", "intake:3 assessment:2", **made)
    assert "disclosure.made (link)" in said(run.judged(), "doubled")


def test_a_folder_without_a_run_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EvidenceMissing, match="make demo"):
        judge(tmp_path)
