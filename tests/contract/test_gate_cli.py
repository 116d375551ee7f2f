"""`kintsugi contracts`, run as people and CI run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest
from kintsugi_contracts.releases import freeze
from kintsugi_office.cli import app
from typer.testing import CliRunner, Result

from tests.contract.folders import Copy

INTAKE = "topics/intake.v1.yaml"


class Run(Protocol):
    """Runs the command in a folder, at a width."""

    def __call__(self, *arguments: str, folder: Path, width: int = 80) -> Result: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    def runs(*arguments: str, folder: Path, width: int = 80) -> Result:
        monkeypatch.chdir(folder)
        monkeypatch.delenv("KINTSUGI_PROJECT", raising=False)
        monkeypatch.setenv("COLUMNS", str(width))
        return CliRunner().invoke(app, ["contracts", *arguments])

    return runs


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Contracts with a release."""
    made = Copy(tmp_path)
    freeze(made.path, "1.0.0")
    return made


def test_contracts_in_order_end_with_zero(run: Run, copy: Copy) -> None:
    done = run("check", folder=copy.path.parent)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("The contracts are in order: ")
    assert "compared with 1.0.0." in " ".join(done.stdout.split())


@pytest.mark.parametrize("width", [80, 120])
def test_a_change_that_may_not_be_merged_ends_with_one_and_says_all(run: Run, copy: Copy, width: int) -> None:
    copy.text(INTAKE, "partitions: 12", "partitions: 24")
    copy.text("events/case.closed/v1.schema.json", '"approved_role": {', '"approving_role": {')
    done = run("check", folder=copy.path.parent, width=width)
    assert done.exit_code == 1
    assert max(map(len, done.stdout.splitlines())) <= width
    words = " ".join(done.stdout.split())
    for said in (
        "contracts/events/case.closed/v1.schema.json:",
        "requires approved_role, which is no property",
        "Forbidden (1)",
        "partitions was 12 and is 24: the number of partitions decides where a key goes",
        "Needs a new major version (1)",
        "approved_role was renamed to approving_role",
        "since 1.0.0",
        "2 changes that may not be merged; compared with 1.0.0.",
    ):
        assert said in words


def test_markdown_is_for_a_pull_request(run: Run, copy: Copy) -> None:
    copy.text(INTAKE, "partitions: 12", "partitions: 24")
    done = run("check", "--format", "markdown", folder=copy.path.parent)
    assert done.exit_code == 1
    assert done.stdout.startswith("## Contracts\n")
    assert "| About | What changed | What to do, who goes first |\n|---|---|---|\n" in done.stdout
    assert "| {country}.intake.v1 (`topics/intake.v1.yaml:" in done.stdout


def test_json_is_for_programs(run: Run, copy: Copy) -> None:
    copy.text(INTAKE, "owner: The intake team", "owner: The door team")
    done = run("check", "--format", "json", folder=copy.path.parent)
    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert told["passes"] is True
    (change,) = told["changes"]
    assert (change["verdict"], change["rule"], change["since"]) == ("fine", "owner", ["1.0.0"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "--contracts", "nowhere"), "kintsugi contracts: nowhere"),
        (("show", "case.opened"), "no contracts/ in"),
        (("release", "1.0.0"), "no contracts/ in"),
        (("diff", "1.0.0"), "no contracts/ in"),
    ],
)
def test_what_cannot_run_ends_with_two(run: Run, arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = run(*arguments, folder=tmp_path)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_folder_of_the_project_what_is_installed_is_checked(run: Run, tmp_path: Path) -> None:
    done = run("check", "--format", "json", folder=tmp_path)
    told = json.loads(done.stdout)
    assert (done.exit_code, told["passes"]) == (0, True)
    assert told["releases"]


def test_a_reference_git_does_not_have_ends_with_two(run: Run, copy: Copy) -> None:
    done = run("check", "--against", "main", folder=copy.path.parent)
    assert done.exit_code == 2
    assert "git cannot say what stands there" in done.stderr


def test_a_release_says_what_was_made_and_what_to_do(run: Run, copy: Copy) -> None:
    copy.text(INTAKE, "owner: The intake team", "owner: The door team")
    done = run("release", "1.1.0", folder=copy.path.parent)
    assert done.exit_code == 0
    assert done.stdout.startswith("1.1.0 is released: ")
    assert "contracts/released/1.1.0" in done.stdout
    assert "after     1.0.0" in done.stdout
    again = run("release", "1.1.0", folder=copy.path.parent)
    assert (again.exit_code, again.stdout) == (2, "")


def test_a_difference_is_told_and_does_not_judge(run: Run, copy: Copy) -> None:
    assert run("diff", "1.0.0", folder=copy.path.parent).stdout == "Nothing changed.\n"
    copy.text(INTAKE, "partitions: 12", "partitions: 24")
    done = run("diff", "1.0.0", folder=copy.path.parent)
    assert done.exit_code == 0
    assert "partitions was 12 and is 24" in done.stdout
    assert done.stdout.endswith("1.0.0 to working: 1 change, 0 of them fine.\n")


@pytest.mark.parametrize("name", ["case.opened", "case.opened.v1", "kintsugi.case.opened.v1"])
def test_an_event_is_shown_on_a_page(run: Run, name: str, copy: Copy) -> None:
    done = run("show", name, folder=copy.path.parent, width=120)
    assert done.exit_code == 0
    for said in (
        "kintsugi.case.opened.v1\nA survivor was met and a case was opened.\n",
        "written by  intake, on {country}.intake.v1",
        "read by     assessment: case_ref, office, languages",
        "interpreter.gender  feminine | masculine",
        "Sealed: identity. Who the survivor is.",
        "birthdate?",
        '"preferred_name": "Amara"',
    ):
        assert said in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120


def test_an_event_nobody_knows_is_told_with_the_nearest(run: Run, copy: Copy) -> None:
    done = run("show", "case.opend", folder=copy.path.parent)
    assert done.exit_code == 2
    assert done.stderr == "kintsugi contracts: there is no event case.opend; did you mean 'case.opened'?\n"


@pytest.mark.parametrize("command", ["check", "release", "diff", "show", "asyncapi"])
def test_every_command_explains_itself(run: Run, command: str, tmp_path: Path) -> None:
    done = run(command, "--help", folder=tmp_path)
    assert done.exit_code == 0
    assert "--contracts" in done.stdout


def test_the_command_itself_ends_with_the_code_ci_looks_at(copy: Copy) -> None:
    copy.text(INTAKE, "partitions: 12", "partitions: 24")
    command = [str(Path(sys.executable).with_name("kintsugi")), "contracts", "check", "--contracts", str(copy.path)]
    done = subprocess.run(command, cwd=copy.path.parent, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "partitions was 12 and is 24" in done.stdout
