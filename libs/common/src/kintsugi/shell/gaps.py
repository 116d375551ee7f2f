"""Waits that have outlived the reading of their topics: what they wait for may never come, so a person must know."""

from __future__ import annotations

from typing import Generic

from sqlalchemy import text

from kintsugi.clock import BusinessClock
from kintsugi.service import S
from kintsugi.shell.consuming import Consuming
from kintsugi.shell.core import Core
from kintsugi.subject import gap_cause

OUTLIVED_SECONDS = 5

_OUTLIVED = text("""
SELECT s.subject FROM subjects s
WHERE s.status = 'waiting' AND s.waiting_since < now() - make_interval(secs => :seconds)
  AND NOT EXISTS (SELECT FROM positions p WHERE p.partition = s.partition AND p.topic = ANY(CAST(:topics AS text[]))
                  AND coalesce(p.read_to_end < s.waiting_since + make_interval(secs => :seconds), true))
ORDER BY s.waiting_since LIMIT 50
""")


class Gaps(Generic[S]):
    """Turns outlived waits into holds."""

    def __init__(self, core: Core[S], clock: BusinessClock) -> None:
        self._core = core
        self._clock = clock

    async def outlived(self) -> list[str]:
        """Subjects that have waited for five seconds although every topic they wait for was read to its end since."""
        async with self._core.reading.connect() as connection:
            rows = await connection.execute(_OUTLIVED, {"seconds": OUTLIVED_SECONDS, "topics": self._core.topics})
            return [row.subject for row in rows]

    async def hold(self, subject: str) -> bool:
        """Holds a subject at the first of its waiting inputs. False when it goes on after all."""
        async with self._core.engine.begin() as connection:
            unit: Consuming[S] = Consuming(self._core, connection, await self._clock.now(connection))
            await unit.load([subject], create=False)
            loaded = unit.subjects[subject]
            await unit.drain(loaded)
            held = False
            if loaded.subject.progress.waiting and loaded.held is None and not loaded.blocked:
                queued = await unit.lines_of(loaded).first(connection, sorted(self._core.sources))
                if queued is not None:
                    envelope = queued.envelope
                    cause = gap_cause(envelope, loaded.subject.progress)
                    at = (envelope.service, envelope.sequence, envelope.id, envelope.type)
                    unit.hold(loaded, "event", *at, cause, unit.caused_by(envelope))
                    held = True
            await unit.write()
        unit.end_spans()
        self._core.after_commit(emitted=held, owed=held)
        return held
