"""The long faults of ``make faults``: frozen processes, servers that die, groups that never rest, and chance."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable

import psutil
import pytest
from kintsugi import failpoints

from tests.faults.checker import check
from tests.faults.clients import Desk, people_at_work
from tests.faults.harness import Platform, Servers
from tests.faults.processes import Process
from tests.faults.report import Report

pytestmark = pytest.mark.slow

FROZEN_SECONDS = 14
"""Longer than the session timeout (3 s here) and than ten seconds idle in a transaction."""
RUN_SECONDS = 15.0


@pytest.mark.timeout(300)
async def test_a_process_frozen_inside_its_transaction_blocks_nobody(servers: Servers, report: Report) -> None:
    async with Platform(servers) as platform:
        processes = await platform.up()
        await processes["assessment"].kill()
        frozen, other = processes["assessment"], platform.process("assessment")
        frozen.start(KINTSUGI_TEST_SEED="stops_inside")
        await frozen.ready()
        async with people_at_work(platform, whole=False):
            await _until(lambda: psutil.Process(frozen.pid).status() == psutil.STATUS_STOPPED, 60)
            other.start()
            await other.ready()
            await asyncio.sleep(FROZEN_SECONDS)
        # The other one does all of the work while the first is still stopped.
        busy = await platform.quiet(60)
        assert busy is None, f"a stopped process still holds the others: {busy}"
        assert psutil.Process(frozen.pid).status() == psutil.STATUS_STOPPED
        frozen.thaw()
        await _whole(platform, "frozen inside its transaction", report)


@pytest.mark.timeout(300)
async def test_frozen_processes_go_on_where_they_were(servers: Servers, report: Report) -> None:
    async with Platform(servers) as platform:
        processes = await platform.up()
        for process in processes.values():
            process.keep()
        for name in ("intake", "referral", "notify"):
            async with people_at_work(platform, whole=True):
                await asyncio.sleep(1)
                processes[name].freeze()
                await asyncio.sleep(FROZEN_SECONDS)
                processes[name].thaw()
        await _whole(platform, "frozen outside of transactions", report)


@pytest.mark.timeout(400)
async def test_servers_that_die_and_come_back(servers: Servers, report: Report) -> None:
    async with Platform(servers) as platform:
        for process in (await platform.up()).values():
            process.keep()
        for name in ("broker", "database"):
            async with people_at_work(platform, workers=3):
                await asyncio.sleep(2)
                for _ in range(2):
                    await (_broker_dies(servers) if name == "broker" else servers.postgres.restart_immediate())
                    await asyncio.sleep(3)
            await _whole(platform, f"{name} killed and restarted", report)


@pytest.mark.timeout(400)
async def test_a_group_that_never_rests(servers: Servers, report: Report) -> None:
    async with Platform(servers) as platform:
        await platform.up()
        guests = [platform.process(name) for name in ("assessment", "referral")]
        async with people_at_work(platform, workers=3):
            for turn in range(6):
                for guest in guests:
                    guest.start()
                await asyncio.sleep(2)
                # In turn they leave in order, and as if the power failed.
                await asyncio.gather(*(guest.stop() if turn % 2 else guest.kill() for guest in guests))
        await _whole(platform, "rebalance storm", report)


@pytest.mark.timeout(3600)
async def test_whatever_chance_brings(servers: Servers, report: Report) -> None:
    """KINTSUGI_FAULT_RUNS rounds of random faults from KINTSUGI_FAULT_SEED; each is checked at its end."""
    runs, seed = int(os.environ.get("KINTSUGI_FAULT_RUNS", "3")), int(os.environ.get("KINTSUGI_FAULT_SEED", "1"))
    async with Platform(servers) as platform:
        processes = await platform.up()
        for process in processes.values():
            process.keep()
        for run in range(runs):
            chance = random.Random(f"{seed}/{run}")
            done: list[str] = []
            async with people_at_work(platform, workers=2, seed=chance.randrange(10**6)):
                end = time.monotonic() + RUN_SECONDS
                while time.monotonic() < end:
                    done.append(await _chance(chance, servers, processes, report))
                    await asyncio.sleep(chance.uniform(0.1, 1.5))
            await _whole(platform, f"seed {seed} run {run}", report, faults=done)


async def _chance(chance: random.Random, servers: Servers, processes: dict[str, Process], report: Report) -> str:
    """One fault; returns what it was."""
    name = chance.choice(sorted(processes))
    process = processes[name]
    what = chance.choices(["failpoint", "kill", "stop", "freeze", "database", "broker"], [6, 3, 2, 2, 1, 1])[0]
    if what == "failpoint":
        place = chance.choice(sorted(failpoints.NAMES))
        await process.kill()
        process.start(KINTSUGI_FAILPOINT=f"{place}:{chance.randint(1, 4)}")
        try:
            if await process.dies(5) == -9:
                report.kills[place] += 1
        except AssertionError:
            await process.kill()  # this service does not come by that place
        process.keep()
        return f"{name} at {place}"
    if what in ("kill", "stop"):
        await (process.kill() if what == "kill" else process.stop())
        process.keep()
    elif what == "freeze" and process.running:
        process.freeze()
        await asyncio.sleep(chance.uniform(0.5, 6))
        process.thaw()
    elif what == "database":
        await servers.postgres.restart_immediate()
    elif what == "broker":
        await _broker_dies(servers)
    return f"{name} {what}"


async def _broker_dies(servers: Servers) -> None:
    await servers.kafka.kill()
    await asyncio.sleep(1)
    await servers.kafka.start()


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.05)


async def _whole(platform: Platform, name: str, report: Report, **more: object) -> None:
    busy = await platform.quiet(120)
    assert busy is None, f"{name}: not quiet: {busy}"
    async with Desk(platform) as desk:
        await desk.repeat(10)
    findings = check(await platform.evidence())
    report.run(name, findings, **more)
    assert not findings.violations, findings.told()
