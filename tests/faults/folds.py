"""What each service should hold, folded anew from the log in a few lines per service, and how it differs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.faults.evidence import Base, Evidence, Logged

Fold = dict[str, dict[str, Any]]
"""By subject, what is known of it: name → value."""


def differences(service: str, evidence: Evidence, base: Base) -> Iterator[tuple[str, str]]:
    """(subject, what differs) between the fold of the log and the service's state and views."""
    expected, found = _EXPECTED[service](evidence), _FOUND[service](base)
    for subject in sorted({*expected, *found}):
        left, right = expected.get(subject, {}), found.get(subject, {})
        for name in sorted({*left, *right}):
            if left.get(name) != right.get(name):
                yield subject, f"{subject}: {name} is {right.get(name)!r}, the log says {left.get(name)!r}"


def _by_type(events: Iterable[Logged], *types: str) -> Iterator[Logged]:
    return (event for event in events if event.type in types)


def _intake(evidence: Evidence) -> Fold:
    fold: Fold = defaultdict(dict)
    for event in evidence.firsts["intake"]:
        case, data = fold[event.subject], event.data
        if event.type == "case.opened":
            case |= {"case": data["case_ref"], "state": "open"}
        elif event.type == "case.closed":
            case["state"] = "closed"
        elif event.type == "consent.recorded":
            case[f"consent {data['purpose']} {data.get('agency')}"] = data["decision"]
        elif event.type == "consent.withdrawn":
            case[f"consent {data['purpose']} {data.get('agency')}"] = "withdrawn"
    for case in fold.values():
        consents = [(name.split()[1], decision) for name, decision in case.items() if name.startswith("consent ")]
        case |= {"kept state": case.get("state"), "kept consents": sorted(consents)}
    return fold


def _intake_found(base: Base) -> Fold:
    fold: Fold = defaultdict(dict)
    for row in base.tables["subjects"]:
        state = json.loads(row["state"])
        fold[row["subject"]]["kept state"] = state.get("status")
        fold[row["subject"]]["kept consents"] = sorted(
            (each["purpose"], each["decision"]) for each in state.get("consents", {}).values()
        )
    for row in base.views["cases"]:
        fold[row["subject"]] |= {"case": row["case_ref"], "state": row["state"]}
    for row in base.views["consents"]:
        fold[row["subject"]][f"consent {row['purpose']} {row['agency']}"] = row["decision"]
    return fold


def _assessment(evidence: Evidence) -> Fold:
    fold: Fold = defaultdict(dict)
    for event in _by_type(evidence.firsts["intake"], "case.opened"):
        fold[event.subject]["case"] = event.data["case_ref"]
    for event in evidence.firsts["assessment"]:
        name = f"assessment {event.data.get('assessment_id')}"
        status = {
            "assessment.scheduled": "scheduled",
            "assessment.answers_saved": "paused" if event.data.get("status") == "paused" else "in_progress",
            "assessment.completed": "completed",
            "assessment.declined": "declined",
        }.get(event.type)
        if status:
            fold[event.subject][name] = status
        elif event.type == "assessment.overdue":
            fold[event.subject][f"{name} overdue"] = True
    for case in fold.values():
        kept = {name: status for name, status in case.items() if name.startswith("assessment ")}
        case |= {f"kept {name}": status for name, status in kept.items()} | {"kept case": case.get("case")}
    return fold


def _assessment_found(base: Base) -> Fold:
    fold: Fold = defaultdict(dict)
    for row in base.tables["subjects"]:
        case, state = fold[row["subject"]], json.loads(row["state"])
        case["kept case"] = state.get("case_ref")
        for each in state.get("assessments", {}).values():
            name = f"kept assessment {each['assessment_id']}"
            case[name] = each.get("standing", "scheduled")
            if each.get("overdue"):
                case[f"{name} overdue"] = True
    for row in base.views["cases"]:
        fold[row["subject"]]["case"] = row["case_ref"]
    for row in base.views["assessments"]:
        name = f"assessment {row['assessment_id']}"
        fold[row["subject"]][name] = row["status"]
        if row["overdue"]:
            fold[row["subject"]][f"{name} overdue"] = True
    return fold


def _consents(events: Iterable[Logged], purposes: Iterable[str]) -> Fold:
    fold: Fold = defaultdict(dict)
    for event in events:
        if event.type not in ("consent.recorded", "consent.withdrawn") or event.data["purpose"] not in purposes:
            continue
        decision = event.data["decision"] if event.type == "consent.recorded" else "withdrawn"
        fold[event.subject][f"consent {event.data['purpose']} {event.data.get('agency') or ''}"] = decision
    return fold


def _referral(evidence: Evidence) -> Fold:
    fold = _consents(evidence.firsts["intake"], ("sharing",))
    for event in _by_type(evidence.firsts["intake"], "case.opened"):
        fold[event.subject]["case"] = event.data["case_ref"]
    for event in evidence.firsts["referral"]:
        name, data = f"referral {event.data.get('referral_id')}", event.data
        if event.type == "referral.proposed":
            fold[event.subject][name] = "proposed"
        elif event.type == "referral.chosen":
            fold[event.subject][name] = "chosen" if data["choice"] == "option" else "proposed"
        elif event.type == "referral.withheld":
            waits = data["reason"].startswith("consent_") or data["reason"] == "guardian_blocked"
            fold[event.subject][name] = "chosen" if waits else "consented"
        elif event.type == "referral.requested":
            fold[event.subject][name] = "requested"
        elif event.type == "referral.status_changed":
            fold[event.subject][name] = data["status"]
    for case in fold.values():
        case |= {f"kept {name}": status for name, status in case.items() if name.startswith("referral ")}
    return fold


def _referral_found(base: Base) -> Fold:
    fold: Fold = defaultdict(dict)
    for row in base.tables["subjects"]:
        state = json.loads(row["state"])
        if state.get("case_ref"):
            fold[row["subject"]]["case"] = state["case_ref"]
        for agency, consent in state.get("consents", {}).items():
            fold[row["subject"]][f"consent sharing {agency}"] = consent["decision"]
        for each in state.get("referrals", {}).values():
            fold[row["subject"]][f"kept referral {each['referral_id']}"] = each.get("status", "proposed")
    for row in base.views["referrals"]:
        fold[row["subject"]][f"referral {row['referral_id']}"] = row["status"]
    return fold


def _notify(evidence: Evidence) -> Fold:
    fold = _consents(evidence.firsts["intake"], ("casework", "contact", "sharing"))
    for event in evidence.firsts["intake"]:
        if event.type == "case.opened":
            fold[event.subject]["case"] = event.data["case_ref"]
        elif event.type == "contact_profile.changed":
            fold[event.subject]["profile"] = True
    for event in evidence.firsts["referral"]:
        if event.type == "referral.requested" and "contact" in event.data.get("sealed", {}):
            fold[event.subject][f"mail {event.data['referral_id']}"] = True
    for event in evidence.firsts["notify"]:
        if event.type == "staff_task.created":
            fold[event.subject][f"task {event.data['task_id']}"] = True
        elif event.type in ("notification.sent", "notification.withheld") or (
            event.type == "notification.failed" and event.data["final"]
        ):
            fold[event.subject][f"notification {event.data['notification_id']}"] = event.type.partition(".")[2]
    for case in fold.values():
        named = [name for name in case if name.startswith(("task ", "notification "))]
        case |= {f"kept {name}": case[name] for name in named}
    return fold


def _notify_found(base: Base) -> Fold:
    fold: Fold = defaultdict(dict)
    for row in base.tables["subjects"]:
        case, state = fold[row["subject"]], json.loads(row["state"])
        if state.get("case_ref"):
            case["case"] = state["case_ref"]
        if state.get("profile"):
            case["profile"] = True
        for key, consent in state.get("consents", {}).items():
            purpose, _, agency = key.partition("/")
            case[f"consent {purpose} {agency}"] = consent["given"]
        for mail in state.get("mails", {}).values():
            if mail["kind"] == "provider_request":
                case[f"mail {mail['referral_id']}"] = True
        for task in state.get("tasks", {}).values():
            case[f"kept task {task['task_id']}"] = True
        for each in state.get("ended", {}).values():
            case[f"kept notification {each['notification_id']}"] = each["status"]
    for row in base.views["staff_tasks"]:
        fold[row["subject"]][f"task {row['task_id']}"] = True
    for row in base.views["notifications"]:
        if row["status"] != "owed":
            fold[row["subject"]][f"notification {row['notification_id']}"] = row["status"]
    return fold


_EXPECTED: dict[str, Callable[[Evidence], Fold]] = {
    "intake": _intake,
    "assessment": _assessment,
    "referral": _referral,
    "notify": _notify,
}
_FOUND: dict[str, Callable[[Base], Fold]] = {
    "intake": _intake_found,
    "assessment": _assessment_found,
    "referral": _referral_found,
    "notify": _notify_found,
}
