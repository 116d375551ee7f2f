"""The import rules name every package, and each of them fails when it is broken."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SOURCES = sorted(
    folder.parent / "src" for room in (".", "libs", "services") for folder in PROJECT.glob(f"{room}/*/pyproject.toml")
)
PACKAGES = {package.name for source in SOURCES for package in source.iterdir() if (package / "__init__.py").exists()}
SERVICES = {package.name for source in PROJECT.glob("services/*/src") for package in source.glob("kintsugi_*")}
LINT = Path(sys.executable).with_name("lint-imports")


def listed(contract: str, option: str) -> list[str]:
    """The names that stand in an option of `.importlinter`."""
    parser = configparser.ConfigParser()
    parser.read(PROJECT / ".importlinter")
    return re.findall(r"\w+", parser[contract][option])


def test_the_rules_look_at_every_package_of_ours() -> None:
    assert set(listed("importlinter", "root_packages")) == PACKAGES


def test_every_service_stands_in_each_list_of_services() -> None:
    others = {"kintsugi", "kintsugi_contracts", "kintsugi_events", "kintsugi_country"}
    layers = set(listed("importlinter:contract:layers", "layers"))
    assert layers == SERVICES | others | {"kintsugi_office", "kintsugi_sandbox"}
    assert set(listed("importlinter:contract:services-are-found", "modules")) == SERVICES | {"kintsugi_sandbox"}


def test_each_rule_fails_when_it_is_broken(tmp_path: Path) -> None:
    broken = {
        "kintsugi_office/__init__.py": "import kintsugi_sandbox",
        "kintsugi_referral/domain.py": "import kintsugi_share.app, aiokafka",
        "kintsugi_sandbox/clock.py": "import kintsugi_intake.app",
        "kintsugi_sandbox/reconciler/judge.py": "import kintsugi_sandbox.loopback",
        "kintsugi_notify/app.py": "import faststream",
    }
    for package in sorted(PACKAGES):
        (found,) = (source / package for source in SOURCES if (source / package).is_dir())
        shutil.copytree(found, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file, line in broken.items():
        with (tmp_path / file).open("a") as module:
            module.write(f"\n{line}\n")
    ended = subprocess.run(
        [LINT, "--no-logo", "--no-cache", "--config", PROJECT / ".importlinter"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert re.search(r"Contracts: 0 kept, 7 broken", ended.stdout), ended.stdout
