"""How the contracts are read in tests: every schema, its examples, and the rules a schema is written by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

CONTRACTS = Path(__file__).parents[2] / "contracts"
EVENTS = CONTRACTS / "events"
SENSITIVITY = {"public", "internal", "personal", "special"}
IN_CLEAR = {"public", "internal"}

_formats = FormatChecker(formats=())


@_formats.checks("date-time", raises=ValueError)
def _moment(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.fromisoformat(value))


@_formats.checks("date", raises=ValueError)
def _day(value: object) -> bool:
    return not isinstance(value, str) or bool(date.fromisoformat(value))


def load(path: Path) -> dict[str, Any]:
    """A JSON file."""
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def schema_files() -> list[Path]:
    """Every schema of an event or of a sealed purpose."""
    return sorted(EVENTS.glob("*/v*.schema.json"))


_registry: Registry[Any] = Registry().with_resources(
    (load(p)["$id"], Resource.from_contents(load(p), default_specification=DRAFT202012))
    for p in [EVENTS / "common.schema.json", *schema_files()]
)


def validator(path: Path) -> Draft202012Validator:
    """A validator that follows references between the files and checks formats."""
    return Draft202012Validator(load(path), registry=_registry, format_checker=_formats)


@dataclass(frozen=True)
class Example:
    """An example file: the schema it is for, and for a reject the keyword on which it must fail."""

    path: Path
    schema: Path
    purpose: str | None
    keyword: str

    @property
    def name(self) -> str:
        """What a test report shows."""
        return f"{self.path.parents[2].name}/{self.path.parent.name}/{self.path.stem}"


def examples(kind: str) -> list[Example]:
    """The examples of a kind, `accept` or `reject`.

    `sealed.<purpose>.` before a name means the plaintext of that purpose. A reject is named
    `<keyword>-<what>.json` after the keyword of JSON Schema that refuses it.
    """
    found = []
    for path in sorted(EVENTS.glob(f"*/examples/{kind}/*.json")):
        name, purpose = path.stem, None
        folder = path.parents[2]
        if name.startswith("sealed."):
            _, purpose, name = name.split(".", 2)
        schema = folder / (f"v1.sealed.{purpose}.schema.json" if purpose else "v1.schema.json")
        found.append(Example(path, schema, purpose, name.split("-", 1)[0]))
    return found


def breaches(schema: dict[str, Any], *, sealed: bool) -> list[str]:
    """What a schema does against the rules of contracts/README.md, one sentence each."""
    found = list(_objects(schema, sealed, "the event"))
    for name, part in schema.get("$defs", {}).items():
        if "enum" in part:
            found += _enum(part, name)
        elif part.get("type") == "object":
            found += _objects(part, sealed, name)
    return found


def _objects(schema: dict[str, Any], sealed: bool, where: str) -> Iterator[str]:
    if schema.get("additionalProperties") is not False:
        yield f"{where}: additionalProperties is not false"
    for unknown in set(schema.get("required", ())) - set(schema.get("properties", {})):
        yield f"{where}: requires {unknown}, which is no property"
    for name, part in schema.get("properties", {}).items():
        at = f"{where}.{name}"
        if not part.get("description"):
            yield f"{at}: no description"
        level = part.get("x-sensitivity")
        if level not in SENSITIVITY:
            yield f"{at}: x-sensitivity is {level!r}"
        elif not sealed and level not in IN_CLEAR:
            yield f"{at}: {level} and not sealed"
        if name == "sealed":
            continue
        if not sealed and _is_free_text(part):
            yield f"{at}: free text in clear"
        if name not in schema.get("required", ()) and not _may_be_absent(part):
            yield f"{at}: not required, and neither null nor a list nor a map"
        yield from _enum(part, at) if "enum" in part else ()


def _enum(part: dict[str, Any], where: str) -> Iterator[str]:
    if "unknown" not in part["enum"]:
        yield f"{where}: an enum without `unknown`"


def _is_free_text(part: dict[str, Any]) -> bool:
    parts = [part, *part.get("anyOf", ()), *([part["items"]] if "items" in part else ())]
    return any(
        "string" in ([p["type"]] if isinstance(p.get("type"), str) else p.get("type", ()))
        and not {"pattern", "enum"} & p.keys()
        for p in parts
    )


def _may_be_absent(part: dict[str, Any]) -> bool:
    kinds = part.get("type", ())
    return kinds in ("array", "object") or "null" in kinds or {"type": "null"} in part.get("anyOf", ())
