"""Assessment over HTTP: what is due, what is asked and in which words, and that no answer ever comes back."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from kintsugi.auth import AUDIENCE, Verifier, generate_keypair, issue, issuer_of
from kintsugi.commands import Answer, CommandRequest, Done
from kintsugi.http.factory import create_app
from kintsugi.http.health import Health
from kintsugi.http.problems import Problem
from kintsugi.service import Rejected
from kintsugi.telemetry.metrics import Metrics
from kintsugi.testing import Given
from kintsugi.turn import Causation, Office
from kintsugi_assessment.app import application
from kintsugi_assessment.state import AssessmentFile
from kintsugi_assessment.views import metadata
from kintsugi_contracts.base import Event
from pydantic import BaseModel
from sqlalchemy import RowMapping, Select, create_engine, delete, insert
from sqlalchemy.pool import StaticPool

from services.assessment.tests.assessment_examples import ALL_WELL, DEMO, NOW, PACK, case_closed, case_opened, scenario


class InMemory:
    """Runs commands and fills the views as the shell does, without Kafka or PostgreSQL."""

    def __init__(self) -> None:
        self.cases: dict[str, Given[AssessmentFile]] = {}
        self.bodies: list[bytes] = []
        self.engine = create_engine("sqlite://", poolclass=StaticPool)
        with self.engine.begin() as connection:
            metadata.create_all(connection)

    def happens(self, event: Event, id_: str) -> None:
        """An event of intake arrives for a case."""
        case = self.cases.get(id_)
        if case is None:
            case = scenario().given()
            case = replace(case, subject=replace(case.subject, id=id_))
        self._became(id_, case.when(event).given)

    def due(self, id_: str, name: str) -> None:
        """A deadline of a case comes due."""
        self._became(id_, self.cases[id_].when(name).given)

    async def execute(self, request: CommandRequest, answer: Callable[[Done[AssessmentFile]], BaseModel]) -> Answer:
        assert request.subject is not None
        case = self.cases[request.subject]
        stepper = case.scenario.stepper
        try:
            subject, own = stepper.command(case.subject, request.command, NOW, Causation("test", 0), request.caller)
        except Rejected as rejected:
            raise Problem(
                rejected.status, rejected.code, "The request was not accepted", rejected.detail, rejected.next_step
            ) from rejected
        self._became(request.subject, replace(case, subject=subject))
        done = Done(request.subject, subject.state, [each.event for each in own])
        self.bodies.append(answer(done).model_dump_json().encode())
        return Answer(request.status, self.bodies[-1], '"1"', "assessment:1")

    async def rows(self, query: Select[Any]) -> Sequence[RowMapping]:
        with self.engine.connect() as connection:
            return connection.execute(query).mappings().all()

    def _became(self, id_: str, case: Given[AssessmentFile]) -> None:
        self.cases[id_] = case
        with self.engine.begin() as connection:
            for name, found in application.views.of(id_, case.state).items():
                table = application.views.tables[name]
                connection.execute(delete(table).where(table.c.subject == id_))
                if found:
                    connection.execute(insert(table), [{"subject": id_, **row} for row in found])


class Caller:
    """Somebody of the office at a keyboard."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self._http = http
        self._token = token

    async def __call__(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}", "Idempotency-Key": str(uuid.uuid4())}
        return await self._http.request(method, path, headers=headers, **options)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[SimpleNamespace]:
    keys = generate_keypair(tmp_path)
    health = Health()
    health.open()
    app = create_app("assessment", "0", None, list(application.routers), health, Metrics("assessment"))
    app.state.verifier = Verifier(keys.public.read_bytes(), issuer_of("xa"), AUDIENCE)
    app.state.executor = executor = InMemory()
    app.state.office = Office("xa", PACK)
    private = keys.private.read_bytes()

    def token(role: str) -> str:
        return issue(private, role, f"staff-{role}", timedelta(hours=1), "xa")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://assessment") as http:
        yield SimpleNamespace(
            executor=executor,
            anybody=http,
            caseworker=Caller(http, token("caseworker")),
            operator=Caller(http, token("operator")),
        )


def opened(office: SimpleNamespace, id_: str = "case/1", *languages: str) -> str:
    """The id of the baseline assessment of a new case."""
    office.executor.happens(case_opened(*languages), id_)
    return str(next(iter(office.executor.cases[id_].state.assessments)))


async def test_what_is_due_is_listed_until_it_is_made(office: SimpleNamespace) -> None:
    id_ = opened(office)
    day = PACK.due("assessment_baseline", NOW).astimezone(PACK.zone).date()
    [row] = (await office.caseworker("GET", f"/assessments?due={day}")).json()["assessments"]
    assert (row["assessment_id"], row["status"], row["purpose"]) == (id_, "scheduled", "baseline")
    assert (row["case_ref"], row["overdue"]) == ("XA-7F3K2M9Q", False)
    earlier = await office.caseworker("GET", f"/assessments?due={day - timedelta(days=1)}")
    assert earlier.json()["assessments"] == []
    moment = await office.caseworker("GET", "/assessments", params={"due": f"{day + timedelta(days=1)}T00:00:00Z"})
    assert [each["assessment_id"] for each in moment.json()["assessments"]] == [id_]
    await office.caseworker("POST", f"/assessments/{id_}/answers", json={"answers": ALL_WELL, "finish": True})
    assert (await office.caseworker("GET", f"/assessments?due={day}")).json()["assessments"] == []
    [row] = (await office.caseworker("GET", "/assessments?status=completed")).json()["assessments"]
    assert row["assessment_id"] == id_


async def test_the_list_is_read_by_state_by_case_and_in_pages(office: SimpleNamespace) -> None:
    ids = sorted(opened(office, f"case/{n}") for n in range(3))
    office.executor.due("case/1", f"due/{opened_id(office, 'case/1')}")
    office.executor.happens(case_closed(), "case/2")
    late = (await office.caseworker("GET", "/assessments?overdue=true")).json()["assessments"]
    assert [each["assessment_id"] for each in late] == [opened_id(office, "case/1")]
    ended = (await office.caseworker("GET", "/assessments?status=cancelled&case_ref=XA-7F3K2M9Q")).json()["assessments"]
    assert [each["assessment_id"] for each in ended] == [opened_id(office, "case/2")]
    seen: list[str] = []
    page = "/assessments?limit=2"
    while page:
        answered = (await office.caseworker("GET", page)).json()
        seen += [each["assessment_id"] for each in answered["assessments"]]
        page = f"/assessments?limit=2&after={answered['next']}" if answered["next"] else ""
    assert seen == ids
    assert (await office.caseworker("GET", "/assessments?after=nowhere")).json()["code"] == "page_unknown"


def opened_id(office: SimpleNamespace, id_: str) -> str:
    return str(next(iter(office.executor.cases[id_].state.assessments)))


async def test_an_assessment_states_its_purpose_before_its_questions(office: SimpleNamespace) -> None:
    id_ = opened(office)
    answered = await office.caseworker("GET", f"/assessments/{id_}")
    asked = answered.json()
    assert asked["status"] == "scheduled"
    assert asked["language"] == "en"
    assert asked["stated_purpose"] == DEMO.purpose["en"]
    assert list(asked).index("stated_purpose") < list(asked).index("domains")
    assert [item["item"] for each in asked["domains"] for item in each["items"]] == [item.id for item in DEMO.items]
    assert asked["domains"][0]["items"][0]["label"] == "I feel safe where I sleep"
    assert [point["value"] for point in asked["scale"]] == [1, 2, 3, 4]
    assert [question["item"] for question in asked["unscored"]] == ["wish"]


async def test_questions_are_in_the_first_of_the_survivors_languages_that_the_instrument_has(
    office: SimpleNamespace,
) -> None:
    asked = (await office.caseworker("GET", f"/assessments/{opened(office, 'case/1', 'ti', 'ar', 'en')}")).json()
    assert (asked["language"], asked["direction"], asked["title"]) == ("ar", "rtl", DEMO.title["ar"])


async def test_another_language_is_never_taken_silently(office: SimpleNamespace) -> None:
    id_ = opened(office, "case/1", "ti")
    silent = (await office.caseworker("GET", f"/assessments/{id_}")).json()
    assert silent["language"] is None
    assert silent["stated_purpose"] is None
    assert {item["label"] for each in silent["domains"] for item in each["items"]} == {None}
    refused = await office.caseworker("GET", f"/assessments/{id_}?language=ti")
    assert (refused.status_code, refused.json()["code"]) == (422, "language_not_available")
    assert "en, fr, ar" in refused.json()["what_next"]
    assert (await office.caseworker("GET", f"/assessments/{id_}?language=fr")).json()["title"] == DEMO.title["fr"]


async def test_answers_are_saved_resumed_and_finished_and_never_given_back(office: SimpleNamespace) -> None:
    id_ = opened(office)
    paused = await office.caseworker(
        "POST", f"/assessments/{id_}/answers", json={"answers": {"mental.sleep": 1}, "pause": True}
    )
    assert paused.status_code == 200
    assert paused.json()["status"] == "paused"
    assert (paused.json()["answered"], paused.json()["remaining"]) == (1, len(DEMO.items) - 1)
    rest = {item: answer for item, answer in ALL_WELL.items() if item != "mental.sleep"}
    done = await office.caseworker(
        "POST", f"/assessments/{id_}/answers", json={"answers": {**rest, "mental.memories": 1}, "finish": True}
    )
    assert done.json()["status"] == "completed"
    assert [need["need"] for need in done.json()["needs"]] == ["trauma_therapy"]
    assert done.json()["safety_alert"] is False
    asked = (await office.caseworker("GET", f"/assessments/{id_}")).json()
    assert asked["needs"] == done.json()["needs"]
    assert asked["incomplete_domains"] == []
    for body in office.executor.bodies:
        assert b"mental.sleep" not in body


async def test_an_unknown_item_is_refused_and_not_repeated(office: SimpleNamespace) -> None:
    id_ = opened(office)
    answered = await office.caseworker("POST", f"/assessments/{id_}/answers", json={"answers": {"secret.word": 1}})
    assert (answered.status_code, answered.json()["code"]) == (422, "item_unknown")
    assert "secret" not in answered.text
    wrong = await office.caseworker("POST", f"/assessments/{id_}/answers", json={"answers": {"safety.home": "blue"}})
    assert wrong.status_code == 422
    assert "blue" not in wrong.text


async def test_declining_needs_nothing_but_the_request(office: SimpleNamespace) -> None:
    id_ = opened(office)
    declined = await office.caseworker("POST", f"/assessments/{id_}/decline", json={})
    assert declined.json()["status"] == "declined"
    row = (await office.caseworker("GET", f"/assessments/{id_}")).json()
    assert row["decline_reason"] == "survivor_declined"
    again = await office.caseworker("POST", f"/assessments/{id_}/decline", json={"reason": "no_safe_setting"})
    assert (again.status_code, again.json()["code"]) == (409, "assessment_declined")


async def test_a_follow_up_is_scheduled_for_a_case_and_its_fall_in_safety_is_told(office: SimpleNamespace) -> None:
    id_ = opened(office)
    early = await office.caseworker("POST", "/cases/XA-7F3K2M9Q/assessments", json={"purpose": "follow_up"})
    assert (early.status_code, early.json()["code"]) == (409, "assessment_open")
    await office.caseworker("POST", f"/assessments/{id_}/answers", json={"answers": ALL_WELL, "finish": True})
    scheduled = await office.caseworker("POST", "/cases/XA-7F3K2M9Q/assessments", json={"purpose": "follow_up"})
    assert scheduled.status_code == 201
    assert scheduled.json()["purpose"] == "follow_up"
    done = await office.caseworker(
        "POST",
        f"/assessments/{scheduled.json()['assessment_id']}/answers",
        json={"answers": {**ALL_WELL, "safety.home": 1}, "finish": True},
    )
    assert done.json()["safety_alert"] is True


async def test_what_does_not_exist_is_not_found(office: SimpleNamespace) -> None:
    for method, path in [
        ("GET", "/assessments/none"),
        ("POST", "/assessments/none/answers"),
        ("POST", "/assessments/none/decline"),
        ("POST", "/cases/XA-00000000/assessments"),
    ]:
        answered = await office.caseworker(method, path, json={} if method == "POST" else None)
        assert (answered.status_code, answered.json()["code"]) == (404, "not_found"), path


async def test_every_route_needs_a_caseworker_or_supervisor(office: SimpleNamespace) -> None:
    id_ = opened(office)
    for method, path in [
        ("GET", "/assessments"),
        ("GET", f"/assessments/{id_}"),
        ("POST", f"/assessments/{id_}/answers"),
        ("POST", f"/assessments/{id_}/decline"),
        ("POST", "/cases/XA-7F3K2M9Q/assessments"),
    ]:
        body: dict[str, str] | None = {} if method == "POST" else None
        assert (await office.operator(method, path, json=body)).status_code == 403, path
        assert (await office.anybody.request(method, path, json=body)).status_code == 401, path


def test_assessment_reads_intake_and_nothing_else() -> None:
    assert application.service.subscribes == frozenset({"intake"})
