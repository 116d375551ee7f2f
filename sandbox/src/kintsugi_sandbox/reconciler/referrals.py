"""What must follow for a referral: requests when a consent arrives, and ends when it is withdrawn or a case closes.

Referral's own events say in which order it saw the others (``seen``), so its referrals can be followed step by step
with a state table of the judge's own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kintsugi_sandbox.reconciler.evidence import Evidence, Record
from kintsugi_sandbox.reconciler.findings import Verdict
from kintsugi_sandbox.reconciler.flow import moment

_ENDED = frozenset({"rejected", "cancelled", "completed", "failed", "entered-in-error"})
_LACKS_CONSENT = frozenset({"consent_missing", "consent_refused", "consent_withdrawn", "consent_expired"})


@dataclass
class Standing:
    """Where a referral stands after some of its events."""

    status: str = "proposed"
    agency: str | None = None
    withheld: str | None = None
    requested: bool = False
    purge_asked: bool = False


def check(evidence: Evidence, verdict: Verdict) -> None:
    """Follow the referrals of each case."""
    for chosen in evidence.of("referral.chosen"):
        _choice(chosen, evidence, verdict)
    for given in evidence.of("consent.recorded"):
        if given.data["purpose"] == "sharing" and given.data["decision"] == "granted":
            _consent(given, evidence, verdict)
    for taken in evidence.of("consent.withdrawn"):
        if taken.data["purpose"] in ("sharing", "casework"):
            _withdrawal(taken, evidence, verdict)
    for closed in evidence.of("case.closed"):
        _closing(closed, evidence, verdict)
    for requested in evidence.of("referral.requested"):
        _overdue(requested, evidence, verdict)
        _disclosed(requested, evidence, verdict)


def _disclosed(requested: Record, evidence: Evidence, verdict: Verdict) -> None:
    """An agency that answered has looked: that is one disclosure in the office's books, however often it looked."""
    id_ = requested.data["referral_id"]
    own = evidence.of_subject(requested.subject, requested.service)
    answered = any(each.data.get("set_by") == "provider" for each in own if each.data.get("referral_id") == id_)
    there = sum(1 for each in own if each.type == "disclosure.made" and each.data.get("referral_id") == id_)
    why = f"{requested} of {evidence.name(requested.subject)} was {'answered' if answered else 'not answered'}"
    verdict.expect("disclosure.made (link)", there, why, at_least=int(answered))


def _choice(chosen: Record, evidence: Evidence, verdict: Verdict) -> None:
    """An option is requested or withheld in the same decision; "none" ends the referral; "not now" does nothing."""
    same = [
        record
        for record in evidence.of_subject(chosen.subject, chosen.service)
        if record.cause == chosen.cause and record.data.get("referral_id") == chosen.data["referral_id"]
    ]
    why = f"{chosen} of {evidence.name(chosen.subject)} is the choice '{chosen.data['choice']}'"
    if chosen.data["choice"] == "option":
        there = sum(1 for record in same if record.type in ("referral.requested", "referral.withheld"))
        verdict.expect("referral.requested or withheld", there, why)
    elif chosen.data["choice"] == "none":
        there = sum(1 for record in same if record.data.get("status") == "cancelled")
        verdict.expect("referral.status_changed cancelled", there, why)


def _consent(given: Record, evidence: Evidence, verdict: Verdict) -> None:
    """What was withheld for want of this consent goes out."""
    for id_, standing in _before(given, evidence).items():
        waits = standing.status == "chosen" and standing.withheld in _LACKS_CONSENT
        if waits and standing.agency == given.data.get("agency"):
            there = sum(
                1 for each in evidence.caused_by(given, "referral.requested") if each.data["referral_id"] == id_
            )
            why = f"{given} of {evidence.name(given.subject)} is the consent that referral {id_} waited for"
            verdict.expect("referral.requested", there, why)


def _withdrawal(taken: Record, evidence: Evidence, verdict: Verdict) -> None:
    """What is open at the agency ends, and what it received is asked back."""
    agency = taken.data.get("agency")
    for id_, standing in _before(taken, evidence).items():
        if standing.agency is None or (agency is not None and standing.agency != agency):
            continue
        why = f"{taken} of {evidence.name(taken.subject)} withdraws what referral {id_} rests on"
        if standing.status not in _ENDED:
            there = sum(
                1
                for each in evidence.caused_by(taken, "referral.status_changed")
                if each.data["referral_id"] == id_ and each.data["status"] == "cancelled"
            )
            verdict.expect("referral.status_changed cancelled", there, why)
        if standing.requested and not standing.purge_asked:
            there = sum(1 for each in evidence.caused_by(taken, "purge.requested") if each.data["referral_id"] == id_)
            verdict.expect("purge.requested", there, why)


def _closing(closed: Record, evidence: Evidence, verdict: Verdict) -> None:
    """Nothing stays open behind a closed case."""
    for id_, standing in _before(closed, evidence).items():
        if standing.status not in _ENDED:
            there = sum(
                1 for each in evidence.caused_by(closed, "referral.status_changed") if each.data["referral_id"] == id_
            )
            why = f"{closed} of {evidence.name(closed.subject)} leaves referral {id_} open"
            verdict.expect("referral.status_changed cancelled", there, why)


def _overdue(requested: Record, evidence: Evidence, verdict: Verdict) -> None:
    """An agency that is silent until its date is overdue once; one that answered, never."""
    due = moment(requested.data["answer_due"])
    id_ = requested.data["referral_id"]
    own = [r for r in evidence.of_subject(requested.subject, "referral") if r.data.get("referral_id") == id_]
    moved = [r.time for r in own if r.type == "referral.status_changed" and r.sequence > requested.sequence]
    there = sum(1 for record in own if record.type == "referral.overdue")
    passed = due <= evidence.ends_at
    must = passed and not any(at <= due for at in moved)
    may = passed and not any(at < due for at in moved)
    why = f"{requested} of {evidence.name(requested.subject)} was to be answered by {due:%d %b %H:%M}"
    verdict.expect("referral.overdue", there, why, at_least=int(must), at_most=int(may))


def _before(cause: Record, evidence: Evidence) -> dict[str, Standing]:
    """Where each referral of the case stood when referral came to this event."""
    found: dict[str, Standing] = {}
    for record in _until(cause, evidence.of_subject(cause.subject, "referral")):
        if "referral_id" in record.data:
            _step(found.setdefault(record.data["referral_id"], Standing()), record)
    return found


def _until(cause: Record, own: Sequence[Record]) -> Iterator[Record]:
    for record in own:
        if record.cause == cause.id or record.seen.get(cause.service, 0) >= cause.sequence:
            return
        yield record


def _step(standing: Standing, record: Record) -> None:
    data = record.data
    match record.type:
        case "referral.proposed":
            standing.status, standing.agency = "proposed", None
        case "referral.chosen":
            option = data["choice"] == "option"
            standing.status, standing.withheld = ("chosen" if option else "proposed"), None
            standing.agency = data.get("agency") if option else None
        case "referral.withheld":
            standing.withheld = data["reason"]
        case "referral.requested":
            standing.status, standing.requested, standing.withheld = "requested", True, None
            standing.agency = data["agency"]
        case "referral.status_changed":
            standing.status = data["status"]
        case "purge.requested":
            standing.purge_asked = True
