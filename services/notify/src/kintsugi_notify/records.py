"""What notify remembers, piece by piece: consents, the contact profile, mails to providers, tasks, notifications."""

from __future__ import annotations

from enum import StrEnum

from kintsugi_contracts.base import Sealed
from kintsugi_events import (
    About,
    Audience,
    ContactBy,
    ContactChannel,
    ContactWindow,
    ObtainedFrom,
    Role,
    StaffTaskKind,
    TaskReason,
)
from pydantic import AwareDatetime, BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen part of the state."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Given(StrEnum):
    """What became of a consent that was asked for."""

    granted = "granted"
    refused = "refused"
    withdrawn = "withdrawn"


class Consent(Record):
    """The latest word on one purpose and agency."""

    consent_id: str
    given: Given
    valid_until: AwareDatetime | None = None
    obtained_from: ObtainedFrom = ObtainedFrom.unknown


class Profile(Record):
    """How the survivor may be reached. The addresses stay sealed until the moment of sending."""

    contact_by: ContactBy
    language: str
    time_zone: str
    windows: tuple[ContactWindow, ...]
    channels: tuple[ContactChannel, ...]
    code_word_set: bool
    review_due: AwareDatetime
    contact: Sealed | None = None


class MailKind(StrEnum):
    """What a provider is written to for. The value is the template and the agenda prefix."""

    request = "provider_request"
    purge = "purge_request"


class ProviderMail(Record):
    """One request of the referral service to write to an agency, known by the id of the event that asked for it."""

    kind: MailKind
    about: About
    referral_id: str
    agency: str
    consent_id: str
    since: AwareDatetime
    due: AwareDatetime
    link: Sealed
    link_expires_at: AwareDatetime | None = None
    answered: bool = False
    """The provider answered, or was not to be asked any more."""
    chased: bool = False
    """A task was made because a purge was not acknowledged in time."""

    @property
    def entry(self) -> str:
        """The agenda entry of its sending."""
        return f"{self.kind}/{self.about.event_id}"


class TaskStatus(StrEnum):
    """Whether somebody still has to take a task."""

    open = "open"
    acknowledged = "acknowledged"
    settled = "settled"
    """What it asked for has happened, or has lost its object: it no longer escalates."""


class Task(Record):
    """A task for staff. ``root`` is the first task of its chain: whoever takes one takes the chain."""

    task_id: str
    kind: StaffTaskKind
    code: str | None = None
    """What to do, in the words of the service that asked for it."""
    reason: TaskReason
    role: Role
    office: str | None
    due_at: AwareDatetime
    about: About
    created_at: AwareDatetime
    root: str
    referral_id: str | None = None
    assessment_id: str | None = None
    escalates: str | None = None
    alert_until: AwareDatetime | None = None
    notice_until: AwareDatetime | None = None
    escalated: bool = False
    status: TaskStatus = TaskStatus.open
    acknowledged_at: AwareDatetime | None = None
    acknowledged_by: Role | None = None

    @property
    def alert(self) -> str:
        """The agenda entry of its announcement by mail."""
        return f"staff_alert/{self.task_id}"

    @property
    def notice(self) -> str:
        """The agenda entry of the survivor's notice that goes with it."""
        return f"survivor_notice/{self.task_id}"


class HeldInput(Record):
    """An input at which a service holds this case."""

    task_id: str
    about: About
    held_at: AwareDatetime

    @property
    def entry(self) -> str:
        """The agenda entry of the alert about a hold of notify's own, which no task announces yet."""
        return f"hold_alert/{self.task_id}"


class NotificationStatus(StrEnum):
    """How a notification ended."""

    sent = "sent"
    failed = "failed"
    withheld = "withheld"


class Notification(Record):
    """A notification that ended, in references and codes."""

    notification_id: str
    audience: Audience
    status: NotificationStatus
    template: str
    locale: str
    about: About
    at: AwareDatetime
    attempt: int = 0
    reason: str | None = None
    channel: str | None = None
    agency: str | None = None
    referral_id: str | None = None
    task_id: str | None = None
