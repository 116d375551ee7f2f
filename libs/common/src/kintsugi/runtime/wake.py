"""Tells the relay that the outbox has rows: at once if it is in this process, else by a debounced NOTIFY."""

from __future__ import annotations

import asyncio
import contextlib

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from kintsugi.relay import CHANNEL, Relay

_DEBOUNCE_SECONDS = 0.005
_NOTIFY = text(f"SELECT pg_notify('{CHANNEL}', '')")


class RelayBell:
    """A NOTIFY inside each transaction would serialise their commits: one for many, after them, does not."""

    def __init__(self, relay: Relay, engine: AsyncEngine) -> None:
        self._relay = relay
        self._engine = engine
        self._task: asyncio.Task[None] | None = None

    def ring(self) -> None:
        """There are new rows, committed."""
        if self._relay.holds:
            self._relay.wake()
        elif self._task is None or self._task.done():
            self._task = asyncio.create_task(self._notify())

    async def _notify(self) -> None:
        await asyncio.sleep(_DEBOUNCE_SECONDS)
        # The relay's slow poll finds what a lost notification would have told.
        with contextlib.suppress(Exception):
            async with self._engine.begin() as connection:
                await connection.execute(_NOTIFY)
