"""A suite that cannot fail proves nothing: each bug that was put in on purpose is caught by the same checker."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.faults.checker import Findings, check
from tests.faults.clients import Desk, People, agencies
from tests.faults.harness import Platform, Servers
from tests.faults.report import Report
from tests.faults.test_duplicates import again

CAUGHT: dict[str, tuple[str, set[str]]] = {
    "no_cursor_check": ("", {"I4"}),
    "cursor_without_state": ("", {"I8"}),
    "publish_outside": ("consume.positions_written", {"I7", "I12"}),
    "acknowledge_first": ("consume.decided", {"I1", "I10"}),
    "lock_after_read": ("", {"I7"}),
    "in_batch_duplicates": ("", {"I4"}),
    "relay_skips": ("", {"I7", "I12"}),
}
"""Where the process is killed so that the bug shows, and what the checker must say at least one of."""


@pytest.mark.timeout(150)
async def test_without_a_bug_the_trial_is_clean(servers: Servers, report: Report) -> None:
    findings = await trial(servers, "", "consume.positions_written")
    report.run("trial without a bug", findings)
    assert not findings.violations, findings.told()


@pytest.mark.timeout(150)
@pytest.mark.parametrize("bug", CAUGHT)
async def test_a_seeded_bug_is_caught(servers: Servers, report: Report, bug: str) -> None:
    failpoint, named = CAUGHT[bug]
    findings = await trial(servers, bug, failpoint)
    report.seeded[bug] = findings.names
    assert named & set(findings.names), f"{bug} was not caught: {findings.told()}"


async def trial(servers: Servers, bug: str, failpoint: str) -> Findings:
    """Cases and consents at two processes of intake at once; then every record again, before assessment first reads.

    The bug is in the processes of one service only: that which shows it.
    """
    seeded = {"KINTSUGI_TEST_SEED": bug}
    at_intake = bug in ("lock_after_read", "relay_skips")
    async with Platform(servers, ("intake", "assessment")) as platform:
        desks = [platform.process("intake", **(seeded if at_intake else {})) for _ in range(2 if at_intake else 1)]
        assessment = platform.process("assessment", **({} if at_intake else seeded))
        for process in desks:
            process.start()
        await asyncio.gather(*(process.ready() for process in desks))
        async with Desk(platform) as desk:
            people = People(desk)
            refs = [await people.meet() for _ in range(4)]
            work = [
                people.consent(ref, agency, at=desks[number % len(desks)])
                for ref in refs
                for number, agency in enumerate(agencies()[:6])
            ]
            await asyncio.gather(*work)
        await _sent(platform)
        await again(platform, (await platform.evidence()).records[f"{platform.country}.intake.v1"], times=2)
        if failpoint:
            assessment.start(KINTSUGI_FAILPOINT=f"{failpoint}:1")
            assert await assessment.dies(60) == -9
        assessment.start()
        with contextlib.suppress(*(AssertionError,) if bug else ()):
            # The kit notices some of them itself, and refuses to go on.
            await assessment.ready(20)
        await platform.quiet(6 if bug else 45)
        return check(await platform.evidence())


async def _sent(platform: Platform) -> None:
    for _ in range(100):
        if not await platform.sql("intake", "SELECT 1 FROM outbox LIMIT 1"):
            return
        await asyncio.sleep(0.1)
