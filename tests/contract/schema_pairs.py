"""Pairs of schemas, one changed from the other at random, for the proof of the gate. Shares no code with the gate."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any

Schema = dict[str, Any]
Nodes = list[tuple[Schema, str]]

ID = "https://schemas.kintsugi.example/events/thing.happened/v1.schema.json"
COMMON_ID = "https://schemas.kintsugi.example/events/common.schema.json"
_CLASSES = ("[a-z]", "[A-Z]", "[0-9]", "[a-z0-9]", "[A-Za-z]")
_CODES = ("red", "green", "blue", "amber", "violet", "grey", "unknown")


@dataclass
class Pair:
    """Two versions of one event's schema, each with the common definitions of its time."""

    old: Schema
    old_common: Schema
    new: Schema
    new_common: Schema
    changes: tuple[str, ...]
    """The names of the changes that made the new one."""


def pair(random: Random) -> Pair:
    """One pair: mostly one change, sometimes none or several, now and then two unrelated schemas."""
    old_common, old = _common(random), _event(random)
    if random.random() < 0.03:
        return Pair(old, old_common, _event(random), _common(random), ("unrelated",))
    new, new_common = deepcopy(old), deepcopy(old_common)
    wanted = random.choices((0, 1, 2, 3), (5, 70, 17, 8))[0]
    done: list[str] = []
    for _ in range(60):
        if len(done) == wanted:
            break
        change = random.choice(CHANGES)
        if change(random, new, new_common):
            done.append(change.__name__)
    return Pair(old, old_common, new, new_common, tuple(done))


def _told(random: Random) -> Schema:
    return {"description": f"It is number {random.randrange(10)}.", "x-sensitivity": "internal"}


def _common(random: Random) -> Schema:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": COMMON_ID,
        "title": "Common",
        "description": "Shared.",
        "$defs": {
            "Colour": _enum(random, "Colour"),
            "Id": {"title": "Id", "description": "An identifier.", "type": "string", "pattern": _pattern(random)},
            "Instant": {
                "title": "Instant",
                "description": "A moment.",
                "type": "string",
                **({"format": "date-time"} if random.random() < 0.9 else {}),
                "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?Z$",
            },
        },
    }


def _event(random: Random) -> Schema:
    names = random.sample(("alpha", "beta", "gamma", "delta"), random.randint(1, 3))
    schema: Schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "x-type": "kintsugi.thing.happened.v1",
        "title": "ThingHappened",
        "description": "A thing happened.",
        "type": "object",
        "additionalProperties": False,
        "required": [],
        "properties": {},
        "$defs": {"Shade": _enum(random, "Shade"), "Inner": _inner(random, "Inner"), "Deep": _inner(random, "Deep")},
    }
    for name in names:
        _add(random, schema, name)
    return schema


def _inner(random: Random, title: str) -> Schema:
    inner: Schema = {
        "title": title,
        "description": "An object inside.",
        "type": "object",
        "additionalProperties": False,
        "required": [],
        "properties": {},
    }
    for name in random.sample(("one", "two", "three"), random.randint(1, 2)):
        _add(random, inner, name, flat=True)
    if title == "Inner" and random.random() < 0.4:
        deep = {"$ref": "#/$defs/Deep"}
        several = {"type": "array", "items": deep, "maxItems": random.randint(2, 4)}
        inner["properties"]["deep"] = {
            **_told(random),
            **(several if random.random() < 0.5 else _or_null(random, deep)),
        }
    return inner


def _add(random: Random, holder: Schema, name: str, *, flat: bool = False, required: bool | None = None) -> None:
    part = _value(random, flat=flat)
    if random.random() < 0.6 if required is None else required:
        holder["required"].append(name)
        if random.random() < 0.2:
            part = _or_null(random, part)
    elif "array" not in (kinds := part.get("type", ())) and "object" not in kinds:
        part = _or_null(random, part)
    holder["properties"][name] = {**_told(random), **part}


def _or_null(random: Random, part: Schema) -> Schema:
    if "$ref" in part or random.random() < 0.3:
        return {"anyOf": [part, {"type": "null"}]}
    return {**part, "type": [part["type"], "null"]}


def _value(random: Random, *, flat: bool = False) -> Schema:
    kinds: list[Callable[[Random], Schema]] = [_text, _text, _integer, _number, _yes_or_no, _reference, _reference]
    if not flat:
        kinds += [_list, _list, _map, lambda _: {"$ref": "#/$defs/Inner"}, lambda _: {"$ref": "#/$defs/Inner"}]
    return random.choice(kinds)(random)


def _pattern(random: Random) -> str:
    least = random.randint(1, 3)
    return f"^{random.choice(_CLASSES)}{{{least},{least + random.randint(1, 6)}}}$"


def _text(random: Random) -> Schema:
    if random.random() < 0.5:
        return {"type": "string", "pattern": _pattern(random)}
    return {"type": "string", "minLength": random.randint(1, 3), "maxLength": random.randint(4, 12)}


def _integer(random: Random) -> Schema:
    return {"type": "integer", "minimum": random.randint(-3, 1), "maximum": random.randint(2, 1000)}


def _number(random: Random) -> Schema:
    bounds = {"minimum": random.randint(-3, 1), "maximum": random.randint(2, 1000)}
    return {"type": "number", **{k: v for k, v in bounds.items() if random.random() < 0.85}}


def _yes_or_no(random: Random) -> Schema:
    return {"type": "boolean"}


def _reference(random: Random) -> Schema:
    return {
        "$ref": random.choice(
            (
                "../common.schema.json#/$defs/Colour",
                "../common.schema.json#/$defs/Id",
                "../common.schema.json#/$defs/Instant",
                "#/$defs/Shade",
            )
        )
    }


def _list(random: Random) -> Schema:
    items = _value(random, flat=True) if random.random() < 0.6 else {"$ref": "#/$defs/Inner"}
    bounds: Schema = {"maxItems": random.randint(2, 5)}
    if random.random() < 0.1:
        items = {"type": "array", "items": items, **bounds}
    if random.random() < 0.3:
        bounds["minItems"] = random.randint(1, 2)
    return {"type": "array", "items": items, **bounds}


def _map(random: Random) -> Schema:
    names = {"pattern": _pattern(random)} if random.random() < 0.5 else {"$ref": "../common.schema.json#/$defs/Id"}
    values = _value(random, flat=True) if random.random() < 0.7 else {"$ref": "#/$defs/Inner"}
    return {
        "type": "object",
        "propertyNames": names,
        "additionalProperties": values,
        "maxProperties": random.randint(1, 4),
    }


def _enum(random: Random, title: str) -> Schema:
    codes = [*random.sample(_CODES[:-1], random.randint(1, 4)), "unknown"]
    return {"title": title, "description": "Codes.", "type": "string", "enum": codes}


def _objects(schema: Schema) -> list[Schema]:
    return [schema, schema["$defs"]["Inner"], schema["$defs"]["Deep"]]


def _parts(schema: Schema, common: Schema) -> list[Schema]:
    """Every part of a schema that bounds a value, references not followed."""
    found: list[Schema] = [*common["$defs"].values(), *schema["$defs"].values()]
    waiting = [part for holder in _objects(schema) for part in holder["properties"].values()]
    while waiting:
        part = waiting.pop(0)
        found.append(part)
        waiting += [*part.get("anyOf", ()), *(part[k] for k in ("items", "propertyNames") if k in part)]
        if isinstance(part.get("additionalProperties"), dict):
            waiting.append(part["additionalProperties"])
    return found


def _one(random: Random, schema: Schema, common: Schema, *keywords: str) -> Schema | None:
    parts = [p for p in _parts(schema, common) if all(k in p for k in keywords)]
    return random.choice(parts) if parts else None


def _moved(keyword: str) -> Callable[[Random, Schema, Schema], bool]:
    def change(random: Random, schema: Schema, common: Schema) -> bool:
        part = _one(random, schema, common, keyword)
        if part is None:
            return False
        other = {"min": "max", "max": "min"}[keyword[:3]] + keyword[3:]
        by = random.choice((-1, 1))
        bound = part[keyword] + by
        low, high = (bound, part.get(other, bound)) if keyword.startswith("min") else (part.get(other, bound), bound)
        if low > high or bound < (0 if keyword in {"minimum", "maximum"} else 1):
            return False
        before, part[keyword] = part[keyword], bound
        if not _possible(part):
            part[keyword] = before
        return bool(part[keyword] != before)

    change.__name__ = f"move {keyword}"
    return change


def _dropped(keyword: str) -> Callable[[Random, Schema, Schema], bool]:
    def change(random: Random, schema: Schema, common: Schema) -> bool:
        part = _one(random, schema, common, keyword)
        if part is None:
            return False
        del part[keyword]
        return True

    change.__name__ = f"drop {keyword}"
    return change


def _set(
    keyword: str, kinds: tuple[str, ...], bound: Callable[[Random], Any]
) -> Callable[[Random, Schema, Schema], bool]:
    def change(random: Random, schema: Schema, common: Schema) -> bool:
        fit = [
            p
            for p in _parts(schema, common)
            if keyword not in p
            and "enum" not in p
            and "T" not in p.get("pattern", "")
            and any(k in kinds for k in _types(p))
        ]
        if not fit:
            return False
        part = random.choice(fit)
        part[keyword] = bound(random)
        if not _possible(part):
            del part[keyword]
            return False
        return True

    change.__name__ = f"set {keyword}"
    return change


def _possible(part: Schema) -> bool:
    """Whether some value fits at all."""
    least, most = (int(n) for n in part["pattern"][:-2].rpartition("{")[2].split(",")) if "pattern" in part else (0, 99)
    return bool(
        max(least, part.get("minLength", 0)) <= min(most, part.get("maxLength", 99))
        and part.get("minimum", -99) <= part.get("maximum", 9999)
        and part.get("minItems", 0) <= part.get("maxItems", 99)
    )


def _types(part: Schema) -> list[str]:
    kind = part.get("type", [])
    return kind if isinstance(kind, list) else [kind]


def set_format(random: Random, schema: Schema, common: Schema) -> bool:
    """What looks like a moment must be one."""
    moment = common["$defs"]["Instant"]
    fits = "format" not in moment and "T" in moment.get("pattern", "")
    if fits:
        moment["format"] = "date-time"
    return fits


def add_optional(random: Random, schema: Schema, common: Schema) -> bool:
    """A new property that may be absent."""
    holder = random.choice(_objects(schema))
    _add(random, holder, f"added_{len(holder['properties'])}", flat=True, required=False)
    return True


def add_required(random: Random, schema: Schema, common: Schema) -> bool:
    """A new property that must be there."""
    holder = random.choice(_objects(schema))
    _add(random, holder, f"added_{len(holder['properties'])}", flat=True, required=True)
    return True


def remove_property(random: Random, schema: Schema, common: Schema) -> bool:
    """A property goes."""
    holder = random.choice(_objects(schema))
    name = random.choice(sorted(holder["properties"])) if holder["properties"] else None
    if name is None:
        return False
    del holder["properties"][name]
    holder["required"] = [n for n in holder["required"] if n != name]
    return True


def rename_property(random: Random, schema: Schema, common: Schema) -> bool:
    """A property gets another name."""
    holder = random.choice(_objects(schema))
    name = random.choice(sorted(holder["properties"])) if holder["properties"] else None
    if name is None:
        return False
    holder["properties"][f"{name}_x"] = holder["properties"].pop(name)
    holder["required"] = [f"{n}_x" if n == name else n for n in holder["required"]]
    return True


def flip_required(random: Random, schema: Schema, common: Schema) -> bool:
    """A property must be there that need not, or the reverse."""
    holder = random.choice(_objects(schema))
    name = random.choice(sorted(holder["properties"])) if holder["properties"] else None
    if name is None:
        return False
    required = set(holder["required"]) ^ {name}
    holder["required"] = [n for n in holder["properties"] if n in required]
    return True


def flip_null(random: Random, schema: Schema, common: Schema) -> bool:
    """Null will do where it did not, or the reverse."""
    holder = random.choice(_objects(schema))
    name = random.choice(sorted(holder["properties"])) if holder["properties"] else None
    if name is None:
        return False
    part = holder["properties"][name]
    if "anyOf" in part:
        part.update(next(o for o in part.pop("anyOf") if o != {"type": "null"}))
    elif isinstance(part.get("type"), list):
        part["type"] = part["type"][0]
    elif "$ref" in part:
        part["anyOf"] = [{"$ref": part.pop("$ref")}, {"type": "null"}]
    else:
        part["type"] = [part["type"], "null"]
    return True


def write_null_otherwise(random: Random, schema: Schema, common: Schema) -> bool:
    """`[type, null]` becomes `anyOf`, and anyOf is turned around: no change at all."""
    part = _one(random, schema, common, "anyOf")
    if part is not None:
        part["anyOf"].reverse()
    return part is not None


def add_code(random: Random, schema: Schema, common: Schema) -> bool:
    """A list of codes grows."""
    part = _one(random, schema, common, "enum")
    left = [c for c in _CODES if part is not None and c not in part["enum"]]
    if part is None or not left:
        return False
    part["enum"].insert(0, random.choice(left))
    return True


def remove_code(random: Random, schema: Schema, common: Schema) -> bool:
    """A list of codes shrinks."""
    part = _one(random, schema, common, "enum")
    if part is None or len(part["enum"]) < 2:
        return False
    part["enum"].pop(0)
    return True


def shuffle_codes(random: Random, schema: Schema, common: Schema) -> bool:
    """A list of codes in another order."""
    part = _one(random, schema, common, "enum")
    if part is not None:
        part["enum"].reverse()
    return part is not None


def change_pattern(random: Random, schema: Schema, common: Schema) -> bool:
    """Other texts fit."""
    part = _one(random, schema, common, "pattern")
    if part is None or "T" in part["pattern"]:
        return False
    before = part["pattern"]
    part["pattern"] = _pattern(random)
    if not _possible(part):
        part["pattern"] = before
    return bool(part["pattern"] != before)


def change_type(random: Random, schema: Schema, common: Schema) -> bool:
    """A value becomes another kind of value."""
    holder = random.choice(_objects(schema))
    if not holder["properties"]:
        return False
    name = random.choice(sorted(holder["properties"]))
    holder["properties"][name] = {**_told(random), **_value(random, flat=holder is not schema)}
    return True


def between_object_and_map(random: Random, schema: Schema, common: Schema) -> bool:
    """An object becomes a map, or the reverse."""
    fit = [n for n, p in schema["properties"].items() if p.get("$ref") == "#/$defs/Inner" or "propertyNames" in p]
    if not fit:
        return False
    name = random.choice(fit)
    part = _map(random) if "$ref" in schema["properties"][name] else {"$ref": "#/$defs/Inner"}
    schema["properties"][name] = {**_told(random), **part}
    return True


def between_integer_and_number(random: Random, schema: Schema, common: Schema) -> bool:
    """A whole number becomes a number, or the reverse."""
    parts = [p for p in _parts(schema, common) if "minimum" in p or "maximum" in p]
    if not parts:
        return False
    part = random.choice(parts)
    swap = {"integer": "number", "number": "integer"}
    kind = part["type"]
    part["type"] = [swap.get(k, k) for k in kind] if isinstance(kind, list) else swap[kind]
    return True


def describe_anew(random: Random, schema: Schema, common: Schema) -> bool:
    """Other words."""
    part = _one(random, schema, common, "description")
    if part is not None:
        part["description"] += " Said better."
    return part is not None


def shuffle_properties(random: Random, schema: Schema, common: Schema) -> bool:
    """The order of properties and of required names."""
    holder = random.choice(_objects(schema))
    holder["properties"] = dict(reversed(holder["properties"].items()))
    holder["required"].reverse()
    return True


def inline_reference(random: Random, schema: Schema, common: Schema) -> bool:
    """A reference to a shared text is replaced by what it points at."""
    part = _one(random, schema, common, "$ref")
    if part is None or not part["$ref"].endswith("/Id"):
        return False
    del part["$ref"]
    part.update({"type": "string", "pattern": common["$defs"]["Id"]["pattern"]})
    return True


def add_definition(random: Random, schema: Schema, common: Schema) -> bool:
    """A definition nobody uses yet."""
    common["$defs"]["Spare"] = _enum(random, "Spare")
    return True


_BOUNDS = ("minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "maxProperties")
CHANGES: list[Callable[[Random, Schema, Schema], bool]] = [
    *map(_moved, _BOUNDS),
    *(_dropped(k) for k in ("minLength", "maxLength", "minimum", "maximum", "minItems", "pattern", "format")),
    _set("minLength", ("string",), lambda r: r.randint(1, 3)),
    _set("maxLength", ("string",), lambda r: r.randint(4, 12)),
    _set("minimum", ("integer", "number"), lambda r: r.randint(-3, 1)),
    _set("maximum", ("integer", "number"), lambda r: r.randint(2, 1000)),
    _set("minItems", ("array",), lambda r: r.randint(1, 2)),
    _set("pattern", ("string",), _pattern),
    set_format,
    add_optional,
    add_optional,
    add_optional,
    add_required,
    remove_property,
    rename_property,
    flip_required,
    flip_null,
    write_null_otherwise,
    add_code,
    add_code,
    add_code,
    remove_code,
    shuffle_codes,
    change_pattern,
    change_type,
    change_type,
    between_integer_and_number,
    between_object_and_map,
    describe_anew,
    describe_anew,
    describe_anew,
    shuffle_properties,
    inline_reference,
    add_definition,
]
