"""Intake over HTTP: who may, what is answered, and that a file is taken once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
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
from kintsugi.subject import Progress
from kintsugi.telemetry.metrics import Metrics
from kintsugi.testing import Scenario
from kintsugi.turn import Causation, Subject
from kintsugi_country import load
from kintsugi_intake.api import BODY_RULES
from kintsugi_intake.app import application
from kintsugi_intake.state import IntakeFile
from kintsugi_intake.views import metadata
from pydantic import BaseModel
from sqlalchemy import RowMapping, Select, create_engine, delete, insert, text
from sqlalchemy.pool import StaticPool

PACK = load("countries/xa")
AGENCY = PACK.directory.agencies[0].id
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
SAMPLES = Path("countries/xa/samples/cases.csv").read_bytes()
OPENING = {
    "office": "harbour",
    "channel": "hotline",
    "immediate_danger": "yes",
    "identity": {"preferred_name": "Moonlit Heron"},
}
GRANT = {
    "decision": "granted",
    "purpose": "sharing",
    "agency": AGENCY,
    "text_version": "1.0",
    "language": "en",
    "obtained_from": "individual",
}


class InMemory:
    """Keeps the promises of the shell without Kafka or PostgreSQL: one answer per key, views that follow the state."""

    def __init__(self) -> None:
        self.stepper = Scenario(application.service, PACK).stepper
        self.subjects: dict[str, Subject[IntakeFile]] = {}
        self.versions: dict[str, int] = {}
        self.answers: dict[tuple[str, str, str], tuple[bytes, Answer]] = {}
        self.engine = create_engine("sqlite://", poolclass=StaticPool)
        with self.engine.begin() as connection:
            metadata.create_all(connection)
            connection.execute(text("CREATE TABLE subjects (subject text, version integer)"))

    async def execute(self, request: CommandRequest, answer: Callable[[Done[IntakeFile]], BaseModel]) -> Answer:
        name = (request.actor, request.path, request.key)
        if name in self.answers:
            body, given = self.answers[name]
            if body != request.body:
                raise Problem(422, "idempotency_key_reused", "Idempotency-Key was used for another request")
            return given
        id_ = request.subject or f"case/{uuid.uuid4()}"
        if request.if_match is not None and request.if_match != self.versions[id_]:
            raise Problem(412, "version_changed", "The resource has changed meanwhile")
        subject = self.subjects.get(id_) or Subject(id_, Progress(), IntakeFile())
        try:
            subject, own = self.stepper.command(subject, request.command, NOW, Causation("test", 0), request.caller)
        except Rejected as rejected:
            raise Problem(rejected.status, rejected.code, "The request was not accepted") from rejected
        self.subjects[id_] = subject
        self.versions[id_] = self.versions.get(id_, 0) + 1
        self._show(id_, subject.state)
        done = Done(id_, subject.state, [each.event for each in own])
        given = Answer(request.status, answer(done).model_dump_json().encode(), f'"{self.versions[id_]}"', "intake:1")
        self.answers[name] = (request.body, given)
        return given

    async def rows(self, query: Select[Any]) -> Sequence[RowMapping]:
        with self.engine.connect() as connection:
            return connection.execute(query).mappings().all()

    def _show(self, id_: str, state: IntakeFile) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("DELETE FROM subjects WHERE subject = :id"), {"id": id_})
            connection.execute(text("INSERT INTO subjects VALUES (:id, :v)"), {"id": id_, "v": self.versions[id_]})
            for name, found in application.views.of(id_, state).items():
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
        headers |= options.pop("headers", {})
        return await self._http.request(method, path, headers=headers, **options)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[SimpleNamespace]:
    keys = generate_keypair(tmp_path)
    health = Health()
    health.open()
    app = create_app("intake", "0", None, list(application.routers), health, Metrics("intake"), body_rules=BODY_RULES)
    app.state.verifier = Verifier(keys.public.read_bytes(), issuer_of("xa"), AUDIENCE)
    app.state.executor = executor = InMemory()
    private = keys.private.read_bytes()

    def token(role: str) -> str:
        return issue(private, role, f"staff-{role}", timedelta(hours=1), "xa")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://intake") as http:
        yield SimpleNamespace(
            executor=executor,
            anybody=http,
            caseworker=Caller(http, token("caseworker")),
            supervisor=Caller(http, token("supervisor")),
            operator=Caller(http, token("operator")),
        )


async def opened(office: SimpleNamespace, **changes: Any) -> str:
    answered = await office.caseworker("POST", "/cases", json={**OPENING, **changes})
    assert answered.status_code == 201, answered.text
    return str(answered.json()["case_ref"])


async def test_opening_a_case_answers_with_references_and_codes_only(office: SimpleNamespace) -> None:
    answered = await office.caseworker("POST", "/cases", json=OPENING)
    assert answered.status_code == 201
    assert answered.headers["ETag"] == '"1"'
    assert answered.json()["staff_alerted"] is True
    assert answered.json()["case_ref"].startswith("XA-")
    assert "Heron" not in answered.text


async def test_the_same_key_gets_the_same_case(office: SimpleNamespace) -> None:
    again = {"headers": {"Idempotency-Key": "one"}, "json": OPENING}
    first, second = [await office.caseworker("POST", "/cases", **again) for _ in range(2)]
    assert first.json() == second.json()
    assert len(office.executor.subjects) == 1


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({**OPENING, "channel": "pigeon"}, "channel"),
        ({**OPENING, "role": "supervisor"}, "?"),
        ({**OPENING, "identity": {}}, "preferred_name"),
    ],
)
async def test_a_wrong_field_is_named_and_never_repeated(
    office: SimpleNamespace, body: dict[str, Any], where: str
) -> None:
    answered = await office.caseworker("POST", "/cases", json=body)
    assert answered.status_code == 422
    assert any(each["where"].endswith(where) for each in answered.json()["errors"])
    assert "pigeon" not in answered.text
    assert "Heron" not in answered.text


async def test_a_case_is_found_by_its_reference_as_people_read_it(office: SimpleNamespace) -> None:
    ref = await opened(office)
    for said in (ref, ref.lower(), ref.replace("0", "O")):
        assert (await office.caseworker("GET", f"/cases/{said}")).json()["case_ref"] == ref
    assert (await office.caseworker("GET", "/cases/XA-00000000")).status_code == 404


async def test_a_case_shows_its_consents_and_profile_without_addresses(office: SimpleNamespace) -> None:
    profile = {
        "contact_by": "organisation",
        "language": "en",
        "email": "heron@letterbox.example",
        "windows": [{"weekday": "monday", "start": "18:00", "end": "21:00"}],
        "channels": [{"kind": "email", "verified": True, "safe": True}],
    }
    ref = await opened(office, consents=[GRANT], contact_profile=profile)
    answered = await office.caseworker("GET", f"/cases/{ref}")
    found = answered.json()
    assert [consent["agency"] for consent in found["consents"]] == [AGENCY]
    assert found["contact_profile"]["windows"] == profile["windows"]
    assert found["contact_profile"]["channels"] == profile["channels"]
    assert "letterbox" not in answered.text


async def test_a_profile_is_changed_only_on_top_of_what_was_read(office: SimpleNamespace) -> None:
    ref = await opened(office)
    path = f"/cases/{ref}/contact-profile"
    assert (await office.caseworker("PATCH", path, json={"language": "fr"})).status_code == 428
    etag = (await office.caseworker("GET", f"/cases/{ref}")).headers["ETag"]
    changed = await office.caseworker("PATCH", path, json={"language": "fr"}, headers={"If-Match": etag})
    assert changed.json()["profile_version"] == 1
    again = await office.caseworker("PATCH", path, json={"language": "ar"}, headers={"If-Match": etag})
    assert again.status_code == 412
    newest = {"If-Match": changed.headers["ETag"]}
    assert (await office.caseworker("PATCH", path, json={"language": "ar"}, headers=newest)).status_code == 200


async def test_consent_is_granted_and_withdrawn_by_the_same_path_without_an_etag(office: SimpleNamespace) -> None:
    ref = await opened(office)
    path = f"/cases/{ref}/consents"
    granted = await office.caseworker("POST", path, json=GRANT)
    assert [consent["decision"] for consent in granted.json()["consents"]] == ["granted"]
    withdrawn = await office.caseworker("POST", path, json={"decision": "withdrawn", "purpose": "sharing"})
    assert [consent["decision"] for consent in withdrawn.json()["consents"]] == ["withdrawn"]


async def test_contact_is_stopped_without_a_body(office: SimpleNamespace) -> None:
    ref = await opened(office)
    answered = await office.caseworker("POST", f"/cases/{ref}/stop-contact")
    assert answered.json()["contact_by"] == "survivor_only"


async def test_only_a_supervisor_closes(office: SimpleNamespace) -> None:
    ref = await opened(office)
    path, body = f"/cases/{ref}/close", {"reason": "goals_met"}
    assert (await office.caseworker("POST", path, json=body)).status_code == 403
    assert (await office.supervisor("POST", path, json=body)).json() == {"case_ref": ref, "state": "closed"}
    assert (await office.supervisor("POST", path, json=body)).json()["code"] == "case_closed"


async def test_cases_are_listed_in_pages_by_state(office: SimpleNamespace) -> None:
    refs = sorted([await opened(office) for _ in range(3)])
    await office.supervisor("POST", f"/cases/{refs[0]}/close", json={"reason": "duplicate"})
    first = (await office.caseworker("GET", "/cases?limit=2")).json()
    assert [case["case_ref"] for case in first["cases"]] == refs[:2]
    rest = (await office.caseworker("GET", f"/cases?limit=2&after={first['next']}")).json()
    assert ([case["case_ref"] for case in rest["cases"]], rest["next"]) == (refs[2:], None)
    still_open = (await office.caseworker("GET", "/cases?state=open")).json()["cases"]
    assert [case["case_ref"] for case in still_open] == refs[1:]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/cases"),
        ("GET", "/cases"),
        ("GET", "/cases/XA-00000000"),
        ("POST", "/cases/XA-00000000/consents"),
        ("PATCH", "/cases/XA-00000000/contact-profile"),
        ("POST", "/cases/XA-00000000/stop-contact"),
        ("POST", "/cases/XA-00000000/close"),
        ("POST", "/imports/htcds"),
    ],
)
async def test_nothing_is_open_without_a_token_nor_to_operators(
    office: SimpleNamespace, method: str, path: str
) -> None:
    body = {} if method == "GET" else {"content": b"{}", "headers": {"Content-Type": "application/json"}}
    if path.startswith("/imports"):
        body = {"content": b"x", "headers": {"Content-Type": "text/csv"}}
    assert (await office.anybody.request(method, path, **body)).status_code == 401
    assert (await office.operator(method, path, **body)).status_code == 403


async def sent(at: SimpleNamespace, data: bytes, who: str = "caseworker", **query: str) -> httpx.Response:
    answered: httpx.Response = await getattr(at, who)(
        "POST", "/imports/htcds", content=data, params=query, headers={"Content-Type": "text/csv"}
    )
    return answered


async def test_a_file_is_taken_row_by_row_with_a_report(office: SimpleNamespace) -> None:
    report = (await sent(office, SAMPLES)).json()
    assert report["taken"] == len(office.executor.subjects) >= 60
    assert report["refused"] >= 6
    assert report["rows"] == report["taken"] + report["refused"]
    refused = [row for row in report["report"] if row["result"] == "refused"]
    assert all(row["reason"] and row["case_ref"] is None for row in refused)
    assert [row["row"] for row in report["report"]] == sorted(row["row"] for row in report["report"])


async def test_the_same_file_sent_again_by_somebody_else_takes_no_row_twice(office: SimpleNamespace) -> None:
    first = (await sent(office, SAMPLES)).json()
    again = (await sent(office, SAMPLES, who="supervisor", office="hills")).json()
    assert (again["taken"], again["already_taken"]) == (0, first["taken"])
    assert len(office.executor.subjects) == first["taken"]
    taken = {row["row"]: row["case_ref"] for row in first["report"]}
    assert {row["row"]: row["case_ref"] for row in again["report"]} == taken


async def test_two_people_who_send_one_file_at_the_same_time_take_every_row_once(office: SimpleNamespace) -> None:
    reports = await asyncio.gather(sent(office, SAMPLES), sent(office, SAMPLES, who="supervisor"))
    assert len(office.executor.subjects) == len(
        {row["case_ref"] for report in reports for row in report.json()["report"] if row["case_ref"]}
    )


async def test_rows_that_came_in_before_a_failure_keep_their_cases(office: SimpleNamespace) -> None:
    execute, calls = office.executor.execute, 0

    async def failing(*given: Any) -> Answer:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise Problem(503, "unavailable", "The service cannot store anything right now")
        answer: Answer = await execute(*given)
        return answer

    office.executor.execute = failing
    assert (await sent(office, SAMPLES)).status_code == 503
    office.executor.execute = execute
    report = (await sent(office, SAMPLES)).json()
    assert report["already_taken"] == 5
    assert report["taken"] + 5 == len(office.executor.subjects)


async def test_a_row_that_intake_refuses_is_reported_and_the_others_are_taken(office: SimpleNamespace) -> None:
    data = b"prs_FirstName,xa_Office\nWren,harbour\nHeron,moonbase\n"
    report = (await sent(office, data)).json()
    assert [(row["row"], row["result"], row["reason"]) for row in report["report"]] == [
        (2, "taken", None),
        (3, "refused", "office_unknown"),
    ]


@pytest.mark.parametrize("data", [b"name,age\nWren,12\n", b"\xff\xfeprs_FirstName"])
async def test_a_file_that_is_not_htcds_is_refused_whole(office: SimpleNamespace, data: bytes) -> None:
    answered = await sent(office, data)
    assert answered.status_code == 422
    assert "Wren" not in answered.text
    assert answered.json()["what_next"]


async def test_a_file_of_another_kind_is_refused_at_the_border(office: SimpleNamespace) -> None:
    answered = await office.caseworker("POST", "/imports/htcds", json={"rows": []})
    assert answered.status_code == 415


def test_intake_consumes_nothing() -> None:
    assert application.service.subscribes == frozenset()
    assert replace(application).name == "intake"
