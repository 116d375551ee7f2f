"""No orphan: every file of the folder is named by a topic, by a schema or by a list of what is in its folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from kintsugi_contracts.findings import Finding
from kintsugi_contracts.folder import COMMON, Event, Folder
from kintsugi_contracts.rules.keywords import KINDS, PARTS

GENERATED = ("asyncapi.yaml", "asyncapi/")
_ELSEWHERE = ("released/", "meta/examples/")


def findings(folder: Folder) -> Iterator[Finding]:
    """Files nothing names, and schemas named by nothing."""
    yield from _links_and_twins(folder.path)
    named, left = set(_named(folder)), {f"{e.folder}/examples/" for e in _unlisted(folder)}
    listed = _sealing(folder)
    for file in sorted(f for f in folder.path.rglob("*") if f.is_file()):
        name = file.relative_to(folder.path).as_posix()
        if name in named or file.name == "README.md" or passing(Path(name)) or name.startswith(_ELSEWHERE):
            continue
        if name.startswith((*GENERATED, *left)) or (name.startswith("sealing/") and file.name in listed):
            continue
        yield Finding(name, 1, 1, *_orphan(PurePosixPath(name)))


def _links_and_twins(path: Path) -> Iterator[Finding]:
    """Links, and names that are one name where capitals make no difference."""
    known: dict[str, str] = {}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.is_symlink():
            yield Finding(name, 1, 1, "a link to a file elsewhere", "put a copy here: a release holds files only")
        elif (twin := known.setdefault(name.casefold(), name)) != name:
            said = f"{twin} is the same name on a computer where capitals make no difference"
            yield Finding(name, 1, 1, said, "give one of the two another name")


def passing(name: Path) -> bool:
    """Whether a file comes and goes with tools, and is no part of the contracts."""
    return any(part.startswith(".") or part == "__pycache__" for part in name.parts)


def _named(folder: Folder) -> Iterator[str]:
    yield COMMON
    yield from (f"meta/{kind}.schema.json" for kind in (*KINDS, PARTS))
    for topic in folder.all_topics():
        yield topic.document.name
    for version in folder.versions():
        declared = {v for t in folder.topics_of(version.key) for v in t.spec.events[version.name].versions}
        read = {v for reading in folder.readings(version.key).values() for v in reading.versions}
        if version.major not in declared | read:
            continue
        yield version.document.name
        purposes = version.schema["properties"].get("sealed", {}).get("properties", {})
        sealed = {p: d for p, d in version.sealed.items() if p in purposes}
        yield from (d.name for d in sealed.values())
        yield from (e.document.name for e in version.examples if e.purpose is None or e.purpose in sealed)


def _unlisted(folder: Folder) -> Iterator[Event]:
    """Events that no topic carries: told once, with their schemas."""
    yield from (e for e in folder.own_events().values() if e.versions and not folder.topics_of(e.key))


def _sealing(folder: Folder) -> str:
    readme = folder.path / "sealing" / "README.md"
    return readme.read_text(encoding="utf-8") if readme.is_file() else ""


def _orphan(name: PurePosixPath) -> tuple[str, str]:
    if name.suffixes[-2:] == [".schema", ".json"] and name.parts[0] in ("events", "share"):
        return (
            "no topic file names this schema",
            "list the event and its version in the file of its topic, or delete it",
        )
    if "examples" in name.parts:
        return (
            "an example of no schema",
            "name it <what>.json, v<major>.<what>.json or sealed.<purpose>.<what>.json after a schema that exists",
        )
    return "nothing names this file", "delete it, or move it where it belongs: contracts/README.md lists the folders"
