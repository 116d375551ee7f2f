"""Two versions of one schema: every change, and whether releases that overlap can live with it.

While a release is rolled out, and for ever afterwards in the log, either side may be the newer one. So a change is fine
only if it holds both ways:

1. whatever a strict producer of the **old** schema wrote, the new one takes, without losing a field or a code; and
2. whatever a strict producer of the **new** schema writes, a tolerant consumer of the old one reads: it ignores fields
   it does not know and reads an unknown code as `unknown`, but holds every field it knows to its type, bounds and
   pattern, and misses what it requires (`Event.decode` of the kit does all of this).

`RULES` holds one function per kind of change. Every rule that finds nothing says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from kintsugi_contracts.patterns import unrolled
from kintsugi_contracts.shape import Kind, Place, Schema, Shape

SENSITIVITY = ("public", "internal", "personal", "special")


class Verdict(IntEnum):
    """What a change asks for, the worst last."""

    fine = 0
    major = 1
    """A new major version beside the old one."""
    forbidden = 2
    """Nothing excuses it, not even a new major version."""

    def __str__(self) -> str:
        return ("fine", "needs a new major", "forbidden")[self]


@dataclass(frozen=True)
class Delta:
    """One change of a schema."""

    rule: str
    verdict: Verdict
    field: tuple[str, ...]
    """The path of the value it is about, the event's own property first."""
    place: Place
    """Where it stands in the new schema; for what is gone, where it would stand."""
    said: str
    """What changed, for the reviewer. `{field}` stands for the field's name."""


Rule = Callable[[Shape, Shape, tuple[str, ...]], Iterator[Delta]]


def compare(old: Shape, new: Shape, field: tuple[str, ...] = ()) -> list[Delta]:
    """Every change from one schema to another, in the order of the schema."""
    return list(_compare(old, new, field, frozenset()))


def _compare(old: Shape, new: Shape, field: tuple[str, ...], inside: frozenset[tuple[Place, Place]]) -> Iterator[Delta]:
    here = (old.place, new.place)
    if here in inside:  # a definition that holds itself
        return
    for rule in RULES.values():
        yield from rule(old, new, field)
    if old.kind is not new.kind:
        return
    inside |= {here}
    if old.kind is Kind.array:
        yield from _compare(old.inner("items"), new.inner("items"), (*field, "[]"), inside)
    elif old.kind is Kind.map:
        yield from _compare(old.names(), new.names(), (*field, "(name)"), inside)
        steps = "additionalProperties"
        yield from _compare(old.inner(steps), new.inner(steps), (*field, "*"), inside)
    elif old.kind is Kind.object:
        for name in old.properties:
            if name in new.properties:
                yield from _compare(
                    old.inner("properties", name), new.inner("properties", name), (*field, name), inside
                )


def _kind(old: Shape, new: Shape, field: tuple[str, ...]) -> Iterator[Delta]:
    if old.kind is not new.kind:
        said = f"{{field}} was {old.kind} and is {new.kind}"
        yield Delta("type", Verdict.major, field, new.place, said)


def _null(old: Shape, new: Shape, field: tuple[str, ...]) -> Iterator[Delta]:
    if old.nullable and not new.nullable:
        said = "{field} may no longer be null, as it was in records that stand"
        yield Delta("null", Verdict.major, field, new.place, said)
    elif new.nullable and not old.nullable:
        said = "{field} may now be null, which readers of the released version refuse"
        yield Delta("null", Verdict.major, field, new.place, said)


def _codes(old: Shape, new: Shape, field: tuple[str, ...]) -> Iterator[Delta]:
    if not old.kind is new.kind is Kind.enum:
        return
    if gone := [c for c in old.codes if c not in new.codes]:
        said = f"{{field}} lost {_listed(gone, 'the code', 'the codes')}, which records that stand may hold"
        yield Delta("code-removed", Verdict.major, field, new.place, said)
    if added := [c for c in new.codes if c not in old.codes]:
        said = f"{{field}} has {_listed(added, 'a new code', 'new codes')}; older readers take it for `unknown`"
        yield Delta("code-added", Verdict.fine, field, new.place, said)


def _pattern(old: Shape, new: Shape, field: tuple[str, ...]) -> Iterator[Delta]:
    before, after = (f"`{s.schema['pattern']}`" if "pattern" in s.schema else "none" for s in (old, new))
    if not old.kind is new.kind is Kind.string or before == after:
        return
    if unrolled(before) == unrolled(after):
        said = "the pattern of {field} is written in another way and takes the same"
        yield Delta("pattern", Verdict.fine, field, new.place, said)
    else:
        said = f"the pattern of {{field}} was {before} and is {after}"
        yield Delta("pattern", Verdict.major, field, new.place, said)


def _format(old: Shape, new: Shape, field: tuple[str, ...]) -> Iterator[Delta]:
    before, after = old.schema.get("format"), new.schema.get("format")
    if old.kind is new.kind is Kind.string and before != after:
        said = f"the format of {{field}} was {before or 'none'} and is {after or 'none'}"
        yield Delta("format", Verdict.major, field, new.place, said)


def _bound(keyword: str, kinds: frozenset[Kind], told: str, nothing: Any) -> Rule:
    """A rule for one bound. Tighter refuses records that stand; wider writes what released readers refuse."""

    def rule(old: Shape, new: Shape, field: tuple[str, ...]) -> Iterator[Delta]:
        before, after = (s.schema.get(keyword, nothing) for s in (old, new))
        if old.kind is not new.kind or old.kind not in kinds or before == after:
            return
        tighter = before is None or (after is not None and (after > before) is keyword.startswith("min"))
        why = "records that stand break it" if tighter else "readers of the released version refuse what is beyond"
        was, is_ = ("none" if bound is None else bound for bound in (before, after))
        said = f"the {told} of {{field}} was {was} and is {is_}: {why}"
        yield Delta(keyword, Verdict.major, field, new.place, said)

    return rule


def _properties(old: Shape, new: Shape, field: tuple[str, ...]) -> Iterator[Delta]:
    """Properties that came, went or were renamed."""
    if not old.kind is new.kind is Kind.object:
        return
    gone = [n for n in old.properties if n not in new.properties]
    added = [n for n in new.properties if n not in old.properties]
    for name in gone:
        twin = next((n for n in added if _alike(old.properties[name], new.properties[n])), None)
        here = (*field, name)
        if twin:
            added.remove(twin)
            said = f"{{field}} was renamed to `{twin}`"
            yield Delta("renamed", Verdict.major, here, new.place.to("properties", twin), said)
        else:
            place = new.place.to("properties", name)
            yield Delta("removed", Verdict.major, here, place, "{field} was removed, and records that stand hold it")
    for name in added:
        here, place = (*field, name), new.place.to("properties", name)
        if name in new.required:
            yield Delta("added", Verdict.major, here, place, "{field} is new and required: records that stand lack it")
        else:
            yield Delta("added", Verdict.fine, here, place, "{field} is new; older readers ignore it")


def _required(old: Shape, new: Shape, field: tuple[str, ...]) -> Iterator[Delta]:
    if not old.kind is new.kind is Kind.object:
        return
    for name in old.properties:
        here, place = (*field, name), new.place.to("properties", name)
        if name not in new.properties or (name in old.required) is (name in new.required):
            continue
        if name in new.required:
            said = "{field} is now required: records that stand may lack it"
        else:
            said = "{field} may now be absent, and readers of the released version require it"
        yield Delta("required", Verdict.major, here, place, said)


def _sensitivity(old: Shape, new: Shape, field: tuple[str, ...]) -> Iterator[Delta]:
    if not old.kind is new.kind is Kind.object:
        return
    for name, part in old.properties.items():
        before = part.get("x-sensitivity")
        after = new.properties.get(name, part).get("x-sensitivity")
        if before == after or before not in SENSITIVITY or after not in SENSITIVITY:
            continue
        here, place = (*field, name), new.place.to("properties", name)
        if SENSITIVITY.index(after) < SENSITIVITY.index(before):
            said = f"the sensitivity of {{field}} was lowered from {before} to {after}"
            yield Delta("sensitivity", Verdict.forbidden, here, place, said)
        else:
            said = f"the sensitivity of {{field}} was raised from {before} to {after}"
            yield Delta("sensitivity", Verdict.fine, here, place, said)


def _told(old: Shape, new: Shape, field: tuple[str, ...]) -> Iterator[Delta]:
    if old.told != new.told:
        said = "{field} is described anew; a change of meaning or unit needs a new major, and only you can see one"
        yield Delta("described", Verdict.fine, field, new.place, said)


_KNOWN = frozenset(
    {
        *("$schema", "$id", "$defs", "title", "description", "x-type", "x-purpose", "x-python", "x-sensitivity"),
        *("type", "enum", "pattern", "format", "minLength", "maxLength", "minimum", "maximum"),
        *("items", "minItems", "maxItems", "propertyNames", "maxProperties", "properties", "required"),
    }
)
"""Keywords that a rule compares, that name a schema, or that are followed into."""


def _others(old: Shape, new: Shape, field: tuple[str, ...]) -> Iterator[Delta]:
    """Keywords no rule knows, should the meta-schemas let one through: nothing is fine because a rule is missing."""
    if old.kind is not new.kind:
        return
    followed = {"additionalProperties"} if old.kind is Kind.map else set()
    for keyword in sorted((old.schema.keys() | new.schema.keys()) - _KNOWN - followed):
        before, after = (json.dumps(s.schema[keyword]) if keyword in s.schema else "not set" for s in (old, new))
        if before != after:
            said = f"{keyword} of {{field}} was {before} and is {after}, and no rule knows what that does"
            yield Delta("keyword", Verdict.major, field, new.place, said)


RULES: dict[str, Rule] = {
    "type": _kind,
    "null": _null,
    "codes": _codes,
    "pattern": _pattern,
    "format": _format,
    "minLength": _bound("minLength", frozenset({Kind.string}), "least length", 0),
    "maxLength": _bound("maxLength", frozenset({Kind.string}), "greatest length", None),
    "minimum": _bound("minimum", frozenset({Kind.integer, Kind.number}), "least value", None),
    "maximum": _bound("maximum", frozenset({Kind.integer, Kind.number}), "greatest value", None),
    "minItems": _bound("minItems", frozenset({Kind.array}), "least number of entries", 0),
    "maxItems": _bound("maxItems", frozenset({Kind.array}), "greatest number of entries", None),
    "maxProperties": _bound("maxProperties", frozenset({Kind.map}), "greatest number of names", None),
    "properties": _properties,
    "required": _required,
    "keyword": _others,
    "sensitivity": _sensitivity,
    "described": _told,
}


def _alike(old: Schema, new: Schema) -> bool:
    """Whether one property looks like another but for what it says of itself."""
    mute = {"description"}
    return {k: v for k, v in old.items() if k not in mute} == {k: v for k, v in new.items() if k not in mute}


def _listed(codes: list[str], one: str, many: str) -> str:
    return f"{one if len(codes) == 1 else many} {', '.join(f'`{c}`' for c in codes)}"
