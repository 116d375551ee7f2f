"""Picks what the images need out of requirements.lock: ``python infra/container/lock.py`` writes the lists here.

Nothing is resolved anew and nothing is fetched: the entries are those of requirements.lock, hashes included, and who
needs whom is read from the packages installed beside it. Run it after ``make lock`` and ``make setup``.

``locks/<service>.lock`` is what one service needs, ``locks/jobs.lock`` what the office needs, ``build.lock`` what makes
wheels. A country's own service: ``python infra/container/lock.py DISTRIBUTION > FOLDER/<service>.lock``, where the
distribution is installed.
"""

import re
import sys
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
SERVICES = tuple(sorted(path.parent.name for path in PROJECT.glob("services/*/pyproject.toml")))
HEAD = "# Picked from requirements.lock by infra/container/lock.py; not edited by hand.\n"
# What the images run on, whatever this machine is: both architectures, and the base image's Python.
_IMAGE = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.14",
    "python_version": "3.11",
    "sys_platform": "linux",
}
LINUX = [_IMAGE | {"platform_machine": machine} for machine in ("x86_64", "aarch64")]


def entries(lock: str) -> dict[str, str]:
    """The entries of a lock by canonical name, each with its hashes."""
    found = re.findall(r"^(\S+)==.*(?:\n {4}\S.*)*\n", lock, re.MULTILINE)
    texts = re.findall(r"^\S+==.*(?:\n {4}\S.*)*\n", lock, re.MULTILINE)
    return {canonicalize_name(name): text for name, text in zip(found, texts, strict=True)}


def needed(roots: tuple[str, ...]) -> set[str]:
    """Every package of others that these need on Linux, extras followed."""
    todo = [Requirement(root) for root in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        wanted = todo.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        for line in distribution(wanted.name).requires or ():
            follows = Requirement(line)
            places = [{**place, "extra": extra} for place in LINUX for extra in ("", *wanted.extras)]
            if follows.marker is None or any(follows.marker.evaluate(place) for place in places):
                todo.append(follows)
    return {name for name, _ in seen if not name.startswith("kintsugi-")}


def picked(*roots: str) -> str:
    """The list of what these distributions need. Raises KeyError for a package that requirements.lock does not hold."""
    locked = entries((PROJECT / "requirements.lock").read_text(encoding="utf-8"))
    return HEAD + "".join(locked[package] for package in sorted(needed(roots)))


def written() -> dict[str, str]:
    """The content of each list, by its path here."""
    lists = {f"locks/{name}.lock": picked(f"kintsugi-{name}") for name in SERVICES}
    return lists | {"locks/jobs.lock": picked("kintsugi-office"), "build.lock": picked("hatchling")}


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.stdout.write(picked(*sys.argv[1:]))
        sys.exit()
    for name, text in written().items():
        (HERE / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{name}: {text.count('==')} packages\n")
