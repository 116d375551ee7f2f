"""Where reading begins: after an assignment, after a batch that was rolled back, beside a partition set aside."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from kintsugi.kafka import Cluster
from kintsugi.shell.batches import Batch
from kintsugi.shell.core import StaleUnit
from kintsugi.store.rows import Record
from kintsugi.transport import Consumption

PLACE = TopicPartition("xa.intake.v1", 7)
OTHER = TopicPartition("xa.assessment.v1", 7)


class _Client:
    """The consumer underneath, as far as these tests need it."""

    def __init__(self, *places: TopicPartition, highwater: int = 1_000) -> None:
        self.places = set(places)
        self.stopped: set[TopicPartition] = set()
        self.sought: dict[TopicPartition, int] = {}
        self.high = highwater

    def assignment(self) -> set[TopicPartition]:
        return self.places

    def paused(self) -> set[TopicPartition]:
        return set(self.stopped)

    def pause(self, *places: TopicPartition) -> None:
        self.stopped |= set(places)

    def resume(self, *places: TopicPartition) -> None:
        self.stopped -= set(places)

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.sought[place] = offset

    def highwater(self, _place: TopicPartition) -> int:
        return self.high


class _Result:
    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def all(self) -> list[Any]:
        return self._rows


class _Database:
    """Answers the position of PLACE after a moment, as a database does."""

    def __init__(self, at: int) -> None:
        self.at = at

    def begin(self) -> _Database:
        return self

    connect = begin

    async def __aenter__(self) -> _Database:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def execute(self, *_: object) -> _Result:
        await asyncio.sleep(0.05)
        row = SimpleNamespace(topic=PLACE.topic, partition=PLACE.partition, next_offset=self.at)
        return _Result([row])


class _Batches:
    def __init__(self) -> None:
        self.offsets: list[int] = []

    async def run(self, records: list[Record], _positions: object) -> Batch:
        self.offsets += [record.offset for record in records]
        return Batch(len(records), {})


def _consumption(client: _Client, batches: Any, at: int = 0) -> Consumption[Any]:
    core = SimpleNamespace(
        topics=[],
        group="xa.referral",
        clock_moved=[],
        end_wanted=[],
        engine=_Database(at),
        circuit=SimpleNamespace(open_for=None),
    )
    nowhere = Cluster("127.0.0.1:1")
    made: Consumption[Any] = Consumption(core, None, batches, nowhere, batch_size=500, session_timeout_ms=6000)  # type: ignore[arg-type]
    made._subscriber = SimpleNamespace(consumer=client)  # type: ignore[assignment]

    async def _no_report(**_: object) -> None:
        return None

    made._report = _no_report  # type: ignore[method-assign]
    return made


def _record(offset: int) -> Record:
    return Record(PLACE.topic, PLACE.partition, offset, b"k", b"v", [], offset)


async def test_records_polled_before_the_seek_are_not_taken_after_it() -> None:
    """Kafka's group offset is 500, the database (restored, recovered) says 300: aiokafka fetches from 500 while the
    listener still asks the database, and what it fetched must not pass over 300..499."""
    batches = _Batches()
    consumption = _consumption(_Client(PLACE), batches, at=300)
    assigning = asyncio.create_task(consumption.assigned([PLACE]))
    await asyncio.sleep(0.01)
    await consumption._take([_record(offset) for offset in range(500, 550)])
    await assigning
    assert batches.offsets == [], f"took from {batches.offsets[0]} although the position is 300: 300..499 are lost"


async def test_a_stale_batch_is_read_again_even_where_the_database_fails_at_that_moment() -> None:
    """Another process moved assessment/7, so the batch was rolled back; what it held of intake/7 was not committed."""

    class Stale(_Batches):
        async def run(self, records: list[Record], positions: object) -> Batch:
            if not self.offsets:
                self.offsets.append(-1)
                raise StaleUnit("positions")
            return await super().run(records, positions)

    client, batches = _Client(PLACE), Stale()
    consumption = _consumption(client, batches)
    consumption._positions = {PLACE: 500}

    async def away(*_: object) -> None:
        raise ConnectionResetError

    consumption._to_positions = away  # type: ignore[method-assign, assignment]
    await consumption._take([_record(offset) for offset in range(500, 600)])
    again = client.sought.get(PLACE, 600)  # without a seek the client goes on behind what it gave
    await consumption._take([_record(offset) for offset in range(again, again + 10)])
    assert batches.offsets[1:2] in ([], [500]), "500..599 of intake/7 are never read, and its position passes them"


async def test_a_partition_set_aside_does_not_stop_its_siblings() -> None:
    client = _Client(PLACE, OTHER)
    consumption = _consumption(client, _Batches())
    consumption._unreadable.add(OTHER)
    client.pause(OTHER)
    consumption._positions = {PLACE: 500, OTHER: 10}
    consumption._times = {PLACE: 60_000, OTHER: 1_000}
    consumption._level()
    assert PLACE not in client.paused(), "intake/7 stands still for ever because assessment/7 cannot be read"
