"""The documents as files: readable YAML, the same bytes whenever the contracts are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kintsugi_contracts import plain_yaml
from kintsugi_contracts.asyncapi.bundle import bundle
from kintsugi_contracts.asyncapi.document import of_party, parties, platform
from kintsugi_contracts.folder import Folder
from kintsugi_contracts.merging import by_its_own, merged

MARK = "# Generated from contracts/ by `python -m kintsugi_contracts.asyncapi`; edit topic files and schemas instead.\n"
PLATFORM = "asyncapi.yaml"


def as_yaml(document: dict[str, Any]) -> str:
    """One document as text."""
    return MARK + plain_yaml.write(document)


def texts(folder: Folder) -> dict[str, str]:
    """Every document by its file, relative to the contracts folder; the same whatever else is installed.

    Another package than the platform's has a document for each of its own services, with schemas written out: the
    codes they refer to stand in another folder.
    """
    if folder.platform is not None:
        whole = merged([by_its_own(folder.platform), folder])
        own = [party for party in parties(folder) if party.country or party.name in folder.topics]
        return {f"asyncapi/{p.file}.yaml": as_yaml(bundle(of_party(whole, p), whole)) for p in own}
    folder = by_its_own(folder)
    found = {PLATFORM: as_yaml(platform(folder))}
    for party in parties(folder):
        found[f"asyncapi/{party.file}.yaml"] = as_yaml(of_party(folder, party))
    return found


def whole_texts(folder: Folder) -> dict[str, str]:
    """Every document of several folders that are merged, by its file, with every schema written out."""
    documents = {PLATFORM: platform(folder)}
    documents |= {f"asyncapi/{party.file}.yaml": of_party(folder, party) for party in parties(folder)}
    return {name: as_yaml(bundle(document, folder)) for name, document in documents.items()}


def stale(path: Path, wanted: dict[str, str]) -> list[str]:
    """The files that are missing, differ, or belong to nobody any more."""
    standing = {PLATFORM, *(f"asyncapi/{each.name}" for each in (path / "asyncapi").glob("*"))}
    return sorted(name for name in wanted.keys() | standing if _read(path / name) != wanted.get(name))


def write(path: Path, wanted: dict[str, str]) -> list[str]:
    """Brings the files in line and returns the names of those that changed."""
    changed = stale(path, wanted)
    (path / "asyncapi").mkdir(exist_ok=True)
    for name in changed:
        if name in wanted:
            (path / name).write_text(wanted[name], encoding="utf-8")
        else:
            (path / name).unlink()
    return changed


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
