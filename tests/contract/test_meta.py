"""The keywords of the contracts refuse what they should: every misspelt one, in every place a keyword can stand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import cache, reduce
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from kintsugi_contracts.documents import Document, read
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.findings import Finding
from kintsugi_contracts.rules.keywords import KINDS, PARTS, Keywords

from tests.contract.folders import CONTRACTS

META = CONTRACTS / "meta"
ACCEPTED = sorted(META.glob("examples/accept/*/*.json"))
REFUSED = sorted(META.glob("examples/reject/*/*.json"))


def findings(file: Path, keywords: Keywords) -> list[Finding]:
    """What is wrong with an example of its kind, which is its folder's name."""
    return list(keywords.judge(file.parent.name, document(file)))


@cache
def document(file: Path) -> Document:
    """An example as the library reads it."""
    found = read(META, file.relative_to(META).as_posix(), [])
    assert found is not None
    return found


@pytest.fixture(scope="module")
def keywords() -> Keywords:
    return Keywords(META)


def test_every_kind_of_file_has_examples_that_must_pass_and_that_must_fail() -> None:
    assert {f.parent.name for f in ACCEPTED} == {f.parent.name for f in REFUSED} == set(KINDS)
    misspelt = [f for f in REFUSED if f.name.startswith("misspelt-")]
    assert {f.parent.name for f in misspelt} == set(KINDS)


@pytest.mark.parametrize("file", ACCEPTED, ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_what_keeps_to_the_keywords_passes(file: Path, keywords: Keywords) -> None:
    assert findings(file, keywords) == []


@pytest.mark.parametrize("file", REFUSED, ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_what_does_not_is_refused_once_and_with_its_line(file: Path, keywords: Keywords) -> None:
    found = findings(file, keywords)
    assert len({(f.line, f.message) for f in found}) == 1, found
    assert found[0].mend
    if file.stem.startswith("misspelt-"):
        line = file.read_text().splitlines()[found[0].line - 1]
        word = found[0].message.split("`")[1]
        assert f'"{word}"' in line


def test_a_misspelt_keyword_is_told_with_the_one_that_was_meant(keywords: Keywords) -> None:
    (found,) = findings(META / "examples/reject/event/misspelt-maxLength.json", keywords)
    assert found.message == "/properties/lamp/maxLenght: `maxLenght` is not known here"
    assert found.mend == "did you mean 'maxLength'?"


@pytest.mark.parametrize("name", [*KINDS, PARTS])
def test_a_meta_schema_is_json_schema_and_has_no_misspelt_keyword_itself(name: str) -> None:
    schema = json.loads((META / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    known = set(Draft202012Validator.VALIDATORS) | {"$schema", "$id", "$defs", "title", "description", "then", "else"}
    known |= {"minContains", "maxContains"}
    assert {k for k in _keywords(schema) if k not in known} == set()


def _keywords(schema: Any) -> Iterator[str]:
    """The keywords of a schema, without the names of properties and definitions."""
    if isinstance(schema, list):
        for part in schema:
            yield from _keywords(part)
    if not isinstance(schema, dict):
        return
    for keyword, part in schema.items():
        yield keyword
        if keyword in {"properties", "$defs", "dependentRequired"}:
            for inner in part.values():
                yield from _keywords(inner)
        elif keyword not in {"const", "enum"}:
            yield from _keywords(part)


def _closed(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places where a meta-schema refuses what it does not list."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        # The parts of a value are held twice: each kind of value lists its own keywords as well.
        if key == "additionalProperties" and part is False and path[-1:] not in (("Value",), ("StreamValue",)):
            yield (*path, key)
        yield from _closed(part, (*path, key))


CLOSED = [
    (name, path)
    for name in (*KINDS, PARTS)
    for path in _closed(json.loads((META / f"{name}.schema.json").read_text(encoding="utf-8")))
]


@pytest.mark.parametrize(("name", "path"), CLOSED, ids=lambda v: v if isinstance(v, str) else "/".join(map(str, v)))
def test_a_meta_schema_that_lets_anything_pass_somewhere_would_be_found(
    name: str, path: tuple[Any, ...], tmp_path: Path
) -> None:
    for file in META.glob("*.schema.json"):
        shutil.copy(file, tmp_path)
    changed = tmp_path / f"{name}.schema.json"
    schema = json.loads(changed.read_text())
    holder = reduce(lambda part, step: part[step], path[:-1], schema)
    del holder[path[-1]]
    changed.write_text(json.dumps(schema))
    assert [f for f in REFUSED if not findings(f, Keywords(tmp_path))]


def test_a_meta_schema_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"event\.schema\.json: the file is missing; take the folder of a release"):
        Keywords(tmp_path)
