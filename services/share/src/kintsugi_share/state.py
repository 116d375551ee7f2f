"""What share remembers of a case: its facts, the consents, every stream, what left; and how events change it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

from kintsugi.service import State
from kintsugi_contracts.base import Sealed
from kintsugi_events import (
    AssessmentCompleted,
    CaseClosed,
    CaseOpened,
    Certainty,
    ConsentPurpose,
    ConsentRecorded,
    ConsentWithdrawn,
    DisclosureDue,
    DisclosureMade,
    DisclosureWithheld,
    PartnerPurgeAcknowledged,
    PartnerPurgeOverdue,
    PartnerPurgeRequested,
    PartnerPurgeSent,
    PurgeAcknowledged,
    PurgeReason,
    PurgeRequested,
    ReferralProposed,
    ReferralRequested,
    ReferralStatusChanged,
    WithheldReason,
)
from pydantic import Field

from kintsugi_share.domain import Facts, Request, month_of, stream_key
from kintsugi_share.records import (
    GRANTED,
    REFUSED,
    WITHDRAWN,
    Consent,
    Disclosure,
    Due,
    Purge,
    Recall,
    Stream,
    recall_key,
)


class CaseFile(State):
    """A case as share knows it. ``consents`` holds the last word by agency, ``streams`` what partners are owed."""

    case_ref: str = ""
    guardian_contact: str = "unknown"
    casework: str | None = None
    """The last word on casework, like the decision of a consent; None while nobody was asked."""
    facts: Facts = Facts()
    identity: Sealed | None = None
    consents: Mapping[str, Consent] = Field(default_factory=dict)
    streams: Mapping[str, Stream] = Field(default_factory=dict)
    purges: Mapping[str, Purge] = Field(default_factory=dict)
    disclosures: tuple[Disclosure, ...] = ()
    recalls: Mapping[str, Recall] = Field(default_factory=dict)
    """By referral and agency."""

    @property
    def opened(self) -> bool:
        """Whether the case's facts are known."""
        return bool(self.case_ref)


@singledispatch
def evolve(_event: object, case: CaseFile) -> CaseFile:
    """The case after an event, consumed or own; an event that says nothing new of it leaves it as it is."""
    return case


@evolve.register
def _(event: CaseOpened, case: CaseFile) -> CaseFile:
    facts = {
        "opened_month": month_of(event.received_at.isoformat()),
        "casework_type": event.casework_type.value,
        "age_band": event.age_band.value,
        "languages": tuple(event.languages),
        "area": event.area,
    }
    known = {
        "case_ref": event.case_ref,
        "guardian_contact": event.guardian_contact.value,
        "identity": event.sealed_as("identity"),
    }
    return _facts(case.model_copy(update=known), **facts)


@evolve.register
def _(_event: CaseClosed, case: CaseFile) -> CaseFile:
    return _facts(case, closed=True)


@evolve.register
def _(event: AssessmentCompleted, case: CaseFile) -> CaseFile:
    return _facts(case, needs=tuple((need.need, need.band.value) for need in event.needs))


@evolve.register
def _(event: ReferralProposed, case: CaseFile) -> CaseFile:
    return _request(case, event.referral_id, need=event.need)


@evolve.register
def _(event: ReferralRequested, case: CaseFile) -> CaseFile:
    return _request(case, event.referral_id, asked=True, status="requested")


@evolve.register
def _(event: ReferralStatusChanged, case: CaseFile) -> CaseFile:
    return _request(case, event.referral_id, status=event.status.value)


@evolve.register
def _(event: ConsentRecorded, case: CaseFile) -> CaseFile:
    # What this release cannot read is not a permission.
    decision = GRANTED if event.decision == GRANTED else REFUSED
    if event.purpose is ConsentPurpose.casework:
        return _casework(case, decision)
    takes_back = event.purpose is ConsentPurpose.unknown and decision == REFUSED
    if not (event.purpose is ConsentPurpose.sharing or takes_back) or event.agency is None:
        return case
    consent = Consent(
        consent_id=event.consent_id,
        decision=decision,
        valid_until=event.valid_until,
        obtained_from=event.obtained_from.value,
    )
    return case.model_copy(update={"consents": {**case.consents, event.agency: consent}})


@evolve.register
def _(event: ConsentWithdrawn, case: CaseFile) -> CaseFile:
    if event.purpose is ConsentPurpose.casework:
        return _casework(case, WITHDRAWN)
    # A withdrawal of what this release cannot read is read as one of this.
    if event.purpose not in (ConsentPurpose.sharing, ConsentPurpose.unknown):
        return case
    if event.agency is not None:
        agencies = {event.agency}
    else:
        named = {name for name, consent in case.consents.items() if consent.consent_id == event.consent_id}
        # A withdrawal that names neither an agency nor a consent we know means all of them.
        agencies = named or set(case.consents)
    consents = dict(case.consents)
    for agency in sorted(agencies):
        known = consents.get(agency, Consent(consent_id=event.consent_id, decision=WITHDRAWN))
        consents[agency] = known.model_copy(update={"decision": WITHDRAWN})
    return case.model_copy(update={"consents": consents})


@evolve.register
def _(event: DisclosureDue, case: CaseFile) -> CaseFile:
    stream = _stream(case, event)
    due = Due(
        consent_id=event.consent_id,
        fields=event.fields,
        sealed_fields=event.sealed_fields,
        due_at=event.due_at,
        expires_at=event.expires_at,
    )
    return _changed(
        case,
        stream,
        agency=event.agency,
        recipient_ref=event.recipient_ref,
        revision=max(stream.revision, event.revision),
        digest=event.digest,
        owed=event.revision,
        unsettled={**stream.unsettled, event.revision: due},
        # What it takes the place of may be on its way.
        maybe=stream.maybe or stream.next is not None,
        consent_id=event.consent_id,
    )


@evolve.register
def _(event: DisclosureMade, case: CaseFile) -> CaseFile:
    disclosure = Disclosure(
        way=event.way.value,
        certainty=event.certainty.value,
        agency=event.agency,
        consent_id=event.consent_id,
        fields=event.fields,
        sealed_fields=event.sealed_fields,
        made_at=event.made_at,
        integrator=event.integrator,
        purpose=event.purpose,
        version=event.version,
        revision=event.revision,
        referral_id=event.referral_id,
    )
    stream = case.streams.get(disclosure.key or "")
    if stream is None or event.revision is None:
        return case.model_copy(update={"disclosures": (*case.disclosures, disclosure)})
    certain = event.certainty is not Certainty.possible
    recalled = disclosure.model_copy(update={"purge_id": stream.purge_id})
    others = (
        each
        for each in case.disclosures
        if (each.key, each.revision, each.certainty) != (stream.key, event.revision, Certainty.possible)
    )
    case = case.model_copy(update={"disclosures": (*others, recalled)})
    # What leaves while a tombstone is owed is taken back by that one: it comes after.
    standing = stream.purge_id is None
    return _changed(
        case,
        stream,
        made=stream.made or (certain and standing),
        maybe=(stream.maybe and not certain) or (not certain and standing),
        owed=None if stream.owed is not None and stream.owed <= event.revision else stream.owed,
        unsettled={n: due for n, due in stream.unsettled.items() if not certain or n > event.revision},
    )


@evolve.register
def _(event: DisclosureWithheld, case: CaseFile) -> CaseFile:
    stream = case.streams.get(stream_key(event.integrator, event.purpose, event.version))
    if stream is None:
        return case
    ended = {"expired_at": stream.hour(event.withheld_at)} if event.reason is WithheldReason.consent_expired else {}
    return _changed(
        case,
        stream,
        **ended,
        owed=None if stream.owed == event.revision else stream.owed,
        unsettled={n: due for n, due in stream.unsettled.items() if event.attempted or n != event.revision},
        maybe=stream.maybe or (event.attempted and stream.purge_id is None),
    )


@evolve.register
def _(event: PartnerPurgeRequested, case: CaseFile) -> CaseFile:
    stream = _stream(case, event)
    purge = Purge(
        purge_id=event.purge_id,
        integrator=event.integrator,
        purpose=event.purpose,
        version=event.version,
        agency=event.agency,
        recipient_ref=event.recipient_ref,
        reason=event.reason.value,
        requested_at=event.requested_at,
        due_at=event.due_at,
    )
    recalled = tuple(
        each.model_copy(update={"purge_id": event.purge_id})
        if each.key == stream.key and each.purge_id is None
        else each
        for each in case.disclosures
    )
    case = case.model_copy(update={"purges": {**case.purges, event.purge_id: purge}, "disclosures": recalled})
    ended = {"expired_at": stream.hour(event.requested_at)} if event.reason is PurgeReason.consent_expired else {}
    return _changed(case, stream, owed=None, made=False, maybe=False, digest="", purge_id=event.purge_id, **ended)


@evolve.register
def _(event: PartnerPurgeSent, case: CaseFile) -> CaseFile:
    case = _purge(case, event.purge_id, sent_at=event.sent_at)
    stream = case.streams.get(stream_key(event.integrator, event.purpose, event.version))
    if stream is None or stream.purge_id != event.purge_id:
        return case
    # Whatever was on its way has ended: the kit has one claim at a time for a case and a recipient.
    left = {n: due for n, due in stream.unsettled.items() if n == stream.owed}
    return _changed(case, stream, purge_id=None, unsettled=left)


@evolve.register
def _(event: PartnerPurgeAcknowledged, case: CaseFile) -> CaseFile:
    return _purge(case, event.purge_id, acknowledged_at=event.acknowledged_at)


@evolve.register
def _(event: PartnerPurgeOverdue, case: CaseFile) -> CaseFile:
    return _purge(case, event.purge_id, overdue=True)


@evolve.register
def _(event: PurgeRequested, case: CaseFile) -> CaseFile:
    return _recall(case, event, requested_at=event.requested_at, due_at=event.due_at)


@evolve.register
def _(event: PurgeAcknowledged, case: CaseFile) -> CaseFile:
    return _recall(case, event, acknowledged_at=event.acknowledged_at)


def _facts(case: CaseFile, **known: Any) -> CaseFile:
    return case.model_copy(update={"facts": case.facts.model_copy(update=known)})


def _casework(case: CaseFile, decision: str) -> CaseFile:
    """A no to casework ends every consent to share: none of them begins again by itself with a later yes."""
    consents = {
        agency: consent.model_copy(update={"decision": decision})
        if decision != GRANTED and consent.decision == GRANTED
        else consent
        for agency, consent in case.consents.items()
    }
    return case.model_copy(update={"casework": decision, "consents": consents})


def _request(case: CaseFile, referral_id: str, **known: Any) -> CaseFile:
    before = case.facts.requests.get(referral_id, Request())
    return _facts(case, requests={**case.facts.requests, referral_id: before.model_copy(update=known)})


def _stream(case: CaseFile, event: DisclosureDue | PartnerPurgeRequested) -> Stream:
    known = case.streams.get(stream_key(event.integrator, event.purpose, event.version))
    return known or Stream(
        integrator=event.integrator, purpose=event.purpose, version=event.version, agency=event.agency
    )


def _changed(case: CaseFile, stream: Stream, **update: Any) -> CaseFile:
    return case.model_copy(update={"streams": {**case.streams, stream.key: stream.model_copy(update=update)}})


def _purge(case: CaseFile, purge_id: str, **update: Any) -> CaseFile:
    known = case.purges.get(purge_id)
    if known is None:
        return case
    return case.model_copy(update={"purges": {**case.purges, purge_id: known.model_copy(update=update)}})


def _recall(case: CaseFile, event: PurgeRequested | PurgeAcknowledged, **update: Any) -> CaseFile:
    key = recall_key(event.referral_id, event.agency)
    known = case.recalls.get(key, Recall())
    return case.model_copy(update={"recalls": {**case.recalls, key: known.model_copy(update=update)}})
