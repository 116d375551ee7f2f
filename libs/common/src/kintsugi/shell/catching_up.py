"""Brings a release's views to their subjects: all at its start, and then what another release writes beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Generic

import structlog

from kintsugi.service import S
from kintsugi.shell.core import Core, SubjectFault
from kintsugi.shell.faults import Fault, classify
from kintsugi.shell.view_writing import ViewWriter
from kintsugi.store import statements as sql
from kintsugi.store.view_tables import SAID_EVERY, behind, drop_old, others, writes
from kintsugi.views import Rows

log = structlog.get_logger("kintsugi.shell")

LOOK_SECONDS = 2.0
"""Between two passes while another release writes: how far a row may be behind, and the time of the pass."""
ALONE_SECONDS = 60.0
PAGE = 1000
CHUNK = 200
"""Subjects that one transaction locks; whoever wants one of them waits for so many."""


class CatchUp(Generic[S]):
    """A pass goes through all subjects, in pages, and writes the rows of those that are behind.

    The first pass fills the tables. Later ones come every two seconds while another release of the service runs, and
    every minute when none does. ``filled`` is set when the first has ended. ``machine_now`` is for tests.
    """

    def __init__(self, core: Core[S], machine_now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._core = core
        self._now = machine_now
        self.filled = asyncio.Event()
        self._said: datetime | None = None
        self._beside = False
        self._after: str | None = None
        self._again_at = 0.0
        self._refused: set[str] = set()

    async def step(self, beat: Callable[[], None]) -> bool:
        """One page of a pass, where one is due; whether there is more at once."""
        if not self._core.views.tables:
            self.filled.set()
            return False
        if self._after is None:
            if not await self._due():
                return False
            self._after = ""
        async with self._core.engine.connect() as connection:
            rows = (await connection.execute(behind(self._core.views), {"after": self._after, "most": PAGE})).all()
        subjects = [row.subject for row in rows if row.subject is not None and row.subject not in self._refused]
        for begin in range(0, len(subjects), CHUNK):
            beat()
            await self._bring(subjects[begin : begin + CHUNK])
        if rows[0].last is not None:
            self._after = rows[0].last
            return True
        self._after, self._again_at = None, time.monotonic() + ALONE_SECONDS
        if not self.filled.is_set():
            log.info("views_filled", service=self._core.name, without=len(self._refused))
            self.filled.set()
        return False

    async def _due(self) -> bool:
        now, views = self._now(), self._core.views
        async with self._core.engine.begin() as connection:
            if self._said is None or now - self._said >= SAID_EVERY:
                await writes(connection, views, now)
                self._said = now
            beside = await others(connection, self._core.name, views, now)
            dropped = await drop_old(connection, views, now) if self.filled.is_set() else []
        for name in dropped:
            log.info("view_table_dropped", service=self._core.name, name=name)
        was_beside, self._beside = self._beside, beside  # what it wrote last may have come after the last pass
        return beside or was_beside or not self.filled.is_set() or time.monotonic() >= self._again_at

    async def _bring(self, subjects: Sequence[str]) -> None:
        """One transaction; where the rows of one subject cannot be had, the others' are written without it."""
        try:
            await self._written(subjects)
        except Exception as error:
            if classify(error) is not Fault.refused:
                raise
            if len(subjects) > 1:
                for subject in subjects:
                    await self._bring([subject])
                return
            self._refused.add(subjects[0])
            log.error("view_rows_refused", subject=subjects[0], error=type(error).__name__)

    async def _written(self, subjects: Sequence[str]) -> None:
        async with self._core.engine.begin() as connection:
            locked = (await connection.execute(sql.LOCK, {"subjects": list(subjects)})).all()
            rows = {row.subject: self._rows(row.subject, row.state) for row in locked}
            await ViewWriter(self._core.views, connection).replace(rows, {row.subject: row.version for row in locked})

    def _rows(self, subject: str, state: str) -> Rows:
        try:
            return self._core.views.of(subject, self._core.service.state.model_validate_json(state))
        except Exception as error:
            self._core.log_raised(error, type_="views")
            raise SubjectFault(subject) from error
