"""``kintsugi service check``: style, types, import rules and contracts of a service of one's own."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from kintsugi_contracts import consumes, gate
from kintsugi_contracts.catalog import Catalog, EventPackage
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.schema_changes import Verdict

from kintsugi_office.service.making import CannotMake, models

_TOOLS = {"ruff": "ruff", "mypy": "mypy", "importlinter": "import-linter"}


@dataclass(frozen=True)
class Step:
    """One check: its name, whether it passed, and what it said where it did not."""

    name: str
    passed: bool
    said: str = ""


def check(folder: Path, catalog: Catalog) -> Iterator[Step]:
    """Run every check on the folder of a service, one after the other, whatever the ones before said.

    Raises CannotMake where the folder is no service's, or a tool is not installed.
    """
    folder = folder.absolute()
    sources = sorted(path.parent for path in folder.glob("*/src") if path.is_dir())
    if not (folder / "pyproject.toml").is_file() or not sources:
        raise CannotMake(f"{folder} is no folder that 'kintsugi service new' made: it lacks pyproject.toml or */src")
    if absent := [package for module, package in _TOOLS.items() if find_spec(module) is None]:
        raise CannotMake(f"{', '.join(absent)} not installed: pip install 'kintsugi-office[check]'")
    stale = models(folder, catalog, check=True)
    said = "\n".join(
        f"{path.relative_to(folder)} is stale; run: kintsugi service models {folder.name}" for path in stale
    )
    yield Step("models", not stale, said)
    roots = [str(source / "src") for source in sources]
    yield _run("style", folder, "ruff", "check", ".")
    yield _run("format", folder, "ruff", "format", "--check", ".")
    yield _run("types", folder, "mypy", "--strict", *roots, roots=roots)
    yield _run("imports", folder, "importlinter.cli", roots=roots)
    for contracts in sorted(path.parent for path in folder.rglob("contracts/topics")):
        yield _contracts(contracts, catalog)
    yield _consumes(folder, catalog)


def _run(name: str, folder: Path, module: str, *arguments: str, roots: list[str] | None = None) -> Step:
    paths = [*(roots or ()), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | ({"PYTHONPATH": os.pathsep.join(paths)} if paths else {})
    command = [sys.executable, "-m", module, *arguments]
    if module == "importlinter.cli":
        command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return Step(name, done.returncode == 0, (done.stdout + done.stderr).strip())


def _contracts(contracts: Path, catalog: Catalog) -> Step:
    """The rules of the contracts and the gate, beside those that are installed, and what its service reads of them."""
    try:
        found = gate.check(contracts, catalog=_with(contracts, catalog))
    except ContractError as error:
        return Step("contracts", False, str(error))
    said = [f"{contracts.name}/{finding}" for finding in found.findings]
    said += [f"{change.file}: {change.said}" for change in found.changes if change.verdict is not Verdict.fine]
    return Step("contracts", found.passes, "\n".join(said))


def _with(contracts: Path, catalog: Catalog) -> Catalog:
    """The catalog with the package of this folder as it stands there, installed or not."""
    source, name = contracts.parents[1], contracts.parent.name
    sys.path.insert(0, str(source))
    try:
        package: EventPackage = importlib.import_module(f"{name}.package").package
    except (ImportError, AttributeError) as error:
        raise ContractError(f"{name}.package cannot be imported: {error}; 'kintsugi service new' shows one") from error
    finally:
        sys.path.remove(str(source))
    return Catalog([*(each for each in catalog.packages if each.name != package.name), package])


def _consumes(folder: Path, catalog: Catalog) -> Step:
    """What the service reads of others is there: events, fields, versions and keys."""
    said = []
    for file in sorted(folder.glob(f"*/src/*/{consumes.FILE}")):
        said += consumes.unknown(file, catalog)
    return Step("consumes", not said, "\n".join(said))
