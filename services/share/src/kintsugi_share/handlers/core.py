"""The service itself, and what several decisions share: which streams there are, and how one begins and stops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kintsugi.service import Context, Service, Withheld
from kintsugi_contracts.base import Event
from kintsugi_country import Integrator, Pack, SharePurpose
from kintsugi_events import (
    Certainty,
    DisclosureDue,
    DisclosureMade,
    DisclosureWay,
    DisclosureWithheld,
    PartnerPurgeRequested,
    PurgeReason,
    WithheldReason,
)

from kintsugi_share.domain import digest, projection, stream_key
from kintsugi_share.owed import agenda
from kintsugi_share.partners import Partners
from kintsugi_share.policies import consent_for, purge_reason
from kintsugi_share.records import Consent, Due, Stream
from kintsugi_share.state import CaseFile, evolve

service = Service("share", state=CaseFile, evolve=evolve, agenda=agenda, fold_version=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A stream that the country pack declares."""

    integrator: Integrator
    name: str
    purpose: SharePurpose

    @property
    def key(self) -> str:
        """Its name within the country."""
        return stream_key(self.integrator.name, self.name, self.purpose.version)


def wanted(pack: Pack) -> Iterator[Wanted]:
    """Every stream that the country pack declares."""
    for integrator in pack.integrators:
        for name, purpose in integrator.purposes.items():
            yield Wanted(integrator, name, purpose)


def partners_of(ctx: Context) -> Partners:
    """What the composition root put into ``ctx.resources``."""
    resources = ctx.resources
    if not isinstance(resources, Partners):
        raise TypeError("share runs without its keys: set Application.resources to kintsugi_share.partners.partners")
    return resources


def follow(case: CaseFile, ctx: Context, settled: Stream | None = None) -> list[Event]:
    """What a change of the case, of a consent or of the hour means for every stream.

    ``settled`` is a stream as it will be once the decision under way has taken effect.
    """
    events: list[Event] = []
    declared = {each.key: each for each in wanted(ctx.pack)}
    for key in sorted(declared.keys() | case.streams.keys()):
        stream = settled if settled is not None and settled.key == key else case.streams.get(key)
        declaration = declared.get(key)
        agency = declaration.integrator.agency if declaration else stream.agency if stream else ""
        if stream is not None and stream.active and stream.agency != agency:
            # The pack gave the stream to another agency: what the consent named before is asked back.
            events.extend(stop(stream, WithheldReason.no_longer_wanted, PurgeReason.consent_withdrawn, ctx))
            continue
        consent = consent_for(agency, case, stream.hour(ctx.now) if stream else ctx.now)
        if isinstance(consent, Withheld):
            if stream is not None and stream.active:
                events.extend(stop(stream, WithheldReason(consent.reason), purge_reason(consent.reason), ctx))
        elif declaration is not None:
            events.extend(_begin(declaration, stream, consent, case, ctx))
    return events


def _begin(declared: Wanted, stream: Stream | None, consent: Consent, case: CaseFile, ctx: Context) -> list[Event]:
    """The record that is owed now, where what it says is not what was owed last."""
    told = stream is not None and stream.told
    if not case.opened or (case.facts.closed and not told):
        # Who was never told of a case hears nothing of it once it is closed.
        return []
    integrator = declared.integrator
    said = digest(
        projection(case.facts, declared.purpose.fields, declared.purpose.needs),
        declared.purpose.fields,
        declared.purpose.sealed_fields,
        case.identity.id if case.identity else "",
        partners_of(ctx).digest_key(integrator.name),
    )
    if stream is not None and stream.active and stream.digest == said:
        return []
    return [
        DisclosureDue(
            integrator=integrator.name,
            purpose=declared.name,
            version=declared.purpose.version,
            agency=integrator.agency,
            consent_id=consent.consent_id,
            recipient_ref=partners_of(ctx).ref(integrator.name, ctx.subject),
            revision=(stream.revision if stream else 0) + 1,
            digest=said,
            fields=declared.purpose.fields,
            sealed_fields=declared.purpose.sealed_fields,
            due_at=ctx.now,
            expires_at=ctx.pack.due("send_expiry_provider", ctx.now),
        )
    ]


def stop(stream: Stream, withheld: WithheldReason, reason: PurgeReason, ctx: Context) -> list[Event]:
    """Nothing more goes to this stream, and what was received is recalled.

    A record that was owed may be on its way: as nobody can say yet, it counts as received. One that still stood
    behind a tombstone never left.
    """
    if stream.owed is not None and stream.purge_id is not None:
        return [withhold(stream, stream.owed, withheld, ctx)]
    events = perhaps(stream, stream.unsettled, ctx)
    purpose = next((each.purpose for each in wanted(ctx.pack) if each.key == stream.key), None)
    ends = ctx.pack.end_of(purpose.purge_acknowledgement, ctx.now) if purpose else None
    events.append(
        PartnerPurgeRequested(
            purge_id=ctx.new_id(),
            integrator=stream.integrator,
            purpose=stream.purpose,
            version=stream.version,
            agency=stream.agency,
            consent_id=stream.consent_id,
            recipient_ref=stream.recipient_ref,
            reason=reason,
            due_at=ends or ctx.pack.due("purge_acknowledgement", ctx.now),
            requested_at=ctx.now,
        )
    )
    return events


def perhaps(stream: Stream, revisions: Iterable[int], ctx: Context) -> list[Event]:
    """Records of which nobody can say whether they left: they count as received."""
    return [
        made(stream, revision, Certainty.possible, stream.unsettled[revision], ctx) for revision in sorted(revisions)
    ]


def made(stream: Stream, revision: int, certainty: Certainty, due: Due, ctx: Context) -> Event:
    """A record of a stream left, or may have."""
    return DisclosureMade(
        way=DisclosureWay.stream,
        certainty=certainty,
        agency=stream.agency,
        consent_id=due.consent_id,
        fields=due.fields,
        sealed_fields=due.sealed_fields,
        made_at=ctx.now,
        integrator=stream.integrator,
        purpose=stream.purpose,
        version=stream.version,
        revision=revision,
    )


def withhold(stream: Stream, revision: int, reason: WithheldReason, ctx: Context, *, attempted: bool = False) -> Event:
    """A record that was owed does not leave."""
    return DisclosureWithheld(
        integrator=stream.integrator,
        purpose=stream.purpose,
        version=stream.version,
        agency=stream.agency,
        revision=revision,
        reason=reason,
        attempted=attempted,
        withheld_at=ctx.now,
    )
