# Generated from contracts/ by `python -m kintsugi_contracts.generate`; edit the schemas, not this file.
"""Events that more than one service emits."""

from __future__ import annotations

from typing import Annotated, ClassVar

from kintsugi_contracts.base import Event, Instant
from pydantic import Field

from kintsugi_events.common import About, Agency, Certainty, Code, DisclosureWay, Id, Role, Slug, TaskCode


class StaffTaskRequested(Event):
    """A service asks that a member of staff does something that no other event asks for. Any service may ask, on its
    own topic.
    """

    type: ClassVar[str] = "kintsugi.staff_task.requested.v1"
    service: ClassVar[str] = "*"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/staff_task.requested/v1.schema.json"

    task_id: Id
    """The task: a random identifier the service makes, which the task keeps. Asked for twice, it is one task."""
    code: TaskCode
    """What to do, in the service's own words."""
    role: Role
    """The role that must do it."""
    due_at: Instant
    """By when."""
    urgent: bool
    """Whether a message announces the task to its role at once; otherwise it waits in the list until it is due."""
    requested_at: Instant
    """When."""
    about: About | None = None
    """The event that made it necessary; absent where the request itself says all."""
    referral_id: Id | None = None
    """The referral it belongs to."""
    assessment_id: Id | None = None
    """The assessment it belongs to."""


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
