"""A small run in the making, fabricated as the demonstration leaves one, for the tests of the reconciler."""

import json
from pathlib import Path
from typing import Any

from kintsugi_sandbox.reconciler.findings import Verdict
from kintsugi_sandbox.reconciler.judge import judge

CASE, REF, ROW = "case/3e0e3f0e-0000-4000-8000-000000000001", "XA-00000001", 3
AGENCY, ADDRESS = "agency-1", "desk@agency.example"
SERVICES = ("intake", "assessment", "referral", "notify", "share")
PARTNER, MINISTRY, STREAM = "registry", "ministry", "xa.share.registry.wage-claims.v1"
DECLARED = {"fields": ["area", "needs"], "needs": ["legal_aid"], "sealed": ["identity"]}
KNOWN_AS = "k5x2aaaabbbbccccddddeeeeff"
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

    def streamed(self, value: dict[str, Any] | None, *, at_ms: int, key: str = KNOWN_AS, **headers: str) -> None:
        offset = sum(1 for record in self.records if record["topic"] == STREAM)
        place = {"topic": STREAM, "partition": 0, "offset": offset, "at_ms": at_ms, "key": key}
        named = {"ce_id": f"record-{offset}", **{f"ce_{name}": text for name, text in headers.items()}}
        self.records.append({**place, "headers": named, "value": json.dumps(value) if value is not None else ""})

    def answer(self, service: str, action: str, answer: Any = None, **about: Any) -> None:
        n = len(self.answers) + 1
        line = {"n": n, "service": service, "method": "POST", "path": "/", "key": f"key-{n}", "status": 200}
        asked = 1000 + len(self.records)
        times = {"asked_ms": asked, "answered_ms": asked}
        self.answers.append({**line, **times, "action": action, "about": about, "answer": answer})

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
        ends: dict[str, dict[str, int]] = {f"xa.{service}.v1": {"0": 0} for service in SERVICES} | {STREAM: {"0": 0}}
        for record in self.records:
            ends[record["topic"]]["0"] += 1
        return {
            "ends_at": "2026-11-24T08:00:00+00:00",
            "zone": "Asia/Beirut",
            "people": {str(ROW): {"email": "person@letterbox.example", "phone": "+999 71 100 000"}},
            "agencies": {AGENCY: ADDRESS},
            "partners": {PARTNER: {"agency": MINISTRY, "streams": {STREAM: DECLARED}}},
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


def said(verdict: Verdict, kind: str) -> str:
    return "\n".join(str(finding) for finding in verdict.findings if finding.kind == kind)
