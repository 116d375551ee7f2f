"""Records: made at the moment they leave, from the consent and the facts of that moment."""

from __future__ import annotations

import json
from datetime import datetime

from kintsugi.agenda import Message, Outcome, Postpone, Refuse, Result, Send
from kintsugi.sealing import Erased
from kintsugi.service import Context, Withheld
from kintsugi_contracts.base import Event, Purpose
from kintsugi_events import CaseOpenedIdentity, Certainty, WithheldReason
from pydantic import SecretStr

from kintsugi_share.domain import projection, topic
from kintsugi_share.handlers.core import Wanted, follow, made, partners_of, perhaps, service, stop, wanted, withhold
from kintsugi_share.policies import consent_for, purge_reason
from kintsugi_share.records import Stream
from kintsugi_share.state import CaseFile

NO_LANGUAGE = "und"
_REASONS = {Result.expired: WithheldReason.expired, Result.not_attempted: WithheldReason.expired}


@service.prepare("record", reads=(Purpose.identity,))
def record(send: Send, case: CaseFile, ctx: Context) -> Message | Postpone | Refuse:
    """The whole of what the partner may know of the case now. The consent is read again, and so is everything else."""
    stream = case.streams[send.detail["stream"]]
    revision = int(send.detail["revision"])
    due = stream.unsettled[revision]
    declared = next((each for each in wanted(ctx.pack) if each.key == stream.key), None)
    if declared is None or declared.integrator.agency != stream.agency:
        return Refuse(reason=WithheldReason.no_longer_wanted)
    if (due.fields, due.sealed_fields) != (declared.purpose.fields, declared.purpose.sealed_fields):
        return Refuse(reason=WithheldReason.no_longer_wanted)
    if isinstance(consent := consent_for(stream.agency, case, stream.hour(ctx.now)), Withheld):
        return Refuse(reason=consent.reason)
    if case.facts.closed and not stream.told:
        return Refuse(reason=WithheldReason.case_closed)
    value: dict[str, object] = {"case": stream.recipient_ref, "revision": revision}
    value |= projection(case.facts, due.fields, declared.purpose.needs)
    sealed = _sealed(declared, stream, case, ctx)
    if isinstance(sealed, Erased):
        return Refuse(reason=WithheldReason.erased)
    if sealed:
        value["sealed"] = sealed
    partners = partners_of(ctx)
    contract = partners.check(stream.key, value)
    return Message(
        to=SecretStr(topic(ctx.country, stream.key)),
        subject=SecretStr(stream.recipient_ref),
        body=SecretStr(json.dumps(value, ensure_ascii=False, separators=(",", ":"))),
        template=stream.key,
        locale=NO_LANGUAGE,
        headers={
            **_headers(stream, f"record/{revision}", due.due_at, ctx),
            "ce_dataschema": contract.schema_id,
            "content-type": "application/json",
        },
    )


@service.outcome("record")
def record_ended(outcome: Outcome, case: CaseFile, ctx: Context) -> list[Event]:
    """What left is a disclosure, also when a withdrawal came meanwhile; what did not is withheld, with the reason."""
    _, key, number = outcome.name.split("/")
    stream, revision = case.streams[key], int(number)
    due = stream.unsettled.get(revision)
    if due is None:
        return []
    if outcome.result is Result.sent:
        # One claim at a time: what it took the place of was given up, or an attempt at it ended without an answer.
        earlier = [] if stream.purge_id else [number for number in stream.unsettled if number < revision]
        arrived = {
            "made": stream.made or stream.purge_id is None,
            "owed": None if stream.owed == revision else stream.owed,
            "unsettled": {number: each for number, each in stream.unsettled.items() if number > revision},
        }
        # What changed while it was on its way, a closed case or a consent that ended, is followed now.
        return [
            *perhaps(stream, earlier, ctx),
            made(stream, revision, Certainty.confirmed, due, ctx),
            *follow(case, ctx, settled=stream.model_copy(update=arrived)),
        ]
    if stream.owed != revision:
        return []
    attempted = outcome.attempt > 0
    reason = _REASONS.get(outcome.result) or WithheldReason(outcome.reason or "")
    left = {number: each for number, each in stream.unsettled.items() if attempted or number != revision}
    after = stream.model_copy(update={"owed": None, "maybe": stream.maybe or attempted, "unsettled": left})
    events = [withhold(stream, revision, reason, ctx, attempted=attempted)]
    if reason is WithheldReason.erased:
        return [*events, *(stop(after, reason, purge_reason(reason), ctx) if after.told else [])]
    if outcome.result is Result.failed:
        # Not for this record's sake: what comes next from the case begins anew.
        return events
    return [*events, *follow(case, ctx, settled=after.model_copy(update={"digest": ""}))]


@service.prepare("tombstone")
def tombstone(send: Send, case: CaseFile, ctx: Context) -> Message | Postpone | Refuse:
    """A null value under the case's id: forget it. It needs no consent, and is never refused."""
    purge = case.purges[send.detail["purge"]]
    stream = case.streams[purge.key]
    return Message(
        to=SecretStr(topic(ctx.country, purge.key)),
        subject=SecretStr(purge.recipient_ref),
        body=SecretStr(""),
        tombstone=True,
        template=purge.key,
        locale=NO_LANGUAGE,
        headers={
            **_headers(stream, f"tombstone/{purge.purge_id}", purge.requested_at, ctx),
            "ce_purgeid": purge.purge_id,
            "ce_purgedue": _minute(purge.due_at),
        },
    )


def _sealed(declared: Wanted, stream: Stream, case: CaseFile, ctx: Context) -> dict[str, str] | Erased:
    """The personal fields that the purpose names, for the partner's eyes only.

    Erased says that nothing of this person may leave, for a purpose without personal fields too.
    """
    if case.identity is None:
        return {}
    opened = ctx.open(case.identity, CaseOpenedIdentity)
    if isinstance(opened, Erased):
        return opened
    names = declared.purpose.sealed.get("identity", ())
    if not names:
        return {}
    known = opened.model_dump(mode="json", include=set(names), exclude_none=True)
    plaintext = {"case": stream.recipient_ref, **{name: known[name] for name in names if known.get(name)}}
    return {"identity": partners_of(ctx).seal(stream.key, plaintext)}


def _headers(stream: Stream, what: str, at: datetime, ctx: Context) -> dict[str, str]:
    """What goes with a value. Nothing here is the same for two partners: no cause, no counter, no exact time."""
    partners = partners_of(ctx)
    return {
        "ce_specversion": "1.0",
        "ce_id": partners.record_id(stream.integrator, f"{ctx.subject}/{stream.key}/{what}"),
        "ce_source": f"/{ctx.country}/{service.name}",
        "ce_type": f"kintsugi.share.{stream.key}",
        "ce_time": _minute(at),
        "ce_subject": stream.recipient_ref,
        "ce_dataclassification": "confidential",
    }


def _minute(at: datetime) -> str:
    """Without seconds: two partners that hear of one case at once must not find the same microsecond."""
    return f"{at:%Y-%m-%dT%H:%M}:00Z"
