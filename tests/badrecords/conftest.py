"""One run for all tests of this folder: every case of the table is put on the topics, and the service comes to rest."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from kintsugi.partitioning import PARTITIONS

from tests.badrecords.office import running
from tests.badrecords.producing import Producing, producing
from tests.badrecords.records import STORIES, Case, Draft, Story, good_story
from tests.badrecords.repairs import REPAIRS
from tests.badrecords.run import Account, Aftermath, Put, Stand
from tests.infrastructure import Infrastructure

GOOD_CASES = 120
REST_SECONDS = 60.0


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def aftermath(
    infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Aftermath]:
    """What stands in the service's database once everything was consumed, and the office as it still runs."""
    folder: Path = tmp_path_factory.mktemp("badrecords")
    async with running(infrastructure, folder) as office, producing(infrastructure.cluster, office.country) as to:
        stories = {name: make(Case(office.country)) for name, make in STORIES.items()}
        good = {f"good {number}": good_story(Case(office.country)) for number in range(GOOD_CASES)}
        repairs = {name: make(Case(office.country)) for name, make in REPAIRS.items()}
        found = Aftermath(office, to, stories, good, repairs)
        found.put = await _put_all(to, {**stories, **good, **repairs})
        await _until_at_rest(found)
        await _look(found)
        yield found


async def _put_all(to: Producing, stories: dict[str, Story]) -> list[Put]:
    """All openings, then all odd records, then all followers: between two of one case lie those of all others."""
    put: list[Put] = []
    # The good cases come between the odd ones, not behind them.
    names = sorted(stories, key=lambda name: stories[name].case.subject)
    for part in ("before", "odd", "after"):
        drafts: list[tuple[str, Draft]] = [(name, draft) for name in names for draft in getattr(stories[name], part)]
        places = await to.put([draft for _, draft in drafts])
        put.extend(Put(name, part, draft, place) for (name, draft), place in zip(drafts, places, strict=True))
    return put


async def _until_at_rest(found: Aftermath) -> None:
    """Until every record is accounted for and every wait has ended or become a hold."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + REST_SECONDS
    while True:
        [(accounted, waiting)] = await found.office.rows(
            "SELECT (SELECT count(*) FROM inputs), (SELECT count(*) FROM subjects WHERE status = 'waiting')"
        )
        [(unsent,)] = await found.office.rows("SELECT count(*) FROM outbox")
        if accounted >= len(found.put) and not waiting and not unsent:
            return
        assert found.office.alive, f"referral ended: see {found.office.log}"
        assert loop.time() < deadline, (
            f"not at rest after {REST_SECONDS:.0f} s: {accounted} of {len(found.put)} records are accounted for, "
            f"{waiting} cases wait, {unsent} events are unsent; see {found.office.log}"
        )
        await asyncio.sleep(0.2)


async def _look(found: Aftermath) -> None:
    rows = await found.office.rows("SELECT * FROM inputs")
    found.accounts = [Account(**{name: row[name] for name in Account.__dataclass_fields__}) for row in rows]
    for row in await found.office.rows("SELECT subject, status, hold, waiting, state FROM subjects"):
        found.stands[row["subject"]] = Stand.of(row["status"], row["hold"], row["waiting"], row["state"])
    own = await found.office.rows("SELECT subject, type FROM published UNION ALL SELECT subject, type FROM outbox")
    found.own = [(row["subject"], row["type"]) for row in own]
    found.on_topics = await _count(found)


async def _count(found: Aftermath) -> dict[str, int]:
    """Records on each topic that the service reads, as the broker says."""
    consumer = AIOKafkaConsumer(**found.office.cluster.client())
    await consumer.start()
    try:
        counts: dict[str, int] = {}
        for service, number in itertools.product(("intake", "assessment"), range(PARTITIONS)):
            place = TopicPartition(f"{found.office.country}.{service}.v1", number)
            ends = await consumer.end_offsets([place])
            counts[place.topic] = counts.get(place.topic, 0) + ends[place]
        return counts
    finally:
        await consumer.stop()
