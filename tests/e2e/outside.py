"""An environment with no file of the repository in reach: every module of Kintsugi comes from a wheel in it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_OURS = re.compile(r"_?(editable_impl_)?_?kintsugi.*")
_BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
_TOOLS = ("pip", "pytest", "mypy")
_BINARIES = ("ruff",)
_FENCE = "-- block "


def distributions() -> list[Path]:
    """The folders of the project's own distributions."""
    found = (path.parent for path in ROOT.glob("*/pyproject.toml"))
    deeper = (path.parent for path in ROOT.glob("*/*/pyproject.toml"))
    return sorted(path for path in (*found, *deeper) if (path / "src").is_dir())


def build_wheels(folder: Path) -> list[Path]:
    """A wheel of each of them."""
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder))
    sources = map(str, distributions())
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, *sources], cwd=ROOT, check=True)
    return sorted(folder.glob("*.whl"))


@dataclass(frozen=True)
class Outside:
    """A virtual environment and an empty folder."""

    python: Path
    folder: Path

    def kintsugi_files(self) -> dict[str, str]:
        """The digest of every file that the project's wheels brought, by its path in the environment."""
        packages = self._packages()
        files = (file for top in packages.glob("kintsugi*") for file in top.rglob("*") if file.is_file())
        return {
            file.relative_to(packages).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in files
            if "__pycache__" not in file.parts
        }

    def homes(self) -> set[Path]:
        """The folders in which Python finds the modules of Kintsugi here."""
        code = (
            "import importlib.metadata as m, importlib.util as u\n"
            "names = {n for n, d in m.packages_distributions().items() if n.startswith('kintsugi')}\n"
            "print(*(u.find_spec(n).origin for n in sorted(names)), sep='\\n')"
        )
        done = subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=True, cwd=self.folder)
        return {Path(line).parents[1] for line in done.stdout.splitlines()}

    def run(self, blocks: list[str], *, seconds: float, into: Path) -> list[str]:
        """Runs the blocks in one shell, one after the other; returns what each printed. The repository is hidden.

        Raises AssertionError with the end of the output where a block fails.
        """
        script = self.folder.parent / "blocks.sh"
        text = "\n".join(f"echo '{_FENCE}{number}'\n{block}" for number, block in enumerate(blocks))
        script.write_text(f"set -euo pipefail\n{text}\n")
        environment = {"PATH": f"{self.python.parent}:/usr/local/bin:/usr/bin:/bin", "HOME": str(self.folder.parent)}
        environment |= {name: os.environ[name] for name in ("LANG", "KINTSUGI_CACHE") if name in os.environ}
        with into.open("w") as output:
            done = subprocess.run(
                [*_hiding(self.folder.parent), "bash", str(script)],
                cwd=self.folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                check=False,
            )
        said = into.read_text()
        assert done.returncode == 0, f"a block failed with {done.returncode}:\n{said[-6000:]}"
        return [part.partition("\n")[2] for part in said.split(_FENCE)[1:]]

    def _packages(self) -> Path:
        return next(self.python.parents[1].glob("lib/python*/site-packages"))


def blocks_of(document: Path) -> list[str]:
    """The shell blocks of a document, in order."""
    return _BLOCK.findall(document.read_text(encoding="utf-8"))


def make(folder: Path) -> Outside:
    """An environment in ``folder``: others' packages as they are installed for the tests, ours from wheels by hash."""
    home = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    packages = next(home.glob("lib/python*/site-packages"))
    for each in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not _OURS.fullmatch(each.name) and each.name != "__pycache__":
            (packages / each.name).symlink_to(each)
    python = home / "bin" / "python"
    for tool in _TOOLS:
        script = home / "bin" / tool
        script.write_text(f'#!/bin/sh\nexec {python} -m {tool} "$@"\n')
        script.chmod(0o755)
    for binary in _BINARIES:
        (home / "bin" / binary).symlink_to(shutil.which(binary) or Path(sys.prefix) / "bin" / binary)
    wheels = build_wheels(folder / "wheels")
    lock = folder / "wheels.txt"
    lock.write_text("".join(_pinned(wheel) for wheel in wheels))
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--require-hashes"]
    subprocess.run([*install, "--find-links", str(folder / "wheels"), "-r", str(lock)], check=True)
    work = folder / "work"
    work.mkdir()
    return Outside(python, work)


def _pinned(wheel: Path) -> str:
    name, version = wheel.name.split("-")[:2]
    return f"{name.replace('_', '-')}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def _hiding(folder: Path) -> list[str]:
    """A command prefix under which the repository's files are not there, where this user may make it so."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return []
    nothing = folder / "nothing"
    nothing.mkdir(exist_ok=True)
    (folder / "empty").touch()
    covers = "; ".join(
        f"mount --bind {nothing if path.is_dir() else folder / 'empty'} {path}"
        for path in _shown()
        if not path.is_symlink()
    )
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{covers}; exec "$@"', "hidden"]


def _shown() -> Iterator[Path]:
    """What lies in the repository, but the environment the tests run in."""
    for path in sorted(ROOT.iterdir()):
        if not Path(sys.prefix).is_relative_to(path):
            yield path
