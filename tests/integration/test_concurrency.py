"""Two processes of one service, the same cases, events and commands mixed: nothing is lost, and states are the fold."""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from kintsugi.partitioning import partition_of
from kintsugi_office.project import project_folder
from kintsugi_referral.views import REFERRALS

from tests.faults.checker import check
from tests.faults.clients import Desk, agencies
from tests.faults.harness import Platform, Servers
from tests.faults.processes import Process

CASES = 245
CONSENTS = 36
CHOICES = 3
INPUTS = CASES * (2 + CONSENTS + CHOICES)
_EXAMPLES = project_folder() / "contracts" / "events"
_NOW = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def servers() -> AsyncIterator[Servers]:
    made = Servers()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@pytest.mark.timeout(180)
async def test_two_processes_share_the_same_cases(servers: Servers) -> None:
    assert INPUTS >= 10_000
    async with Platform(servers, ("referral",)) as platform:
        first, second = platform.process("referral"), platform.process("referral")
        first.start()
        await first.ready()
        events = histories(platform.country)
        half = len(events) // 2
        await produce(platform, events[:half])
        # The second process joins while the first is at work, so that partitions change hands in between.
        second.start()
        await second.ready()
        _, chosen = await asyncio.gather(produce(platform, events[half:]), choose(platform, [first, second]))
        assert await platform.quiet(90) is None
        evidence = await platform.evidence()
        findings = check(evidence)
        assert not findings.violations, findings.told()
        answered = [event for event in evidence.firsts["referral"] if event.type == "referral.chosen"]
        assert len(answered) == chosen == CASES * CHOICES
        opened = sum(1 for row in evidence.bases["referral"].tables["subjects"] if '"case_ref"' in row["state"])
        assert opened == CASES
        emitted = sum(1 for event in evidence.firsts["referral"] if event.type == "referral.proposed")
        assert emitted == 2 * CASES


async def choose(platform: Platform, processes: list[Process]) -> int:
    """Sends every choice of every case, each to one of the processes, as soon as there is something to choose from."""
    left = CASES
    done = 0
    known: set[str] = set()
    slots = asyncio.Semaphore(24)

    async def one(desk: Desk, referral_id: str, number: int) -> None:
        async with slots:
            path = f"/referrals/{referral_id}/choice"
            about = {"referral_id": referral_id}
            at = processes[number % len(processes)]
            await desk.change("referral", path, "not now", about, {"choice": "not_now"}, at=at)

    query = f"SELECT DISTINCT ON (subject) subject, referral_id FROM {REFERRALS.name}"
    end = time.monotonic() + 90
    async with Desk(platform) as desk:
        while left:
            assert time.monotonic() < end, f"{left} cases have nothing to choose from"
            rows = await platform.sql("referral", query)
            fresh = [row for row in rows if row["subject"] not in known]
            known |= {row["subject"] for row in fresh}
            left -= len(fresh)
            work = [one(desk, row["referral_id"], number) for row in fresh for number in range(CHOICES)]
            await asyncio.gather(*work)
            done += len(work)
            await asyncio.sleep(0.1)
    return done


async def produce(platform: Platform, events: list[dict[str, Any]]) -> None:
    """Puts events on their topics, in the given order."""
    producer = AIOKafkaProducer(**platform.servers.kafka.cluster.client(), acks="all", linger_ms=5)
    await producer.start()
    try:
        for event in events:
            await producer.send(**event)
        await producer.flush()
    finally:
        await producer.stop()


def histories(country: str, seed: int = 11) -> list[dict[str, Any]]:
    """The events of all cases from intake and assessment: ordered within a case, mixed between cases."""
    shuffle = random.Random(seed)
    known = agencies()
    lines = [_history(country, number, shuffle, known) for number in range(CASES)]
    mixed: list[dict[str, Any]] = []
    while lines:
        line = shuffle.choice(lines)
        mixed.append(line.pop(0))
        if not line:
            lines.remove(line)
    return mixed


def _history(country: str, number: int, shuffle: random.Random, known: list[str]) -> list[dict[str, Any]]:
    subject = f"case/{uuid.UUID(int=shuffle.getrandbits(128), version=4)}"
    opened = {**_example("case.opened"), "case_ref": f"{country.upper()}-{number:08d}", "country": country}
    opened |= {"area": f"{country.upper()}-HB", "age_band": "adult", "guardian_contact": "not_applicable"}
    completed = _example("assessment.completed")
    completed["assessment_id"] = str(uuid.uuid4())
    for need in completed["needs"]:
        need["need_id"] = str(uuid.uuid4())
    intake = [("case.opened", opened)]
    for turn in range(CONSENTS):
        consent = {
            **_example("consent.recorded"),
            "consent_id": str(uuid.uuid4()),
            "text_version": f"1.{number}.{turn}",
        }
        consent |= {"agency": shuffle.choice(agencies()), "decision": shuffle.choice(["granted", "refused"])}
        intake.append(("consent.recorded", consent))
    line = [
        _record(country, "intake", subject, place, type_, data, "")
        for place, (type_, data) in enumerate(intake, start=1)
    ]
    assessed = _record(country, "assessment", subject, 1, "assessment.completed", completed, "intake:1")
    line.insert(shuffle.randrange(1, 6), assessed)
    return line


def _record(
    country: str, service: str, subject: str, sequence: int, type_: str, data: dict[str, Any], seen: str
) -> dict[str, Any]:
    topic = f"{country}.{service}.v1"
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid.uuid4()),
        "ce_source": f"/{country}/{service}",
        "ce_type": f"kintsugi.{type_}.v1",
        "ce_time": _NOW,
        "ce_subject": subject,
        "ce_dataschema": _schema(type_),
        "ce_correlationid": subject,
        "ce_causationid": f"request/{uuid.uuid4()}",
        "ce_sequence": f"{sequence:012d}",
        "ce_seen": seen,
        "ce_depth": "0",
        "ce_dataclassification": "internal",
        "content-type": "application/json",
    }
    return {
        "topic": topic,
        "partition": partition_of(subject, 12),
        "key": subject.encode(),
        "value": json.dumps(data).encode(),
        "headers": [(name, value.encode()) for name, value in headers.items()],
    }


@cache
def _text(event: str) -> str:
    return (_EXAMPLES / event / "examples" / "accept" / "full.json").read_text()


@cache
def _schema(event: str) -> str:
    return str(json.loads((_EXAMPLES / event / "v1.schema.json").read_text())["$id"])


def _example(event: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(_text(event))
    data.pop("sealed", None)
    data.pop("extensions", None)
    return data
