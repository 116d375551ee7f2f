"""How a producer is ended so that nothing of it goes on."""

from __future__ import annotations

import asyncio
import contextlib

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError


async def end(producer: AIOKafkaProducer, *, within: float) -> None:
    """Ends a producer together with what it has not sent; each of its parts within so many seconds. Never raises.

    The client's own ``stop`` waits until everything has left: given up while the broker is away, it would leave a task
    behind that tries for ever and sends when the broker is back. So the task that sends is ended first, which takes
    names that are not public, and what waits for it fails.
    """
    with contextlib.suppress(Exception):
        async with asyncio.timeout(within):
            await producer._sender.close()
    unsent = producer._message_accumulator
    # The client forgets to note a batch that it is to send again, and stumbles over it when it ends.
    unsent._pending_batches.update(batch for batches in unsent._batches.values() for batch in batches)
    unsent.fail_all(KafkaConnectionError())
    for close in (producer.stop, producer.client.close):
        with contextlib.suppress(Exception):
            async with asyncio.timeout(within):
                await close()
