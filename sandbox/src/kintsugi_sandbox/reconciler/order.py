"""The topics themselves: every counter without a gap, every effect after its cause, every record under its key."""

from collections import Counter

from kintsugi_sandbox.reconciler.evidence import Evidence, Record
from kintsugi_sandbox.reconciler.findings import Verdict


def check(evidence: Evidence, verdict: Verdict) -> None:
    """Look at each counter, each id and each cause."""
    first = {record.id: record for record in evidence.records}
    numbers: dict[tuple[str, str], list[int]] = {}
    for record in sorted(evidence.records, key=lambda each: (each.topic, each.partition, each.offset)):
        numbers.setdefault((record.subject, record.service), []).append(record.sequence)
        if record.key != record.subject:
            verdict.add("disordered", f"{record} has another key than its subject", "order rests on the key")
    verdict.looked_at["records that stand on a topic again"] = len(evidence.repeated)
    for before, again in evidence.repeated:
        if (before.subject, before.sequence, before.data) != (again.subject, again.sequence, again.data):
            verdict.add(
                "doubled", f"{again} at offset {again.offset}", f"its id is that of {before}, its content is not"
            )
    for (subject, service), counter in numbers.items():
        _contiguous(evidence.name(subject), service, counter, verdict)
    for record in evidence.records:
        _after_its_cause(record, first, numbers, verdict)
    for topic, ends in evidence.books["ends"].items():
        places = [(each.topic, each.partition) for each in evidence.read]
        places += [(each.topic, each.partition) for each in evidence.streamed]
        there = Counter(partition for on, partition in places if on == topic)
        for partition, end in ends.items():
            if there[int(partition)] != end:
                what = f"{topic} [{partition}] holds {there[int(partition)]} of {end} records"
                verdict.add("lost", what, "its end offset counts them")


def _contiguous(case: str, service: str, counter: list[int], verdict: Verdict) -> None:
    for number in sorted(set(range(1, max(counter) + 1)) - set(counter)):
        verdict.add("lost", f"event {service}:{number} of {case}", f"the counter goes on to {max(counter)}")
    for number, times in Counter(counter).items():
        if times > 1:
            verdict.add("doubled", f"event {service}:{number} of {case}", "its number is taken twice")
    if counter != sorted(counter):
        verdict.add("disordered", f"events of {service} of {case}", f"they stand as {counter}")


def _after_its_cause(
    record: Record, first: dict[str, Record], numbers: dict[tuple[str, str], list[int]], verdict: Verdict
) -> None:
    cause = first.get(record.cause)
    if cause is not None:
        if cause.subject != record.subject:
            verdict.add("disordered", str(record), f"its cause {cause} is of another case")
        if cause.service != record.service and record.seen.get(cause.service, 0) < cause.sequence:
            verdict.add("disordered", str(record), f"it says that its cause {cause} was not seen")
    for service, number in record.seen.items():
        highest = max(numbers.get((record.subject, service), [0]))
        if number > highest:
            verdict.add("lost", f"event {service}:{number} of {record.subject}", f"{record} has seen it")
