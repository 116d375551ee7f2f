"""The invariants, asserted from topics, tables, mails and the clients' ledger. It shares no code with the services.

``check(evidence)`` gives every violation by its name (I1 to I13, I19, I22) and the counts a person asks for first:
received, lost, doubled, reordered.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.faults.evidence import Base, Evidence, Logged, Row
from tests.faults.folds import differences

EFFECTIVE = ("applied", "ignored", "discarded")
STATUSES = {*EFFECTIVE, "duplicate", "waiting", "held", "dead"}
ROOTS = ("request/", "deadline/", "outcome/")
HOUSEKEEPING = ("input.held", "input.released", "input.discarded")
EXPECTED_ENDS = {0, -9, 70}

IDENTITIES: dict[str, Callable[[Logged], tuple[Any, ...]]] = {
    "case.opened": lambda event: (event.subject,),
    "consent.recorded": lambda event: (event.data["consent_id"],),
    "assessment.scheduled": lambda event: (event.subject, event.data["purpose"]),
    "assessment.completed": lambda event: (event.data["assessment_id"],),
    "assessment.overdue": lambda event: (event.data["assessment_id"],),
    "referral.proposed": lambda event: (event.subject, event.data["need_id"]),
    "referral.requested": lambda event: (event.data["referral_id"], event.data["attempt"]),
    "purge.requested": lambda event: (event.data["referral_id"],),
    "staff_task.created": lambda event: (
        event.subject, event.data["kind"], event.cause, event.data.get("referral_id"),
    ),
    "notification.sent": lambda event: (event.data["notification_id"],),
}  # fmt: skip
"""What makes two events the same effect, whatever ids they carry: none of these may happen twice."""


@dataclass
class Findings:
    """What a check found."""

    violations: list[tuple[str, str]] = field(default_factory=list)
    received: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0

    @property
    def names(self) -> list[str]:
        """The invariants that did not hold."""
        return sorted({name for name, _ in self.violations})

    @property
    def counts(self) -> dict[str, int]:
        """The four numbers."""
        return {
            "received": self.received,
            "lost": self.lost,
            "doubled": self.doubled,
            "reordered": self.reordered,
        }

    def told(self, most: int = 25) -> str:
        """For a person."""
        lines = [f"{name}: {text}" for name, text in self.violations[:most]]
        more = len(self.violations) - most
        return "\n".join([str(self.counts), *lines, *([f"and {more} more"] if more > 0 else [])])


def check(evidence: Evidence, *, held: Iterable[str] = (), at_rest: bool = True) -> Findings:
    """Runs every invariant. ``held`` are the subjects that are expected to stand still; nobody else may."""
    findings = Findings()
    expected = frozenset(held)
    for rule in (i1, i2, i3, i4, i4_mails, i5, i6, i7, i8, i10, i11, i12, i13, i19, i22):
        if not at_rest and rule not in (i10, i12, i19):
            continue
        for text in rule(evidence, expected):
            findings.violations.append((rule.__name__.partition("_")[0].upper(), text))
    findings.received = sum(
        len(evidence.records.get(evidence.topic(source), ()))
        for service in evidence.bases
        for source in evidence.subscriptions[service]
    )
    findings.lost = sum(1 for _, text in findings.violations if text.startswith("lost"))
    findings.doubled = sum(1 for _, text in findings.violations if text.startswith("doubled"))
    findings.reordered = sum(1 for _, text in findings.violations if text.startswith("reordered"))
    print(f"checked {evidence.country}: {findings.counts}")
    return findings


def _consumed(evidence: Evidence) -> Iterator[tuple[str, Base, dict[tuple[str, int, int], Logged]]]:
    for service, base in evidence.bases.items():
        topics = [evidence.topic(source) for source in evidence.subscriptions[service]]
        yield service, base, {record.place: record for topic in topics for record in evidence.records[topic]}


def _place(row: Row) -> tuple[str, int, int]:
    return row["topic"], row["partition"], row["offset"]


def i1(evidence: Evidence, held: frozenset[str]) -> Iterator[str]:
    """Every record received is accounted for, once, and at rest nothing waits or is held without reason."""
    for service, base, records in _consumed(evidence):
        rows = defaultdict(list)
        for row in base.tables["inputs"]:
            rows[_place(row)].append(row)
        for place in records.keys() - rows.keys():
            yield f"lost: {service} has no account of {place} ({records[place].type} {records[place].sequence})"
        for place in rows.keys() - records.keys():
            yield f"{service} accounts for {place}, which is on no topic"
        for place, found in rows.items():
            own = [row for row in found if row["status"] != "duplicate"]
            if len(own) > 1:
                yield f"doubled: {service} accounts for {place} as {[row['status'] for row in own]}"
            for row in found:
                if row["status"] not in STATUSES:
                    yield f"{service}: {place} has the unknown status {row['status']}"
                if row["status"] in ("waiting", "held", "dead") and row["subject"] not in held:
                    yield f"{service}: {place} is {row['status']} ({row['cause']}) although nothing was wrong with it"


def i2(evidence: Evidence, _held: frozenset[str]) -> Iterator[str]:
    """No 2xx without its rows and its event; no event twice for one 2xx."""
    marks: Counter[tuple[str, str]] = Counter()
    for service in ("intake", "assessment", "referral"):
        for event in evidence.firsts[service]:
            marks[(event.type, _mark(event))] += 1
    kept = {service: {row["key"]: row for row in base.tables["commands"]} for service, base in evidence.bases.items()}
    for promise in evidence.ledger:
        row = kept[promise.service].get(promise.key)
        if row is None:
            yield f"lost: {promise.action} was answered {promise.status} and {promise.service} does not know its key"
            continue
        if row["status"] != promise.status or bytes(row["answer"] or b"") != promise.answer:
            yield f"{promise.action} was answered otherwise than {promise.service} has stored"
        wanted = _promised(promise.action, promise.about, promise.answer)
        if wanted is not None and marks[wanted] == 0:
            yield f"lost: {promise.action} was answered {promise.status} and no {wanted[0]} followed"
        elif wanted is not None and marks[wanted] > 1:
            yield f"doubled: {marks[wanted]} times {wanted[0]} for one {promise.action}"


def _mark(event: Logged) -> str:
    for name in ("text_version", "case_ref", "assessment_id", "referral_id"):
        if name in event.data:
            return str(event.data[name])
    return event.id


def _promised(action: str, about: Any, answer: bytes) -> tuple[str, str] | None:
    if action == "open":
        return "case.opened", str(json.loads(answer)["case_ref"])
    if action == "consent" and about["decision"] != "withdrawn":
        return "consent.recorded", str(about["text_version"])
    if action == "answers":
        return "assessment.completed", str(about["assessment_id"])
    if action == "choice":
        return "referral.chosen", str(about["referral_id"])
    return None


def i3(evidence: Evidence, _held: frozenset[str]) -> Iterator[str]:
    """The same key gives the same answer."""
    for promise, status, answer in evidence.repeats:
        if (status, answer) != (promise.status, promise.answer):
            yield f"{promise.action} was answered {promise.status}, and {status} when it was sent again"


def i4(evidence: Evidence, _held: frozenset[str]) -> Iterator[str]:
    """At most one effect per consumer, source and event; at most one event per effect."""
    for service, base in evidence.bases.items():
        numbers: Counter[Any] = Counter()
        ids: Counter[Any] = Counter()
        for row in base.tables["inputs"]:
            if row["status"] in EFFECTIVE:
                numbers[(row["subject"], row["source"], row["sequence"])] += 1
                ids[(row["source"], row["id"])] += 1
        for what, times in [*numbers.items(), *ids.items()]:
            if times > 1:
                yield f"doubled: {service} applied {what} {times} times"
    for service, events in evidence.firsts.items():
        effects = Counter((event.type, *IDENTITIES[event.type](event)) for event in events if event.type in IDENTITIES)
        for effect, times in effects.items():
            if times > 1:
                yield f"doubled: {service} emitted {effect} {times} times"


def i4_mails(evidence: Evidence, held: frozenset[str]) -> Iterator[str]:
    """A survivor gets a message at most once; everybody else at least once, and again only under the same id."""
    if "notify" not in evidence.bases:
        return
    copies = Counter(mail.message_id for mail in evidence.mails)
    to = {mail.message_id: mail.to for mail in evidence.mails}
    survivors = {id_ for id_, address in to.items() if address.endswith("@survivor.example")}
    for id_ in survivors:
        if copies[id_] > 1:
            yield f"doubled: a survivor got {copies[id_]} copies of one message"
    sent = Counter(event.data["audience"] for event in evidence.firsts["notify"] if event.type == "notification.sent")
    unknown = sum(
        1
        for event in evidence.firsts["notify"]
        if event.type == "notification.failed" and event.data["audience"] == "survivor"
    )
    # A message that was on its way when its case was held: its outcome is stored and becomes an event at the release.
    stored = sum(
        1
        for row in evidence.bases["notify"].tables["attempts"]
        if row["delivery"] == "at_most_once" and row["result"] and not row["settled"] and row["subject"] in held
    )
    if not sent["survivor"] <= len(survivors) <= sent["survivor"] + unknown + stored:
        yield f"{len(survivors)} messages reached survivors, {sent['survivor']} were said to be sent"
    others = len(to) - len(survivors)
    # The attempts know more than the events: an alert whose case was released meanwhile ends without an event, and
    # one whose process died after sending may not be wanted any more when its lease is over.
    attempts = [row for row in evidence.bases["notify"].tables["attempts"] if row["delivery"] == "at_least_once"]
    carried = {(row["subject"], row["name"], row["attempt"]) for row in attempts if row["result"] == "sent"}
    ended = {(subject, name) for subject, name, _ in carried}
    carried |= {
        (row["subject"], row["name"], 0)
        for row in attempts
        if row["reason"] == "lease_expired" and (row["subject"], row["name"]) not in ended
    }
    said = sent["staff"] + sent["provider"]
    if said > others:
        yield f"lost: {said} messages to staff and agencies were said to be sent, {others} were"
    if others > len(carried):
        yield f"doubled: {others} messages reached staff and agencies, {len(carried)} attempts ended as sent"


def i5(evidence: Evidence, _held: frozenset[str]) -> Iterator[str]:
    """What an event says it has seen covers its cause and all that lay behind it, and never shrinks."""
    by_id = {event.id: event for events in evidence.firsts.values() for event in events}
    for service, events in evidence.firsts.items():
        before: dict[str, dict[str, int]] = {}
        for event in events:
            known = before.get(event.subject, {})
            if any(event.seen.get(name, 0) < number for name, number in known.items()):
                yield f"reordered: {service} {event.subject} {event.sequence} has seen less than the one before it"
            before[event.subject] = event.seen
            cause = by_id.get(event.cause)
            if cause is None or event.type in HOUSEKEEPING:
                continue  # what is held was not applied, so it was not seen either
            behind = {**cause.seen, cause.service: cause.sequence}
            own = behind.pop(service, 0)
            if own >= event.sequence or any(event.seen.get(name, 0) < number for name, number in behind.items()):
                yield f"reordered: {service} {event.type} {event.sequence} precedes what its cause had seen"


def i6(evidence: Evidence, _held: frozenset[str]) -> Iterator[str]:
    """Sequences are applied without a hole, and the cursor stands at the last."""
    for service, base in evidence.bases.items():
        numbers: dict[str, dict[str, dict[int, str]]] = defaultdict(lambda: defaultdict(dict))
        for row in base.tables["inputs"]:
            if row["status"] in EFFECTIVE:
                numbers[row["subject"]][row["source"]][row["sequence"]] = row["id"]
        cursors = {row["subject"]: json.loads(row["progress"]).get("c", {}) for row in base.tables["subjects"]}
        for subject, sources in numbers.items():
            for source, applied in sources.items():
                if sorted(applied) != list(range(1, max(applied) + 1)):
                    yield f"lost: {service} applied {source} {sorted(applied)} of {subject}"
                if cursors.get(subject, {}).get(source) != [max(applied), applied[max(applied)]]:
                    yield f"lost: {service}: the cursor of {subject} into {source} is not at {max(applied)}"


def i7(evidence: Evidence, _held: frozenset[str]) -> Iterator[str]:
    """No event without state, no state without its event."""
    for service, base in evidence.bases.items():
        on_topic: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        for event in evidence.firsts[service]:
            on_topic[event.subject][event.sequence].add(event.id)
        counters = {row["subject"]: row["sequence"] for row in base.tables["subjects"]}
        for subject in {*on_topic, *counters}:
            own = on_topic.get(subject, {})
            if sorted(own) != list(range(1, counters.get(subject, 0) + 1)):
                yield f"lost: {service} counts {counters.get(subject, 0)} events of {subject}, its topic has {len(own)}"
            for sequence, ids in own.items():
                if len(ids) > 1:
                    yield f"doubled: {service} gave number {sequence} of {subject} to {len(ids)} events"
        kept = Counter(_id(row) for table in ("published", "outbox") for row in base.tables[table])
        ids = {event.id for event in evidence.firsts[service]}
        for id_ in kept.keys() - ids:
            yield f"lost: {service} published {id_} and its topic does not have it"
        for id_ in ids - kept.keys():
            yield f"{service}'s topic has {id_}, which its database never published"


def _id(row: Row) -> str:
    return str(dict(json.loads(row["headers"]))["ce_id"])


def i8(evidence: Evidence, held: frozenset[str]) -> Iterator[str]:
    """At rest nothing is left to read or to send, and states and views equal a fold of the log."""
    for service, base, _records in _consumed(evidence):
        if base.tables["outbox"]:
            yield f"lost: {len(base.tables['outbox'])} events of {service} were never sent"
        reached = {(row["topic"], row["partition"]): row["next_offset"] for row in base.tables["positions"]}
        for source in evidence.subscriptions[service]:
            ends = {(each.topic, each.partition): each.offset + 1 for each in evidence.records[evidence.topic(source)]}
            for place, end in ends.items():
                if reached.get(place, 0) != end:
                    yield f"lost: {service} stands at {reached.get(place, 0)} of {end} in {place}"
        for subject, text in differences(service, evidence, base):
            if subject not in held:
                yield f"{service}: {text}"


def i10(evidence: Evidence, _held: frozenset[str]) -> Iterator[str]:
    """A position never passes a record that nothing accounts for."""
    for service, base, records in _consumed(evidence):
        accounted = {_place(row) for row in base.tables["inputs"]}
        reached = {(row["topic"], row["partition"]): row["next_offset"] for row in base.tables["positions"]}
        for topic, partition, offset in records.keys() - accounted:
            if offset < reached.get((topic, partition), 0):
                yield f"lost: {service} passed ({topic}, {partition}, {offset}) without an account of it"


def i11(evidence: Evidence, _held: frozenset[str]) -> Iterator[str]:
    """No process is stuck, and none ended in a way that a supervisor would not mend."""
    for name, alive in evidence.alive.items():
        if not alive:
            yield f"{name} is stuck"
    for code in evidence.ends:
        if code not in EXPECTED_ENDS:
            yield f"a process ended with code {code}"


def i12(evidence: Evidence, _held: frozenset[str]) -> Iterator[str]:
    """First occurrences per subject are in the order of their sequences."""
    for service, events in evidence.firsts.items():
        last: dict[str, int] = defaultdict(int)
        for event in events:
            if event.sequence != last[event.subject] + 1:
                yield f"reordered: {service} {event.subject}: {event.sequence} came after {last[event.subject]}"
            last[event.subject] = max(last[event.subject], event.sequence)


def i13(evidence: Evidence, _held: frozenset[str]) -> Iterator[str]:
    """Whatever waits, is held or is a dead letter is kept as it lay on the topic."""
    for service, base, records in _consumed(evidence):
        for row in base.tables["inputs"]:
            record = records.get(_place(row))
            if record is None or row["status"] not in ("waiting", "held", "dead"):
                continue
            kept = tuple((n, None if t is None else t.encode("latin-1")) for n, t in json.loads(row["headers"] or "[]"))
            if (row["key"], row["body"], kept) != (record.key, record.value, record.headers):
                yield f"lost: {service} has changed what it keeps of {record.place}"


def i19(evidence: Evidence, _held: frozenset[str]) -> Iterator[str]:
    """Causes form a tree whose roots are requests, deadlines and outcomes."""
    depths = {event.id: event.depth for events in evidence.firsts.values() for event in events}
    for service, events in evidence.firsts.items():
        for event in events:
            if event.type in HOUSEKEEPING:
                continue
            if event.cause.startswith(ROOTS):
                if event.depth != 0:
                    yield f"{service} {event.id} follows {event.cause} and has depth {event.depth}"
            elif depths.get(event.cause) != event.depth - 1:
                yield f"{service} {event.id} ({event.type}) has no cause on any topic at depth {event.depth - 1}"


def i22(evidence: Evidence, _held: frozenset[str]) -> Iterator[str]:
    """No connection sits in a transaction."""
    for service, base in evidence.bases.items():
        for row in base.idle:
            yield f"{service}: {row['application_name']} is {row['state']}"
