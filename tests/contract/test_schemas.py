"""The schemas keep the rules they are written by, and the rules can be broken."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.contract.rules import EVENTS, breaches, load, schema_files

COMMON = load(EVENTS / "common.schema.json")


@pytest.mark.parametrize(
    "path", [EVENTS / "common.schema.json", *schema_files()], ids=lambda p: f"{p.parent.name}/{p.name}"
)
def test_every_schema_is_json_schema_and_keeps_the_rules(path: Path) -> None:
    schema = load(path)
    Draft202012Validator.check_schema(schema)
    if path.parent != EVENTS:
        assert breaches(schema, sealed=".sealed." in path.name) == []


def test_shared_lists_have_a_code_for_what_is_not_known() -> None:
    without = [n for n, d in COMMON["$defs"].items() if "enum" in d and "unknown" not in d["enum"]]
    assert without == []


@pytest.mark.parametrize("path", schema_files(), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_a_schema_says_where_it_stands(path: Path) -> None:
    schema = load(path)
    assert schema["$id"].endswith(f"/events/{path.parent.name}/{path.name}")
    version = path.name.split(".", 1)[0]
    if sealed := re.fullmatch(r"v\d+\.sealed\.(\w+)\.schema\.json", path.name):
        assert schema["x-purpose"] == sealed.group(1)
        assert sealed.group(1) in load(path.parent / f"{version}.schema.json")["properties"]["sealed"]["properties"]
    else:
        assert schema["x-type"] == f"kintsugi.{path.parent.name}.{version}"
        for purpose in schema["properties"].get("sealed", {}).get("properties", {}):
            assert (path.parent / f"{version}.sealed.{purpose}.schema.json").exists()


def test_every_shared_definition_is_used() -> None:
    text = "".join(p.read_text(encoding="utf-8") for p in [EVENTS / "common.schema.json", *schema_files()])
    unused = [n for n in COMMON["$defs"] if f'#/$defs/{n}"' not in text]
    assert unused == []


def _sealed_schema(schema: dict[str, Any]) -> None:
    schema["properties"]["note"] = {"type": ["string", "null"], "description": "A note.", "x-sensitivity": "internal"}


def _personal(schema: dict[str, Any]) -> None:
    schema["properties"]["closed_at"]["x-sensitivity"] = "personal"


def _typo(schema: dict[str, Any]) -> None:
    schema["properties"]["closed_at"]["x-sensitivity"] = "internl"


def _open(schema: dict[str, Any]) -> None:
    del schema["additionalProperties"]


def _silent(schema: dict[str, Any]) -> None:
    del schema["properties"]["reason"]["description"]


def _closed_enum(schema: dict[str, Any]) -> None:
    schema["properties"]["reason"] = {"enum": ["a"], "type": "string", "description": "x", "x-sensitivity": "public"}


def _renamed(schema: dict[str, Any]) -> None:
    schema["properties"]["closed_on"] = schema["properties"].pop("closed_at")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_sealed_schema, "free text in clear"),
        (_personal, "personal and not sealed"),
        (_typo, "x-sensitivity is 'internl'"),
        (_open, "additionalProperties is not false"),
        (_silent, "no description"),
        (_closed_enum, "an enum without `unknown`"),
        (_renamed, "requires closed_at, which is no property"),
    ],
)
def test_a_schema_that_breaks_a_rule_is_found(spoil: Any, said: str) -> None:
    schema = deepcopy(load(EVENTS / "case.closed" / "v1.schema.json"))
    assert breaches(schema, sealed=False) == []
    spoil(schema)
    assert any(said in b for b in breaches(schema, sealed=False))
