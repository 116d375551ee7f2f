"""What partners received: judged on their streams themselves, record by record.

A record stands there only while a consent for its recipient holds, says only what the partner's file declares, and
has a disclosure in the office's books; a withdrawal is followed by a tombstone and by nothing else.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kintsugi_sandbox.reconciler.evidence import Evidence, Record, Streamed
from kintsugi_sandbox.reconciler.findings import Verdict

WITHIN_MS = 5_000
"""After the answer to a withdrawal nothing for the partner may come to stand on its stream later than this."""
TAKEN_WITHIN_MS = 2_000
"""How long after the time that a record carries its stream may still take it."""
_ALWAYS = frozenset({"case", "revision", "status", "sealed"})
_HEADERS = frozenset(
    {f"ce_{name}" for name in ("specversion", "id", "source", "type", "time", "subject", "dataschema")}
    | {"ce_dataclassification", "ce_purgeid", "ce_purgedue", "content-type"}
)
_BY_NEED = ("needs", "requests")


@dataclass(frozen=True, slots=True)
class _Stopped:
    """A consent that was taken back: when that was answered, and when it was given again, if it was."""

    answered_ms: int
    again_ms: int | None
    because: str


def check(evidence: Evidence, verdict: Verdict) -> None:
    """Look at every stream of every partner."""
    for name, partner in evidence.partners.items():
        refs = {
            record.data["recipient_ref"]: record.subject
            for record in evidence.of("disclosure.due")
            if record.data["integrator"] == name
        }
        for topic, declared in partner["streams"].items():
            records = [each for each in evidence.streamed if each.topic == topic]
            verdict.looked_at[f"records of {name}"] += len(records)
            for record in records:
                _harmless(record, declared, refs, evidence, verdict)
            _disclosed(name, topic, records, refs, evidence, verdict)
            _forgotten(name, topic, records, evidence, verdict)
            for ref, subject in refs.items():
                of_case = [each for each in records if each.key == ref]
                _given(partner["agency"], subject, of_case, evidence, verdict)
                for stop in _stops(partner["agency"], subject, evidence):
                    verdict.looked_at["withdrawals followed on a partner's stream"] += 1
                    _silent(stop, of_case, name, verdict)


def _harmless(
    record: Streamed, declared: Mapping[str, Any], refs: Mapping[str, str], evidence: Evidence, verdict: Verdict
) -> None:
    """It says what the partner's file declares and no more, and nothing of it is the office's own."""
    why = "the partner's file does not declare it"
    for name in sorted(record.headers.keys() - _HEADERS):
        verdict.add("leaked", f"{record} has the header {name}", "it would join what partners hold")
    if record.key not in refs:
        verdict.add("unexplained", f"{record} is about a case that no disclosure names", "nothing asked for it")
    if record.value is None:
        return
    for name in sorted(record.value.keys() - _ALWAYS - set(declared["fields"])):
        verdict.add("leaked", f"{record} says {name}", why)
    for name in _BY_NEED:
        for need in sorted({each["need"] for each in record.value.get(name, ())} - set(declared["needs"])):
            verdict.add("leaked", f"{record} speaks of {need}", why)
    for name in sorted(record.value.get("sealed", {}).keys() - set(declared["sealed"])):
        verdict.add("leaked", f"{record} seals {name}", why)
    subject = refs.get(record.key, "")
    for known in (subject.partition("/")[2], evidence.refs.get(subject, "")):
        if known and known in record.text:
            verdict.add("leaked", f"{record} names the case as the office does", "partners could join their cases")


def _disclosed(
    name: str,
    topic: str,
    records: Sequence[Streamed],
    refs: Mapping[str, str],
    evidence: Evidence,
    verdict: Verdict,
) -> None:
    """Every record is one disclosure, and every disclosure one record; repeated under one id it counts once."""
    there = Counter((each.key, each.value["revision"]) for each in _first(records) if each.value is not None)
    ref_of = {subject: ref for ref, subject in refs.items()}
    said = Counter(
        (ref_of[made.subject], made.data["revision"])
        for made in evidence.of("disclosure.made")
        if made.data["way"] == "stream" and _topic(made, topic)
    )
    possible = {
        (ref_of[made.subject], made.data["revision"])
        for made in evidence.of("disclosure.made")
        if made.data["certainty"] == "possible" and _topic(made, topic)
    }
    for what in there.keys() | said.keys():
        why = f"disclosure {what[1]} of {evidence.name(refs.get(what[0], what[0]))} to {name} is in the books"
        if not said[what]:
            why = f"no disclosure {what[1]} of {evidence.name(refs.get(what[0], what[0]))} is in the books"
        verdict.expect(
            "record for a partner", there[what], why, at_least=0 if what in possible else said[what], at_most=said[what]
        )


def _forgotten(name: str, topic: str, records: Sequence[Streamed], evidence: Evidence, verdict: Verdict) -> None:
    """Every purge has its tombstone."""
    there = Counter(each.headers.get("ce_purgeid", "") for each in _first(records) if each.value is None)
    asked = [
        each
        for each in evidence.of("partner_purge.requested")
        if each.data["integrator"] == name and _topic(each, topic)
    ]
    for request in asked:
        why = f"{request} of {evidence.name(request.subject)} asks {name} to forget"
        verdict.expect("tombstone for a partner", there[request.data["purge_id"]], why)
    for id_ in there.keys() - {request.data["purge_id"] for request in asked}:
        verdict.add("unexplained", f"a tombstone on {topic}", f"no purge asked for it ({id_})")


def _given(agency: str, subject: str, records: Sequence[Streamed], evidence: Evidence, verdict: Verdict) -> None:
    """Somebody who let the partner know, knows that it does: at least one record followed."""
    for given in evidence.of_subject(subject, "intake"):
        granted = given.type == "consent.recorded" and given.data["decision"] == "granted"
        if granted and given.data.get("agency") == agency:
            there = sum(1 for each in records if each.value is not None)
            why = f"{given} of {evidence.name(subject)} lets {agency} know"
            verdict.expect("first record for a partner", min(there, 1), why)
            return


def _stops(agency: str, subject: str, evidence: Evidence) -> Iterator[_Stopped]:
    """The times at which this person's consent for the partner was taken back."""
    case = evidence.refs.get(subject)
    said = [
        answer
        for answer in evidence.answers
        if answer.action == "consent"
        and answer.about["case_ref"] == case
        and (answer.about["agency"] == agency or answer.about["purpose"] == "casework")
    ]
    granted = False
    for number, answer in enumerate(said):
        of_partner = answer.about["agency"] == agency
        if answer.about["decision"] == "granted":
            granted = granted or of_partner
            continue
        if granted:
            again = next((each for each in said[number + 1 :] if each.about["decision"] == "granted"), None)
            yield _Stopped(answer.answered_ms, again.asked_ms if again else None, str(answer))
            granted = granted and not of_partner


def _silent(stop: _Stopped, records: Sequence[Streamed], name: str, verdict: Verdict) -> None:
    """After the withdrawal: a tombstone, and no record but what a new consent allows."""
    latest = stop.answered_ms + WITHIN_MS - TAKEN_WITHIN_MS
    after = [each for each in records if each.at_ms > latest and (stop.again_ms is None or each.at_ms < stop.again_ms)]
    for record in after:
        if record.value is not None:
            verdict.add("unsafe", f"{record} came to {name} too late", f"{stop.because} had withdrawn the consent")
    before = [each for each in records if stop.again_ms is None or each.at_ms < stop.again_ms]
    if before and before[-1].value is not None:
        verdict.add("lost", f"the tombstone that ends {before[-1]}", f"{stop.because} had withdrawn the consent")


def _first(records: Sequence[Streamed]) -> list[Streamed]:
    """The first occurrence of each record: an attempt whose answer was lost is repeated under the same id."""
    known: dict[str, Streamed] = {}
    for record in records:
        known.setdefault(record.headers.get("ce_id", ""), record)
    return list(known.values())


def _topic(record: Record, topic: str) -> bool:
    data = record.data
    return topic.endswith(f".share.{data['integrator']}.{data['purpose']}.v{data['version']}")
