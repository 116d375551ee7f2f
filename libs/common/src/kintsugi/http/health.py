"""Whether a service can take work: named checks that answer with a reason code, and a state for start and stop."""

import asyncio
from collections.abc import Awaitable, Callable

Check = Callable[[], Awaitable[str | None]]
"""Answers None when all is well, else a short reason code. It may raise or hang: both count as not ready."""

_LIMIT_S = 1.5


class Health:
    """The readiness of one service. It starts as `starting`; the runtime opens and closes it."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._closed: str | None = "starting"

    def check(self, name: str, check: Check) -> None:
        """Register a check under a name that appears in `/readyz`."""
        self._checks[name] = check

    def open(self) -> None:
        """Start-up has ended: readiness follows the checks from now on."""
        self._closed = None

    def close(self, reason: str) -> None:
        """Answer not ready with `reason` (`draining`, `recovering`) whatever the checks say."""
        self._closed = reason

    async def reasons(self) -> dict[str, str]:
        """What keeps the service from being ready, by check; empty when it is ready. Takes at most 1.5 seconds."""
        if self._closed is not None:
            return {"service": self._closed}
        names = list(self._checks)
        results = await asyncio.gather(*(self._run(self._checks[name]) for name in names))
        return {name: reason for name, reason in zip(names, results, strict=True) if reason is not None}

    @staticmethod
    async def _run(check: Check) -> str | None:
        try:
            async with asyncio.timeout(_LIMIT_S):
                return await check()
        except TimeoutError:
            return "no_answer_in_time"
        except Exception as error:
            return f"failed_{type(error).__name__.lower()}"
