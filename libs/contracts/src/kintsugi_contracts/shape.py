"""What a schema asks of a value, with references followed: the form in which two versions are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Schema = dict[str, Any]
Resolver = Callable[[str, str], tuple[str, tuple[str, ...], Schema]]
"""`$id` of a schema and a `$ref` in it: the `$id`, the path and the part it points at."""


class Kind(StrEnum):
    """What a value is, apart from null. The text is how a person is told."""

    string = "a text"
    enum = "a list of codes"
    integer = "a whole number"
    number = "a number"
    boolean = "yes or no"
    array = "a list"
    object = "an object"
    map = "a map"
    anything = "any object"


_SIMPLE = {"integer": Kind.integer, "number": Kind.number, "boolean": Kind.boolean, "array": Kind.array}


@dataclass(frozen=True)
class Place:
    """Where a part of a schema stands: the `$id` of its file and the path in it."""

    id: str
    path: tuple[str, ...]

    def to(self, *steps: str) -> Place:
        """A place inside this one."""
        return Place(self.id, (*self.path, *steps))


@dataclass(frozen=True)
class Shape:
    """One part of a schema: its kind, whether null will do, and the keywords that bound it."""

    kind: Kind
    nullable: bool
    schema: Schema
    place: Place
    told: tuple[str, ...]
    """The descriptions on the way, the property's own first."""
    resolver: Resolver

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of a list of codes."""
        return tuple(c for c in self.schema["enum"] if c is not None)

    @property
    def properties(self) -> dict[str, Schema]:
        """The properties of an object, references not followed."""
        found: dict[str, Schema] = self.schema.get("properties", {})
        return found

    @property
    def required(self) -> frozenset[str]:
        """The properties an object must have."""
        return frozenset(self.schema.get("required", ()))

    def inner(self, *steps: str) -> Shape:
        """The shape of a part, such as `items` or `properties`, `name`."""
        part = self.schema
        for step in steps:
            part = part[step]
        return shape(part, self.place.to(*steps), self.resolver)

    def names(self) -> Shape:
        """The shape of a map's names; `propertyNames` needs no type, since a name is a text."""
        names = self.schema.get("propertyNames", {})
        typed = names if "$ref" in names else {"type": "string", **names}
        return shape(typed, self.place.to("propertyNames"), self.resolver)


def shape(schema: Schema, place: Place, resolver: Resolver) -> Shape:
    """The shape of a part of a schema that keeps to the keywords of `contracts/meta`.

    Raises ContractError when a reference points at nothing.
    """
    nullable, told = False, []
    while True:
        if "description" in schema:
            told.append(str(schema["description"]))
        if "anyOf" in schema:
            index, part = next((i, s) for i, s in enumerate(schema["anyOf"]) if s.get("type") != "null")
            nullable, schema, place = True, part, place.to("anyOf", str(index))
        elif "$ref" in schema:
            target, path, schema = resolver(place.id, schema["$ref"])
            place = Place(target, path)
        else:
            break
    types = schema.get("type", "object")
    types = [types] if isinstance(types, str) else types
    if "null" in types and ("enum" not in schema or None in schema["enum"]):
        nullable = True
    return Shape(_kind(schema, types), nullable, schema, place, tuple(told), resolver)


def _kind(schema: Schema, types: list[str]) -> Kind:
    if "enum" in schema:
        return Kind.enum
    if "properties" in schema:
        return Kind.object
    if "string" in types:
        return Kind.string
    if "object" in types:
        return Kind.map if isinstance(schema.get("additionalProperties"), dict) else Kind.anything
    return _SIMPLE[next(t for t in types if t != "null")]
