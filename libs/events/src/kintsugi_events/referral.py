# Generated from contracts/ by `python -m kintsugi_contracts.generate`; edit the schemas, not this file.
"""Events of referral."""

from __future__ import annotations

from typing import Annotated, ClassVar

from kintsugi_contracts.base import Event, Instant, Part, Plaintext, Purposes, SealedOr
from pydantic import ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

from kintsugi_events.common import (
    Agency,
    Choice,
    Code,
    Id,
    MatchReason,
    NeedBand,
    Party,
    PurgeReason,
    ReferralStatus,
    ReferralSubStatus,
    StatusReason,
    WithheldReason,
)


class Option(Part):
    """A service that may help."""

    option_id: Id
    """The option."""
    service_id: Id
    """The service in the directory."""
    agency: Agency
    """The agency that gives it."""
    reasons: Annotated[tuple[MatchReason, ...], Field(max_length=20)]
    """Why it is offered."""
    rank: Annotated[int, Field(ge=1, le=100)]
    """Its place among the options, 1 first."""


class ReferralProposed(Event):
    """Services were found for a need; the survivor chooses."""

    type: ClassVar[str] = "kintsugi.referral.proposed.v1"
    service: ClassVar[str] = "referral"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/referral.proposed/v1.schema.json"

    referral_id: Id
    """The referral."""
    assessment_id: Id
    """The assessment the need comes from."""
    need_id: Id
    """The need."""
    need: Code
    """The need's code."""
    band: NeedBand
    """How pressing the need is."""
    options: Annotated[tuple[Option, ...], Field(max_length=20)]
    """The options; at least two where the directory has them."""
    proposed_at: Instant
    """When."""


class ReferralChosen(Event):
    """The survivor chose an option, none, or not now."""

    type: ClassVar[str] = "kintsugi.referral.chosen.v1"
    service: ClassVar[str] = "referral"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/referral.chosen/v1.schema.json"

    referral_id: Id
    """The referral."""
    choice: Choice
    """What was chosen."""
    chosen_at: Instant
    """When."""
    option_id: Id | None = None
    """The option chosen."""
    agency: Agency | None = None
    """Its agency."""


class ReferralRequestedContact(Plaintext):
    """The way for the agency to answer."""

    link: Annotated[str, StringConstraints(min_length=1, max_length=4000)]
    """The signed, expiring link."""


class ReferralRequestedSealed(TypedDict, total=False):
    """The sealed purposes of ReferralRequested."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    contact: SealedOr[ReferralRequestedContact]


class ReferralRequested(Event):
    """The agency is asked, with a consent that names it, and has until a deadline to answer."""

    type: ClassVar[str] = "kintsugi.referral.requested.v1"
    service: ClassVar[str] = "referral"
    dataclassification: ClassVar[str] = "confidential"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/referral.requested/v1.schema.json"
    purposes: ClassVar[Purposes] = {"contact": ReferralRequestedContact}

    referral_id: Id
    """The referral."""
    option_id: Id
    """The option."""
    service_id: Id
    """The service."""
    agency: Agency
    """The agency."""
    consent_id: Id
    """The consent that allows it."""
    answer_due: Instant
    """When the agency must have answered."""
    link_expires_at: Instant
    """When the link ends."""
    attempt: Annotated[int, Field(ge=1, le=1000)]
    """Which request for this need it is, counted from 1."""
    requested_at: Instant
    """When."""
    sealed: ReferralRequestedSealed = Field(default_factory=ReferralRequestedSealed)


class ReferralWithheld(Event):
    """The request was not made; it resumes when the reason is gone."""

    type: ClassVar[str] = "kintsugi.referral.withheld.v1"
    service: ClassVar[str] = "referral"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/referral.withheld/v1.schema.json"

    referral_id: Id
    """The referral."""
    option_id: Id
    """The option."""
    agency: Agency
    """The agency."""
    reason: WithheldReason
    """Why."""
    withheld_at: Instant
    """When."""


class ReferralStatusChanged(Event):
    """A referral moved to another state."""

    type: ClassVar[str] = "kintsugi.referral.status_changed.v1"
    service: ClassVar[str] = "referral"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/referral.status_changed/v1.schema.json"

    referral_id: Id
    """The referral."""
    status: ReferralStatus
    """The state now."""
    previous: ReferralStatus
    """The state before."""
    set_by: Party
    """Who set it."""
    changed_at: Instant
    """When."""
    sub_status: ReferralSubStatus | None = None
    """What happened within the state."""
    reason: StatusReason | None = None
    """Why; required for rejected, cancelled, on-hold and failed."""
    agency: Agency | None = None
    """The agency, once one is chosen."""
    option_id: Id | None = None
    """The option, once one is chosen."""


class ReferralOverdue(Event):
    """The agency did not answer in time."""

    type: ClassVar[str] = "kintsugi.referral.overdue.v1"
    service: ClassVar[str] = "referral"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/referral.overdue/v1.schema.json"

    referral_id: Id
    """The referral."""
    agency: Agency
    """The agency."""
    answer_due: Instant
    """When the answer was due."""


class PurgeRequestedContact(Plaintext):
    """The way for the agency to acknowledge."""

    link: Annotated[str, StringConstraints(min_length=1, max_length=4000)]
    """The signed, expiring link."""


class PurgeRequestedSealed(TypedDict, total=False):
    """The sealed purposes of PurgeRequested."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    contact: SealedOr[PurgeRequestedContact]


class PurgeRequested(Event):
    """The agency is asked to delete what it received."""

    type: ClassVar[str] = "kintsugi.purge.requested.v1"
    service: ClassVar[str] = "referral"
    dataclassification: ClassVar[str] = "confidential"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/purge.requested/v1.schema.json"
    purposes: ClassVar[Purposes] = {"contact": PurgeRequestedContact}

    referral_id: Id
    """The referral."""
    agency: Agency
    """The agency."""
    consent_id: Id
    """The consent under which it was sent."""
    reason: PurgeReason
    """Why."""
    due_at: Instant
    """When it must have acknowledged."""
    requested_at: Instant
    """When."""
    sealed: PurgeRequestedSealed = Field(default_factory=PurgeRequestedSealed)


class PurgeAcknowledged(Event):
    """The agency says that it deleted what it received."""

    type: ClassVar[str] = "kintsugi.purge.acknowledged.v1"
    service: ClassVar[str] = "referral"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/purge.acknowledged/v1.schema.json"

    referral_id: Id
    """The referral."""
    agency: Agency
    """The agency."""
    acknowledged_at: Instant
    """When."""
