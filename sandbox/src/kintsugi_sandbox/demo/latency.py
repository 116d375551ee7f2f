"""How long the automatic chains took, from the answer a person waits for to the last effect, in machine time.

A chain begins when the client sends its request, or for an imported row when its case stands on the topic, and ends
when its last event does. Chains that began while a service was down on purpose are reported apart.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from kintsugi_sandbox.demo.watch import Seen

Interval = tuple[int, int]
_Flow = tuple[int, int]


def chains(events: Sequence[Seen], ledger: Sequence[dict[str, Any]], broken: Interval) -> dict[str, Any]:
    """Percentiles of each chain in milliseconds."""
    found = {
        "open": list(_open(events)),
        "alert": list(_alert(events)),
        "answers": list(_answers(events, ledger)),
        "choice": list(_choice(events, ledger)),
        "withdrawal": list(_withdrawal(events, ledger)),
    }
    return {name: _percentiles(flows, broken) for name, flows in found.items()}


def _open(events: Sequence[Seen]) -> Iterator[_Flow]:
    opened = {event.id: event.at_ms for event in events if event.type == "case.opened"}
    for event in events:
        if event.type == "assessment.scheduled" and event.causation in opened:
            yield opened[event.causation], event.at_ms


def _alert(events: Sequence[Seen]) -> Iterator[_Flow]:
    risks = {event.id: event.at_ms for event in events if event.type == "risk.raised"}
    tasks = {e.data["task_id"]: e.causation for e in events if e.type == "staff_task.created" and e.causation in risks}
    for event in events:
        if event.type == "notification.sent" and event.data.get("task_id") in tasks:
            yield risks[tasks[event.data["task_id"]]], event.at_ms


def _answers(events: Sequence[Seen], ledger: Sequence[dict[str, Any]]) -> Iterator[_Flow]:
    asked = {
        line["about"]["assessment_id"]: line["asked_ms"]
        for line in ledger
        if line["action"] == "answers" and line["about"].get("finish")
    }
    completed = {event.id for event in events if event.type == "assessment.completed"}
    proposed = {
        event.id: event.data["assessment_id"]
        for event in events
        if event.type == "referral.proposed" and event.causation in completed
    }
    last: dict[str, int] = {}
    for event in events:
        if event.type == "staff_task.created" and (assessment := proposed.get(event.causation)) in asked:
            last[str(assessment)] = max(last.get(str(assessment), 0), event.at_ms)
    return ((asked[assessment], at) for assessment, at in last.items())


def _choice(events: Sequence[Seen], ledger: Sequence[dict[str, Any]]) -> Iterator[_Flow]:
    asked = {
        line["about"]["referral_id"]: line["asked_ms"]
        for line in ledger
        if line["action"] == "choice" and line["answer"]["status"] == "requested"
    }
    for event in events:
        if event.type == "notification.sent" and event.data["template"] == "provider_request":
            referral = event.data.get("referral_id")
            if referral in asked:
                yield asked[referral], event.at_ms


def _withdrawal(events: Sequence[Seen], ledger: Sequence[dict[str, Any]]) -> Iterator[_Flow]:
    cases = {e.data["case_ref"]: e.subject for e in events if e.type == "case.opened"}
    asked = {
        (cases[line["about"]["case_ref"]], line["about"]["agency"]): line["asked_ms"]
        for line in ledger
        if line["action"] == "consent" and line["about"]["decision"] == "withdrawn"
    }
    last: dict[tuple[str, str], int] = {}
    for event in events:
        key = (event.subject, str(event.data.get("agency")))
        if event.type == "notification.sent" and event.data["template"] == "purge_request" and key in asked:
            last[key] = max(last.get(key, 0), event.at_ms)
    return ((asked[key], at) for key, at in last.items())


def _percentiles(flows: Sequence[_Flow], broken: Interval) -> dict[str, int | None]:
    begin, end = broken
    hit = sorted(last - first for first, last in flows if first <= end and last >= begin)
    calm = sorted(last - first for first, last in flows if not (first <= end and last >= begin))
    return {
        "flows": len(calm),
        "p50": _at(calm, 50),
        "p95": _at(calm, 95),
        "p99": _at(calm, 99),
        "flows_across_the_kill": len(hit),
        "longest_across_the_kill": max(hit, default=None),
    }


def _at(values: Sequence[int], percent: int) -> int | None:
    if not values:
        return None
    return values[min(len(values) - 1, -(-len(values) * percent // 100) - 1)]
