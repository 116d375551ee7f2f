"""The reconciler on small fabricated evidence: it is silent where all is well, and names what is not."""

import json
from pathlib import Path
from typing import Any

import pytest
from kintsugi_office.reconciler.evidence import EvidenceMissing
from kintsugi_office.reconciler.findings import Verdict
from kintsugi_office.reconciler.judge import judge

CASE, REF, ROW = "case/3e0e3f0e-0000-4000-8000-000000000001", "XA-00000001", 3
AGENCY, ADDRESS = "agency-1", "desk@agency.example"
SERVICES = ("intake", "assessment", "referral", "notify")
HEADER = "prs_FirstName,prs_SecondName,prs_Email,prs_HomePhone,prs_MobilePhone,xa_ImmediateDanger"
MONDAY = "2026-11-23T08:00:00Z"


class Run:
    """A run in the making: events, answers and mails, written as the demonstration leaves them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.mails: dict[str, str] = {}
        self.logs = {"intake.log": "{}"}
        self.unsent: list[str] = []

    def event(self, service: str, type_: str, cause: str, seen: str = "", *, at: str = MONDAY, **data: Any) -> str:
        sequence = 1 + sum(1 for record in self.records if f"/xa/{service}" in record["headers"].values())
        id_ = f"{service}-{sequence}"
        headers = {
            "ce_id": id_,
            "ce_type": f"kintsugi.{type_}.v1",
            "ce_source": f"/xa/{service}",
            "ce_subject": CASE,
            "ce_sequence": f"{sequence:012}",
            "ce_time": at,
            "ce_causationid": cause,
            "ce_seen": seen,
        }
        topic = f"xa.{service}.v1"
        offset = sum(1 for record in self.records if record["topic"] == topic)
        value = json.dumps(data)
        place = {"topic": topic, "partition": 0, "offset": offset, "at_ms": 1000 + len(self.records), "key": CASE}
        self.records.append({**place, "headers": headers, "value": value})
        return id_

    def answer(self, service: str, action: str, answer: Any = None, **about: Any) -> None:
        n = len(self.answers) + 1
        line = {"n": n, "service": service, "method": "POST", "path": "/", "key": f"key-{n}", "status": 200}
        self.answers.append({**line, "action": action, "about": about, "answer": answer})

    def mail(self, name: str, to: str, body: str, message_id: str) -> None:
        head = f"X-Envelope-To: {to}\nMessage-ID: <{message_id}@office.example>\nSubject: A request\n"
        self.mails[name] = f"{head}Content-Type: text/plain; charset=utf-8\n\n{body}\n"

    def judged(self) -> Verdict:
        evidence = self.folder / "evidence"
        for part in ("evidence/samples", "mail", "logs"):
            (self.folder / part).mkdir(parents=True)
        row = "Amarande,Velisso,,,+999 71 100 000,No"
        (evidence / "samples" / "cases.csv").write_text(f"{HEADER}\n{HEADER}\n{row}\n")
        (evidence / "topics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in self.records))
        (evidence / "books.json").write_text(json.dumps(self._books()))
        (self.folder / "ledger.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in self.answers))
        for name, text in self.mails.items():
            (self.folder / "mail" / name).write_text(text)
        for name, text in self.logs.items():
            (self.folder / "logs" / name).write_text(text)
        return judge(self.folder)

    def _books(self) -> dict[str, Any]:
        ends: dict[str, dict[str, int]] = {f"xa.{service}.v1": {"0": 0} for service in SERVICES}
        for record in self.records:
            ends[record["topic"]]["0"] += 1
        return {
            "ends_at": "2026-11-24T08:00:00+00:00",
            "zone": "Asia/Beirut",
            "people": {str(ROW): {"email": "person@letterbox.example", "phone": "+999 71 100 000"}},
            "agencies": {AGENCY: ADDRESS},
            "ends": ends,
            "services": {service: self._of(service, ends) for service in SERVICES},
        }

    def _of(self, service: str, ends: dict[str, dict[str, int]]) -> dict[str, Any]:
        reads = [f"xa.{name}.v1" for name in SERVICES[: SERVICES.index(service)]]
        inputs, known = [], set()
        for record in self.records:
            if record["topic"] not in reads:
                continue
            id_ = record["headers"]["ce_id"]
            inputs.append(
                {
                    **{name: record[name] for name in ("topic", "partition", "offset")},
                    "kind": "event",
                    "source": record["headers"]["ce_source"].rsplit("/", 1)[1],
                    "id": id_,
                    "sequence": int(record["headers"]["ce_sequence"]),
                    "subject": CASE,
                    "type": record["headers"]["ce_type"],
                    "status": "duplicate" if id_ in known else "applied",
                }
            )
            known.add(id_)
        own = {int(r["headers"]["ce_sequence"]) for r in self.records if r["topic"] == f"xa.{service}.v1"}
        keys = [{"path": "/", "key": a["key"], "status": 200} for a in self.answers if a["service"] == service]
        return {
            "inputs": inputs,
            "subjects": [
                {"subject": CASE, "sequence": max(own, default=0), "status": "ok", "waiting": 0, "progress": "{}"}
            ],
            "outbox": [{"subject": CASE, "sequence": 9, "type": type_} for type_ in self.unsent],
            "published": [{"subject": CASE, "sequence": n, "type": "any"} for n in own],
            "commands": [*keys, {"path": "/", "key": "htcds:1", "status": 201}],
            "attempts": [],
            "agenda": [],
            "positions": [{"topic": topic, "partition": 0, "next_offset": ends[topic]["0"]} for topic in reads],
        }


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


def _said(verdict: Verdict, kind: str) -> str:
    return "\n".join(str(finding) for finding in verdict.findings if finding.kind == kind)


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
    assert words in _said(run.judged(), "lost")


def test_an_effect_that_is_there_twice_is_doubled(run: Run) -> None:
    scheduled = next(r for r in run.records if r["headers"]["ce_type"] == "kintsugi.assessment.scheduled.v1")
    data = json.loads(scheduled["value"])
    run.event("assessment", "assessment.scheduled", "intake-1", "intake:1", **{**data, "assessment_id": "a2"})
    assert "assessment.scheduled" in _said(run.judged(), "doubled")


def test_an_event_that_no_answer_promised_is_unexplained(run: Run) -> None:
    run.event("intake", "case.closed", "r9", reason="goals_met")
    assert "no request with a 2xx answer asked for it" in _said(run.judged(), "unexplained")


def test_a_record_that_a_relay_sent_again_is_no_second_effect(run: Run) -> None:
    again = next(r for r in reversed(run.records) if r["topic"] == "xa.referral.v1")
    run.records.append({**again, "offset": again["offset"] + 1})
    assert run.judged().holds


def test_the_same_id_with_another_content_is_doubled(run: Run) -> None:
    again = next(r for r in reversed(run.records) if r["topic"] == "xa.referral.v1")
    run.records.append({**again, "offset": again["offset"] + 1, "value": '{"referral_id": "r7"}'})
    assert "its content is not" in _said(run.judged(), "doubled")


def test_a_doubled_mail_is_found_by_its_message_id(run: Run) -> None:
    run.mails["0002.eml"] = run.mails["0001.eml"]
    assert "2 files carry its Message-ID" in _said(run.judged(), "doubled")


def test_a_mail_that_never_arrived_is_lost(run: Run) -> None:
    run.mails.clear()
    assert "mail to an agency, because 1 messages to agency-1" in _said(run.judged(), "lost")


def test_a_mail_nobody_reported_is_unexplained(run: Run) -> None:
    run.mail("0002.eml", "somebody@else.example", "Hello", "m9")
    assert "1 mails" in _said(run.judged(), "unexplained")


def test_an_unsent_row_in_an_outbox_is_unsettled(run: Run) -> None:
    run.unsent.append("kintsugi.case.closed.v1")
    assert "still in the outbox" in _said(run.judged(), "unsettled")


@pytest.mark.parametrize("text", ["to Amarande now", '{"name": "Velisso"}', "+999 71 100 000", '"99971100000"'])
def test_a_name_or_a_number_in_a_log_is_leaked_and_not_repeated(run: Run, text: str) -> None:
    run.logs["notify.log"] = text
    verdict = run.judged()
    assert "logs/notify.log holds a" in _said(verdict, "leaked")
    assert "of row 3" in _said(verdict, "leaked")
    assert "Amarande" not in _said(verdict, "leaked")


def test_a_name_inside_a_longer_word_is_no_leak(run: Run) -> None:
    run.logs["notify.log"] = "xAmarandez"
    assert run.judged().holds


def test_a_request_without_a_consent_for_that_agency_is_unsafe(run: Run) -> None:
    for record in run.records:
        if record["headers"]["ce_type"] == "kintsugi.consent.recorded.v1":
            record["value"] = record["value"].replace(AGENCY, "agency-2")
    assert "no consent names that agency" in _said(run.judged(), "unsafe")


def test_a_folder_without_a_run_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EvidenceMissing, match="make demo"):
        judge(tmp_path)
