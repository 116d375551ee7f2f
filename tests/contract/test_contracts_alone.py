"""`libs/contracts` stands alone: its wheel and what it names are enough for every module and command of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.contract.folders import CONTRACTS

LIBRARY = Path(__file__).parents[2] / "libs" / "contracts"
NAMED = {"pydantic", "jsonschema", "ruamel-yaml"}

EVERY_MODULE = """
import importlib, json, pkgutil, sys, kintsugi_contracts
names = sorted(m.name for m in pkgutil.walk_packages(kintsugi_contracts.__path__, "kintsugi_contracts."))
for name in names:
    importlib.import_module(name)
print(json.dumps({"modules": names, "file": kintsugi_contracts.__file__}))
"""


def requirements(name: str) -> set[str]:
    """What a distribution needs on this machine, without extras."""
    needed = (Requirement(each) for each in distribution(name).requires or ())
    return {canonicalize_name(r.name) for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})}


def closure(names: set[str]) -> set[str]:
    """Distributions and all that they need."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= requirements(name) - found
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment: the wheel, what it names, and what that needs. No network is used."""
    folder = tmp_path_factory.mktemp("alone")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "wheels")]
    subprocess.run(build, cwd=LIBRARY, check=True, capture_output=True)
    (wheel,) = (folder / "wheels").glob("kintsugi_contracts-*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    shutil.unpack_archive(wheel, site, "zip")
    for name in closure(NAMED):
        for file in distribution(name).files or ():
            if not file.parts[0].startswith("..") and "__pycache__" not in file.parts:
                target = site / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), target)
    return folder / "venv" / "bin" / "python"


def run(python: Path, *arguments: str, folder: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    """Runs that Python where nothing of the repository is found."""
    environment = {"PATH": path, "HOME": str(folder), "LANG": os.environ.get("LANG", "C.UTF-8")}
    command = [str(python), "-I", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_package_names_pydantic_jsonschema_and_one_yaml_reader_and_nothing_else() -> None:
    assert requirements("kintsugi-contracts") == NAMED


def test_every_module_can_be_imported_where_only_those_are(alone: Path, tmp_path: Path) -> None:
    done = run(alone, "-c", EVERY_MODULE, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert str(alone.parents[1]) in told["file"]
    assert {"kintsugi_contracts.gate", "kintsugi_contracts.asyncapi.page", "kintsugi_contracts.node"} <= set(
        told["modules"]
    )


def small(folder: Path) -> Path:
    """Contracts of one service that declines an assessment, without what else the platform has."""
    contracts = folder / "contracts"
    (contracts / "topics").mkdir(parents=True)
    (contracts / "topics" / "assessment.v1.yaml").write_text(
        "topic: '{country}.assessment.v1'\nservice: assessment\nowner: The assessment team\npurpose: To know.\n"
        "producer: assessment\nkey: ce_subject\npartitions: 3\nsensitivity: internal\nconfig: {}\npurposes: []\n"
        "events:\n  assessment.declined: {versions: [1], protective: false}\nconsumers: {}\n"
    )
    shutil.copytree(CONTRACTS / "events" / "assessment.declined", contracts / "events" / "assessment.declined")
    shutil.copy(CONTRACTS / "events" / "common.schema.json", contracts / "events")
    return contracts


def test_models_are_generated_with_a_formatter_and_are_then_not_stale(alone: Path, tmp_path: Path) -> None:
    contracts, out = small(tmp_path), tmp_path / "lamp_events"
    generate = ["-m", "kintsugi_contracts.generate", "--contracts", str(contracts), "--out", str(out)]
    bin_with_ruff = str(Path(sys.executable).parent)
    done = run(alone, *generate, folder=tmp_path, path=bin_with_ruff)
    assert done.returncode == 0, done.stderr
    assert "class AssessmentDeclined(Event)" in (out / "assessment.py").read_text()
    assert run(alone, *generate, "--check", folder=tmp_path, path=bin_with_ruff).returncode == 0
    (out / "assessment.py").write_text("# edited\n")
    assert run(alone, *generate, "--check", folder=tmp_path, path=bin_with_ruff).returncode == 1


def test_without_a_formatter_the_generator_says_what_to_install(alone: Path, tmp_path: Path) -> None:
    contracts = small(tmp_path)
    generate = ["-m", "kintsugi_contracts.generate", "--contracts", str(contracts), "--out", str(tmp_path / "out")]
    done = run(alone, *generate, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "run `pip install ruff`" in done.stderr
    assert "Traceback" not in done.stderr


def test_documents_are_written_by_the_package_alone(alone: Path, tmp_path: Path) -> None:
    contracts = small(tmp_path)
    done = run(alone, "-m", "kintsugi_contracts.asyncapi", "--contracts", str(contracts), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "{country}.assessment.v1" in (contracts / "asyncapi" / "assessment.yaml").read_text()
