"""The rules a contracts folder is held to. Each module knows one kind of file and says what is wrong, and the mend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kintsugi_contracts.catalog import PLATFORM, Catalog
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.findings import Finding
from kintsugi_contracts.folder import COMMON, Folder, examine, load
from kintsugi_contracts.rules import examples, files, models, schemas, topics
from kintsugi_contracts.rules.keywords import Keywords


def beside(path: Path, catalog: Catalog | Callable[[], Catalog]) -> Folder | None:
    """The platform's contracts, where the folder at `path` is another package's; None where it has codes of its own.

    Raises ContractError where no platform is installed that it could refer to.
    """
    if (path / COMMON).is_file() or (path / "meta").is_dir() or not (path / "topics").is_dir():
        return None
    catalog = catalog if isinstance(catalog, Catalog) else catalog()
    known = next((package.contracts for package in catalog.packages if package.name == PLATFORM), None)
    if known is None:
        raise ContractError(f"{path} has no {COMMON} and {PLATFORM} is not installed: install it, or add the file")
    return load(known)


def police(path: Path, catalog: Catalog | None = None) -> tuple[Folder | None, list[Finding]]:
    """The folder at `path` and every breach of its rules; no folder when a file cannot be read or is misspelt.

    `catalog` holds the models that must read the examples: those that are installed, unless others are given.

    Raises ContractError when there is nothing to check at `path`.
    """
    catalog = catalog or Catalog.installed()
    platform = beside(path, catalog)
    keywords = Keywords((platform.path if platform else path) / "meta")
    folder, found = examine(path, platform)
    if folder is None:
        return None, sorted(found)
    found = [*keywords.findings(folder), *schemas.references(folder), *schemas.patterns(folder)]
    if found:  # what other rules would say of a misspelt schema only confuses
        return None, sorted(found)
    for rule in (files, schemas, examples):
        found += rule.findings(folder)
    for rule in (topics, models):
        found += rule.findings(folder, catalog)
    return folder, sorted(set(found))
