"""The rules a contracts folder is held to. Each module knows one kind of file and says what is wrong, and the mend."""

from __future__ import annotations

from pathlib import Path

from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.findings import Finding
from kintsugi_contracts.folder import Folder, examine
from kintsugi_contracts.rules import examples, files, models, schemas, topics
from kintsugi_contracts.rules.keywords import Keywords


def police(path: Path, catalog: Catalog | None = None) -> tuple[Folder | None, list[Finding]]:
    """The folder at `path` and every breach of its rules; no folder when a file cannot be read or is misspelt.

    `catalog` holds the models that must read the examples: those that are installed, unless others are given.

    Raises ContractError when there is nothing to check at `path`.
    """
    keywords = Keywords(path / "meta")
    folder, found = examine(path)
    if folder is None:
        return None, sorted(found)
    found = [*keywords.findings(folder), *schemas.references(folder), *schemas.patterns(folder)]
    if found:  # what other rules would say of a misspelt schema only confuses
        return None, sorted(found)
    catalog = catalog or Catalog.installed()
    for rule in (files, schemas, examples):
        found += rule.findings(folder)
    for rule in (topics, models):
        found += rule.findings(folder, catalog)
    return folder, sorted(set(found))
