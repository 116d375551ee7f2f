"""A service that has not started answers nothing that would change, or trust, a database it has not checked."""

from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from kintsugi.clock import BusinessClock
from kintsugi.http.factory import create_app
from kintsugi.http.health import Health
from kintsugi.operations.api import Live, Operations
from kintsugi.telemetry.metrics import Metrics

CASE = "/operations/subjects/case/00000000-0000-4000-8000-000000000001"


async def answered(method: str, path: str, *, started: bool) -> httpx.Response:
    async def lag() -> dict[str, int]:
        return {}

    async def resend(_since: object) -> int:
        raise AssertionError("resent while starting")

    core: Any = SimpleNamespace(name="referral")
    live = Live("1", "development", lag, lambda: 0, resend, lambda: started)
    operations: Operations[Any] = Operations(core, BusinessClock(movable=True), live)
    app = create_app("referral", "1", None, [operations.router()], Health(), Metrics("referral"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://referral") as http:
        return await http.request(method, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{CASE}/release"),
        ("POST", f"{CASE}/discard"),
        ("POST", f"{CASE}/lift"),
        ("POST", "/operations/clock"),
        ("POST", "/operations/resend?since=2026-03-02T10:00:00Z"),
        ("POST", "/operations/dead-letters/xa.intake.v1/0/1/discard"),
        ("GET", CASE),
        ("GET", "/operations/pulse"),
    ],
)
async def test_before_the_start_has_ended_it_is_refused_as_starting(method: str, path: str) -> None:
    answer = await answered(method, path, started=False)
    assert answer.status_code == 503
    assert answer.json()["code"] == "starting"
    assert answer.headers["Retry-After"] == "2"
    assert (await answered(method, path, started=True)).status_code == 401


@pytest.mark.parametrize("path", ["/operations/status", "/operations/held"])
async def test_where_it_stands_can_be_asked_before(path: str) -> None:
    assert (await answered("GET", path, started=False)).status_code == 401
