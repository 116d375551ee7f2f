"""Records that come again, and processes asked to stop while people work: every effect stays single."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from tests.faults.checker import check
from tests.faults.clients import people_at_work
from tests.faults.evidence import Logged
from tests.faults.harness import Platform, Servers
from tests.faults.processes import Process
from tests.faults.report import Report

WINDOW = 25
TIMES = 5

Office = tuple[Platform, dict[str, Process]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def office(servers: Servers) -> AsyncIterator[Office]:
    async with Platform(servers) as platform:
        processes = await platform.up()
        async with people_at_work(platform, workers=3):
            await asyncio.sleep(3)
        assert await platform.quiet() is None
        yield platform, processes


@pytest.mark.timeout(200)
async def test_duplicates_shuffled_in_a_window_change_nothing(office: Office, report: Report) -> None:
    platform, processes = office
    before = await platform.evidence()
    # One consumer is down meanwhile, so that it meets many copies in one batch.
    await processes["notify"].kill()
    count = sum([await again(platform, records) for records in before.records.values()])
    processes["notify"].start()
    await processes["notify"].ready()
    assert await platform.quiet(60) is None
    after = await platform.evidence()
    findings = check(after)
    report.run("duplicates", findings, duplicates=count)
    assert not findings.violations, findings.told()
    assert after.digest == before.digest, "records that came again changed something"


@pytest.mark.timeout(200)
@pytest.mark.parametrize("part", [0.0, 0.5], ids=["everything", "a_suffix"])
async def test_replaying_changes_nothing(office: Office, report: Report, part: float) -> None:
    platform, processes = office
    before = await platform.evidence()
    await processes["referral"].kill()
    await platform.sql(
        "referral",
        "UPDATE positions SET next_offset = floor(next_offset * $1::float)::bigint WHERE topic <> $2",
        part,
        f"{platform.country}.referral.v1",
    )
    processes["referral"].start()
    await processes["referral"].ready()
    assert await platform.quiet(60) is None
    after = await platform.evidence()
    findings = check(after)
    report.run(f"replay from {part}", findings)
    assert not findings.violations, findings.told()
    assert after.digest == before.digest, "a replay changed something"


@pytest.mark.timeout(200)
async def test_stopping_under_load_loses_nothing(office: Office, report: Report) -> None:
    platform, processes = office
    codes = []
    async with people_at_work(platform, workers=3, seed=5):
        for process in processes.values():
            codes.append(await process.stop())
            process.start()
            await process.ready()
    assert codes == [0, 0, 0, 0], f"processes did not stop in order: {codes}"
    assert await platform.quiet(60) is None
    findings = check(await platform.evidence())
    report.run("stopped under load", findings)
    assert not findings.violations, findings.told()


async def again(platform: Platform, records: list[Logged], times: int = TIMES, seed: int = 7) -> int:
    """Writes records ``times`` times again, shuffled within windows, byte for byte and where they were."""
    shuffle = random.Random(seed)
    partitions: dict[int, list[Logged]] = defaultdict(list)
    for record in records:
        partitions[record.partition].append(record)
    producer = AIOKafkaProducer(**platform.servers.kafka.cluster.client(), acks="all")
    await producer.start()
    count = 0
    try:
        for number, lying in partitions.items():
            for start in range(0, len(lying), WINDOW):
                window = lying[start : start + WINDOW] * times
                shuffle.shuffle(window)
                for record in window:
                    await producer.send(
                        record.topic,
                        key=record.key,
                        value=record.value,
                        headers=list(record.headers),
                        partition=number,
                    )
                    count += 1
        await producer.flush()
    finally:
        await producer.stop()
    return count
