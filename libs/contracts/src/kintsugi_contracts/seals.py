"""What leaves its seal: a field that was sealed and stands in clear, or comes under a second seal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from kintsugi_contracts.documents import Document
from kintsugi_contracts.schema_changes import Delta, Verdict
from kintsugi_contracts.shape import Kind, Place, Shape

PRIVATE = ("personal", "special")


def unsealed(plaintexts: Mapping[str, Shape], before: Shape, after: Shape) -> Iterator[Delta]:
    """Fields that some plaintext held and that now stand in clear, told by their names, however deep they stand.

    Deeper down only names of what is personal count: codes and references have the same names everywhere.
    """
    sealed: dict[str, tuple[str, bool]] = {}
    for purpose, plaintext in plaintexts.items():
        for path, holder in _fields(plaintext):
            private = holder.properties[path[-1]].get("x-sensitivity") in PRIVATE
            if private or (len(path) == 1 and path[-1] not in sealed):
                sealed[path[-1]] = (purpose, private)
    stood = {path for path, _ in _fields(before)}
    for path, holder in _fields(after):
        purpose, private = sealed.get(path[-1], ("", False))
        if path not in stood and purpose and (private or len(path) == 1):
            said = f"{{field}} was sealed under {purpose} and stands in clear"
            yield Delta("unsealed", Verdict.forbidden, path, holder.place.to("properties", path[-1]), said)


def _fields(
    part: Shape, path: tuple[str, ...] = (), inside: frozenset[Place] = frozenset()
) -> Iterator[tuple[tuple[str, ...], Shape]]:
    """Every field of a value by its path, with the object that has it; without the ciphertexts."""
    if part.place in inside or path[:1] == ("sealed",):
        return
    inside |= {part.place}
    if part.kind is Kind.array:
        yield from _fields(part.inner("items"), (*path, "[]"), inside)
    elif part.kind is Kind.map:
        yield from _fields(part.inner("additionalProperties"), (*path, "*"), inside)
    elif part.kind is Kind.object:
        for name in part.properties:
            yield (*path, name), part
            yield from _fields(part.inner("properties", name), (*path, name), inside)


def resealed(delta: Delta, purpose: str, sealed: Mapping[str, Document]) -> Delta:
    """A new sealed field that another purpose sealed already: those who hold other keys read it now."""
    if delta.rule != "added":
        return delta
    others = [p for p, d in sealed.items() if p != purpose and delta.field[-1] in d.data["properties"]]
    if not others or delta.verdict is not Verdict.fine:
        return delta
    said = f"{{field}} is new, and was sealed under {others[0]} alone: whoever opens {purpose} can now read it"
    return replace(delta, rule="resealed", said=said)
