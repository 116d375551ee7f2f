"""A document without references to files: one thing to hand on, to a partner or to a tool that has no folder."""

from __future__ import annotations

from typing import Any

from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.folder import Folder

Node = dict[str, Any]

_IDENTITY = {"$id", "$schema", "$defs"}


def bundle(document: Node, folder: Folder) -> Node:
    """The document with every schema in it written out.

    What stands beside a `$ref`, such as a description, wins over what the definition says: the schema object of
    AsyncAPI would pass over it. Raises ContractError where a reference points at nothing or a schema at itself.
    """
    names = {schema.name: identity for identity, schema in folder.schemas.items()}

    def walk(part: Any) -> Any:
        if isinstance(part, list):
            return [walk(each) for each in part]
        if not isinstance(part, dict):
            return part
        ref = part.get("$ref")
        if isinstance(ref, str) and not ref.startswith("#"):
            identity = names.get(ref.removeprefix(".").removeprefix("./").removeprefix("/"))
            if identity is None:
                raise ContractError(f"$ref {ref!r}: no schema of that name; make the documents anew")
            return _written_out({"$ref": identity}, identity, folder, ())
        return {key: walk(each) for key, each in part.items()}

    walked: Node = walk(document)
    return walked


def _written_out(part: Any, base: str, folder: Folder, inside: tuple[str, ...]) -> Any:
    if isinstance(part, list):
        return [_written_out(each, base, folder, inside) for each in part]
    if not isinstance(part, dict):
        return part
    rest = {
        key: _written_out(value, base, folder, inside)
        for key, value in part.items()
        if key != "$ref" and key not in _IDENTITY
    }
    if not isinstance(part.get("$ref"), str):
        return rest
    identity, path, target = folder.resolve(base, part["$ref"])
    place = "#".join((identity, "/".join(path)))
    if place in inside:
        raise ContractError(f"{place} holds itself; a document cannot write that out")
    return _written_out(target, identity, folder, (*inside, place)) | rest
