"""Each service's own books: every record accounted for once, every answer written down, nothing owed any more."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from kintsugi_sandbox.reconciler.evidence import Evidence
from kintsugi_sandbox.reconciler.findings import Verdict

Rows = Sequence[Mapping[str, Any]]
_SETTLED = frozenset({"applied", "ignored", "duplicate", "discarded"})


def check(evidence: Evidence, verdict: Verdict) -> None:
    """Compare every service's tables with the topics and the ledger."""
    for service, tables in evidence.books["services"].items():
        verdict.looked_at[f"inputs of {service}"] = len(tables["inputs"])
        _accounted(service, tables, evidence, verdict)
        _emitted(service, tables, evidence, verdict)
        _at_rest(service, tables, evidence, verdict)
        _answered(service, tables["commands"], evidence, verdict)


def _accounted(service: str, tables: Mapping[str, Rows], evidence: Evidence, verdict: Verdict) -> None:
    """What was received equals what was applied, ignored, dropped, kept or given up; and nothing is applied twice."""
    inputs = [row for row in tables["inputs"] if row["kind"] == "event"]
    settled = Counter((row["source"], row["id"]) for row in inputs if row["status"] in ("applied", "ignored"))
    counted = Counter((row["topic"], row["partition"]) for row in inputs)
    read: dict[str, dict[int, int]] = defaultdict(dict)
    own = {record.topic for record in evidence.records if record.service == service}
    for row in tables["positions"]:
        if row["topic"] in own:  # it reads its own topic only to compare at the start
            continue
        read[row["topic"]][row["partition"]] = row["next_offset"]
    for topic in read:
        for partition, end in evidence.books["ends"].get(topic, {}).items():
            number = int(partition)
            if read[topic].get(number, 0) != end:
                what = f"{service} read {topic} [{partition}] to {read[topic].get(number, 0)}"
                verdict.add("unsettled", what, f"the topic ends at {end}")
            if counted[topic, number] != end:
                what = f"{service} accounts for {counted[topic, number]} records of {topic} [{partition}]"
                verdict.add("lost" if counted[topic, number] < end else "doubled", what, f"the topic holds {end}")
    for record in evidence.records:
        if record.topic in read:
            there = settled[record.service, record.id]
            verdict.expect(f"input of {service}", there, f"{record} of {evidence.name(record.subject)} is on its topic")
    for row in inputs:
        if row["status"] not in _SETTLED:
            what = f"{service} has an input that is {row['status']}: {row['type']} of {row['subject']}"
            verdict.add("unsettled", what, "everything else is at rest")


def _emitted(service: str, tables: Mapping[str, Rows], evidence: Evidence, verdict: Verdict) -> None:
    """What the service says it published is on its topic, and its counters end where the topic's do."""
    on_topic = {(r.subject, r.sequence) for r in evidence.records if r.service == service}
    for row in tables["published"]:
        if (row["subject"], row["sequence"]) not in on_topic:
            what = f"{row['type']} {service}:{row['sequence']} of {evidence.name(row['subject'])}"
            verdict.add("lost", what, "the service published it and the topic does not hold it")
    last: dict[str, int] = defaultdict(int)
    for subject, sequence in on_topic:
        last[subject] = max(last[subject], sequence)
    for row in tables["subjects"]:
        if row["sequence"] != last[row["subject"]]:
            what = f"{service} counts {row['sequence']} events of {evidence.name(row['subject'])}"
            verdict.add("lost", what, f"its topic ends at {last[row['subject']]}")
        for source, (number, _id) in json.loads(row["progress"]).get("c", {}).items():
            ends = evidence.of_subject(row["subject"], source)
            highest = ends[-1].sequence if ends else 0
            if number != highest:
                what = f"{service} has applied {source}:{number} of {evidence.name(row['subject'])}"
                verdict.add("lost", what, f"the topic of {source} goes to {highest}")


def _at_rest(service: str, tables: Mapping[str, Rows], evidence: Evidence, verdict: Verdict) -> None:
    """Nothing waits, is held, is unsent or overdue."""
    for row in tables["outbox"]:
        verdict.add("unsettled", f"{row['type']} is still in the outbox of {service}", "everything else is at rest")
    for row in tables["subjects"]:
        if row["status"] not in ("ok", "new") or row["waiting"]:
            what = f"{evidence.name(row['subject'])} is {row['status']} in {service}"
            verdict.add("unsettled", what, "everything else is at rest")
    for row in tables["attempts"]:
        if not row["settled"]:
            verdict.add("unsettled", f"an attempt at {row['name']} in {service}", "nobody knows how it ended")
    sent = Counter((row["subject"], row["name"]) for row in tables["attempts"] if row["result"] == "sent")
    for (subject, name), times in sent.items():
        if times > 1:
            verdict.add("doubled", f"{name} of {evidence.name(subject)}", f"{service} sent it {times} times")
    for row in tables["agenda"]:
        entry = json.loads(row["body"])
        end = row["due_at"] if row["kind"] == "deadline" else entry.get("expires", "9999-12-31T00:00:00Z")
        if datetime.fromisoformat(str(end).replace("Z", "+00:00")) <= evidence.ends_at:
            what = f"{row['name']} of {evidence.name(row['subject'])} in {service}"
            verdict.add("unsettled", what, f"it was due or expired by {end}")


def _answered(service: str, commands: Rows, evidence: Evidence, verdict: Verdict) -> None:
    """No 2xx answer without its row."""
    kept = {row["key"]: row["status"] for row in commands}
    for answer in evidence.answers:
        if answer.service != service:
            continue
        if answer.action == "import":
            rows = sum(1 for key in kept if key.startswith("htcds:"))
            first = answer.answer["taken"]
            if first:
                verdict.expect("request of a row", rows, str(answer), at_least=first, at_most=first)
        else:
            verdict.expect("request", int(kept.get(answer.key) == answer.status), str(answer))
