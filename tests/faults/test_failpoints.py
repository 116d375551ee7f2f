"""kill -9 at every place between two steps that change state: nothing is lost, doubled or reordered."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import kintsugi
import pytest
import pytest_asyncio
from kintsugi import failpoints

from tests.faults.checker import check
from tests.faults.clients import Desk, People, people_at_work
from tests.faults.harness import Platform, Servers
from tests.faults.processes import Process
from tests.faults.report import Report

GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "request": (
        "intake",
        ("request.inserted", "request.locked", "keyring.created", "request.answered", "request.committed"),
    ),
    "relay": ("intake", ("relay.read", "relay.acknowledged", "relay.moved", "relay.committed")),
    "decide": ("assessment", ("consume.locked", "consume.decided", "consume.subjects_written")),
    "write": (
        "referral",
        ("consume.inputs_written", "consume.outbox_written", "consume.agenda_written"),
    ),
    "commit": ("assessment", ("consume.positions_written", "consume.committed")),
    "send": ("notify", ("send.claimed", "send.attempt_committed", "send.sent")),
    "outcome": ("notify", ("send.outcome_written", "send.outcome_committed")),
}
"""What is killed where. Timers have a test of their own: their time must come first."""
TIMERS = ("timer.picked", "timer.committed")

Office = tuple[Platform, dict[str, Process]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def office(servers: Servers) -> AsyncIterator[Office]:
    async with Platform(servers) as platform:
        yield platform, await platform.up()


def test_each_place_is_killed_at() -> None:
    killed = [name for _, names in GROUPS.values() for name in names] + list(TIMERS)
    assert sorted(killed) == sorted(failpoints.NAMES)


def test_each_place_is_in_the_code_exactly_once() -> None:
    kit = Path(kintsugi.__path__[0])
    places = Counter(
        name for file in kit.rglob("*.py") for name in re.findall(r'\breach\("([^"]+)"\)', file.read_text())
    )
    assert places == Counter(failpoints.NAMES)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("group", GROUPS)
async def test_a_kill_loses_and_doubles_nothing(office: Office, group: str, report: Report) -> None:
    platform, processes = office
    service, names = GROUPS[group]
    async with people_at_work(platform, seed=len(group)):
        await _kill_at(processes[service], names, report)
    await _whole(platform, f"killed at {group}", report)


@pytest.mark.timeout(240)
async def test_a_kill_at_a_deadline_fires_it_once(office: Office, report: Report) -> None:
    platform, processes = office
    async with Desk(platform) as desk:
        people = People(desk)
        refs = [await people.meet() for _ in range(4)]
    assert await platform.quiet() is None
    late = datetime.now(UTC) + timedelta(days=8)
    for name in platform.names:
        await platform.sql(name, "UPDATE business_clock SET instant = $1", late)
    await _kill_at(processes["assessment"], TIMERS, report)
    await _whole(platform, "killed at timers", report)
    evidence = await platform.evidence()
    overdue = [event for event in evidence.firsts["assessment"] if event.type == "assessment.overdue"]
    assert len(overdue) >= len(refs)


async def _kill_at(process: Process, names: tuple[str, ...], report: Report) -> None:
    await process.kill()
    for name in names:
        process.start(KINTSUGI_FAILPOINT=f"{name}:1")
        assert await process.dies(60) == -9, f"the process did not die at {name}"
        report.kills[name] += 1
    process.start()
    await process.ready()


async def _whole(platform: Platform, name: str, report: Report) -> None:
    busy = await platform.quiet(45)
    assert busy is None, f"not quiet: {busy}"
    async with Desk(platform) as desk:
        await desk.repeat(15)
    findings = check(await platform.evidence())
    report.run(name, findings)
    assert not findings.violations, findings.told()
