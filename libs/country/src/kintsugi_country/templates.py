"""The closed list of messages the platform sends: for whom each is and what it may say.

A template's arguments are all it can disclose, so the list holds no name, no need, no service and no reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Audience = Literal["provider", "staff", "survivor"]


@dataclass(frozen=True, slots=True)
class Template:
    """For whom a message is, and the arguments its wording may use."""

    audience: Audience
    arguments: frozenset[str] = frozenset()


TEMPLATES: dict[str, Template] = {
    # Somebody agreed to be referred: the provider answers through the link by the time given.
    "provider_request": Template("provider", frozenset({"link", "answer_due"})),
    "provider_reminder": Template("provider", frozenset({"link", "answer_due"})),
    # Consent was withdrawn or the request cancelled: the provider deletes what it has and confirms it.
    "purge_request": Template("provider", frozenset({"link", "due"})),
    # `task` is an opaque reference that means something only inside the office's own application.
    "staff_alert": Template("staff", frozenset({"task", "due"})),
    "staff_task": Template("staff", frozenset({"task", "due"})),
    # Nothing but that there is news; a link or a token would lead whoever holds the phone to the case.
    "survivor_notice": Template("survivor"),
    "survivor_notice_code_word": Template("survivor", frozenset({"code_word"})),
    "opt_out_reply": Template("survivor"),
}
