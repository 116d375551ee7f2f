"""Deadlines: fired once each, in order, and only when no answer can still be on its way in a topic."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic

from kintsugi_contracts.causes import Cause
from sqlalchemy import text

from kintsugi.agenda import Deadline
from kintsugi.clock import BusinessClock
from kintsugi.failpoints import reach
from kintsugi.service import S
from kintsugi.shell.core import Core
from kintsugi.shell.faults import TRANSIENT, Fault, classify
from kintsugi.shell.unit import Loaded, Unit
from kintsugi.turn import AgendaStuck, Causation

LATEST = timedelta(minutes=5)
"""A deadline waits at most this long for the topics to be read to their end; then it fires and raises an alarm."""

_DUE = text("""
SELECT a.subject, a.name, a.due_at,
       NOT EXISTS (SELECT FROM positions p WHERE p.partition = a.partition AND p.topic = ANY(CAST(:topics AS text[]))
                   AND coalesce(p.read_to_end_business < a.due_at, true)) AS read_to_end
FROM agenda a JOIN subjects s USING (subject)
WHERE a.kind = 'deadline' AND a.due_at <= :now AND s.status = 'ok'
ORDER BY a.due_at, a.subject, a.name LIMIT 200
""")


@dataclass(frozen=True, slots=True)
class Due:
    """A deadline whose time has come. ``overtaken``: it no longer waits for the topics to be read to their end."""

    subject: str
    name: str
    at: datetime
    overtaken: bool


class Deadlines(Generic[S]):
    """Finds what is due and runs it, one subject and one transaction each."""

    def __init__(self, core: Core[S], clock: BusinessClock) -> None:
        self._core = core
        self._clock = clock

    async def due(self) -> list[Due]:
        """What may fire now, oldest first. Held and waiting subjects are left out until they go on."""
        async with self._core.reading.connect() as connection:
            now = await self._clock.now(connection)
            found = (await connection.execute(_DUE, {"now": now, "topics": self._core.topics})).mappings().all()
        late = datetime.now(UTC) - LATEST
        ready: list[Due] = []
        for row in found:
            overtaken = not row["read_to_end"] and not self._clock.movable and row["due_at"] < late
            if row["read_to_end"] or overtaken:
                ready.append(Due(row["subject"], row["name"], row["due_at"].astimezone(UTC), overtaken))
        oldest = min((row["due_at"] for row in found), default=None)
        seconds = (now - oldest).total_seconds() if oldest and not self._clock.movable else 0.0
        self._core.metrics.set_deadlines_overdue(seconds)
        return ready

    async def fire(self, due: Due) -> bool:
        """Runs one deadline. False when it was no longer owed, or its subject stands still."""
        core = self._core
        async with core.engine.begin() as connection:
            unit = Unit(core, connection, await self._clock.now(connection))
            await unit.load([due.subject], create=False)
            loaded = unit.subjects.get(due.subject)
            if loaded is None or loaded.stands or loaded.held or loaded.subject.progress.waiting:
                return False
            if loaded.agenda_before.get(due.name) != Deadline(at=due.at):
                return False
            await self._step(unit, loaded, due)
            await unit.write()
            reach("timer.picked")
        reach("timer.committed")
        unit.end_spans()
        core.after_commit(emitted=bool(unit.out.own), owed=True)
        return True

    async def _step(self, unit: Unit[S], loaded: Loaded[S], due: Due) -> None:
        span = self._core.tracing.root(
            f"deadline {due.name.partition('/')[0]}", "internal", [loaded.subject.progress.trace]
        )
        id_ = f"deadline/{uuid.uuid4()}"
        causation = Causation(id_, 0, unit.creator(span, None))
        try:
            step = await unit.stepped(lambda: unit.stepper.deadline(loaded.subject, due.name, due.at, causation))
        except TRANSIENT:
            raise
        except Exception as error:
            if classify(error) is Fault.away:
                raise
            stuck = isinstance(error, AgendaStuck)
            self._core.log_raised(error, type_=due.name.partition("/")[0])
            cause = Cause.agenda_stuck if stuck else Cause.handler_raised
            unit.hold(loaded, "deadline", self._core.name, 0, id_, due.name, cause)
            return
        if span is not None:
            unit.spans.append(span)
        unit.became(loaded, *step, span.traceparent if span else None)
