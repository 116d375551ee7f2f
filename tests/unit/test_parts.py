"""The `kintsugi` command and the packages that add to it: with the sandbox, without it, and with another's part."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kintsugi_office import parts
from kintsugi_office.cli import app
from kintsugi_office.doctor import examine
from kintsugi_office.project import Layout
from typer.testing import CliRunner

PROJECT = Path(__file__).parents[2]
ABSENT = PROJECT / "tests" / "absent"


def without_the_sandbox(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kintsugi_office", *words],
        cwd=PROJECT,
        env={**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ABSENT), "ABSENT": "kintsugi_sandbox"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", ["up", "down", "migrate", "empty", "demo", "reconcile"])
def test_without_the_sandbox_its_commands_name_the_package_in_one_line(command: str) -> None:
    said = without_the_sandbox(command, "--data", "somewhere")
    assert said.returncode == 2
    assert said.stderr == (
        f"kintsugi: '{command}' is a command of the package kintsugi-sandbox: pip install kintsugi-sandbox\n"
    )


def test_without_the_sandbox_the_other_commands_work(tmp_path: Path) -> None:
    assert without_the_sandbox("country", "check", "xa").returncode == 0
    examined = without_the_sandbox("doctor", "--data", str(tmp_path / "none"))
    assert examined.returncode == 0, examined.stdout
    assert "Python" in examined.stdout
    assert "Java" not in examined.stdout
    assert "│ up " not in without_the_sandbox("--help").stdout
    unknown = without_the_sandbox("coffee")
    assert unknown.returncode == 2
    assert "No such command 'coffee'" in unknown.stderr


def test_without_the_sandbox_a_stopped_office_is_not_recovered_and_nothing_is_left(tmp_path: Path) -> None:
    refused = without_the_sandbox("recover", "referral", "--data", str(tmp_path))
    assert refused.returncode == 1
    assert "kintsugi-sandbox" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_with_the_sandbox_its_commands_and_checks_are_there(tmp_path: Path) -> None:
    names = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    assert names >= {"up", "down", "migrate", "empty", "demo", "reconcile"}
    helped = CliRunner().invoke(app, ["--help"])
    assert "│ up " in helped.stdout
    assert CliRunner().invoke(app, ["up", "--help"]).exit_code == 0
    said = " ".join(finding.what for finding in examine(Layout(tmp_path / "none")))
    for looked_at in ("GB free", "Java", "Apache Kafka", "PostgreSQL"):
        assert looked_at in said


def test_another_package_adds_a_command_by_entry_point(tmp_path: Path) -> None:
    (tmp_path / "housing_office.py").write_text(
        "def register(app):\n    @app.command()\n    def beds():\n        print('seven beds')\n"
    )
    told = tmp_path / "housing_office-1.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Name: housing-office\nVersion: 1\n")
    (told / "entry_points.txt").write_text(f"[{parts.COMMANDS}]\nhousing = housing_office:register\n")
    said = subprocess.run(
        [sys.executable, "-m", "kintsugi_office", "beds"],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.stdout == "seven beds\n", said.stderr
