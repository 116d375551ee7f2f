"""The server on a real socket: time limits, keep-alive, and a stop that its owner decides."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter
from kintsugi.http import server as serving
from kintsugi.http.factory import create_app
from kintsugi.http.health import Health
from kintsugi.telemetry.metrics import Metrics

router = APIRouter()


@router.get("/slow")
async def slow() -> str:
    await asyncio.sleep(0.8)
    return "done"


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[tuple[serving.Server, int]]:
    server = serving.server(
        create_app("intake", "1", None, [router], Health(), Metrics("intake")), "127.0.0.1", 0, drain_s=3
    )
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
        await asyncio.sleep(0.01)
    try:
        yield server, server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


@pytest.mark.parametrize("sent", [b"", b"GET /livez HTTP/1.1\r\nHost: x\r\n"])
@pytest.mark.parametrize("answered_before", [False, True])
async def test_headers_that_do_not_arrive_end_the_connection(
    monkeypatch: pytest.MonkeyPatch, sent: bytes, answered_before: bool
) -> None:
    monkeypatch.setattr(serving, "HEADER_SECONDS", 0.3)
    async with served() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        if answered_before:
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in await reader.read(4096)
            sent = sent or b"G"
        writer.write(sent)
        started = time.monotonic()
        async with asyncio.timeout(5):
            while await reader.read(4096):
                pass
        assert 0.2 < time.monotonic() - started < 3
        writer.close()


async def test_a_connection_serves_many_requests_and_slow_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEADER_SECONDS", 0.3)
    async with served() as (_, port), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/slow")).json() == "done"
        assert "server" not in (await client.get("/livez")).headers


async def test_requests_under_way_end_before_the_server_does() -> None:
    async with served() as (server, port), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        request = asyncio.create_task(client.get("/slow"))
        await asyncio.sleep(0.2)
        server.should_exit = True
        assert (await request).json() == "done"


async def test_signals_stay_with_their_owner() -> None:
    got: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: got.append(number))
    try:
        async with served() as (server, _):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.1)
            assert not server.should_exit
    finally:
        signal.signal(signal.SIGTERM, before)
    assert got == [signal.SIGTERM]
