"""Every event has effects in other services: stated here once more, in the judge's own words."""

from collections.abc import Sequence
from datetime import datetime

from kintsugi_sandbox.reconciler.evidence import Evidence, Record
from kintsugi_sandbox.reconciler.findings import Verdict

_PROVIDER_SAID = frozenset({"accepted", "rejected", "failed", "cancelled"})
_LOST_WITH_THE_CASE = frozenset(
    {"referral.proposed", "referral.withheld", "referral.overdue", "referral.status_changed", "assessment.overdue"}
)


def check(evidence: Evidence, verdict: Verdict) -> None:
    """Walk through all events and look for what each must have led to."""
    verdict.looked_at["events"] = len(evidence.records)
    for opened in evidence.of("case.opened"):
        there = len(evidence.caused_by(opened, "assessment.scheduled"))
        verdict.expect("assessment.scheduled", there, str(opened))
    for completed in evidence.of("assessment.completed"):
        _needs(completed, evidence, verdict)
    for asking in evidence.of(
        "risk.raised",
        "safety.deteriorated",
        "assessment.overdue",
        "referral.proposed",
        "referral.withheld",
        "referral.overdue",
        "referral.status_changed",
    ):
        _task(asking, evidence, verdict)
    for answer in evidence.of("referral.status_changed"):
        _next_option(answer, evidence, verdict)
    _overdue_assessments(evidence, verdict)
    _escalations(evidence, verdict)


def _needs(completed: Record, evidence: Evidence, verdict: Verdict) -> None:
    """Each need of an assessment becomes one proposal; a case that was closed by then gets none."""
    proposed = evidence.caused_by(completed, "referral.proposed")
    closed = _closed_before(completed, evidence)
    for need in completed.data["needs"]:
        there = sum(1 for record in proposed if record.data["need_id"] == need["need_id"])
        why = f"{completed} of {evidence.name(completed.subject)} found the need {need['need']}"
        verdict.expect("referral.proposed", there, why, at_least=0 if closed else 1)


def _task(asking: Record, evidence: Evidence, verdict: Verdict) -> None:
    """Whatever asks something of staff is one task."""
    data = asking.data
    if asking.type == "referral.status_changed" and not (
        data["set_by"] == "provider" and data["status"] in _PROVIDER_SAID
    ):
        return
    there = len(evidence.caused_by(asking, "staff_task.created"))
    needless = asking.type in _LOST_WITH_THE_CASE and _closed_before(asking, evidence)
    why = f"{asking} of {evidence.name(asking.subject)} asks something of staff"
    verdict.expect("staff_task.created", there, why, at_least=0 if needless else 1)


def _next_option(answer: Record, evidence: Evidence, verdict: Verdict) -> None:
    """An agency that says no is followed, in the same decision, by a new proposal for the need."""
    if answer.data["status"] != "rejected":
        return
    own = evidence.of_subject(answer.subject, answer.service)
    followed = [each for each in own if each.type == "referral.proposed" and each.cause == answer.cause]
    why = f"{answer} of {evidence.name(answer.subject)} is a no"
    verdict.expect(
        "referral.proposed (next option)", len(followed), why, at_least=0 if _closed_before(answer, evidence) else 1
    )


def _overdue_assessments(evidence: Evidence, verdict: Verdict) -> None:
    """An assessment that is neither made nor declined by its date is overdue once; otherwise never."""
    overdue = _by(evidence.of("assessment.overdue"), "assessment_id")
    for scheduled in evidence.of("assessment.scheduled"):
        id_, due = scheduled.data["assessment_id"], moment(scheduled.data["due_at"])
        ended = [
            record.time
            for record in evidence.of("assessment.completed", "assessment.declined")
            if record.data["assessment_id"] == id_
        ]
        ended += [record.time for record in evidence.of("case.closed") if record.subject == scheduled.subject]
        in_time = any(at <= due for at in ended)
        passed = due <= evidence.ends_at
        there = len(overdue.get(id_, ()))
        why = f"{scheduled} of {evidence.name(scheduled.subject)} was due {due:%d %b}"
        must = int(passed and not in_time)
        # At the very moment of the deadline either order is right.
        may = int(passed and not any(at < due for at in ended))
        verdict.expect("assessment.overdue", there, why, at_least=must, at_most=may)


def _escalations(evidence: Evidence, verdict: Verdict) -> None:
    """A task goes up once at most; one that only a person can end goes up when nobody took it in time."""
    taken = {record.data["task_id"]: record.time for record in evidence.of("staff_task.acknowledged")}
    above = _by([r for r in evidence.of("staff_task.created") if r.data.get("escalates")], "escalates")
    for task in evidence.of("staff_task.created"):
        data = task.data
        due = moment(data["due_at"])
        alone = data["kind"] in ("act_on_risk", "check_safety", "release_input") and data["role"] != "country_lead"
        ended = taken.get(data["task_id"])
        must = alone and due <= evidence.ends_at and (ended is None or ended > due)
        why = f"the task of {task} ({data['kind']}) was due {due:%d %b %H:%M} and nobody took it"
        verdict.expect("staff_task.created (next role)", len(above.get(data["task_id"], ())), why, at_least=int(must))


def _closed_before(record: Record, evidence: Evidence) -> bool:
    """Whether the case was closed at the time, so that the effect may be absent."""
    closed = [each for each in evidence.of("case.closed") if each.subject == record.subject]
    return any(each.time <= record.time for each in closed)


def _by(records: Sequence[Record], field: str) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.data[field], []).append(record)
    return found


def moment(text: str) -> datetime:
    """A time as events carry it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
