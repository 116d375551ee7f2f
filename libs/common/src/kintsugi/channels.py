"""The way out: what a service gives the kit so that a prepared message can leave the platform."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from kintsugi.agenda import Message


class DeliveryFailed(Exception):
    """The channel did not take the message. ``reason`` is a code; ``permanent`` says that repeating is useless."""

    def __init__(self, reason: str, *, permanent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a message may be on its way, in seconds of the machine's clock.

    ``start_within`` counts from before the state was read that it was decided on; ``end_within`` from its start. With
    ``fresh_within`` nothing outward is decided unless the service has read its topics to their end since that long.
    """

    start_within: float = 5.0
    end_within: float = 30.0
    fresh_within: float | None = None


class Channel(Protocol):
    """Carries one message. ``key`` is the same for every attempt at the same send (for mail, the Message-ID).

    A channel may have ``limits`` of its own, and ``aclose`` where it keeps something open.
    """

    async def send(self, message: Message, key: str) -> None:
        """Returns when the other side has taken it. Raises :class:`DeliveryFailed`, or OSError and TimeoutError."""
        ...


def limits_of(channel: Channel) -> Limits:
    """The channel's own limits, or the usual ones."""
    found = getattr(channel, "limits", None)
    return found if isinstance(found, Limits) else Limits()


@runtime_checkable
class _Closable(Protocol):
    async def aclose(self) -> None: ...


async def close(channels: Iterable[Channel]) -> None:
    """Ends what channels keep open, once nothing is sent any more."""
    for channel in channels:
        if isinstance(channel, _Closable):
            await channel.aclose()
