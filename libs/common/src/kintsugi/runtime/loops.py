"""The work that no record starts: deadlines that come due, messages that are owed, waits that last too long."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Generic

import structlog

from kintsugi.service import S
from kintsugi.shell.deadlines import Deadlines
from kintsugi.shell.faults import Fault, classify
from kintsugi.shell.gaps import Gaps
from kintsugi.shell.sends import Claimed, Sends

log = structlog.get_logger("kintsugi.runtime")

AT_ONCE = 8
GAP_SECONDS = 1.0
SLOT_SECONDS = 1.0

Beat = Callable[[], None]
"""Says that a loop is alive."""


class Loop:
    """Repeats a piece of work: at once when woken, else every ``seconds``. Failures back off and never end it."""

    def __init__(self, name: str, work: Callable[[Beat], Awaitable[bool]], seconds: float) -> None:
        self.name = name
        self._work = work
        self._seconds = seconds
        self._woken = asyncio.Event()
        self._stopping = False
        self.beat: Beat = lambda: None

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    def stop(self) -> None:
        """Asks :meth:`run` to end after the piece it is at."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """``work`` says whether there may be more at once. It beats between the subjects it goes through."""
        wait = 0.1
        while not self._stopping:
            self.beat()
            self._woken.clear()
            try:
                if await self._work(self.beat):
                    wait = 0.1
                    continue
                pause = self._seconds
            except Exception as error:
                if classify(error) is Fault.defect:
                    log.error("loop_raised", name=self.name, error=type(error).__name__, exc_info=error)
                else:
                    log.warning("loop_waits", name=self.name, error=type(error).__name__)
                pause = wait * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
                wait = min(wait * 2, 5.0)
            if not self._stopping:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._woken.wait()


class Owed(Generic[S]):
    """The three pieces of work of one service, each for a :class:`Loop`."""

    def __init__(self, deadlines: Deadlines[S], sends: Sends[S], gaps: Gaps[S]) -> None:
        self._deadlines = deadlines
        self._sends = sends
        self._gaps = gaps
        self._under_way: set[asyncio.Task[None]] = set()
        self.stopping = False

    async def fire(self, beat: Beat) -> bool:
        """Fires what is due, oldest first."""
        fired = False
        for due in await self._deadlines.due():
            if self.stopping:
                return False
            beat()
            if due.overtaken:
                log.error("deadline_overtaken", subject=due.subject)
            with self._one_subject(due.subject):
                fired = await self._deadlines.fire(due) or fired
        return fired

    async def send(self, beat: Beat) -> bool:
        """Settles what was left behind, then claims and sends what may leave, eight at once.

        The pass ends where eight slow ones are still under way: the next one takes up what is left.
        """
        for claim in await self._sends.unsettled():
            beat()
            with self._one_subject(None):
                await self._sends.settle(claim)
        claimed_any = False
        for subject, name in await self._sends.runnable():
            beat()
            if not await self._has_slot() or self.stopping:
                return False
            claimed: Claimed | None = None
            with self._one_subject(subject):
                claimed = await self._sends.claim(subject, name)
            if claimed is None:
                continue
            claimed_any = True
            task = asyncio.create_task(self._deliver(claimed))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return claimed_any

    async def _has_slot(self) -> bool:
        if len(self._under_way) >= AT_ONCE:
            await asyncio.wait(self._under_way, timeout=SLOT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        return len(self._under_way) < AT_ONCE

    async def look_for_gaps(self, beat: Beat) -> bool:
        """Holds subjects whose wait has outlived the reading of their topics."""
        for subject in await self._gaps.outlived():
            beat()
            held = False
            with self._one_subject(subject):
                held = await self._gaps.hold(subject)
            if held:
                log.error("wait_became_a_hold", subject=subject)
        return False

    @staticmethod
    @contextlib.contextmanager
    def _one_subject(subject: str | None) -> Iterator[None]:
        """What fails for one subject is said and passed over, so that the others are served; the machinery's own
        failures go on to the loop, which backs off."""
        try:
            yield
        except Exception as error:
            if classify(error) in (Fault.away, Fault.stale):
                raise
            log.error("subject_failed", subject=subject, error=type(error).__name__, exc_info=error)

    async def settle_down(self, seconds: float) -> None:
        """Waits for messages that are being sent; what is left is settled by the next process."""
        self.stopping = True
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=seconds)

    async def _deliver(self, claimed: Claimed) -> None:
        try:
            await self._sends.deliver(claimed)
        except Exception as error:
            # The outcome could not be stored; the lease runs out and the attempt is settled as unknown or repeated.
            log.warning("outcome_not_stored", error=type(error).__name__, subject=claimed.subject)


async def wind_down(
    loops: Sequence[Loop], tasks: Sequence[asyncio.Task[None]], owed: Owed[S], *, ending_s: float, sending_s: float
) -> None:
    """Ends the loops, which ``tasks`` run, and then waits for what they sent last.

    In this order, since a pass that has not ended may still claim a message: it would be cut off while it is sent.
    """
    owed.stopping = True
    for loop in loops:
        loop.stop()
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=ending_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await owed.settle_down(sending_s)
