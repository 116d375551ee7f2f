"""`kintsugi up` and its companions, as a person runs them, with a service that only answers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from kintsugi_office import state
from kintsugi_office.project import Layout
from kintsugi_office.state import OfficeState

_PRETEND = Path(__file__).parent / "pretend"
_PROJECT = Path(__file__).parents[2]


class Command:
    """Runs `kintsugi` in a data folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout(folder)
        self.environment = {**os.environ, "PYTHONPATH": str(_PRETEND), "KINTSUGI_DATA": str(folder)}

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kintsugi_office", *words],
            cwd=_PROJECT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def state(self) -> OfficeState:
        return state.running(self.layout.state)

    def status(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return report


@pytest.fixture(scope="module")
def kintsugi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    folder = tmp_path_factory.mktemp("office")
    command = Command(folder)
    started = command.run("up", "--detach", "--only", "pretend")
    assert started.returncode == 0, started.stderr
    yield command
    command.run("down")
    command.run("empty", "--yes")


def _family(current: OfficeState) -> list[psutil.Process]:
    pids = [current.pid, *(process.pid for process in current.processes.values() if process.pid)]
    found = [psutil.Process(pid) for pid in pids]
    return list({*found, *(child for process in found for child in process.children(recursive=True))})


def _wait(until: float, condition: Any) -> None:
    end = time.monotonic() + until
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


@pytest.mark.timeout(200)
def test_an_office_in_the_background_says_what_runs(kintsugi: Command) -> None:
    report = kintsugi.status()
    assert {name: process["state"] for name, process in report["processes"].items()} == dict.fromkeys(
        ("postgres", "kafka", "mailbox", "pretend"), "ready"
    )
    assert report["services"]["pretend"]["answers"]
    assert report["services"]["pretend"]["version"] == "1.0"
    assert report["services"]["pretend"]["authorized"], "status asks with an operator's token"
    text = kintsugi.run("status").stdout
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "4 held" in text


def test_a_service_is_given_its_own_database_and_no_key_it_has_no_purpose_for(kintsugi: Command) -> None:
    said = kintsugi.status()["services"]["pretend"]
    assert said["database"] == "/kintsugi_xa_pretend"
    assert said["keys"] == []
    assert kintsugi.layout.state.stat().st_mode & 0o077 == 0


def test_the_doctor_finds_nothing_wrong_with_a_running_office(kintsugi: Command) -> None:
    examined = kintsugi.run("doctor", "--json")
    wrong = [finding for finding in json.loads(examined.stdout) if finding["state"] == "wrong"]
    assert wrong == []
    assert examined.returncode == 0


def test_a_killed_service_comes_back_on_its_port(kintsugi: Command) -> None:
    before = kintsugi.state().processes["pretend"]
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    _wait(20, lambda: kintsugi.state().processes["pretend"].restarts == before.restarts + 1)
    _wait(20, lambda: kintsugi.state().processes["pretend"].state == "ready")
    assert kintsugi.state().processes["pretend"].ports == before.ports


def test_a_killed_broker_is_started_again(kintsugi: Command) -> None:
    before = kintsugi.state().processes["kafka"].pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    _wait(40, lambda: kintsugi.state().processes["kafka"].pid not in (None, before))
    assert kintsugi.state().bootstrap


def test_a_second_office_in_the_same_folder_is_refused(kintsugi: Command) -> None:
    refused = kintsugi.run("up", "--only", "pretend")
    assert refused.returncode == 1
    assert "already runs" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert kintsugi.state().phase == "ready"


def test_migrating_a_running_office_again_is_harmless(kintsugi: Command) -> None:
    migrated = kintsugi.run("migrate")
    assert migrated.returncode == 0, migrated.stderr
    assert httpx.get(f"{kintsugi.state().services['pretend']}/readyz").status_code == 200


def test_a_service_that_is_not_installed_is_named_with_those_that_are(kintsugi: Command) -> None:
    refused = kintsugi.run("up", "--only", "nonsense")
    assert refused.returncode == 1
    assert "Not installed: nonsense" in refused.stderr
    assert "pretend" in refused.stderr


@pytest.mark.timeout(200)
def test_nothing_survives_a_kill_of_the_supervisor_and_the_next_start_finds_the_data(kintsugi: Command) -> None:
    current = kintsugi.state()
    family = _family(current)
    assert len(family) > 8
    os.kill(current.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=15)
    assert alive == []
    left = kintsugi.run("status")
    assert left.returncode == 1
    assert "kintsugi up" in left.stderr
    assert "was left by an office that is gone" in kintsugi.run("doctor").stdout
    password = (kintsugi.layout.postgres / "passwords.json").read_text()
    again = kintsugi.run("up", "--detach", "--only", "pretend")
    assert again.returncode == 0, again.stderr
    assert (kintsugi.layout.postgres / "passwords.json").read_text() == password
    assert kintsugi.state().services == current.services, "addresses stay"


@pytest.mark.timeout(200)
def test_down_stops_all_of_it(kintsugi: Command) -> None:
    family = _family(kintsugi.state())
    assert kintsugi.run("down").returncode == 0
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []
    assert not kintsugi.layout.state.exists()
    assert kintsugi.run("down").returncode == 0, "nothing to stop is no error"


@pytest.mark.timeout(200)
def test_a_service_that_keeps_ending_stops_the_start_and_is_quoted(kintsugi: Command) -> None:
    failed = kintsugi.run("up", "--only", "pretend", PRETEND_BROKEN="yes")
    assert failed.returncode == 1
    assert "this service was told to be broken" in failed.stderr
    assert "pretend ended 3 times while starting" in failed.stderr
    assert not kintsugi.layout.state.exists()


@pytest.mark.timeout(200)
def test_control_c_stops_an_office_in_the_foreground(kintsugi: Command) -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "kintsugi_office", "up", "--only", "pretend"],
        cwd=_PROJECT,
        env=kintsugi.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait(60, lambda: (found := state.read(kintsugi.layout.state)) is not None and found.phase == "ready")
    family = _family(kintsugi.state())
    supervisor.send_signal(signal.SIGINT)
    _, said = supervisor.communicate(timeout=40)
    assert supervisor.returncode == 0
    assert "Fictional data only" in said
    assert "Nothing runs any more" in said
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []


def test_a_token_carries_the_role_it_was_asked_for(kintsugi: Command) -> None:
    import jwt

    printed = kintsugi.run("token", "--role", "caseworker")
    claims = jwt.decode(printed.stdout.strip(), options={"verify_signature": False})
    assert claims["roles"] == ["caseworker"]
    assert claims["country"] == "xa"


def test_without_an_office_every_command_says_what_to_do(tmp_path: Path) -> None:
    nobody = Command(tmp_path / "none")
    for words in (("status",), ("token", "--role", "operator")):
        answer = nobody.run(*words)
        assert answer.returncode == 1
        assert "kintsugi up" in answer.stderr
        assert "Traceback" not in answer.stderr
