"""The way out: what a service gives the kit so that a prepared message can leave the platform."""

from __future__ import annotations

from typing import Protocol

from kintsugi.agenda import Message


class DeliveryFailed(Exception):
    """The channel did not take the message. ``reason`` is a code; ``permanent`` says that repeating is useless."""

    def __init__(self, reason: str, *, permanent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent


class Channel(Protocol):
    """Carries one message. ``key`` is the same for every attempt at the same send (for mail, the Message-ID)."""

    async def send(self, message: Message, key: str) -> None:
        """Returns when the other side has taken it. Raises :class:`DeliveryFailed`, or OSError and TimeoutError."""
        ...
