"""What stands now, as gauges: read from the database and the consumer, in every process and whoever relays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from kintsugi.operations import queries
from kintsugi.runtime.loops import Beat
from kintsugi.shell.core import Core

log = structlog.get_logger("kintsugi.runtime")

FIGURES_SECONDS = 5.0
LAG_SECONDS = 5.0


class Figures:
    """Sets the gauges of one service. ``lag`` is the consumer's: records not yet read, by topic."""

    def __init__(self, core: Core[Any], lag: Callable[[], Awaitable[dict[str, int]]]) -> None:
        self._core = core
        self._lag = lag

    async def set(self, _beat: Beat) -> bool:
        """Reads and sets all of them. Raises where the database is away; without Kafka the lag stays as it was."""
        metrics = self._core.metrics
        async with self._core.reading.connect() as connection:
            found = await queries.standing(connection)
        metrics.set_outbox(found.unsent, found.oldest_age_s)
        metrics.set_held(found.held)
        metrics.set_waiting(found.waiting)
        metrics.set_dead_letters(found.dead_letters)
        try:
            async with asyncio.timeout(LAG_SECONDS):
                lag = await self._lag()
        except Exception as error:
            log.debug("lag_unknown", error=type(error).__name__)
            return False
        # A topic whose partitions all went to other processes is not behind here.
        for topic in self._core.topics:
            metrics.set_lag(topic, lag.get(topic, 0))
        return False
