"""Every message that was owed ended once, every one that left is one mail, and none left that must not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from kintsugi_sandbox.reconciler.evidence import Evidence, Record
from kintsugi_sandbox.reconciler.findings import Verdict
from kintsugi_sandbox.reconciler.flow import moment

PROFILE_LASTS = timedelta(days=90)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def check(evidence: Evidence, verdict: Verdict) -> None:
    """From what was owed to how it ended, from there to the mail, and from the mail back."""
    verdict.looked_at["mails"] = len(evidence.mails)
    ended = [*evidence.of("notification.sent", "notification.withheld"), *_failed(evidence)]
    about = Counter((record.data["audience"], record.data["about"]["event_id"]) for record in ended)
    of_task = Counter((record.data["audience"], record.data.get("task_id")) for record in ended)
    for asked in evidence.of("referral.requested", "purge.requested"):
        why = f"{asked} of {evidence.name(asked.subject)} asks an agency"
        verdict.expect("notification to a provider", about["provider", asked.id], why)
    for task in evidence.of("staff_task.created"):
        for until, audience in (("alert_until", "staff"), ("notice_until", "survivor")):
            if task.data.get(until) is None:
                continue
            why = f"{task} of {evidence.name(task.subject)} is announced"
            passed = moment(task.data[until]) <= evidence.ends_at
            there = of_task[audience, task.data["task_id"]]
            verdict.expect(f"notification to a {audience}", there, why, at_least=int(passed))
    repeated = Counter(record.data["notification_id"] for record in ended)
    for id_, times in repeated.items():
        if times > 1:
            verdict.add("doubled", f"the end of notification {id_}", f"it ended {times} times")
    _mails(evidence, verdict)
    _safe(evidence, verdict)
    _consented(evidence, verdict)


def _failed(evidence: Evidence) -> Sequence[Record]:
    return [record for record in evidence.of("notification.failed") if record.data["final"]]


def _mails(evidence: Evidence, verdict: Verdict) -> None:
    """Each message that left is one mail: of staff by the task it names, of agencies and survivors by the address."""
    for id_, times in Counter(mail.message_id for mail in evidence.mails).items():
        if times > 1:
            verdict.add("doubled", f"mail {id_}", f"{times} files carry its Message-ID")
    matched = 0
    agencies, survivors = evidence.agencies, evidence.addresses
    to_agency: Counter[str] = Counter()
    to_survivor: Counter[str] = Counter()
    for sent in evidence.of("notification.sent"):
        data = sent.data
        if data["audience"] == "staff":
            there = sum(1 for mail in evidence.mails if data["task_id"] in mail.body)
            matched += there
            verdict.expect("mail to staff", there, f"{sent} announced the task {data['task_id']}")
        elif data["audience"] == "provider":
            to_agency[agencies[data["agency"]]] += 1
        else:
            to_survivor[survivors[evidence.name(sent.subject)]] += 1
    arrived = Counter(mail.to for mail in evidence.mails)
    for what, counted in (("mail to an agency", to_agency), ("mail to a survivor", to_survivor)):
        for address, count in counted.items():
            matched += arrived[address]
            who = next((id_ for id_, known in agencies.items() if known == address), "that person")
            why = f"{count} messages to {who} were reported as sent"
            verdict.expect(what, arrived[address], why, at_least=count, at_most=count)
    if matched < len(evidence.mails):
        left = len(evidence.mails) - matched
        verdict.add("unexplained", f"{left} mails", "no event says that they were sent")


def _safe(evidence: Evidence, verdict: Verdict) -> None:
    """A survivor is written to only as they said: who starts, by what, when, and how long ago they confirmed it."""
    zone = ZoneInfo(evidence.zone)
    said: dict[str, Mapping[str, Any]] = {}
    refused: set[str] = set()
    for answer in evidence.answers:
        if answer.action == "profile":
            said[answer.about["case_ref"]] = answer.about
        if answer.action == "consent" and answer.about["purpose"] == "contact":
            decided = refused.discard if answer.about["decision"] == "granted" else refused.add
            decided(answer.about["case_ref"])
    for sent in evidence.of("notification.sent"):
        if sent.data["audience"] != "survivor":
            continue
        case = evidence.name(sent.subject)
        wrong = _objection(said.get(case), moment(sent.data["sent_at"]).astimezone(zone), case in refused)
        if wrong is not None:
            verdict.add("unsafe", f"a message to the survivor of {case}", wrong)


def _objection(profile: Mapping[str, Any] | None, at: datetime, refused: bool) -> str | None:
    if profile is None or profile["contact_by"] != "organisation":
        return "the organisation may not start contact"
    if refused:
        return "contact was refused"
    mail = [channel for channel in profile["channels"] if channel["kind"] == "email"]
    if not any(channel["safe"] and channel["verified"] for channel in mail):
        return "no address is safe and verified"
    if at - datetime.fromisoformat(profile["reviewed_at"]) > PROFILE_LASTS:
        return "the profile was confirmed too long ago"
    clock = f"{at:%H:%M}"
    if not any(w["weekday"] == _DAYS[at.weekday()] and w["start"] <= clock < w["end"] for w in profile["windows"]):
        return f"{at:%A %H:%M} lies outside every window they named"
    return None


def _consented(evidence: Evidence, verdict: Verdict) -> None:
    """An agency is asked only under a consent that names it and stood at that hour."""
    granted = {
        record.data["consent_id"]: record
        for record in evidence.of("consent.recorded")
        if record.data["decision"] == "granted" and record.data["purpose"] == "sharing"
    }
    ended = {record.data["consent_id"]: record.time for record in evidence.of("consent.withdrawn")}
    for asked in evidence.of("referral.requested"):
        consent = granted.get(asked.data["consent_id"])
        case = evidence.name(asked.subject)
        if consent is None or consent.data.get("agency") != asked.data["agency"]:
            verdict.add("unsafe", f"{asked} of {case}", "no consent names that agency")
        elif (end := ended.get(asked.data["consent_id"])) is not None and end < asked.time:
            verdict.add("unsafe", f"{asked} of {case}", "its consent was withdrawn before")
