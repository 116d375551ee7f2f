"""The relay's heart beats while the database is away: waiting for it is no reason to end the process."""

import asyncio
from typing import Any

from kintsugi.kafka import Cluster
from kintsugi.relay import Brokers, Relay


async def test_the_relays_heart_beats_while_the_database_is_away() -> None:
    nothing: Any = None
    relay = Relay("postgresql://nobody@127.0.0.1:1/none", Brokers(Cluster("127.0.0.1:1"), "test"), nothing, nothing)
    beats = asyncio.Semaphore(0)
    relay.beat = beats.release
    running = asyncio.create_task(relay.run())
    async with asyncio.timeout(5):
        for _ in range(3):
            await beats.acquire()
    relay.stop()
    await running
