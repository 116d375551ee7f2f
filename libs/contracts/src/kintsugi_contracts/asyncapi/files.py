"""The documents as files: readable YAML, the same bytes whenever the contracts are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kintsugi_contracts import plain_yaml
from kintsugi_contracts.asyncapi.document import of_party, parties, platform
from kintsugi_contracts.folder import Folder

MARK = "# Generated from contracts/ by `python -m kintsugi_contracts.asyncapi`; edit topic files and schemas instead.\n"
PLATFORM = "asyncapi.yaml"


def as_yaml(document: dict[str, Any]) -> str:
    """One document as text."""
    return MARK + plain_yaml.write(document)


def texts(folder: Folder) -> dict[str, str]:
    """Every document by its file, relative to the contracts folder."""
    found = {PLATFORM: as_yaml(platform(folder))}
    for party in parties(folder):
        found[f"asyncapi/{party.file}.yaml"] = as_yaml(of_party(folder, party))
    return found


def stale(folder: Folder, wanted: dict[str, str]) -> list[str]:
    """The files that are missing, differ, or belong to nobody any more."""
    standing = {PLATFORM, *(f"asyncapi/{path.name}" for path in (folder.path / "asyncapi").glob("*"))}
    return sorted(name for name in wanted.keys() | standing if _read(folder.path / name) != wanted.get(name))


def write(folder: Folder, wanted: dict[str, str]) -> list[str]:
    """Brings the files in line and returns the names of those that changed."""
    changed = stale(folder, wanted)
    (folder.path / "asyncapi").mkdir(exist_ok=True)
    for name in changed:
        if name in wanted:
            (folder.path / name).write_text(wanted[name], encoding="utf-8")
        else:
            (folder.path / name).unlink()
    return changed


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
