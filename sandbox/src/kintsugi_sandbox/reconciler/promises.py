"""Every 2xx answer is a promise: the events that must be on the topics because of it, and no others of their kind."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kintsugi_sandbox.reconciler.evidence import Answer, Evidence, Record
from kintsugi_sandbox.reconciler.findings import Verdict

Effect = tuple[str, ...]
"""An effect by what tells it apart: the event's type, and the references and codes that the request named."""


def check(evidence: Evidence, verdict: Verdict) -> None:
    """Compare the answers with the events that only a request leads to."""
    promised: Counter[Effect] = Counter()
    because: dict[Effect, str] = {}
    for effect, why in _promised(evidence):
        promised[effect] += 1
        because[effect] = why
    there = Counter(effect for record in evidence.records for effect in _asked_for(record, evidence))
    verdict.looked_at["answers"] = len(evidence.answers)
    for effect in promised.keys() | there.keys():
        asked = promised[effect]
        verdict.expect(
            _said(effect),
            there[effect],
            because.get(effect, "no request with a 2xx answer asked for it"),
            at_least=asked,
            at_most=asked,
        )


def _promised(evidence: Evidence) -> Iterator[tuple[Effect, str]]:
    consents: dict[tuple[str, str, str | None], str] = {}
    for answer in evidence.answers:
        about = answer.about
        case = str(about.get("case_ref", ""))
        match answer.action:
            case "import":
                yield from _of_import(answer, evidence.folder / "evidence" / "samples" / "cases.csv")
            case "profile":
                yield ("contact_profile.changed", case), str(answer)
            case "consent":
                key = (case, about["purpose"], about["agency"])
                for decided in _of_consent(consents.get(key), about["decision"]):
                    if decided == "withdrawn":
                        effect: Effect = ("consent.withdrawn", case, about["purpose"], str(about["agency"]))
                    else:
                        effect = ("consent.recorded", case, about["purpose"], str(about["agency"]), decided)
                    yield effect, str(answer)
                consents[key] = about["decision"]
            case "answers":
                yield (_of_answers(about), case, about["assessment_id"]), str(answer)
            case "decline_assessment":
                yield ("assessment.declined", case, about["assessment_id"]), str(answer)
            case "choice":
                option = str(about.get("option_id"))
                yield ("referral.chosen", case, about["referral_id"], about["choice"], option), str(answer)
            case "provider_answer":
                effect = ("provider_answer", about["referral_id"], about["status"], str(about.get("sub_status")))
                yield effect, str(answer)
            case "purge_ack":
                yield ("purge.acknowledged", about["agency"]), str(answer)
            case "partner_purge_ack":
                yield ("partner_purge.acknowledged", about["purge_id"]), str(answer)
            case "take_task":
                yield ("staff_task.acknowledged", case, about["task_id"]), str(answer)
            case "close":
                yield ("case.closed", case, about["reason"]), str(answer)


def _of_import(answer: Answer, file: Path) -> Iterator[tuple[Effect, str]]:
    """A row that was taken is a case; danger raises an alarm; an address in the file is a first, unsafe profile."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        rows = dict(enumerate(csv.reader(stream), 1))
    names = rows[1]
    for reported in answer.answer["report"]:
        if reported["result"] != "taken":
            continue
        row = dict(zip(names, rows[reported["row"]], strict=False))
        case, why = reported["case_ref"], f"row {reported['row']} of the file was taken"
        yield ("case.opened", case), why
        if row.get("xa_ImmediateDanger", "").strip().lower() == "yes":
            yield ("risk.raised", case), f"{why} and says that the person is in immediate danger"
        if any(row.get(name, "").strip() for name in ("prs_Email", "prs_HomePhone", "prs_MobilePhone")):
            yield ("contact_profile.changed", case), f"{why} and holds an address"


def _of_consent(before: str | None, decision: str) -> list[str]:
    if decision == "withdrawn":
        return ["withdrawn"] if before == "granted" else []
    return ["withdrawn", "refused"] if decision == "refused" and before == "granted" else [decision]


def _of_answers(about: Mapping[str, Any]) -> str:
    return "assessment.completed" if about.get("finish") else "assessment.answers_saved"


def _asked_for(record: Record, evidence: Evidence) -> Iterator[Effect]:
    """The effect this record is, where it is of a kind that only a request leads to."""
    data, case = record.data, evidence.name(record.subject)
    match record.type:
        case "case.opened" | "risk.raised" | "contact_profile.changed":
            yield (record.type, case)
        case "consent.recorded":
            yield (record.type, case, data["purpose"], str(data.get("agency")), data["decision"])
        case "consent.withdrawn":
            yield (record.type, case, data["purpose"], str(data.get("agency")))
        case "assessment.completed" | "assessment.answers_saved" | "assessment.declined":
            yield (record.type, case, data["assessment_id"])
        case "referral.chosen":
            yield (record.type, case, data["referral_id"], data["choice"], str(data.get("option_id")))
        case "referral.status_changed" if data["set_by"] == "provider":
            yield ("provider_answer", data["referral_id"], data["status"], str(data.get("sub_status")))
        case "purge.acknowledged":
            yield (record.type, data["agency"])
        case "partner_purge.acknowledged":
            yield (record.type, data["purge_id"])
        case "staff_task.acknowledged":
            yield (record.type, case, data["task_id"])
        case "case.closed":
            yield (record.type, case, data["reason"])


def _said(effect: Effect) -> str:
    return " ".join(part for part in effect if part != "None")
