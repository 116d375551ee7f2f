"""One batch, one transaction: as many records as fit, cut where they take too long, narrowed where one is refused."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

import structlog

from kintsugi.clock import BusinessClock
from kintsugi.envelope import Parsed
from kintsugi.failpoints import reach
from kintsugi.service import S
from kintsugi.shell.consuming import Consuming
from kintsugi.shell.core import Core
from kintsugi.shell.faults import Fault, classify
from kintsugi.store.rows import Record
from kintsugi.vault import Wanted

log = structlog.get_logger("kintsugi.shell")

HANDLER_SECONDS = 0.25
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Batch:
    """What was committed: the first ``count`` records, and the position of each partition after them."""

    count: int
    positions: Mapping[Place, int]


class Batches(Generic[S]):
    """Runs records through the service. One at a time per consumer; its size follows what the database bears."""

    def __init__(self, core: Core[S], clock: BusinessClock, size: int) -> None:
        self._core = core
        self._clock = clock
        self._most = size
        self._size = size

    async def run(self, records: Sequence[Record], positions: Mapping[Place, int]) -> Batch:
        """Commits a first part of ``records``, at least one, and says how many.

        ``positions`` are the next offsets as this process knows them. Raises StaleUnit where another process moved
        them, and the database's own errors where it is away: nothing of the batch is then committed.
        """
        chunk = records[: self._size]
        try:
            batch = await self._attempt(chunk, positions, frozenset())
        except Exception as error:
            fault = classify(error)
            self._size = max(1, self._size // 2)
            self._core.metrics.batch_aborted(fault.name)
            if fault is not Fault.refused:
                raise
            return await self._narrow(chunk, positions)
        # A batch that was cut for time sets the size of the next: what is not reached would be read for nothing.
        self._size = max(16, batch.count) if batch.count < len(chunk) else min(self._most, self._size * 2)
        return batch

    async def _narrow(self, records: Sequence[Record], positions: Mapping[Place, int]) -> Batch:
        """The database refused something in these: halves them until one record's subject is left, and holds it."""
        while len(records) > 1:
            records = records[: len(records) // 2]
            try:
                return await self._attempt(records, positions, frozenset())
            except Exception as error:
                if classify(error) is not Fault.refused:
                    raise
        envelope = self._core.parsed(records[0]).envelope
        refused = frozenset({envelope.subject} if envelope else ())
        log.error("database_refused", subject=next(iter(refused), None), topic=records[0].topic)
        return await self._attempt(records, positions, refused)

    async def _attempt(
        self, records: Sequence[Record], positions: Mapping[Place, int], refuse: frozenset[str]
    ) -> Batch:
        core = self._core
        started = time.perf_counter()
        parsed = [core.parsed(record) for record in records]
        keys = await core.fetch_keys(*_keys(core, parsed))
        async with core.engine.begin() as connection:
            unit: Consuming[S] = Consuming(core, connection, await self._clock.now(connection), refuse=refuse)
            unit.vault.keys.update(keys)
            subjects = {each.envelope.subject for each in parsed if each.envelope}
            await unit.load(filter(core.keeps, subjects), create=True)
            reach("consume.locked")
            count = 0
            deadline = time.perf_counter() + HANDLER_SECONDS
            for record, said in zip(records, parsed, strict=True):
                await unit.take(record, said)
                count += 1
                if time.perf_counter() > deadline:
                    break
            reach("consume.decided")
            following = {(record.topic, record.partition): record.offset + 1 for record in records[:count]}
            moves = [(*place, positions[place], offset) for place, offset in following.items()]
            await unit.write(moves)
        reach("consume.committed")
        unit.end_spans()
        core.remember(unit.subjects)
        for topic, number in Counter(record.topic for record in records[:count]).items():
            core.metrics.consumed(topic, number)
        core.metrics.batch(count, time.perf_counter() - started)
        for (status, cause), number in Counter((row.status, row.cause or "") for row in unit.out.inputs).items():
            core.metrics.inputs(status, cause, number)
        core.after_commit(emitted=bool(unit.out.own), owed=unit.owes)
        return Batch(count, {**positions, **following})


def _keys(core: Core[S], parsed: Sequence[Parsed]) -> tuple[set[Wanted], set[Wanted]]:
    """The keys that the handlers of these records declare: to read, and to seal with."""
    reads: set[Wanted] = set()
    seals: set[Wanted] = set()
    for each in parsed:
        model = core.catalog.by_type(each.envelope.type) if each.envelope else None
        handler = core.service.events.get(model) if model else None
        if handler is not None and each.envelope is not None and core.keeps(each.envelope.subject):
            reads.update((each.envelope.subject, str(purpose)) for purpose in handler.reads)
            seals.update((each.envelope.subject, str(purpose)) for purpose in handler.seals)
    return reads, seals
