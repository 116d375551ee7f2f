"""People at work: cases met, consents, answers and choices over HTTP, each sent until it is answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml
from kintsugi_office.project import project_folder

from tests.faults.evidence import Promise
from tests.faults.harness import Platform
from tests.faults.processes import Process

PATIENCE_SECONDS = 150.0
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Refused(AssertionError):
    """A service gave a final answer that is not a yes."""


class Desk:
    """One client. Every request keeps its Idempotency-Key until it is answered; each yes goes into the ledger."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self._client = httpx.AsyncClient(timeout=20, trust_env=False, limits=httpx.Limits(max_connections=32))
        self._tokens = {role: platform.token(role) for role in ("caseworker", "supervisor")}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def read(self, service: str, path: str, **params: Any) -> Any:
        """A GET, until it is answered."""
        answer = await self._sent("GET", f"{self.platform.url(service)}{path}", {}, None, params)
        return answer.json()

    async def change(
        self,
        service: str,
        path: str,
        action: str,
        about: Mapping[str, Any],
        body: Any = None,
        *,
        method: str = "POST",
        at: Process | None = None,
        headers: Mapping[str, str] | None = None,
        refused: tuple[int, ...] = (),
    ) -> Any:
        """A request that changes something; returns the answer's JSON, None where its refusal was foreseen."""
        key = str(uuid.uuid4())
        content = b"" if body is None else json.dumps(body).encode()
        url = f"{at.url(service) if at else self.platform.url(service)}{path}"
        sent = {"Idempotency-Key": key, **(headers or {})}
        answer = await self._sent(method, url, sent, content, {}, refused)
        if answer.status_code in refused:
            return None
        role = "caseworker"
        self.platform.ledger.append(
            Promise(service, method, path, key, role, action, dict(about), content, answer.status_code, answer.content)
        )
        return answer.json()

    async def repeat(self, most: int = 40) -> None:
        """Sends kept promises again: word for word, and once more with another body under the same key."""
        for promise in random.Random(3).sample(self.platform.ledger, min(most, len(self.platform.ledger))):
            if promise.method != "POST":
                continue
            url = f"{self.platform.url(promise.service)}{promise.path}"
            sent = {"Idempotency-Key": promise.key}
            answer = await self._sent("POST", url, sent, promise.body, {}, refused=(409, 412, 422))
            self.platform.repeats.append((promise, answer.status_code, answer.content))
        with_body = next((each for each in self.platform.ledger if each.action == "open"), None)
        if with_body is not None:
            other = json.dumps({**json.loads(with_body.body), "notes": "another body"}).encode()
            url = f"{self.platform.url(with_body.service)}{with_body.path}"
            answer = await self._sent("POST", url, {"Idempotency-Key": with_body.key}, other, {}, refused=(422,))
            assert answer.status_code == 422, "another body under the same key was accepted"

    async def _sent(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        params: Mapping[str, Any],
        refused: tuple[int, ...] = (),
    ) -> httpx.Response:
        end = time.monotonic() + PATIENCE_SECONDS
        sent = {"Authorization": f"Bearer {self._tokens['caseworker']}", **headers}
        if content:
            sent["Content-Type"] = "application/json"
        last = ""
        while time.monotonic() < end:
            try:
                answer = await self._client.request(method, url, headers=sent, content=content, params=dict(params))
            except httpx.TransportError as error:
                last = type(error).__name__
            else:
                if answer.is_success or answer.status_code in refused:
                    return answer
                if answer.status_code not in (500, 502, 503, 504):
                    raise Refused(f"{method} {url}: {answer.status_code} {answer.text[:300]}")
                last = f"{answer.status_code} {answer.text[:200]}"
            await asyncio.sleep(0.1)
        raise Refused(f"{method} {url}: no answer within {PATIENCE_SECONDS:.0f} s ({last})")


class People:
    """Survivors who come one after the other, and the workers who serve them, until the office has had enough."""

    def __init__(self, desk: Desk, *, seed: int = 1) -> None:
        self._desk = desk
        self._platform = desk.platform
        self._random = random.Random(seed)
        self._tasks: list[asyncio.Task[None]] = []
        self._enough = False
        self.met = 0
        self.items = scored_items()

    def start(self, workers: int = 2, *, whole: bool = True, pause: float = 0.1) -> None:
        """Sets workers to work. ``whole``: each case goes all the way to a choice."""
        self._tasks = [asyncio.create_task(self._work(whole, pause)) for _ in range(workers)]

    async def enough(self) -> None:
        """Lets everybody finish the case they are at. Raises what went wrong at any desk."""
        self._enough = True
        tasks, self._tasks = self._tasks, []
        await asyncio.gather(*tasks)

    async def _work(self, whole: bool, pause: float) -> None:
        while not self._enough:
            ref = await self.meet()
            if whole:
                await self.serve(ref)
            await asyncio.sleep(pause)

    async def meet(self, at: Process | None = None) -> str:
        """A survivor in danger is met: staff are alerted."""
        self.met += 1
        number, code = self.met, self._platform.country.upper()
        body = {
            "office": "harbour",
            "channel": "walk_in",
            "identity": {"preferred_name": f"Rosalind {number}"},
            "immediate_danger": "yes" if number % 2 else "no",
            "age_basis": "declared",
            "age_band": "adult" if number % 3 else "from_25_to_39",
            "languages": ["en"],
            "area": f"{code}-HB",
            "casework_type": "trafficking",
            "contact_profile": _profile(number),
            "consents": [
                {"purpose": purpose, "decision": "granted", "text_version": "1.0", "language": "en",
                 "obtained_from": "individual"}
                for purpose in ("casework", "contact")
            ],
        }  # fmt: skip
        answer = await self._desk.change("intake", "/cases", "open", {"number": number}, body, at=at)
        return str(answer["case_ref"])

    async def consent(
        self, ref: str, agency: str | None, decision: str = "granted", *, at: Process | None = None
    ) -> None:
        """A consent to share with one agency; its text version marks the request for the checker."""
        mark = f"1.{len(self._platform.ledger)}.{self._random.randrange(10**5)}"
        body: dict[str, Any] = {"purpose": "sharing", "agency": agency, "decision": decision}
        if decision != "withdrawn":
            body |= {"text_version": mark, "language": "en", "obtained_from": "individual"}
        about = {"case_ref": ref, "agency": agency, "decision": decision, "text_version": mark}
        await self._desk.change("intake", f"/cases/{ref}/consents", "consent", about, body, at=at)

    async def serve(self, ref: str) -> None:
        """The assessment is answered to its end, and one option of each proposal is taken with a consent for it."""
        for referral in (await self.proposals(ref))[:2]:
            option = referral["options"][0] if referral["options"] else None
            if option is None:
                continue
            await self.consent(ref, option["agency"])
            await self.choose(ref, referral["referral_id"], option["option_id"])
            if self._random.random() < 0.3:
                await self.consent(ref, option["agency"], "withdrawn")

    async def proposals(self, ref: str) -> list[dict[str, Any]]:
        """Answers the assessment, and waits for what is proposed."""
        await self.answer(ref)
        return await self.found("referral", "/referrals", "referrals", ref)

    async def answer(self, ref: str) -> None:
        """Answers the assessment to its end, once it is there."""
        assessment = await self.found("assessment", "/assessments", "assessments", ref)
        about = {"case_ref": ref, "assessment_id": assessment[0]["assessment_id"]}
        answers = {item: 1 if position < 4 else 4 for position, item in enumerate(self.items)}
        await self._desk.change(
            "assessment",
            f"/assessments/{about['assessment_id']}/answers",
            "answers",
            about,
            {"answers": answers, "context": "current_living", "finish": True},
        )

    async def choose(self, ref: str, referral_id: str, option_id: str) -> Any:
        """The survivor's choice; None where the case is on hold."""
        about = {"case_ref": ref, "referral_id": referral_id}
        body = {"choice": "option", "option_id": option_id}
        path = f"/referrals/{referral_id}/choice"
        return await self._desk.change("referral", path, "choice", about, body, refused=(409,))

    async def found(self, service: str, path: str, what: str, ref: str) -> list[dict[str, Any]]:
        """What a service lists for a case, as soon as it lists anything."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            found: list[dict[str, Any]] = (await self._desk.read(service, path, case_ref=ref))[what]
            if found:
                return found
            await asyncio.sleep(0.05)
        raise Refused(f"{service} has nothing for the case after {PATIENCE_SECONDS:.0f} s")


@contextlib.asynccontextmanager
async def people_at_work(platform: Platform, *, workers: int = 2, whole: bool = True, seed: int = 1) -> Any:
    """Load for as long as the block lasts; then everybody finishes what they are at."""
    async with Desk(platform) as desk:
        people = People(desk, seed=seed)
        people.start(workers, whole=whole)
        try:
            yield people
        finally:
            await people.enough()


def scored_items() -> list[str]:
    """The items of the country's instrument, those of safety first."""
    [file] = (project_folder() / "countries" / "xa" / "instruments").glob("*.yaml")
    content: Any = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    return [item["id"] for domain in content["domains"] for item in domain["items"]]


def agencies() -> list[str]:
    """The agencies of the country's directory."""
    file = project_folder() / "countries" / "xa" / "directory" / "organizations.json"
    return [str(each["id"]) for each in json.loads(file.read_text(encoding="utf-8"))]


def _profile(number: int) -> dict[str, Any]:
    return {
        "contact_by": "organisation",
        "language": "en",
        "windows": [{"weekday": day, "start": "00:00", "end": "23:59"} for day in _DAYS],
        "channels": [{"kind": "email", "verified": True, "safe": True}],
        "email": f"person-{number}@survivor.example",
        "reviewed_at": datetime.now(UTC).isoformat(),
    }
