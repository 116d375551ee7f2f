"""What a schema may say: nothing personal and no free text in clear, and nothing but what its place asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kintsugi_contracts.documents import Document
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.findings import Finding
from kintsugi_contracts.folder import Folder, Version
from kintsugi_contracts.patterns import refusal
from kintsugi_contracts.shape import Kind, Place, Shape, shape

IN_CLEAR = ("public", "internal")
PROSE = ("Amara said that he kept her papers", "She slept at last", "Амара ушла", "ghadan, in sha' Allah")
"""What a pattern in clear must not take: a pattern that takes sentences is free text by another name."""


def findings(folder: Folder) -> Iterator[Finding]:
    """Breaches in the schemas of events, of sealed purposes and of partners' streams."""
    for version in folder.versions():
        yield from _place(version)
        for purpose, document in version.schemas():
            whole = shape(document.data, Place(document.data["$id"], ()), folder.resolve)
            yield from _inside(folder, whole, sealed=purpose is not None, model=version.country is None)
    yield from _unused(folder)


def references(folder: Folder) -> Iterator[Finding]:
    """References that point at nothing. While there are some, a schema means nothing either."""
    for identifier, document in folder.schemas.items():
        for path, ref in _references(document.data, ()):
            try:
                folder.resolve(identifier, ref)
            except ContractError as error:
                yield document.finding(path, str(error), "name a definition that exists")


def _references(part: object, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for step, value in inner:
        if step == "$ref" and isinstance(value, str):
            yield (*path, step), value
        else:
            yield from _references(value, (*path, step))


def _inside(folder: Folder, holder: Shape, *, sealed: bool, model: bool) -> Iterator[Finding]:
    """Breaches in an object and in everything inside it."""
    seen: set[Place] = set()
    waiting = [(holder, "")]
    while waiting:
        part, name = waiting.pop()
        if part.place in seen:
            continue
        seen.add(part.place)
        if part.kind is Kind.object:
            yield from _object(folder, part, sealed=sealed, model=model and name != "sealed")
            waiting += [(part.inner("properties", n), n) for n in part.properties]
        elif part.kind is Kind.array:
            waiting.append((part.inner("items"), name))
        elif part.kind is Kind.map:
            waiting += [(part.names(), name), (part.inner("additionalProperties"), name)]
        elif part.kind is Kind.string and not sealed:
            yield from _text(folder, part, name)


def patterns(folder: Folder) -> Iterator[Finding]:
    """Patterns that are none, that some language refuses, or whose anchors hold for one alternative only.

    Without them a schema means nothing.
    """
    for document in folder.schemas.values():
        for path, pattern in _patterns(document.data, ()):
            try:
                re.compile(pattern)
            except (re.error, RecursionError, OverflowError) as error:
                yield document.finding(path, f"`{pattern}` is no pattern: {error}", "correct it")
                continue
            if _alternates(pattern):
                said = f"`{pattern}` is anchored at one end only in each alternative"
                yield document.finding(path, said, "put the alternatives in brackets: ^(a|b)$")
            if (why := refusal(pattern)) is not None:
                said = f"not every language reads `{pattern}`: {why}"
                mend = "write it so that RE2 takes it; `kintsugi_contracts.patterns.unrolled` does so for long repeats"
                yield document.finding(path, said, mend)


def _patterns(part: object, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for step, value in inner:
        if step == "pattern" and isinstance(value, str):
            yield (*path, step), value
        else:
            yield from _patterns(value, (*path, step))


def _alternates(pattern: str) -> bool:
    """Whether `|` stands outside of brackets."""
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "", pattern)
    while (inner := re.sub(r"\([^()]*\)", "", bare)) != bare:
        bare = inner
    return "|" in bare


def _object(folder: Folder, holder: Shape, *, sealed: bool, model: bool) -> Iterator[Finding]:
    for name in sorted(holder.required - holder.properties.keys()):
        yield _at(folder, holder.place.to("required"), f"requires `{name}`, which is no property", "add it or drop it")
    for name, part in holder.properties.items():
        place = holder.place.to("properties", name)
        level = part.get("x-sensitivity")
        if not sealed and level not in IN_CLEAR:
            said = f"`{name}` is {level} and not sealed"
            yield _at(folder, place, said, "move it to the schema of a sealed purpose")
        if model and name not in holder.required and name != "sealed":
            value = holder.inner("properties", name)
            if not value.nullable and value.kind not in (Kind.array, Kind.map):
                said = f"`{name}` is not required, and neither null nor a list nor a map"
                yield _at(folder, place, said, "let it be null: absent and null mean the same")


def _text(folder: Folder, part: Shape, name: str) -> Iterator[Finding]:
    pattern = part.schema.get("pattern")
    if pattern is None and "format" not in part.schema:
        said = f"`{name}` is free text in clear"
        yield _at(folder, part.place, said, "seal it, or give it a pattern or a list of codes")
    elif pattern is not None and any(re.search(pattern, prose) for prose in PROSE):
        said = f"the pattern of `{name}` takes whole sentences, which is free text in clear"
        yield _at(folder, part.place, said, "seal it, or let the pattern take identifiers only")


def _place(version: Version) -> Iterator[Finding]:
    """Whether `$id`, type and purposes agree with where the files stand."""
    yield from _named(version.document, "x-type", version.type)
    for purpose, document in version.schemas():
        yield from _named(document, "$id", f"https://schemas.kintsugi.example/{document.name}")
        if purpose:
            yield from _named(document, "x-purpose", purpose)
    purposes = version.schema["properties"].get("sealed", {}).get("properties", {})
    for purpose in sorted(purposes.keys() - version.sealed.keys()):
        said = f"the sealed purpose {purpose} has no schema of its plaintext"
        mend = f"add {version.document.name.removesuffix('.schema.json')}.sealed.{purpose}.schema.json"
        yield version.document.finding(("properties", "sealed", "properties", purpose), said, mend)
    for purpose in sorted(version.sealed.keys() - purposes.keys()):
        said = f"the schema of {purpose} belongs to no sealed purpose of {version.document.name}"
        yield version.sealed[purpose].finding([], said, "list the purpose in `sealed` there, or delete the file")


def _named(document: Document, keyword: str, wanted: str) -> Iterator[Finding]:
    if document.data[keyword] != wanted:
        yield document.finding([keyword], f"`{keyword}` does not agree with where the file stands", f"write {wanted}")


def _unused(folder: Folder) -> Iterator[Finding]:
    text = "".join(d.text for d in folder.schemas.values())
    for name in folder.common.data["$defs"]:
        if f'#/$defs/{name}"' not in text:
            yield folder.common.finding(("$defs", name), f"`{name}` is used nowhere", "delete it, or use it")


def _at(folder: Folder, place: Place, said: str, mend: str) -> Finding:
    return folder.schemas[place.id].finding(place.path, said, mend)
