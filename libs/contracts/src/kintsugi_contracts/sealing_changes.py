"""The test vectors of sealing from release to release: what was sealed once must open for ever."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from kintsugi_contracts.changes import Change
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.folder import Folder
from kintsugi_contracts.schema_changes import Verdict

VECTORS = "sealing/vectors.json"


def between(old: Folder, new: Folder) -> Iterator[Change]:
    """Vectors that changed or went, which is forbidden, and those that came."""
    before, after = _vectors(old), _vectors(new)
    for kind, name in before:
        if after.get((kind, name)) != before[kind, name]:
            how = "was changed" if (kind, name) in after else "was removed"
            said = f"the vector `{name}` of `{kind}` {how}: values sealed like it stand in the log"
            order = "Put it back. Another way of sealing takes another prefix of the associated data, and new vectors."
            yield Change(Verdict.forbidden, "vector", VECTORS, 1, "sealing", said, order)
    if added := [name for kind, name in after if (kind, name) not in before]:
        said = f"{len(added)} new vector{'' if len(added) == 1 else 's'}"
        order = "Any order; every implementation tries them."
        yield Change(Verdict.fine, "vector-added", VECTORS, 1, "sealing", said, order)


def _vectors(folder: Folder) -> dict[tuple[str, str], Any]:
    file = folder.path / VECTORS
    if not file.is_file():
        return {}
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))
        return {(kind, str(v["name"])): v for kind in ("opens", "fails") for v in listed[kind]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        said = "is no list of vectors: an object with `opens` and `fails`, each vector with a `name`"
        raise ContractError(
            f"{file}: {said} ({type(error).__name__}); put it back as the last release has it"
        ) from error
