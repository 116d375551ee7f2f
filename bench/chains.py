"""One flow, seen from outside: what a person asks over HTTP, and when its last effect stands on a topic."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from kintsugi.kafka import Cluster
from kintsugi_office.topics import TopicPlan
from kintsugi_sandbox.demo.desk import Desk

CHAINS = ("open", "answers", "choice")
ENDS = {"open": "assessment.scheduled", "answers": "staff_task.created", "choice": "notification.sent"}
PATIENCE_SECONDS = 60.0
NEEDY = ("safety.home", "safety.contact")
"""The items answered at the low end of the scale: one need, so one referral and one staff task."""

Data = Mapping[str, Any]
_GRANTED = {"decision": "granted", "text_version": "1.0", "language": "en", "obtained_from": "individual"}


class Spectator:
    """A consumer of its own, without a group, on every topic from its end. Moments are in seconds of this process."""

    def __init__(self, cluster: Cluster, plans: Sequence[TopicPlan]) -> None:
        self._consumer = AIOKafkaConsumer(**cluster.client(), enable_auto_commit=False)
        self._places = [TopicPartition(plan.name, number) for plan in plans for number in range(plan.partitions)]
        self._seen: dict[str, list[tuple[str, float, Data]]] = {}
        self._awaited: dict[str, asyncio.Event] = {}

    async def __aenter__(self) -> Spectator:
        await self._consumer.start()
        self._consumer.assign(self._places)
        await self._consumer.seek_to_end()
        self._reading = asyncio.create_task(self._read(), name="watch the topics")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._consumer.stop()

    async def until(self, subject: str, wanted: Callable[[str, Data], bool]) -> tuple[float, Data]:
        """When the first such event of the subject appeared, and what it says. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                for type_, at, data in self._seen.get(subject, ()):
                    if wanted(type_, data):
                        return at, data
                news = self._awaited.setdefault(subject, asyncio.Event())
                news.clear()
                await news.wait()

    async def _read(self) -> None:
        while True:
            polled = await self._consumer.getmany(timeout_ms=1000)
            at = time.perf_counter()
            for records in polled.values():
                for record in records:
                    self._take(record, at)

    def _take(self, record: Any, at: float) -> None:
        said = dict(record.headers)
        subject = said["ce_subject"].decode()
        type_ = said["ce_type"].decode().removeprefix("kintsugi.").rpartition(".v")[0]
        data = json.loads(record.value)
        if type_ == "case.opened":  # a caller knows the case by its reference only
            self._tell(data["case_ref"], type_, at, {"subject": subject})
        self._tell(subject, type_, at, data)

    def _tell(self, about: str, type_: str, at: float, data: Data) -> None:
        self._seen.setdefault(about, []).append((type_, at, data))
        if about in self._awaited:
            self._awaited[about].set()


class Flow:
    """A survivor who is met, answers, and chooses. ``took`` gets the seconds of each chain that came to its end."""

    def __init__(self, desk: Desk, spectator: Spectator, items: Sequence[str], area: str) -> None:
        self._desk = desk
        self._spectator = spectator
        self._items = items
        self._area = area
        self.took: dict[str, float] = {}

    async def run(self, think: float) -> None:
        """All three chains, with so many seconds of thought between them. Raises TimeoutError and Refused."""
        ref, subject, assessment = await self._open()
        await asyncio.sleep(think)
        proposed = await self._answer(subject, assessment)
        await asyncio.sleep(think)
        await self._choose(ref, subject, proposed)

    async def _open(self) -> tuple[str, str, str]:
        asked = time.perf_counter()
        answer = await self._desk.change("intake", "/cases", "open", {}, json=self._somebody())
        ref = str(answer.json()["case_ref"])
        _, opened = await self._spectator.until(ref, lambda type_, _: type_ == "case.opened")
        subject = str(opened["subject"])
        ended, scheduled = await self._spectator.until(subject, lambda type_, _: type_ == ENDS["open"])
        self.took["open"] = ended - asked
        return ref, subject, str(scheduled["assessment_id"])

    async def _answer(self, subject: str, assessment: str) -> Data:
        body = {
            "answers": {item: 1 if item in NEEDY else 4 for item in self._items},
            "context": "current_living",
            "finish": True,
        }
        asked = time.perf_counter()
        await self._desk.change("assessment", f"/assessments/{assessment}/answers", "answers", {}, json=body)
        _, proposed = await self._spectator.until(subject, lambda type_, _: type_ == "referral.proposed")
        referral = proposed["referral_id"]
        ended, _ = await self._spectator.until(
            subject, lambda type_, data: type_ == ENDS["answers"] and data.get("referral_id") == referral
        )
        self.took["answers"] = ended - asked
        return proposed

    async def _choose(self, ref: str, subject: str, proposed: Data) -> None:
        option, referral = proposed["options"][0], proposed["referral_id"]
        sharing = {"purpose": "sharing", "agency": option["agency"], **_GRANTED}
        consented = await self._desk.change("intake", f"/cases/{ref}/consents", "consent", {}, json=sharing)
        await self._spectator.until(
            subject, lambda type_, data: type_ == "consent.recorded" and data.get("agency") == option["agency"]
        )
        seen = {"Kintsugi-Seen": consented.headers["Kintsugi-Seen"]}
        choice = {"choice": "option", "option_id": option["option_id"]}
        asked = time.perf_counter()
        await self._desk.change("referral", f"/referrals/{referral}/choice", "choice", {}, json=choice, headers=seen)
        ended, _ = await self._spectator.until(
            subject,
            lambda type_, data: (
                type_ == ENDS["choice"]
                and data["template"] == "provider_request"
                and data.get("referral_id") == referral
            ),
        )
        self.took["choice"] = ended - asked

    def _somebody(self) -> dict[str, Any]:
        days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
        return {
            "office": "harbour",
            "channel": "walk_in",
            "immediate_danger": "no",
            "identity": {"preferred_name": "Rosalind"},
            "age_basis": "declared",
            "age_band": "adult",
            "languages": ["en"],
            "area": self._area,
            "contact_profile": {
                "contact_by": "organisation",
                "language": "en",
                "windows": [{"weekday": day, "start": "00:00", "end": "24:00"} for day in days],
                "channels": [{"kind": "email", "verified": True, "safe": True}],
                "email": "rosalind@mail.example",
            },
            "consents": [{"purpose": purpose, **_GRANTED} for purpose in ("casework", "contact")],
        }
