"""``kintsugi service new``: the skeleton of a service and of its package of events, anywhere."""

from __future__ import annotations

import json
import keyword
import re
import string
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from kintsugi_contracts import generate
from kintsugi_contracts.base import Event
from kintsugi_contracts.catalog import PLATFORM, Catalog
from kintsugi_contracts.topic_file import EVENT_TYPE

_SERVICE = re.compile(r"[a-z][a-z0-9_]{1,29}")
_EVENT = re.compile(r"([a-z][a-z0-9_]*)\.([a-z][a-z0-9_]*)")
_COUNTRY = re.compile(r"[a-z]{2}")
_ALWAYS = "case.opened"
_SCHEMA = "event.schema.json"
_SUFFIX = ".tmpl"
"""Of the files of the skeleton, so that no tool takes them for what they are not yet."""


class CannotMake(Exception):
    """The skeleton cannot be written as asked; the text says why and what to do."""


class _Template(string.Template):
    delimiter = "@@"


@dataclass(frozen=True)
class Made:
    """Where the skeleton is, and the files in it, relative to there."""

    folder: Path
    files: tuple[Path, ...]
    events: Path
    """The package of models."""


def new(name: str, consumes: Sequence[str], emits: str, *, country: str, into: Path, catalog: Catalog) -> Made:
    """Write the skeleton of service ``name`` into the folder ``into/name``, which must not be there yet.

    ``consumes`` are names of events such as ``case.opened``, of installed packages; ``emits`` is the name of the
    service's own event. Raises CannotMake, with nothing written.
    """
    words = _words(name, consumes, emits, country, catalog)
    folder = into / name
    if folder.exists():
        raise CannotMake(f"{folder} is there already: name another folder with --into, or move it away")
    for path, source in _skeleton(files("kintsugi_office.service") / "skeleton"):
        if path == Path(_SCHEMA):
            continue
        target = folder / _filled(path.as_posix(), words)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_filled(source.read_text(encoding="utf-8"), words), encoding="utf-8")
    events = folder / "events" / "src" / words["events"]
    schema = (files("kintsugi_office.service") / "skeleton" / f"{_SCHEMA}{_SUFFIX}").read_text(encoding="utf-8")
    _contract(events / "contracts" / "events" / emits, _filled(schema, words), words["noun"])
    models(folder, catalog)
    _formatted(folder)
    written = tuple(sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file()))
    return Made(folder, written, events)


def models(folder: Path, catalog: Catalog, *, check: bool = False) -> list[Path]:
    """Write the models of every contracts folder in ``folder`` anew, and return them; with ``check`` only the stale.

    Raises CannotMake where a schema says what a model cannot, or there are no contracts.
    """
    found = sorted(path.parent for path in folder.rglob("contracts/topics") if ".venv" not in path.parts)
    if not found:
        raise CannotMake(f"{folder} holds no contracts/topics: name the folder of a service or of its events")
    stale: list[Path] = []
    for contracts in found:
        package = contracts.parent
        try:
            wanted = generate.modules(contracts, package, _platform(catalog))
        except generate.SchemaError as error:
            raise CannotMake(str(error)) from error
        for file, source in wanted.items():
            target = package / file
            if not target.exists() or target.read_text(encoding="utf-8") != source:
                stale.append(target)
                if not check:
                    target.write_text(source, encoding="utf-8")
    return stale


def _formatted(folder: Path) -> None:
    """Imports sorted and lines broken as the check wants them: both depend on the names that were chosen."""
    for arguments in (("check", "--quiet", "--fix", "--select", "I"), ("format", "--quiet")):
        subprocess.run([sys.executable, "-m", "ruff", *arguments, "--no-cache", "."], cwd=folder, check=True)  # noqa: S603


def _platform(catalog: Catalog) -> Path | None:
    return next((package.contracts for package in catalog.packages if package.name == PLATFORM), None)


def _words(name: str, consumes: Sequence[str], emits: str, country: str, catalog: Catalog) -> dict[str, str]:
    if not _SERVICE.fullmatch(name) or keyword.iskeyword(name):
        raise CannotMake(f"'{name}' is no name for a service: small letters, digits and '_', beginning with a letter")
    if name in catalog.topics:
        raise CannotMake(f"there is a service '{name}' already: choose another name")
    if not _COUNTRY.fullmatch(country):
        raise CannotMake(f"'{country}' is no country: two small letters, such as xa")
    match = _EVENT.fullmatch(emits)
    if match is None:
        raise CannotMake(f"'{emits}' is no name for an event: a noun and what happened to it, such as room.offered")
    noun, fact = match.groups()
    newest = _newest(catalog)
    if emits in newest:
        raise CannotMake(f"{emits} is an event of an installed package: choose another name")
    read = list(dict.fromkeys(consumes))
    if unknown := [each for each in read if each not in newest]:
        near = ", ".join(sorted(newest))
        raise CannotMake(f"no installed package declares {', '.join(unknown)}. Known: {near}")
    cause = read[0] if read else _ALWAYS
    consumed = [_ALWAYS, *(each for each in read if each != _ALWAYS)]
    package = f"{country}_{name}"
    given = "example(CaseOpened)" if cause != _ALWAYS else ""
    imported = sorted({newest[cause].__name__, *(["CaseOpened"] if given else [])})
    services = sorted(other for other in catalog.topics if other != name)
    return {
        "service": name,
        "Title": name.replace("_", " ").capitalize(),
        "package": package,
        "events": f"{package}_events",
        "distribution": package.replace("_", "-"),
        "events_distribution": f"{package}_events".replace("_", "-"),
        "event": emits,
        "event_name": emits.replace(".", "_"),
        "Event": f"{_camel(noun)}{_camel(fact)}",
        "noun": noun,
        "Noun": _camel(noun),
        "nouns": f"{noun}s",
        "NOUNS": f"{noun}s".upper(),
        "cause": cause,
        "cause_name": cause.replace(".", "_"),
        "Cause": newest[cause].__name__,
        "evolved": "CaseOpened",
        "given": given,
        "imported": ", ".join(imported),
        "consumed": "\n".join(f"  {each}: {_reading(newest[each])}" for each in consumed),
        "forbidden": ", ".join(
            f'"{module}"'
            for module in (
                "faststream",
                "kintsugi_office",
                "kintsugi_sandbox",
                *(f"kintsugi_{each}" for each in services),
            )
        ),
    }


def _reading(model: type[Event]) -> str:
    fields = "[case_ref]" if "case_ref" in model.model_fields else "[]"
    match = EVENT_TYPE.fullmatch(model.type)
    return f"{{fields: {fields}, versions: [{match[2] if match else 1}]}}"


def _newest(catalog: Catalog) -> dict[str, type[Event]]:
    found: dict[str, type[Event]] = {}
    for model in catalog.event_types():
        match = EVENT_TYPE.fullmatch(model.type)
        if match is not None:
            found[match[1]] = model
    return found


def _camel(word: str) -> str:
    return "".join(part.capitalize() for part in word.split("_"))


def _filled(text: str, words: dict[str, str]) -> str:
    return _Template(text).substitute(words)


def _skeleton(folder: Traversable, at: Path = Path()) -> Iterator[tuple[Path, Traversable]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _skeleton(each, at / each.name)
        elif each.name.endswith(_SUFFIX):
            yield at / each.name.removesuffix(_SUFFIX), each


def _contract(folder: Path, schema: str, noun: str) -> None:
    """The schema of the event, and the examples that every event has."""
    good = {f"{noun}_id": "5f1c2d3e-0000-4000-8000-000000000001", "recorded_at": "2026-03-02T10:00:00Z"}
    later = good | {"recorded_at": "2026-03-09T10:00:00.5Z"}
    examples = {
        "accept/full.json": good,
        "accept/later.json": later,
        "reject/additionalProperties-preferred_name.json": good | {"preferred_name": "Amal"},
        f"reject/required-{noun}_id.json": {"recorded_at": good["recorded_at"]},
        "reject/pattern-recorded_at_not_utc.json": good | {"recorded_at": "2026-03-02T10:00:00+02:00"},
    }
    folder.mkdir(parents=True)
    (folder / "v1.schema.json").write_text(schema, encoding="utf-8")
    for name, value in examples.items():
        target = folder / "examples" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
