"""What every request passes and every answer carries; nothing a caller sent comes back in an error."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
import structlog
from fastapi import APIRouter, FastAPI, HTTPException, Request
from kintsugi.http.border import BodyRule
from kintsugi.http.factory import create_app
from kintsugi.http.health import Health
from kintsugi.http.liveness import Watchdog
from kintsugi.http.problems import Problem
from kintsugi.telemetry.metrics import Metrics
from kintsugi.telemetry.tracing import Tracing
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel, Field, field_validator

NAME = "Amina Okafor"
JSON = {"Content-Type": "application/json"}


class Person(BaseModel, extra="forbid"):
    name: str = Field(max_length=300)
    age: int = Field(default=30, ge=0, le=120)
    weight: float = 0
    labels: dict[str, int] = {}

    @field_validator("name")
    @classmethod
    def not_a_number(cls, value: str) -> str:
        if value.isdigit():
            raise ValueError(f"{value} is a number")
        return value


router = APIRouter()


@router.post("/people/{ref}", status_code=201)
async def record(ref: int, person: Person) -> dict[str, Any]:
    if person.age == 99:
        raise RuntimeError(f"cannot store {person.name}")
    if person.age == 98:
        raise HTTPException(418, f"no tea for {person.name}")
    return {"length": len(person.name)}


@router.post("/imports")
async def take(request: Request) -> dict[str, int]:
    return {"bytes": len(await request.body())}


@router.get("/refused")
async def refused() -> None:
    raise Problem(
        503,
        "not_now",
        "Not now",
        what_next="Wait.",
        extra={"status": 200, "hint": "x"},
        headers={"Retry-After": "3"},
    )


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("intake", "1.2.3")


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def app(exporter: InMemorySpanExporter, metrics: Metrics, health: Health) -> FastAPI:
    return create_app(
        "intake",
        "1.2.3",
        None,
        [router],
        health,
        metrics,
        tracing=Tracing("intake", exporter=exporter),
        watchdog=Watchdog(),
        development=True,
        body_rules={"/imports": BodyRule(("text/csv",), limit=2_000_000, seconds=0.2)},
    )


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://office") as client:
        yield client


def is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert (document["status"], document["code"]) == (status, code)
    assert document["type"] == f"urn:kintsugi:problem:{code}"
    assert document["instance"] == f"urn:kintsugi:request:{answer.headers['x-request-id']}"
    assert NAME not in answer.text
    return document


async def test_an_accepted_request_passes_and_its_answer_is_marked(client: httpx.AsyncClient) -> None:
    answer = await client.post("/people/1", json={"name": "محمد 🌿 " + "x" * 200})
    assert (answer.status_code, answer.json()) == (201, {"length": 207})
    assert answer.headers["kintsugi-notice"] == "fictional data only"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"name"', 400, "body_not_json"),
        (b"[" * 20_000, 400, "body_not_json"),
        (b"\xff\xfe{\x00}\x00", 400, "nul_character"),
        (b"\xff\xfe", 400, "body_not_json"),
        (b'{"name":"a","weight":NaN}', 400, "body_not_json"),
        (b'{"name":"\\ud800"}', 400, "body_not_json"),
        (b'{"name":"Amina Okafor\\u0000"}', 400, "nul_character"),
        (b'{"name":"Amina Okafor\\\\\\u0000"}', 400, "nul_character"),
        (b'{"name":"Amina Okafor","age":"x"}', 422, "input_refused"),
        (b"", 422, "input_refused"),
        (b'"' + b"x" * 1_048_576 + b'"', 413, "body_too_large"),
    ],
)
async def test_a_bad_body_is_a_problem(client: httpx.AsyncClient, body: bytes, status: int, code: str) -> None:
    is_problem(await client.post("/people/1", content=body, headers=JSON), status, code)


async def test_an_escaped_backslash_before_u0000_is_ordinary_text(client: httpx.AsyncClient) -> None:
    answer = await client.post("/people/1", content=rb'{"name":"\\u0000"}', headers=JSON)
    assert answer.json() == {"length": 6}


async def test_refused_input_names_places_and_rules_but_no_value_and_no_unknown_name(
    client: httpx.AsyncClient,
) -> None:
    body = {"name": "5551234", "age": 300, "labels": {NAME: "x"}, NAME: 1, "amina": 2}
    document = is_problem(await client.post("/people/abc", json=body), 422, "input_refused")
    found = {(each["where"], each["rule"]) for each in document["errors"]}
    assert found == {
        ("path/ref", "int_parsing"),
        ("body/name", "refused"),
        ("body/age", "less_than_equal"),
        ("body/labels/?", "int_parsing"),
        ("body/?", "extra_forbidden"),
    }
    assert {"le": 120} in [each.get("limits") for each in document["errors"]]
    text = str(document)
    assert "5551234" not in text
    assert "amina" not in text
    assert "300" not in text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
)
async def test_a_body_of_another_kind_is_415(client: httpx.AsyncClient, headers: Mapping[str, str]) -> None:
    is_problem(
        await client.post("/people/1", content=b'{"name":"a"}', headers=headers), 415, "media_type_not_supported"
    )


async def test_a_path_may_have_a_rule_of_its_own(client: httpx.AsyncClient) -> None:
    big = b"x" * 1_500_000
    answer = await client.post("/imports", content=big, headers={"Content-Type": "text/csv; charset=utf-8"})
    assert answer.json() == {"bytes": 1_500_000}
    is_problem(await client.post("/imports", json={}), 415, "media_type_not_supported")


async def test_a_body_without_a_declared_length_is_stopped_at_the_limit(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 50_000_000:
            sent += 65_536
            yield b" " * 65_536

    is_problem(await client.post("/people/1", content=endless(), headers=JSON), 413, "body_too_large")
    assert sent < 2_000_000


async def test_a_body_that_trickles_in_is_408(client: httpx.AsyncClient) -> None:
    async def slow() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x"
            await asyncio.sleep(0.05)

    answer = await client.post("/imports", content=slow(), headers={"Content-Type": "text/csv"})
    is_problem(answer, 408, "body_too_slow")
    assert answer.headers["connection"] == "close"


async def test_a_fault_of_ours_tells_and_logs_only_its_kind_and_place(client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs() as logs:
        answer = await client.post("/people/1", json={"name": NAME, "age": 99})
    is_problem(answer, 500, "internal_error")
    (line,) = logs
    assert line["cause"] == "RuntimeError"
    assert line["code_location"].startswith("test_http_border.py:")
    assert line["request_id"] == answer.headers["x-request-id"]
    assert NAME not in str(logs)


async def test_the_frameworks_own_errors_are_problems_without_their_text(client: httpx.AsyncClient) -> None:
    is_problem(await client.get(f"/{NAME}"), 404, "not_found")
    assert is_problem(await client.put("/people/1", json={}), 405, "method_not_allowed")["what_next"]
    is_problem(await client.post("/people/1", json={"name": NAME, "age": 98}), 418, "http_418")
    is_problem(await client.request("GET", "/refused", json={}), 400, "body_not_expected")


async def test_a_problem_keeps_its_headers_and_its_own_members(client: httpx.AsyncClient) -> None:
    answer = await client.get("/refused")
    document = is_problem(answer, 503, "not_now")
    assert answer.headers["retry-after"] == "3"
    assert (document["what_next"], document["hint"]) == ("Wait.", "x")
    assert "detail" not in document


def test_a_problem_code_must_be_a_code() -> None:
    with pytest.raises(ValueError, match="lower-case words"):
        Problem(400, NAME, "x")


@pytest.mark.parametrize(
    ("given", "kept"), [("a-fine_id.42", True), ("short", False), ("x" * 65, False), (NAME, False)]
)
async def test_a_plain_request_id_is_kept_and_any_other_replaced(
    client: httpx.AsyncClient, given: str, kept: bool
) -> None:
    answer = await client.get("/livez", headers={"X-Request-Id": given})
    assert (answer.headers["x-request-id"] == given) is kept


async def test_a_request_is_the_root_of_a_new_trace_linked_to_the_callers(
    app: FastAPI, client: httpx.AsyncClient, exporter: InMemorySpanExporter, metrics: Metrics
) -> None:
    caller = f"00-{'a' * 32}-{'b' * 16}-00"
    answer = await client.post("/people/7", json={"name": NAME}, headers={"traceparent": caller})
    await client.get("/readyz")
    await asyncio.sleep(0.7)
    (span,) = exporter.get_finished_spans()
    assert span.name == "POST /people/{ref}"
    assert span.parent is None
    assert [f"{link.context.trace_id:032x}" for link in span.links] == ["a" * 32]
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/people/{ref}",
        "http.response.status_code": 201,
        "kintsugi.input": "command",
    }
    assert answer.headers["traceresponse"].split("-")[1] == f"{span.context.trace_id:032x}"
    text = metrics.render().decode()
    assert 'kintsugi_http_request_duration_seconds_count{method="POST",route="/people/{ref}",status="201"} 1.0' in text
    assert "/people/7" not in text


async def test_unknown_paths_and_methods_do_not_grow_the_metrics(client: httpx.AsyncClient, metrics: Metrics) -> None:
    for number in range(5):
        await client.request(f"BREW{number}", f"/scan/{number}")
    assert 'count{method="_OTHER",route="unmatched",status="404"} 5.0' in metrics.render().decode()


async def test_ready_only_when_opened_and_every_check_is_well(client: httpx.AsyncClient, health: Health) -> None:
    async def reasons() -> tuple[int, dict[str, str]]:
        answer = await client.get("/readyz")
        return answer.status_code, answer.json()["reasons"]

    async def fine() -> None:
        return None

    async def absent() -> str:
        return "broker_absent"

    async def broken() -> str | None:
        raise ConnectionError(NAME)

    async def hangs() -> str | None:
        await asyncio.sleep(60)
        return None

    health.check("database", fine)
    assert await reasons() == (503, {"service": "starting"})
    health.open()
    assert await reasons() == (200, {})
    health.check("broker", absent)
    health.check("keyring", broken)
    health.check("disk", hangs)
    assert await reasons() == (
        503,
        {"broker": "broker_absent", "keyring": "failed_connectionerror", "disk": "no_answer_in_time"},
    )
    health.close("draining")
    assert await reasons() == (503, {"service": "draining"})


async def test_openapi_tells_of_bearer_tokens_and_problems(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    responses = document["paths"]["/people/{ref}"]["post"]["responses"]
    assert set(responses) == {"201", "default"}
    assert list(responses["default"]["content"]) == ["application/problem+json"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert "/livez" not in document["paths"]


async def test_outside_development_there_is_no_notice(metrics: Metrics) -> None:
    app = create_app("intake", "1", None, [router], Health(), metrics)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://office") as client:
        answer = await client.get("/livez")
    assert "kintsugi-notice" not in answer.headers
    assert "traceresponse" not in answer.headers
