"""The probe on a port of its own: off unless asked for, answered by a thread, and refused where the port is taken."""

import socket
import urllib.request
from pathlib import Path

import pytest
from kintsugi.http.liveness import Watchdog
from kintsugi.runtime.database import CannotStart
from kintsugi.runtime.start import _liveness
from kintsugi.settings import Settings, load


@pytest.fixture
def free() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def settings(monkeypatch: pytest.MonkeyPatch, **more: str) -> Settings:
    given = {
        "country": "xa",
        "countries": str(Path("countries")),
        "contracts": str(Path("contracts")),
        "bootstrap": "127.0.0.1:1",
        "database_url": "postgresql+asyncpg://nobody@127.0.0.1:1/none",
        "keyring_url": "postgresql+asyncpg://nobody@127.0.0.1:1/none",
        "http_port": "1",
        "jwt_public_key": "none",
        **more,
    }
    for name, value in given.items():
        monkeypatch.setenv(f"KINTSUGI_{name.upper()}", value)
    return load("referral")


def test_without_the_setting_no_other_port_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _liveness(settings(monkeypatch), Watchdog()) is None


async def test_with_it_a_probe_is_answered_while_the_event_loop_is_blocked(
    monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    watchdog = Watchdog()
    watchdog.beat("event_loop")
    server = _liveness(settings(monkeypatch, liveness_port=str(free)), watchdog)
    assert server is not None
    try:
        # This very call blocks the loop: nothing that runs in it could answer.
        with urllib.request.urlopen(f"http://127.0.0.1:{free}/livez", timeout=5) as answer:  # noqa: ASYNC210
            assert answer.status == 200
            assert b'"alive"' in answer.read()
    finally:
        server.stop()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", free))


def test_a_port_that_is_taken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=f"KINTSUGI_LIVENESS_PORT {port}"):
            _liveness(settings(monkeypatch, liveness_port=str(port)), Watchdog())
