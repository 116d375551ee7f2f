"""A JSON Schema as a table of fields: what each is, how sensitive, and what it means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from kintsugi_contracts.asyncapi.markup import code, inline, table, tag

Schema = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """One row. `path` is as in `windows[].start`."""

    path: str
    schema: Schema
    required: bool


def fields(schema: Schema, before: str = "") -> Iterator[Field]:
    """Every field of an object schema without references, those inside it after it."""
    required = schema.get("required", ())
    for name, part in schema.get("properties", {}).items():
        field = Field(before + name, _without_null(part), name in required)
        yield field
        inner, suffix = field.schema, "."
        if "items" in inner:
            inner, suffix = _without_null(inner["items"]), "[]."
        elif isinstance(inner.get("additionalProperties"), dict):
            inner, suffix = _without_null(inner["additionalProperties"]), ".*."
        yield from fields(inner, field.path + suffix)


def table_of(schema: Schema) -> str:
    """The table of a schema's fields; a sentence where it has none."""
    found = list(fields(schema))
    if not found:
        return tag("p", "No fields.")
    sensitive = any("x-sensitivity" in field.schema for field in found)
    head = ["Field", "Value", *(["Sensitivity"] if sensitive else []), "Meaning"]
    return table(head, (_row(field, sensitive) for field in found), class_="fields")


def _row(field: Field, sensitive: bool) -> list[str]:
    level = str(field.schema.get("x-sensitivity", ""))
    *outer, last = field.path.rpartition(".")
    name = tag("code", tag("span", escape("".join(outer)), class_="outer") if outer[0] else "", escape(last))
    optional = "" if field.required else " " + tag("small", "optional", class_="optional")
    return [
        name + optional,
        value_of(field.schema),
        *([tag("span", escape(level), class_=f"level {escape(level)}") if level else ""] if sensitive else []),
        inline(str(field.schema.get("description", ""))),
    ]


def value_of(schema: Schema) -> str:
    """What may stand there, in a few words."""
    schema = _without_null(schema)
    if "const" in schema:
        return code(str(schema["const"]))
    if "enum" in schema:
        return tag("span", " ".join(code(str(each)) for each in schema["enum"]), class_="codes")
    if "items" in schema:
        most = f", at most {schema['maxItems']}" if "maxItems" in schema else ""
        return f"list{most}: {value_of(schema['items'])}"
    kind = schema.get("type", "any")
    names = [each for each in kind if each != "null"] if isinstance(kind, list) else [kind]
    if names == ["object"] and isinstance(schema.get("additionalProperties"), dict):
        return f"map to {value_of(schema['additionalProperties'])}"
    said = str(schema["format"]) if "format" in schema else " or ".join(map(str, names))
    return " ".join([escape(said), *_bounds(schema)])


def _bounds(schema: Schema) -> Iterator[str]:
    if "pattern" in schema and "format" not in schema:
        yield code(str(schema["pattern"]))
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None or most is not None:
        yield f"{'' if least is None else least}…{'' if most is None else most}"
    least, most = schema.get("minLength"), schema.get("maxLength")
    if most is not None:
        yield f"{least or 0}…{most} characters"
    elif least is not None:
        yield f"at least {least} characters"


def _without_null(schema: Schema) -> Schema:
    """What may stand there besides null, which means the same as absent."""
    choices: list[Schema] = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if len(choices) != 1:
        return schema
    return choices[0] | {key: value for key, value in schema.items() if key != "anyOf"}
