"""Notify over HTTP: who may read and take what, and that answers hold references and codes only."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import kintsugi_events as e
import pytest
from kintsugi.agenda import Result
from kintsugi.auth import AUDIENCE, Verifier, generate_keypair, issue, issuer_of
from kintsugi.commands import Answer, CommandRequest, Done
from kintsugi.http.factory import create_app
from kintsugi.http.health import Health
from kintsugi.http.problems import Problem
from kintsugi.service import Rejected
from kintsugi.telemetry.metrics import Metrics
from kintsugi.testing import SUBJECT, Given
from kintsugi_notify.app import application
from kintsugi_notify.state import CaseFile
from kintsugi_notify.views import METADATA
from pydantic import BaseModel
from sqlalchemy import RowMapping, Select, create_engine, delete, insert
from sqlalchemy.pool import StaticPool

from services.notify.tests.notify_examples import (
    NOW,
    asked,
    case_opened,
    consent,
    ended,
    held,
    owed,
    profile,
    proposed,
    requested,
    risk,
    scenario,
)

CASE = "XA-7F3K2M9Q"


class OneCase:
    """Runs commands on one case and shows its rows, as the shell would."""

    def __init__(self, given: Given[CaseFile]) -> None:
        self.given = given
        self.engine = create_engine("sqlite://", poolclass=StaticPool)
        METADATA.create_all(self.engine)
        self._show()

    async def execute(self, request: CommandRequest, answer: Callable[[Done[CaseFile]], BaseModel]) -> Answer:
        assert request.subject == SUBJECT
        then = self.given.when(request.command, caller=request.caller)
        if isinstance(then.rejected, Rejected):
            raise Problem(then.rejected.status, then.rejected.code, "The request was not accepted")
        self.given = then.given
        self._show()
        done = Done(SUBJECT, self.given.state, list(then.events))
        return Answer(request.status, answer(done).model_dump_json().encode(), '"1"', "notify:1")

    async def rows(self, query: Select[Any]) -> Sequence[RowMapping]:
        with self.engine.connect() as connection:
            return connection.execute(query).mappings().all()

    def _show(self) -> None:
        with self.engine.begin() as connection:
            for name, found in application.views.of(SUBJECT, self.given.state).items():
                table = application.views.tables[name]
                connection.execute(delete(table))
                if found:
                    connection.execute(insert(table), [{"subject": SUBJECT, **row} for row in found])


class Caller:
    """Somebody of the office at a keyboard."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self._http = http
        self._token = token

    async def __call__(self, method: str, path: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}", "Idempotency-Key": str(uuid.uuid4())}
        return await self._http.request(method, path, headers=headers)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[SimpleNamespace]:
    given = scenario().given(case_opened(), consent(), profile(), risk(), proposed(), requested(), held())
    given = given.when(ended(owed(given, "survivor_notice"), Result.refused, "no_longer_wanted", 0)).then(
        e.NotificationWithheld
    )
    keys = generate_keypair(tmp_path)
    health = Health()
    health.open()
    app = create_app("notify", "0", None, list(application.routers), health, Metrics("notify"))
    app.state.verifier = Verifier(keys.public.read_bytes(), issuer_of("xa"), AUDIENCE)
    app.state.executor = executor = OneCase(given)
    private = keys.private.read_bytes()

    def token(role: str) -> str:
        return issue(private, role, f"staff-{role}", timedelta(hours=1), "xa")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://notify") as http:
        yield SimpleNamespace(
            executor=executor,
            anybody=http,
            caseworker=Caller(http, token("caseworker")),
            supervisor=Caller(http, token("supervisor")),
            operator=Caller(http, token("operator")),
        )


async def tasks(who: Caller, query: str = "") -> list[dict[str, Any]]:
    answered = await who("GET", f"/staff-tasks{query}")
    assert answered.status_code == 200, answered.text
    found: list[dict[str, Any]] = answered.json()["tasks"]
    return found


async def test_the_most_urgent_task_stands_first(office: SimpleNamespace) -> None:
    found = await tasks(office.caseworker)
    assert [task["kind"] for task in found][-1] == "present_options"
    assert {task["kind"] for task in found[:2]} == {"act_on_risk", "release_input"}
    assert {task["case_ref"] for task in found} == {CASE}


async def test_tasks_are_found_by_role_by_case_and_by_whether_somebody_took_them(office: SimpleNamespace) -> None:
    assert [task["kind"] for task in await tasks(office.supervisor, "?role=supervisor")] == ["release_input"]
    assert {task["kind"] for task in await tasks(office.supervisor, "?open=true")} == {"act_on_risk", "release_input"}
    assert [task["status"] for task in await tasks(office.supervisor, "?open=false")] == ["settled"]
    assert len(await tasks(office.supervisor, f"?case={CASE}&limit=1")) == 1
    assert await tasks(office.supervisor, "?case=XA-00000000") == []
    assert (await office.supervisor("GET", "/staff-tasks?role=janitor")).status_code == 422
    assert (await office.supervisor("GET", "/staff-tasks?limit=201")).status_code == 422


async def test_what_another_service_asked_for_is_listed_with_its_code(office: SimpleNamespace) -> None:
    one_case = office.executor
    one_case.given = one_case.given.when(asked(), source="housing").then(e.StaffTaskCreated)
    one_case._show()
    found = {task["task_id"]: task for task in await tasks(office.caseworker)}
    assert found["task-of-housing"]["kind"] == "other_task"
    assert found["task-of-housing"]["code"] == "housing.visit_home"
    assert {task["code"] for id_, task in found.items() if id_ != "task-of-housing"} == {None}


async def test_a_task_is_taken_and_taken_only_once(office: SimpleNamespace) -> None:
    [task] = await tasks(office.caseworker, "?role=caseworker&open=true")
    path = f"/staff-tasks/{task['task_id']}/acknowledge"
    answered = await office.caseworker("POST", path)
    assert answered.status_code == 200
    assert answered.json() == {
        "task_id": task["task_id"],
        "status": "acknowledged",
        "acknowledged_at": NOW.isoformat().replace("+00:00", "Z"),
    }
    assert await tasks(office.caseworker, "?role=caseworker&open=true") == []
    again = await office.caseworker("POST", path)
    assert (again.status_code, again.json()["code"]) == (409, "already_acknowledged")


async def test_a_caseworker_does_not_take_what_is_a_supervisors(office: SimpleNamespace) -> None:
    [task] = await tasks(office.caseworker, "?role=supervisor")
    answered = await office.caseworker("POST", f"/staff-tasks/{task['task_id']}/acknowledge")
    assert answered.json()["code"] == "role_missing"
    assert (await office.operator("POST", f"/staff-tasks/{task['task_id']}/acknowledge")).status_code == 200


async def test_a_task_nobody_knows_is_not_found(office: SimpleNamespace) -> None:
    assert (await office.caseworker("POST", "/staff-tasks/nothing/acknowledge")).status_code == 404


async def test_notifications_of_a_case_show_what_is_owed_and_how_the_others_ended(office: SimpleNamespace) -> None:
    answered = await office.caseworker("GET", f"/notifications?case={CASE}")
    found = answered.json()["notifications"]
    assert [entry["status"] for entry in found] == ["owed", "owed", "owed", "withheld"]
    assert found[-1]["reason"] == "no_longer_wanted"
    assert {entry["template"] for entry in found} == {"provider_request", "staff_alert", "survivor_notice"}
    assert (await office.caseworker("GET", "/notifications")).status_code == 422


async def test_no_answer_holds_an_address_or_a_link(office: SimpleNamespace) -> None:
    for path in ("/staff-tasks", f"/notifications?case={CASE}"):
        said = (await office.supervisor("GET", path)).text
        for secret in ("@", "http", "tala", SUBJECT):
            assert secret not in said


async def test_nobody_reads_without_a_token_and_operators_read_no_notifications(office: SimpleNamespace) -> None:
    for method, path in (
        ("GET", "/staff-tasks"),
        ("POST", "/staff-tasks/x/acknowledge"),
        ("GET", f"/notifications?case={CASE}"),
    ):
        assert (await office.anybody.request(method, path)).status_code == 401
    assert (await office.operator("GET", f"/notifications?case={CASE}")).status_code == 403


def test_notify_listens_to_the_others() -> None:
    assert application.service.subscribes == {"intake", "assessment", "referral", "share"}
