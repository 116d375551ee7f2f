# Generated from contracts/ by `python -m kintsugi_contracts.generate`; edit the schemas, not this file.
"""Events of notify."""

from __future__ import annotations

from typing import Annotated, ClassVar

from kintsugi_contracts.base import Event, Instant
from pydantic import Field

from kintsugi_events.common import (
    About,
    Agency,
    Audience,
    ChannelKind,
    Code,
    FailureReason,
    Id,
    Language,
    Role,
    StaffTaskKind,
    TaskCode,
    TaskReason,
    WithheldReason,
)


class NotificationSent(Event):
    """A gateway took the message."""

    type: ClassVar[str] = "kintsugi.notification.sent.v1"
    service: ClassVar[str] = "notify"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/notification.sent/v1.schema.json"

    notification_id: Id
    """The notification."""
    audience: Audience
    """Whom it is for."""
    template: Code
    """The template of the country pack."""
    locale: Language
    """The language of the message."""
    about: About
    """The event it is about."""
    channel: ChannelKind
    """The medium."""
    sent_at: Instant
    """When."""
    attempt: Annotated[int, Field(ge=1, le=1000)]
    """Which attempt succeeded, from 1."""
    agency: Agency | None = None
    """The agency, for a provider."""
    referral_id: Id | None = None
    """The referral it belongs to."""
    task_id: Id | None = None
    """The staff task it announces."""


class NotificationFailed(Event):
    """A message was not sent, or nobody knows whether it was."""

    type: ClassVar[str] = "kintsugi.notification.failed.v1"
    service: ClassVar[str] = "notify"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/notification.failed/v1.schema.json"

    notification_id: Id
    """The notification."""
    audience: Audience
    """Whom it is for."""
    template: Code
    """The template of the country pack."""
    locale: Language
    """The language of the message."""
    about: About
    """The event it is about."""
    channel: ChannelKind
    """The medium."""
    reason: FailureReason
    """Why."""
    failed_at: Instant
    """When."""
    attempt: Annotated[int, Field(ge=0, le=1000)]
    """The attempts made; 0 when none began."""
    final: bool
    """True when it will not be tried again."""
    agency: Agency | None = None
    """The agency, for a provider."""
    referral_id: Id | None = None
    """The referral it belongs to."""
    task_id: Id | None = None
    """The staff task it announces."""


class NotificationWithheld(Event):
    """A message was kept back to keep someone safe."""

    type: ClassVar[str] = "kintsugi.notification.withheld.v1"
    service: ClassVar[str] = "notify"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/notification.withheld/v1.schema.json"

    notification_id: Id
    """The notification."""
    audience: Audience
    """Whom it is for."""
    template: Code
    """The template of the country pack."""
    locale: Language
    """The language of the message."""
    about: About
    """The event it is about."""
    reason: WithheldReason
    """Why."""
    withheld_at: Instant
    """When."""
    agency: Agency | None = None
    """The agency, for a provider."""
    referral_id: Id | None = None
    """The referral it belongs to."""
    task_id: Id | None = None
    """The staff task it announces."""
    channel: ChannelKind | None = None
    """The medium, when one was chosen."""


class StaffTaskCreated(Event):
    """A member of staff must do something by a date."""

    type: ClassVar[str] = "kintsugi.staff_task.created.v1"
    service: ClassVar[str] = "notify"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/staff_task.created/v1.schema.json"

    task_id: Id
    """The task."""
    kind: StaffTaskKind
    """What to do."""
    reason: TaskReason
    """What made it necessary."""
    role: Role
    """The role that must do it."""
    due_at: Instant
    """By when."""
    about: About
    """The event it is about."""
    created_at: Instant
    """When."""
    code: TaskCode | None = None
    """What to do, in the words of the service that asked, for a task of kind `other_task`."""
    office: Code | None = None
    """The office, once known."""
    referral_id: Id | None = None
    """The referral it belongs to."""
    assessment_id: Id | None = None
    """The assessment it belongs to."""
    escalates: Id | None = None
    """The task of a lower role that nobody took in time, when this one follows from it."""
    alert_until: Instant | None = None
    """Until when a message may announce the task to its role; absent when it only waits in the list."""
    notice_until: Instant | None = None
    """Until when a neutral message may tell the survivor that there is news; absent when none is to go."""


class StaffTaskAcknowledged(Event):
    """A member of staff took the task."""

    type: ClassVar[str] = "kintsugi.staff_task.acknowledged.v1"
    service: ClassVar[str] = "notify"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/staff_task.acknowledged/v1.schema.json"

    task_id: Id
    """The task."""
    role: Role
    """The role of who took it."""
    acknowledged_at: Instant
    """When."""
