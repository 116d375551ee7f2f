"""What the demonstration came to, counted from the events on the topics: people first, machines after."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from kintsugi_sandbox.demo.days import Happened
from kintsugi_sandbox.demo.latency import chains
from kintsugi_sandbox.demo.watch import Seen

_MINORS = frozenset({"under_6", "from_6_to_11", "from_12_to_14", "from_15_to_17", "minor"})
_CONSENT = frozenset({"consent_missing", "consent_refused", "consent_withdrawn", "consent_expired", "guardian_blocked"})

Figures = dict[str, Any]


def figures(events: Sequence[Seen], happened: Happened, ledger: Sequence[dict[str, Any]]) -> Figures:
    """Everything the summary and ``demo.json`` say about the run."""
    by_type: dict[str, list[Seen]] = {}
    for event in events:
        by_type.setdefault(event.type, []).append(event)

    def of(type_: str) -> list[Seen]:
        return by_type.get(type_, [])

    return {
        "rows": {name: happened.report.get(name) for name in ("rows", "taken", "refused")}
        | {
            "refused_by_reason": _counted(
                row["reason"] for row in happened.report.get("report", ()) if row["result"] == "refused"
            ),
            "taken_at_second_import": happened.again.get("taken"),
        },
        "people": _people(of("case.opened"))
        | _alerts(of("risk.raised"), of("staff_task.created"), of("notification.sent")),
        "assessments": _assessments(by_type),
        "choices": {
            "needs_with_options": sum(1 for event in of("referral.proposed") if event.data["options"]),
            "needs_without_options": sum(1 for event in of("referral.proposed") if not event.data["options"]),
            **{
                name: sum(1 for event in of("referral.chosen") if event.data["choice"] == choice)
                for name, choice in (("chosen", "option"), ("none", "none"), ("not_now", "not_now"))
            },
        },
        "referrals": _referrals(by_type),
        "partners": _partners(by_type, happened),
        "notifications": {
            "sent": _counted(event.data["audience"] for event in of("notification.sent")),
            "withheld": _counted(event.data["reason"] for event in of("notification.withheld")),
            "failed": _counted(event.data["reason"] for event in of("notification.failed") if event.data["final"]),
        },
        "staff_tasks": {
            "created": len(of("staff_task.created")),
            "escalated": sum(1 for event in of("staff_task.created") if event.data.get("escalates")),
            "taken": len(of("staff_task.acknowledged")),
        },
        "events": {"total": len(events), "by_service": _counted(event.service for event in events)},
        "broken_on_purpose": _broken(happened, events),
        "business_time": {"ends_at": str(happened.reached), "stops": happened.stops},
        "latency_ms": chains(events, ledger, _broken_interval(happened)),
    }


def _people(opened: Sequence[Seen]) -> dict[str, int]:
    minors = [e for e in opened if e.data["age_band"] in _MINORS or e.data["age_basis"] == "presumed_minor"]
    return {"cases": len(opened), "minors": len(minors)}


def _alerts(risks: Sequence[Seen], tasks: Sequence[Seen], sent: Sequence[Seen]) -> dict[str, Any]:
    """How long it took from the alarm on its topic to the report that staff were written to, in milliseconds."""
    tasks_of = {task.causation: task.data["task_id"] for task in tasks}
    told = {mail.data.get("task_id"): mail.at_ms for mail in sent if mail.data["audience"] == "staff"}
    waits = []
    for risk in risks:
        at = told.get(tasks_of.get(risk.id, ""))
        if at is not None:
            waits.append(at - risk.at_ms)
    return {"in_danger": len(risks), "staff_alerted": len(waits), "slowest_alert_ms": max(waits, default=None)}


def _assessments(by_type: dict[str, list[Seen]]) -> dict[str, int]:
    def ids(type_: str) -> set[str]:
        return {event.data["assessment_id"] for event in by_type.get(type_, [])}

    scheduled, completed, declined = (ids(f"assessment.{name}") for name in ("scheduled", "completed", "declined"))
    paused = {
        event.data["assessment_id"]
        for event in by_type.get("assessment.answers_saved", [])
        if event.data["status"] == "paused"
    }
    return {
        "scheduled": len(scheduled),
        "completed": len(completed),
        "paused_on_the_way": len(paused),
        "declined": len(declined),
        "not_yet_answered": len(scheduled - completed - declined),
        "overdue": len(ids("assessment.overdue")),
    }


def _referrals(by_type: dict[str, list[Seen]]) -> dict[str, Any]:
    status: dict[str, str] = {}
    ended: Counter[str] = Counter()
    for event in by_type.get("referral.status_changed", []):
        status[event.data["referral_id"]] = event.data["status"]
        if event.data["status"] in ("cancelled", "rejected"):
            ended[f"{event.data['status']}_{event.data.get('reason')}"] += 1
    asked = {event.data["referral_id"] for event in by_type.get("referral.requested", [])}
    held = {
        event.data["referral_id"] for event in by_type.get("referral.withheld", []) if event.data["reason"] in _CONSENT
    }
    return {
        "requested": len(asked),
        "by_outcome": _counted(status.get(referral, "no answer") for referral in sorted(asked)),
        "rejected_by_reason": {k.removeprefix("rejected_"): n for k, n in ended.items() if k.startswith("rejected_")},
        "held_for_lack_of_consent": len(held),
        "still_held": len(held - asked - {referral for referral, state in status.items() if state == "cancelled"}),
        "cancelled_by_withdrawal": ended["cancelled_consent_withdrawn"],
        "overdue": len(by_type.get("referral.overdue", [])),
        "deletions_asked": len(by_type.get("purge.requested", [])),
        "deletions_confirmed": len(by_type.get("purge.acknowledged", [])),
    }


def _partners(by_type: dict[str, list[Seen]], happened: Happened) -> dict[str, dict[str, int]]:
    """For each partner: what the office's books say it received and must forget, and what it counted itself."""

    def of(type_: str, name: str) -> list[Seen]:
        return [event for event in by_type.get(type_, []) if event.data.get("integrator") == name]

    return {
        name: {
            "records": sum(1 for made in of("disclosure.made", name) if made.data["certainty"] == "confirmed"),
            "people": len({event.subject for event in of("disclosure.made", name)}),
            "purges_asked": len(of("partner_purge.requested", name)),
            "purges_confirmed": len(of("partner_purge.acknowledged", name)),
            **{f"received_{what}": count for what, count in asdict(received).items()},
        }
        for name, received in happened.received.items()
    }


def _broken(happened: Happened, events: Sequence[Seen]) -> dict[str, Any]:
    begin, end = _broken_interval(happened)
    accepted = [e for e in events if begin <= e.at_ms <= end and e.service != "referral"]
    return {
        "what": "referral was killed with SIGKILL and came back; meanwhile intake sent all its events again",
        "down_ms": max(0, end - begin),
        "events_sent_twice": happened.sent_again,
        "events_of_other_services_meanwhile": len(accepted),
    }


def _broken_interval(happened: Happened) -> tuple[int, int]:
    return happened.killed_at_ms, happened.back_at_ms


def _counted(values: Iterable[Any]) -> dict[str, int]:
    return dict(Counter(str(value) for value in values).most_common())
