# Generated from contracts/ by `python -m kintsugi_contracts.generate`; edit the schemas, not this file.
"""Events that every service emits about inputs it could not apply."""

from __future__ import annotations

from typing import Annotated, ClassVar

from kintsugi_contracts.base import Event, Instant
from pydantic import Field

from kintsugi_events.common import Actor, Cause, DiscardReason, EventId, InputKind, Position, Source


class InputHeld(Event):
    """An input could not be applied; its subject is held in this service until it is released or discarded."""

    type: ClassVar[str] = "kintsugi.input.held.v1"
    service: ClassVar[str] = "*"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/input.held/v1.schema.json"

    source: Source
    """Where the input came from."""
    input_id: EventId
    """The input's id."""
    input_kind: InputKind
    """What kind of input it is."""
    input_type: EventId
    """Its type or name."""
    cause: Cause
    """Why."""
    held_at: Instant
    """When."""
    sequence: Annotated[int, Field(ge=1, le=9007199254740992)] | None = None
    """Its sequence, for an event."""


class InputReleased(Event):
    """A held subject was released and goes on."""

    type: ClassVar[str] = "kintsugi.input.released.v1"
    service: ClassVar[str] = "*"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/input.released/v1.schema.json"

    source: Source
    """Where the input came from."""
    input_id: EventId
    """The input's id."""
    released_by: Actor
    """Who released it."""
    sequence: Annotated[int, Field(ge=1, le=9007199254740992)] | None = None
    """Its sequence, for an event."""
    without: Annotated[tuple[Position, ...], Field(max_length=100)] = ()
    """Events that will not be waited for."""


class InputDiscarded(Event):
    """An input was given up; folds skip it."""

    type: ClassVar[str] = "kintsugi.input.discarded.v1"
    service: ClassVar[str] = "*"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/input.discarded/v1.schema.json"

    source: Source
    """Where the input came from."""
    input_id: EventId
    """The input's id."""
    reason: DiscardReason
    """Why."""
    discarded_by: Actor
    """Who decided."""
    sequence: Annotated[int, Field(ge=1, le=9007199254740992)] | None = None
    """Its sequence, for an event."""
