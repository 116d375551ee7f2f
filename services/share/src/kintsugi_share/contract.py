"""A partner's contract, made from its country's pack and the schemas of the events behind it.

So codes and bounds of a stream are those of the office's own events, and a field that nobody declared has no place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kintsugi.streams import AHEAD_MS, BEHIND_MS
from kintsugi_contracts.patterns import unrolled
from kintsugi_contracts.topic_file import Shareable
from kintsugi_country import SharePurpose
from kintsugi_country.integrators import CLEAR, SEALED

from kintsugi_share.domain import stream_key

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ROOT = "https://schemas.kintsugi.example/"
JWE = unrolled(r"^[A-Za-z0-9_-]{20,1000}[.][.][A-Za-z0-9_-]{16}[.][A-Za-z0-9_-]{342,20000}[.][A-Za-z0-9_-]{22}$")
"""JWE compact with ECDH-ES and A256GCM: no encrypted key between the first two dots, at least 256 bytes sealed.

Unrolled, because RE2 and Go count no further than 1000.
"""
REF = r"^[a-z2-7]{26}$"


class EventSchemas:
    """The schemas from which fields take their types: of a contracts folder, and of other installed packages.

    ``shareable`` are the fields that services declare beyond the platform's own. Raises OSError where one is missing.
    """

    def __init__(
        self, contracts: Path, shareable: Mapping[str, Shareable] | None = None, beside: Iterable[Path] = ()
    ) -> None:
        self.shareable = dict(shareable or {})
        self._folders = [contracts / "events", *(folder / "events" for folder in beside)]
        self._common: Schema = _read(self._folders[0] / "common.schema.json")["$defs"]

    def declared(self, field: str, definitions: Schema) -> Schema:
        """What a declared field may hold, as the newest version of its event has it, in its declaration's words."""
        origin = self.shareable[field]
        newest = max(self._folder(origin.event).glob("v*.schema.json"), key=_major)
        schema = _read(newest)
        own: Schema = self._own(schema["properties"][origin.field], schema, definitions)
        return {**own, "description": origin.description}

    def example(self, field: str) -> Any:
        """A fictional value of a declared field: that of the first example of its event that has one."""
        origin = self.shareable[field]
        files = sorted(self._folder(origin.event).glob("examples/accept/*.json"))
        return next(said[origin.field] for said in map(_read, files) if said.get(origin.field) is not None)

    def property(self, event: str, name: str, definitions: Schema, sealed: str | None = None) -> Schema:
        """What a property may hold; the enums it names are added to ``definitions``."""
        schema = self._schema(event, sealed)
        own: Schema = self._own(schema["properties"][name], schema, definitions)
        return own

    def part(self, event: str, part: str, name: str, definitions: Schema) -> Schema:
        """The same for a property of an object inside an event."""
        schema = self._schema(event, None)
        own: Schema = self._own(schema["$defs"][part]["properties"][name], schema, definitions)
        return own

    def required(self, event: str, sealed: str) -> frozenset[str]:
        """The properties of a sealed purpose that are always there."""
        return frozenset(self._schema(event, sealed)["required"])

    def _schema(self, event: str, sealed: str | None) -> Schema:
        suffix = f".sealed.{sealed}" if sealed else ""
        return _read(self._folder(event) / f"v1{suffix}.schema.json")

    def _folder(self, event: str) -> Path:
        return next((folder / event for folder in self._folders if (folder / event).is_dir()), self._folders[0] / event)

    def _own(self, value: Any, schema: Schema, definitions: Schema) -> Any:
        """Without references to other files: a partner needs this one folder only."""
        if isinstance(value, list):
            return [self._own(each, schema, definitions) for each in value]
        if not isinstance(value, dict):
            return value
        if "$ref" not in value:
            return {key: self._own(each, schema, definitions) for key, each in value.items()}
        name = str(value["$ref"]).rpartition("/")[2]
        target = schema.get("$defs", {}).get(name) or self._common[name]
        said = {key: each for key, each in value.items() if key != "$ref"}
        if "enum" in target:
            definitions[name] = {key: each for key, each in target.items() if key != "x-python"}
            return {**said, "$ref": f"#/$defs/{name}"}
        return {**{key: each for key, each in target.items() if key not in ("title", "description")}, **said}


def schema_id(country: str, integrator: str, name: str, version: int, sealed: str | None = None) -> str:
    """The ``$id`` of a record's schema, or of the plaintext of a sealed purpose."""
    return f"{ROOT}share/{country}/{integrator}/{name}/{file_name(version, sealed)}"


def file_name(version: int, sealed: str | None = None) -> str:
    """The file of a schema within its stream's folder."""
    return f"v{version}{f'.sealed.{sealed}' if sealed else ''}.schema.json"


def record_schema(country: str, integrator: str, name: str, purpose: SharePurpose, events: EventSchemas) -> Schema:
    """The JSON Schema of a record: strict for the office; partners ignore fields they do not know."""
    definitions: Schema = {
        "CaseStatus": {
            "title": "CaseStatus",
            "description": "Whether the office still works on the case.",
            "type": "string",
            "enum": ["open", "closed", "unknown"],
        }
    }
    properties: Schema = {
        "case": _said("The case as you know it: made for you alone, and always the same.", type="string", pattern=REF),
        "revision": _said(
            "Counts the records of this case; the highest one stands.", type="integer", minimum=1, maximum=1_000_000
        ),
        "status": _said("Whether the case is open.", **{"$ref": "#/$defs/CaseStatus"}),
    }
    for field in purpose.fields:
        properties[field] = _optional(_field(field, events, definitions))
    if purpose.sealed:
        properties["sealed"] = _said(
            "Personal values, sealed to your key: JWE compact, ECDH-ES and A256GCM.",
            type="object",
            additionalProperties=False,
            required=[],
            properties={
                group: _said(
                    f"Opens to a JSON object by {file_name(purpose.version, group)}.", type="string", pattern=JWE
                )
                for group in purpose.sealed
            },
        )
    return {
        "$schema": DIALECT,
        "$id": schema_id(country, integrator, name, purpose.version),
        "x-type": f"kintsugi.share.{stream_key(integrator, name, purpose.version)}",
        "title": "".join(word.capitalize() for word in f"{integrator}-{name}".split("-")) + "Record",
        "description": f"{purpose.title}: all that you may know of one case now. A null value means: forget this case.",
        "type": "object",
        "additionalProperties": False,
        "required": ["case", "revision", "status"],
        "properties": properties,
        "$defs": dict(sorted(definitions.items())),
    }


def sealed_schema(
    country: str, integrator: str, name: str, purpose: SharePurpose, group: str, events: EventSchemas
) -> Schema:
    """The JSON Schema of what a sealed purpose opens to."""
    definitions: Schema = {}
    properties: Schema = {
        "case": _said("The case of the record it stands in: check it.", "internal", type="string", pattern=REF)
    }
    for field in purpose.sealed[group]:  # type: ignore[index]
        origin = SEALED[group][field]
        properties[field] = _optional(events.property(origin.event, origin.property, definitions, group))
    event = next(iter(SEALED[group].values())).event
    always = events.required(event, group)
    schema: Schema = {
        "$schema": DIALECT,
        "$id": schema_id(country, integrator, name, purpose.version, group),
        "x-purpose": group,
        "title": "".join(word.capitalize() for word in f"{integrator}-{name}-{group}".split("-")),
        "description": "What only the owner of the key can read.",
        "type": "object",
        "additionalProperties": False,
        "required": ["case", *(field for field in purpose.sealed[group] if field in always)],  # type: ignore[index]
        "properties": properties,
    }
    for field in schema["required"][1:]:
        schema["properties"][field] = events.property(event, SEALED[group][field].property, definitions, group)
    return {**schema, "$defs": dict(sorted(definitions.items()))} if definitions else schema


def _field(field: str, events: EventSchemas, definitions: Schema) -> Schema:
    origin = CLEAR.get(field)
    if origin is None:
        return events.declared(field, definitions)
    match field:
        case "opened_month":
            month = "^[0-9]{4}-(0[1-9]|1[0-2])$"
            return _said("The month in which the survivor was met.", type="string", pattern=month)
        case "needs":
            return _list(
                "Need",
                "What is needed, as far as it concerns this purpose.",
                {
                    "need": events.part(origin.event, "Need", "need", definitions),
                    "band": events.part(origin.event, "Need", "band", definitions),
                },
                definitions,
            )
        case "requests":
            return _list(
                "Request",
                "What was asked of other services for these needs, and how it stands.",
                {
                    "need": events.part("assessment.completed", "Need", "need", definitions),
                    "status": events.property(origin.event, origin.property, definitions),
                },
                definitions,
            )
        case _:
            return events.property(origin.event, origin.property, definitions)


def _list(name: str, description: str, properties: Schema, definitions: Schema) -> Schema:
    definitions[name] = {
        "title": name,
        "description": description,
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }
    return _said(description, type="array", items={"$ref": f"#/$defs/{name}"}, maxItems=100)


def _said(description: str, sensitivity: str = "internal", /, **schema: Any) -> Schema:
    return {"description": description, "x-sensitivity": sensitivity, **schema}


def _optional(schema: Schema) -> Schema:
    """As everywhere in the contracts: a property that may be absent is a list, or may be null."""
    kind = schema.get("type")
    if kind == "array" or "anyOf" in schema or (isinstance(kind, list) and "null" in kind):
        return schema
    said: Schema = {key: value for key, value in schema.items() if key in ("description", "x-sensitivity")}
    inner = {key: value for key, value in schema.items() if key not in said}
    if isinstance(kind, str):
        return {**said, **inner, "type": [kind, "null"]}
    return {**said, "anyOf": [inner, {"type": "null"}]}


def _major(schema: Path) -> int:
    """The version of a schema file; sealed plaintexts come last."""
    number = schema.name.removeprefix("v").removesuffix(".schema.json")
    return int(number) if number.isdecimal() else -1


def _read(path: Path) -> Schema:
    loaded: Schema = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def topic_config() -> Mapping[str, str]:
    """How the broker keeps a stream. The time limits are what bounds a record's way: see ``kintsugi.streams``."""
    return {
        "cleanup.policy": "compact",
        # What a newer record or a tombstone replaces is gone from the log within an hour or two.
        "max.compaction.lag.ms": "3600000",
        "min.cleanable.dirty.ratio": "0.01",
        "segment.ms": "3600000",
        # A partner that was away for less than this still reads every tombstone.
        "delete.retention.ms": "2592000000",
        "message.timestamp.type": "CreateTime",
        "message.timestamp.before.max.ms": str(BEHIND_MS),
        "message.timestamp.after.max.ms": str(AHEAD_MS),
        "max.message.bytes": "65536",
    }


def fields_of(purpose: SharePurpose) -> Iterable[str]:
    """The fields of a record, as a topic file lists what its consumer reads."""
    return ("case", "revision", "status", *purpose.fields, *(f"sealed.{group}" for group in purpose.sealed))
