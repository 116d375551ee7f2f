"""The loops of a process: their hearts beat through slow work, and a stop leaves no message half sent."""

import asyncio
import uuid
from itertools import pairwise
from typing import Any

import pytest
from kintsugi.runtime import loops
from kintsugi.runtime.loops import Loop, Owed, wind_down


class Claimed:
    def __init__(self, subject: str) -> None:
        self.subject = subject


class Sends:
    """A gateway of which every message takes its time."""

    def __init__(self, waiting: int, *, claiming: float = 0.0, sending: float = 0.0, settling: int = 0) -> None:
        self.waiting = [(f"case/{n}", "survivor_notice/x") for n in range(waiting)]
        self.left = [uuid.uuid4() for _ in range(settling)]
        self.claiming, self.sending = claiming, sending
        self.claimed = self.sent = self.at_once = self.most = 0
        self.all_sent = asyncio.Event()

    async def unsettled(self) -> list[uuid.UUID]:
        return self.left

    async def settle(self, claim: uuid.UUID) -> None:
        await asyncio.sleep(0.05)
        self.left = [each for each in self.left if each != claim]

    async def runnable(self) -> list[tuple[str, str]]:
        return list(self.waiting)

    async def claim(self, subject: str, name: str) -> Any:
        await asyncio.sleep(self.claiming)
        self.claimed += 1
        self.waiting.remove((subject, name))
        return Claimed(subject)

    async def deliver(self, _claimed: Any) -> None:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(self.sending)
        self.at_once -= 1
        self.sent += 1
        if not self.waiting and not self.at_once:
            self.all_sent.set()


def running(sends: Sends) -> tuple[Owed[Any], Loop, list[float], asyncio.Task[None]]:
    owed: Owed[Any] = Owed(None, sends, None)  # type: ignore[arg-type]
    loop = Loop("sends", owed.send, 0.05)
    beats: list[float] = []
    loop.beat = lambda: beats.append(asyncio.get_running_loop().time())
    return owed, loop, beats, asyncio.create_task(loop.run())


async def test_the_senders_heart_beats_while_a_gateway_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "SLOT_SECONDS", 0.05)
    sends = Sends(30, sending=0.3)
    owed, loop, beats, task = running(sends)
    await asyncio.wait_for(sends.all_sent.wait(), 10)
    await wind_down([loop], [task], owed, ending_s=1, sending_s=1)
    assert (sends.sent, sends.most) == (30, loops.AT_ONCE)
    assert max(after - before for before, after in pairwise(beats)) < 0.2, "less than one message takes"


async def test_the_senders_heart_beats_between_the_claims_it_settles() -> None:
    _, loop, beats, task = running(Sends(0, settling=20))
    await asyncio.sleep(0.5)
    loop.stop()
    await task
    assert len(beats) >= 5
    assert max(after - before for before, after in pairwise(beats)) < 0.3


async def test_a_stop_waits_for_the_message_that_was_claimed_while_it_began() -> None:
    sends = Sends(5, claiming=0.2, sending=0.3)
    owed, loop, _, task = running(sends)
    await asyncio.sleep(0.1)
    await wind_down([loop], [task], owed, ending_s=2, sending_s=2)
    assert sends.claimed == sends.sent == 1


async def test_a_loop_that_does_not_end_in_time_claims_nothing_more() -> None:
    sends = Sends(5, claiming=30)
    owed, loop, _, task = running(sends)
    await asyncio.sleep(0.05)
    await wind_down([loop], [task], owed, ending_s=0.1, sending_s=0.1)
    assert task.done()
    assert sends.claimed == 0
