# Generated from contracts/ by `python -m kintsugi_contracts.generate`; edit the schemas, not this file.
"""Events that more than one service emits."""

from __future__ import annotations

from typing import Annotated, ClassVar

from kintsugi_contracts.base import Event, Instant
from pydantic import Field

from kintsugi_events.common import Agency, Certainty, Code, DisclosureWay, Id, Slug


class DisclosureMade(Event):
    """A recipient outside the office received these fields of the case, or may have."""

    type: ClassVar[str] = "kintsugi.disclosure.made.v1"
    service: ClassVar[str] = "*"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/disclosure.made/v1.schema.json"

    way: DisclosureWay
    """How it left."""
    certainty: Certainty
    """Whether it is known to have arrived."""
    agency: Agency
    """The agency that received it."""
    consent_id: Id
    """The consent under which it left."""
    fields: Annotated[tuple[Code, ...], Field(max_length=40)]
    """The names of the fields in clear."""
    sealed_fields: Annotated[tuple[Code, ...], Field(max_length=40)]
    """The names of the fields sealed to the recipient's key, such as `identity.real_name`."""
    made_at: Instant
    """When."""
    integrator: Slug | None = None
    """The integrator, for a stream."""
    purpose: Slug | None = None
    """The integrator's purpose, for a stream."""
    version: Annotated[int, Field(ge=1, le=1000)] | None = None
    """The major version of the stream."""
    revision: Annotated[int, Field(ge=1, le=1000000)] | None = None
    """Which record of the stream."""
    referral_id: Id | None = None
    """The referral, for a link."""
