"""Whatever handler fails: a withdrawal after it stops every release. And nobody's hang-up leaves a transaction open."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from kintsugi_intake.views import CASES

from tests.faults.checker import check
from tests.faults.clients import Desk, People, agencies
from tests.faults.evidence import Evidence
from tests.faults.harness import Platform, Servers, operate
from tests.faults.processes import Process
from tests.faults.report import Report

Office = tuple[Platform, dict[str, Process]]
CANCELLED = 1000
AT_ONCE = 20


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def office(servers: Servers) -> AsyncIterator[Office]:
    async with Platform(servers) as platform:
        yield platform, await platform.up()


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    "raising",
    ["referral:AssessmentCompleted", "notify:RiskRaised", "notify:ReferralProposed", "notify:ReferralRequested"],
)
async def test_a_withdrawal_behind_a_failing_handler_stops_the_release(
    office: Office, raising: str, report: Report
) -> None:
    platform, processes = office
    service = raising.partition(":")[0]
    process = processes[service]
    await process.kill()
    process.start(KINTSUGI_TEST_SEED="handler_raises", KINTSUGI_TEST_RAISES=raising)
    await process.ready()
    async with Desk(platform) as desk:
        people = People(desk)
        ref = await people.meet()
        [case] = await platform.sql("intake", f"SELECT subject FROM {CASES.name} WHERE case_ref = $1", ref)
        if service == "referral":
            await people.answer(ref)
            await _held(platform, service, case["subject"])
            agency = agencies()[0]
            await people.consent(ref, agency)
        else:
            referral = (await people.proposals(ref))[0]
            agency = referral["options"][0]["agency"]
            await people.consent(ref, agency)
            await people.choose(ref, referral["referral_id"], referral["options"][0]["option_id"])
            await _held(platform, service, case["subject"])
        await people.consent(ref, agency, "withdrawn")
        assert await platform.quiet() is None
        before = await platform.evidence()
        assert not _asked(before, case["subject"]), "something left while the case stood still"
        findings = check(before, held=[case["subject"]])
        assert not findings.violations, findings.told()

        await process.kill()
        process.start()
        await process.ready()
        await operate(platform, service, f"/subjects/{case['subject']}/release", {})
        assert await platform.quiet() is None
        if service == "referral":
            for referral in await people.found("referral", "/referrals", "referrals", ref):
                for option in referral["options"][:1]:
                    await people.choose(ref, referral["referral_id"], option["option_id"])
        assert await platform.quiet() is None
    after = await platform.evidence()
    findings = check(after)
    report.run(f"handler raises in {raising}", findings)
    assert not findings.violations, findings.told()
    assert not _asked(after, case["subject"]), "an agency was asked after the consent was withdrawn"


@pytest.mark.timeout(150)
async def test_a_thousand_cancelled_requests_leave_no_transaction_open(office: Office, report: Report) -> None:
    platform, _ = office
    async with Desk(platform) as desk:
        refs = [await People(desk).meet() for _ in range(3)]
    token, port = platform.token("caseworker"), int(platform.url("intake").rsplit(":", 1)[1])
    slots = asyncio.Semaphore(AT_ONCE)

    async def hang_up(number: int) -> None:
        body = json.dumps(
            {"purpose": "sharing", "agency": agencies()[number % 9], "decision": "granted", "text_version": "2.0",
             "language": "en", "obtained_from": "individual"}
        ).encode()  # fmt: skip
        head = (
            f"POST /cases/{refs[number % len(refs)]}/consents HTTP/1.1\r\nHost: office\r\n"
            f"Authorization: Bearer {token}\r\nIdempotency-Key: {uuid.uuid4()}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        async with slots:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head + body)
            await writer.drain()
            await asyncio.sleep(0.002 * (number % 10))
            writer.transport.abort()

    await asyncio.gather(*(hang_up(number) for number in range(CANCELLED)))
    assert await platform.quiet(60) is None
    await asyncio.sleep(2.5)  # longer than what the checker takes for idle
    findings = check(await platform.evidence())
    report.run("a thousand cancellations", findings)
    assert not findings.violations, findings.told()


def _asked(evidence: Evidence, subject: str) -> list[str]:
    return [
        event.id
        for event in evidence.firsts["notify"]
        if event.type == "notification.sent"
        and event.subject == subject
        and event.data["audience"] == "provider"
        and event.data["template"] == "provider_request"
    ]


async def _held(platform: Platform, service: str, subject: str) -> None:
    for _ in range(300):
        if await platform.sql(service, "SELECT 1 FROM subjects WHERE subject = $1 AND status = 'held'", subject):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{service} never held the case")
