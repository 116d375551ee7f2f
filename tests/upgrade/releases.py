"""Two releases of Kintsugi on one machine: that of an earlier commit, and this one."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PREVIOUS = (Path(__file__).parent / "previous.txt").read_text().strip()
"""The last commit of the issue before."""


@dataclass(frozen=True)
class Release:
    """Where a release's sources are, and the interpreter that runs them."""

    source: Path
    python: Path

    @property
    def kintsugi(self) -> Path:
        """Its command."""
        return self.python.with_name("kintsugi")


PRESENT = Release(ROOT, Path(sys.executable))


def stored(commit: str) -> bool:
    """Whether this clone holds a commit."""
    if shutil.which("git") is None:
        return False
    asked = subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=ROOT, capture_output=True)
    return asked.returncode == 0


def previous(folder: Path) -> Release:
    """The release of ``PREVIOUS`` in an environment of its own, on the third-party packages of this one."""
    source, environment, third_party = folder / "source", folder / "environment", folder / "third-party"
    archive = subprocess.run(["git", "archive", PREVIOUS], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(source, filter="data")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    third_party.mkdir()
    for found in Path(sysconfig.get_path("purelib")).iterdir():
        if "kintsugi" not in found.name and found.suffix != ".pth":
            (third_party / found.name).symlink_to(found)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "third-party.pth").write_text(f"{third_party}\n")
    release = Release(source, environment / "bin" / "python")
    places = ("*", "libs/*", "services/*")
    files = sorted(file for place in places for file in source.glob(f"{place}/pyproject.toml"))
    own = [option for file in files for option in ("--editable", file.parent)]
    install = ["uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation"]
    subprocess.run([PRESENT.python, "-m", *install, "--python", release.python, *own], check=True)
    return release


def provenance(release: Release) -> dict[str, str]:
    """Of every module and entry point of ours that a release's interpreter finds: the file it comes from."""
    answer = subprocess.run([release.python, "-c", _PROVENANCE], cwd=release.source, capture_output=True, check=True)
    return dict(line.split("\t") for line in answer.stdout.decode().splitlines())


_PROVENANCE = """
import importlib.metadata, importlib.util, pkgutil
for module in pkgutil.iter_modules():
    if module.name.startswith("kintsugi"):
        print(module.name, importlib.util.find_spec(module.name).origin, sep="\\t")
for group in ("kintsugi.services", "kintsugi.contracts"):
    for point in importlib.metadata.entry_points(group=group):
        print(f"{group}:{point.name}", importlib.util.find_spec(point.module).origin, sep="\\t")
"""
