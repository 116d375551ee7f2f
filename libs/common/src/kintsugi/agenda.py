"""What a subject is owed: deadlines that will come due, and messages that are to leave the platform."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Deadline(_Frozen):
    """Something is due at a business time; the handler registered for the entry's prefix then decides."""

    kind: Literal["deadline"] = "deadline"
    at: AwareDatetime


class Delivery(StrEnum):
    """What happens to an attempt whose outcome is not known. Survivors: never a second message."""

    at_most_once = "at_most_once"
    at_least_once = "at_least_once"


class Send(_Frozen):
    """A message that is to leave. What it says is decided by ``prepare`` at the moment of sending.

    ``recipient`` is an opaque reference (an agency, a role, ``survivor``), never an address. ``detail`` holds
    references and codes only. ``expires`` is business time: after it the send ends as ``expired``. ``outward`` False
    is for alerts to the office's own staff, which leave even while the case is on hold.
    """

    kind: Literal["send"] = "send"
    channel: str
    recipient: str
    delivery: Delivery
    expires: AwareDatetime
    not_before: AwareDatetime | None = None
    outward: bool = True
    detail: Mapping[str, str] = Field(default_factory=dict)

    @property
    def at(self) -> datetime | None:
        """When the first claim may be made; None for at once."""
        return self.not_before


Entry = Deadline | Send
Agenda = dict[str, Entry]


class Message(_Frozen):
    """What ``prepare`` returns when the send may leave now. Addresses and texts never show in a repr.

    On a stream ``to`` is the topic, ``subject`` the key and ``body`` the value; a ``tombstone`` has none.
    ``decided_at`` is set by the kit: the machine's clock before the state was read that this was decided on.
    """

    to: SecretStr
    subject: SecretStr
    body: SecretStr
    template: str
    locale: str
    headers: Mapping[str, str] = Field(default_factory=dict)
    tombstone: bool = False
    decided_at: AwareDatetime | None = None


class Postpone(_Frozen):
    """Not now: tried again at ``until`` (business time), or when the subject changes. Emits nothing."""

    reason: str
    until: AwareDatetime | None = None


class Refuse(_Frozen):
    """Not at all: the outcome handler is called with the result ``refused`` and this reason code."""

    reason: str


class Result(StrEnum):
    """How a send ended."""

    sent = "sent"
    failed = "failed"
    refused = "refused"
    expired = "expired"
    not_attempted = "not_attempted"
    unknown = "unknown"


class Outcome(_Frozen):
    """The end of a send, as an input to the subject. The first outcome wins."""

    name: str
    result: Result
    reason: str | None = None
    template: str | None = None
    locale: str | None = None
    attempt: int = 0


def prefix(name: str) -> str:
    """``answer`` of ``answer/5f1c``: the part that handlers are registered for."""
    return name.partition("/")[0]


def changes(before: Agenda, after: Agenda) -> tuple[list[str], Agenda]:
    """What storing ``after`` over ``before`` takes: the names to remove and the entries to write."""
    gone = [name for name in before if name not in after]
    return gone, {name: entry for name, entry in after.items() if before.get(name) != entry}
