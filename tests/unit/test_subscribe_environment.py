"""What `kintsugi environment` prints is what a subscriber is made from."""

import os
import shlex
from pathlib import Path

import psutil
import pytest
from kintsugi.settings import SettingsError
from kintsugi.subscribe import SubscribeError, Subscriber
from kintsugi_events import ConsentRecorded
from kintsugi_office import state
from kintsugi_office.cli import app
from kintsugi_office.project import Layout
from typer.testing import CliRunner

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def office(tmp_path: Path) -> Layout:
    """The data folder of an office that this process pretends to run."""
    layout = Layout(tmp_path / "an office")
    layout.make()
    password = layout.kafka_password("office")
    password.parent.mkdir(parents=True, exist_ok=True)
    password.touch(mode=0o600)
    password.write_text("not-a-real-one\n")
    running = state.OfficeState(
        pid=os.getpid(),
        started=psutil.Process().create_time(),
        phase="ready",
        country="xa",
        profile="development",
        shape="processes",
        project=str(PROJECT),
        bootstrap="127.0.0.1:19092",
        services={},
        versions={},
        databases={},
        keyrings={},
        processes={},
    )
    state.write(layout.state, running)
    return layout


def test_a_subscriber_is_made_from_what_the_command_prints(office: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = CliRunner().invoke(app, ["environment", "--data", str(office.data)])
    assert answer.exit_code == 0
    assert "not-a-real-one" not in answer.stdout
    for line in answer.stdout.splitlines():
        (assignment,) = shlex.split(line.removeprefix("export "))
        monkeypatch.setenv(*assignment.split("=", 1))
    subscriber = Subscriber.from_environment("monthly-report", folder=office.data)
    assert subscriber.group == "xa.office.monthly-report"
    assert subscriber.file == office.data / "monthly-report.sqlite"
    assert subscriber.held() == []
    with pytest.raises(SubscribeError, match="no name for a subscriber"):
        Subscriber.from_environment("Monthly report")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("KINTSUGI_")]:
        monkeypatch.delenv(name)
    with pytest.raises(SettingsError, match=r"subscriber 'report' cannot start(.|\n)*KINTSUGI_BOOTSTRAP"):
        Subscriber.from_environment("report")
    answer = CliRunner().invoke(app, ["environment", "--data", str(tmp_path)])
    assert answer.exit_code == 1


def test_without_a_handler_it_says_so_and_ends(
    office: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KINTSUGI_COUNTRY", "xa")
    monkeypatch.setenv("KINTSUGI_CONTRACTS", str(office.data))
    monkeypatch.setenv("KINTSUGI_BOOTSTRAP", "127.0.0.1:1")
    subscriber = Subscriber.from_environment("report", folder=office.data)
    with pytest.raises(SystemExit, match="has no handler"):
        subscriber.run()
    subscriber.on(ConsentRecorded)(lambda event, record: None)
    with pytest.raises(SystemExit, match="no topic files"):
        subscriber.run()
