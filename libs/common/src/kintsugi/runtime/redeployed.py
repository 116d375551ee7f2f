"""After a deployment, what an older release could not handle is tried once more: slowly, and only while it works."""

from __future__ import annotations

from importlib.metadata import entry_points, version
from typing import Any

import structlog
from kintsugi_contracts.causes import Cause
from sqlalchemy import text

from kintsugi.http.problems import Problem
from kintsugi.operations.repair import Repair
from kintsugi.runtime.loops import Beat
from kintsugi.shell.core import Core
from kintsugi.store.rows import load_hold

log = structlog.get_logger("kintsugi.runtime")

RELEASE_EVERY_SECONDS = 1.0
BY = "timer"

_CHANGED = text("""
INSERT INTO service_facts (name, value) VALUES ('release', :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE service_facts.value <> excluded.value
RETURNING 1
""")
_HELD = text("SELECT subject, hold FROM subjects WHERE status = 'held' ORDER BY held_since, subject")


def release_of(name: str, fold_version: int) -> str:
    """What runs here: the versions of the service and of the kit, and of the fold."""
    own = [point.dist.version for point in entry_points(group="kintsugi.services", name=name) if point.dist]
    return f"{'+'.join(own) or 'unknown'} kit {version('kintsugi-common')} fold {fold_version}"


class Redeployed:
    """Releases the subjects that stood still at a raising handler when another release started, one a second.

    Each gets one try. The first that is held again ends it: the others would be too, and an operator looks first.
    Of several processes the one that finds the release changed does it.
    """

    def __init__(self, core: Core[Any], repair: Repair[Any], release: str) -> None:
        self._core = core
        self._repair = repair
        self._release = release
        self._left: list[str] | None = None

    async def step(self, _beat: Beat) -> bool:
        """The next subject, if there is one. Raises where the database is away, and is then repeated."""
        if self._left is None:
            self._left = await self._standing()
        if not self._left:
            return False
        subject = self._left[0]
        try:
            said = await self._repair.release(subject, BY)
        except Problem as problem:
            log.info("not_released", subject=subject, cause=problem.code)
            said = {}
        self._left.pop(0)
        if said.get("held_again"):
            log.warning("held_again", subject=subject, cause=said["held_again"], waiting=len(self._left))
            self._left = []
        elif said:
            log.info("released", subject=subject)
        return False

    async def _standing(self) -> list[str]:
        async with self._core.engine.begin() as connection:
            if (await connection.execute(_CHANGED, {"value": self._release})).first() is None:
                return []
            rows = (await connection.execute(_HELD)).all()
        holds = [(row.subject, load_hold(row.hold)) for row in rows]
        return [subject for subject, hold in holds if hold is not None and hold.cause is Cause.handler_raised]
