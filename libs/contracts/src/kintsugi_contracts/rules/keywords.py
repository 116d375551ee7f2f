"""Schemas and topic files keep to the keywords of `contracts/meta`: a misspelt one is found, with what was meant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from kintsugi_contracts.documents import Document, nearest, read
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.findings import Finding
from kintsugi_contracts.folder import Folder

KINDS = ("event", "sealed", "common", "stream", "topic", "stream-topic", "manifest")
PARTS = "parts"
_UNKNOWN = "additionalProperties"


class Keywords:
    """The meta-schemas, ready to judge files."""

    def __init__(self, folder: Path) -> None:
        """Raises ContractError when a meta-schema is missing or is no JSON."""
        found: list[Finding] = []
        documents = {name: read(folder, f"{name}.schema.json", found) for name in (*KINDS, PARTS)}
        if found:
            raise ContractError(f"{folder}/{found[0].file}: {found[0].message}; take the folder of a release again")
        schemas: dict[str, Any] = {name: d.data for name, d in documents.items() if d}
        for name, schema in schemas.items():
            if (
                not isinstance(schema, dict)
                or schema.get("$id") != f"https://schemas.kintsugi.example/meta/{name}.schema.json"
            ):
                raise ContractError(
                    f"{folder}/{name}.schema.json: not the meta-schema; take the folder of a release again"
                )
        resources = [(s["$id"], Resource.from_contents(s, default_specification=DRAFT202012)) for s in schemas.values()]
        registry: Registry[Any] = Registry().with_resources(resources)
        self._validators = {kind: Draft202012Validator(schemas[kind], registry=registry) for kind in KINDS}

    def findings(self, folder: Folder) -> Iterator[Finding]:
        """What the files of a folder say in words that contracts do not know."""
        yield from self.judge("common", folder.common)
        for version in folder.versions():
            yield from self.judge("stream" if version.country else "event", version.document)
            for document in version.sealed.values():
                yield from self.judge("sealed", document)
        for topic in folder.topics.values():
            yield from self.judge("topic", topic.document)
        for each in folder.streams:
            for topic in each.topics:
                yield from self.judge("stream-topic", topic.document)
        unreadable: list[Finding] = []
        for file in sorted(folder.path.glob("released/*/manifest.json")):
            manifest = read(folder.path, file.relative_to(folder.path).as_posix(), unreadable)
            if manifest:
                yield from self.judge("manifest", manifest)
        yield from unreadable

    def judge(self, kind: str, document: Document) -> Iterator[Finding]:
        """What one file says in words that its kind does not know."""
        told: dict[tuple[int | str, ...], tuple[str, str]] = {}
        for error in sorted(self._validators[kind].iter_errors(document.data), key=lambda e: e.validator != _UNKNOWN):
            for path, said, mend in _explained(error, kind, document.data):
                told.setdefault(path, (said, mend))
        for path, (said, mend) in told.items():
            at = f"{_pointer(path)}: " if path else ""
            yield document.finding(path, f"{at}{said}", mend)


def _pointer(path: tuple[int | str, ...]) -> str:
    return "/" + "/".join(str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _explained(error: ValidationError, kind: str, data: Any) -> Iterator[tuple[tuple[int | str, ...], str, str]]:
    """Where it is, what is wrong, and the mend."""
    path = tuple(error.absolute_path)
    schema: dict[str, Any] = error.schema if isinstance(error.schema, dict) else {}
    given: Any = error.instance
    if error.validator == _UNKNOWN:
        known = schema.get("properties", {})
        for name in sorted(n for n in given if n not in known):
            yield (*path, name), f"`{name}` is not known here", nearest(name, known)
    elif reduce(lambda part, step: part[step], path, data) is not given:  # what is refused is the name of a property
        mend = nearest(str(given), schema["enum"]) if "enum" in schema else _described(schema, kind)
        yield (*path, str(given)), f"`{given}` may not stand here", mend
    elif error.validator == "required":
        name = error.message.split("'")[1]
        yield path, f"`{name}` is missing", "add it"
    elif error.validator == "contains" and "const" in schema["contains"]:
        mend = "add it: it is what a reader makes of a code it does not know"
        yield path, "a list of codes without `unknown`", mend
    elif error.validator == "contains":
        yield path, "anyOf may only say `this or null`", 'write {"type": "null"} as one of the two'
    elif error.validator == "const":
        yield path, f"`{json.dumps(given)}` may not stand here", f"write {json.dumps(error.validator_value)}"
    elif error.validator == "enum":
        yield path, f"`{json.dumps(given)}` is not known here", nearest(str(given), map(str, schema["enum"]))
    elif error.validator == "pattern":
        yield path, f"`{given}` does not fit", _described(schema, kind)
    else:
        yield path, error.message[:160], _described(schema, kind)


def _described(schema: Any, kind: str) -> str:
    told = schema.get("description") if isinstance(schema, dict) else None
    return str(told).rstrip(".") if told else f"contracts/meta/{kind}.schema.json says what may stand here"
