"""A skeleton that works where it is written, and commands that say what is wrong (`kintsugi service new`, `models`)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from kintsugi_contracts.catalog import Catalog
from kintsugi_office.cli import app
from kintsugi_office.service.making import CannotMake, Made, models, new
from typer.testing import CliRunner

CATALOG = Catalog.installed()


def make(folder: Path, name: str = "housing", emits: str = "room.offered", *consumes: str) -> Made:
    return new(name, consumes or ("referral.requested",), emits, country="xa", into=folder, catalog=CATALOG)


@pytest.fixture(scope="module")
def housing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A skeleton that no test changes."""
    return make(tmp_path_factory.mktemp("made")).folder


def run_its_tests(folder: Path) -> subprocess.CompletedProcess[str]:
    """Its own tests, in a process that knows of nothing else."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_its_first_tests_pass_uninstalled(housing: Path) -> None:
    done = run_its_tests(housing)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_its_first_test_fails_when_the_handler_returns_nothing(tmp_path: Path) -> None:
    folder = make(tmp_path).folder
    handlers = folder / "service/src/xa_housing/handlers.py"
    said = re.sub(r"return \[RoomOffered\(.*?\)\]", "return []", handlers.read_text(), flags=re.DOTALL)
    handlers.write_text(said)
    done = run_its_tests(folder)
    assert done.returncode == 1
    assert "test_referral_requested_is_followed_by_room_offered" in done.stdout


@pytest.mark.parametrize(
    ("name", "emits", "consumes", "said"),
    [
        ("Housing", "room.offered", "case.opened", "'Housing' is no name for a service"),
        ("class", "room.offered", "case.opened", "'class' is no name for a service"),
        ("intake", "room.offered", "case.opened", "there is a service 'intake' already"),
        ("housing", "room", "case.opened", "'room' is no name for an event"),
        ("housing", "case.opened", "case.opened", "case.opened is an event of an installed package"),
        ("housing", "room.offered", "case.openned", "no installed package declares case.openned. Known: "),
    ],
)
def test_it_says_what_is_wrong_and_writes_nothing(
    tmp_path: Path, name: str, emits: str, consumes: str, said: str
) -> None:
    with pytest.raises(CannotMake) as refused:
        make(tmp_path, name, emits, consumes)
    assert said in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "housing").mkdir()
    with pytest.raises(CannotMake, match="is there already"):
        make(tmp_path)
    assert not list((tmp_path / "housing").iterdir())


def test_models_follow_a_changed_schema(tmp_path: Path) -> None:
    made = make(tmp_path)
    assert models(made.folder, CATALOG, check=True) == []
    schema = made.events / "contracts/events/room.offered/v1.schema.json"
    schema.write_text(schema.read_text().replace('"title": "RoomOffered"', '"title": "RoomWasOffered"'))
    stale = models(made.folder, CATALOG, check=True)
    assert {file.name for file in stale} == {"__init__.py", "housing.py"}
    assert models(made.folder, CATALOG) == stale
    assert "class RoomWasOffered(Event)" in (made.events / "housing.py").read_text()


def test_the_command_says_what_it_made_and_what_comes_next(tmp_path: Path) -> None:
    options = ["service", "new", "meals", "--emits", "meal.brought", "--into", str(tmp_path)]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0, done.output
    assert "service/src/xa_meals/handlers.py" in done.output
    assert "kintsugi service check ." in done.output
