"""Pins our own wheels by what they hold: ``python own.py FOLDER [SERVICE] > own.lock``, in an image's build.

With a service, the wheel that brings it and those it needs out of the folder; without one, every wheel.
"""

import hashlib
import sys
from configparser import ConfigParser
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name, parse_wheel_filename

GROUP = "kintsugi.services"


def wheels(folder: Path) -> dict[NormalizedName, Path]:
    """The wheels of a folder by distribution. Raises ValueError where it holds two of one."""
    found: dict[NormalizedName, Path] = {}
    for path in sorted(folder.glob("*.whl")):
        name = parse_wheel_filename(path.name)[0]
        if name in found:
            raise ValueError(f"{folder} holds {found[name].name} and {path.name}: leave one of them")
        found[name] = path
    return found


def services(wheel: Path) -> set[str]:
    """The names of the services that a wheel brings."""
    points = ConfigParser(delimiters=("=",))
    with ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".dist-info/entry_points.txt"):
                points.read_string(archive.read(name).decode())
    return set(points[GROUP]) if points.has_section(GROUP) else set()


def requirements(wheel: Path) -> list[Requirement]:
    """What a wheel says it needs, without extras."""
    with ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = message_from_bytes(archive.read(metadata)).get_all("Requires-Dist") or []
    found = [Requirement(line) for line in lines]
    return [each for each in found if each.marker is None or each.marker.evaluate({"extra": ""})]


def chosen(held: dict[NormalizedName, Path], service: str) -> set[NormalizedName]:
    """A service's wheel and those it needs out of these. Raises LookupError where none brings it."""
    todo = [name for name, path in held.items() if service in services(path)]
    if not todo:
        known = sorted(name for path in held.values() for name in services(path))
        raise LookupError(f"no wheel brings the service {service!r}; there are {', '.join(known)}")
    seen: set[NormalizedName] = set()
    while todo:
        name = todo.pop()
        if name in held and name not in seen:
            seen.add(name)
            todo += [canonicalize_name(each.name) for each in requirements(held[name])]
    return seen


def lock(folder: Path, service: str | None) -> str:
    """The entries of a lock: name, version and hash of each wheel."""
    held = wheels(folder)
    lines = []
    for name in sorted(chosen(held, service) if service else held):
        version = parse_wheel_filename(held[name].name)[1]
        digest = hashlib.sha256(held[name].read_bytes()).hexdigest()
        lines.append(f"{name}=={version} \\\n    --hash=sha256:{digest}\n")
    return "".join(lines)


if __name__ == "__main__":
    sys.stdout.write(lock(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
