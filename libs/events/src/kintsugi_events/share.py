# Generated from contracts/ by `python -m kintsugi_contracts.generate`; edit the schemas, not this file.
"""Events of share."""

from __future__ import annotations

from typing import Annotated, ClassVar

from kintsugi_contracts.base import Event, Instant
from pydantic import Field

from kintsugi_events.common import Agency, Code, Id, PurgeReason, RecipientRef, Slug, WithheldReason


class DisclosureDue(Event):
    """An integrator is owed a record: a consent allows it, and what the record says is new."""

    type: ClassVar[str] = "kintsugi.disclosure.due.v1"
    service: ClassVar[str] = "share"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/disclosure.due/v1.schema.json"

    integrator: Slug
    """The integrator."""
    purpose: Slug
    """The purpose for which it receives."""
    version: Annotated[int, Field(ge=1, le=1000)]
    """The major version of its stream."""
    agency: Agency
    """The agency that consents name."""
    consent_id: Id
    """The consent that allows it."""
    recipient_ref: RecipientRef
    """The case as the integrator knows it."""
    revision: Annotated[int, Field(ge=1, le=1000000)]
    """Counts the records of this stream for this case; it only grows."""
    digest: Id
    """A digest of what the record says, so that the same is not sent again."""
    fields: Annotated[tuple[Code, ...], Field(max_length=40)]
    """The names of the fields in clear."""
    sealed_fields: Annotated[tuple[Code, ...], Field(max_length=40)]
    """The names of the fields sealed to the integrator's key, such as `identity.real_name`."""
    due_at: Instant
    """When it became due."""
    expires_at: Instant
    """After this it is no longer sent."""


class DisclosureWithheld(Event):
    """A record that was due did not leave, or is no longer tried."""

    type: ClassVar[str] = "kintsugi.disclosure.withheld.v1"
    service: ClassVar[str] = "share"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/disclosure.withheld/v1.schema.json"

    integrator: Slug
    """The integrator."""
    purpose: Slug
    """The purpose for which it receives."""
    version: Annotated[int, Field(ge=1, le=1000)]
    """The major version of its stream."""
    agency: Agency
    """The agency that consents name."""
    revision: Annotated[int, Field(ge=1, le=1000000)]
    """Which record."""
    reason: WithheldReason
    """Why."""
    attempted: bool
    """Whether an attempt was made before, which may have arrived."""
    withheld_at: Instant
    """When."""


class PartnerPurgeRequested(Event):
    """An integrator is to forget the case: a tombstone follows, and its acknowledgement is awaited."""

    type: ClassVar[str] = "kintsugi.partner_purge.requested.v1"
    service: ClassVar[str] = "share"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/partner_purge.requested/v1.schema.json"

    purge_id: Id
    """The purge."""
    integrator: Slug
    """The integrator."""
    purpose: Slug
    """The purpose for which it receives."""
    version: Annotated[int, Field(ge=1, le=1000)]
    """The major version of its stream."""
    agency: Agency
    """The agency that consents name."""
    consent_id: Id
    """The consent under which it received."""
    recipient_ref: RecipientRef
    """The case as the integrator knows it."""
    reason: PurgeReason
    """Why."""
    due_at: Instant
    """When it must have acknowledged."""
    requested_at: Instant
    """When."""


class PartnerPurgeSent(Event):
    """The tombstone stands on the integrator's stream."""

    type: ClassVar[str] = "kintsugi.partner_purge.sent.v1"
    service: ClassVar[str] = "share"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/partner_purge.sent/v1.schema.json"

    purge_id: Id
    """The purge."""
    integrator: Slug
    """The integrator."""
    purpose: Slug
    """The purpose for which it receives."""
    version: Annotated[int, Field(ge=1, le=1000)]
    """The major version of its stream."""
    agency: Agency
    """The agency that consents name."""
    sent_at: Instant
    """When."""


class PartnerPurgeAcknowledged(Event):
    """The integrator says that it deleted what it had received of the case."""

    type: ClassVar[str] = "kintsugi.partner_purge.acknowledged.v1"
    service: ClassVar[str] = "share"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/partner_purge.acknowledged/v1.schema.json"

    purge_id: Id
    """The purge."""
    integrator: Slug
    """The integrator."""
    purpose: Slug
    """The purpose for which it receives."""
    version: Annotated[int, Field(ge=1, le=1000)]
    """The major version of its stream."""
    agency: Agency
    """The agency that consents name."""
    acknowledged_at: Instant
    """When."""


class PartnerPurgeOverdue(Event):
    """The integrator has not said in time that it deleted what it had received."""

    type: ClassVar[str] = "kintsugi.partner_purge.overdue.v1"
    service: ClassVar[str] = "share"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/partner_purge.overdue/v1.schema.json"

    purge_id: Id
    """The purge."""
    integrator: Slug
    """The integrator."""
    purpose: Slug
    """The purpose for which it receives."""
    version: Annotated[int, Field(ge=1, le=1000)]
    """The major version of its stream."""
    agency: Agency
    """The agency that consents name."""
    due_at: Instant
    """When it should have."""
