"""A stopped heart is seen from a thread and ends the process; a slow or resting one does not."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import httpx
from fastapi import FastAPI
from kintsugi.http.factory import create_app
from kintsugi.http.health import Health
from kintsugi.http.liveness import EXIT_CODE, LivenessServer, Watchdog, beat_event_loop
from kintsugi.telemetry.metrics import Metrics

STUCK_PROCESS = """
import asyncio, sys, time
from kintsugi.http.factory import create_app
from kintsugi.http.health import Health
from kintsugi.http.liveness import LivenessServer, Watchdog, beat_event_loop

async def main():
    watchdog = Watchdog(deadline_s=0.4, grace_s=1.0)
    server = LivenessServer(watchdog)
    server.start()
    watchdog.start()
    loop = asyncio.create_task(beat_event_loop(watchdog, every_s=0.05))
    await asyncio.sleep(0.6)
    print(server.port, flush=True)
    {blocked}

asyncio.run(main())
"""


def start(blocked: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK_PROCESS.replace("{blocked}", blocked)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def livez(port: int) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_blocked_event_loop_is_told_by_livez_and_then_ends_the_process() -> None:
    process, port = start("time.sleep(60)")
    try:
        status = 200
        deadline = time.monotonic() + 5
        while status == 200 and time.monotonic() < deadline:
            status, body = livez(port)
            time.sleep(0.05)
        assert status == 503
        assert body["stuck"] == "event_loop"
        assert process.wait(10) == EXIT_CODE
        assert process.stderr is not None
        said = process.stderr.read()
        assert '"heart": "event_loop"' in said
        assert "in main" in said
    finally:
        process.kill()
        process.communicate()


def test_a_process_that_was_stopped_and_goes_on_is_not_ended() -> None:
    process, _ = start("await asyncio.sleep(1.6); print(watchdog.stuck, flush=True)")
    try:
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.9)
        process.send_signal(signal.SIGCONT)
        assert process.stdout is not None
        assert process.stdout.readline() == "None\n"
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()


def test_only_the_heart_past_its_own_deadline_is_stuck() -> None:
    stuck: list[str] = []
    seen = threading.Event()

    def on_stuck(name: str) -> None:
        stuck.append(name)
        seen.set()

    watchdog = Watchdog(deadline_s=30, on_stuck=on_stuck)
    watchdog.beat("patient")
    watchdog.beat("ended", deadline_s=0.1)
    watchdog.rest("ended")
    watchdog.beat("consumer", deadline_s=0.2)
    watchdog.start()
    for _ in range(4):
        time.sleep(0.1)
        watchdog.beat("consumer")
    assert not stuck
    assert seen.wait(5)
    assert stuck == ["consumer"]
    assert watchdog.stuck == "consumer"
    assert set(watchdog.ages()) == {"patient", "consumer"}
    watchdog.stop()


async def test_the_loops_heart_rests_when_its_task_ends() -> None:
    watchdog = Watchdog()
    task = asyncio.create_task(beat_event_loop(watchdog, every_s=0.01))
    await asyncio.sleep(0.05)
    assert "event_loop" in watchdog.ages()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert watchdog.ages() == {}


def test_the_liveness_server_answers_only_livez() -> None:
    server = LivenessServer(Watchdog())
    server.start()
    try:
        assert livez(server.port)[0] == 200
        assert httpx.get(f"http://127.0.0.1:{server.port}/other").status_code == 404
    finally:
        server.stop()


def test_livez_of_the_application_says_what_is_stuck() -> None:
    stopped = threading.Event()
    watchdog = Watchdog(deadline_s=0.05, on_stuck=lambda _name: stopped.set())
    app = create_app("intake", "1", None, [], Health(), Metrics("intake"), watchdog=watchdog)
    watchdog.beat("consumer")
    watchdog.start()
    assert stopped.wait(5)

    async def ask(app: FastAPI) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://office") as client:
            return await client.get("/livez")

    answer = asyncio.run(ask(app))
    assert (answer.status_code, answer.json()["stuck"]) == (503, "consumer")
