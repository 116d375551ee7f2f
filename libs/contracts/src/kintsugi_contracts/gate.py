"""The gate: a contracts folder against its own rules and against every release there ever was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kintsugi_contracts import changes as files
from kintsugi_contracts import majors, merging, sealing_changes
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.changes import Change, merged
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.findings import Finding
from kintsugi_contracts.folder import Folder, load
from kintsugi_contracts.releases import Release, against, freeze, releases, same_as, tampered
from kintsugi_contracts.rules import police
from kintsugi_contracts.schema_changes import Verdict

WORKING = "working"
"""The name of the folder as it stands, beside the versions that are released."""


@dataclass(frozen=True)
class Report:
    """What the gate found."""

    path: Path
    releases: tuple[str, ...]
    """What the folder was compared with, the oldest first."""
    findings: tuple[Finding, ...]
    """Breaches of the rules. While a file cannot be read at all, nothing is compared."""
    changes: tuple[Change, ...]
    """What changed since the releases, the worst first."""
    folder: Folder | None

    @property
    def passes(self) -> bool:
        """Whether this may be merged."""
        return not self.findings and all(c.verdict is Verdict.fine for c in self.changes)


def check(contracts: Path, ref: str | None = None, catalog: Catalog | None = None) -> Report:
    """Judge a folder; with a git reference, also whether releases stand as they do there.

    `catalog` holds the models that must read it: those that are installed, unless others are given.

    Raises ContractError when there is nothing to judge, or nothing to judge it by.
    """
    catalog = catalog or Catalog.installed()
    folder, found = police(contracts, catalog)
    standing = releases(contracts)
    broken = [*tampered(contracts), *(against(contracts, ref) if ref else ())]
    changes = sorted(set(broken), key=lambda c: (c.file, c.said))
    if folder is not None:
        spoiled = {c.subject for c in broken}
        frozen = {r.version: r.folder(folder.platform) for r in standing if f"release {r.version}" not in spoiled}
        changes += merged({version: _between(old, folder) for version, old in frozen.items()})
        changes += majors.changes(folder, frozen)
        found = [*found, *majors.findings(folder, frozen, catalog)]
    changes = list(dict.fromkeys(changes))
    return Report(contracts, tuple(r.version for r in standing), tuple(sorted(set(found))), tuple(changes), folder)


def check_all(contracts: Sequence[Path], ref: str | None = None, catalog: Catalog | None = None) -> tuple[Report, ...]:
    """Judge several folders, each by its own rules and releases, and whether they can stand beside each other.

    The git reference is for the first of them: the others may be installed, and in no repository.

    Raises ContractError as `check` does, and where two of them claim one service, one event or one schema.
    """
    catalog = catalog or Catalog.installed()
    reports = tuple(check(path, ref if path is contracts[0] else None, catalog) for path in contracts)
    readable = [report.folder for report in reports if report.folder is not None]
    if len(readable) > 1:
        merging.merged(sorted(readable, key=lambda folder: folder.platform is not None))
    return reports


def diff(contracts: Path, old: str, new: str) -> list[Change]:
    """What changed between two releases, or between one and the working folder.

    Raises ContractError when there is no such release, or a folder cannot be read.
    """
    before, after = _named(contracts, old), _named(contracts, new)
    return [*_between(before, after), *majors.changes(after, {old: before})]


def _between(old: Folder, new: Folder) -> list[Change]:
    return [*files.between(old, new), *sealing_changes.between(old, new)]


def release(contracts: Path, version: str) -> Release:
    """Freeze the folder as a release, after the gate.

    Raises ContractError when the gate does not pass, nothing changed, or the version is not above the last one.
    """
    report = check(contracts)
    if not report.passes:
        raise ContractError(f"{contracts} does not pass; run `kintsugi contracts check` and mend what it says")
    last = next(reversed(releases(contracts)), None)
    if last and same_as(contracts, last):
        raise ContractError(f"nothing has changed since {last.version}; there is nothing to release")
    return freeze(contracts, version)


def _named(contracts: Path, name: str) -> Folder:
    if name == WORKING:
        return load(contracts)
    known = {r.version: r for r in releases(contracts)}
    if name not in known:
        listed = ", ".join([*known, WORKING])
        raise ContractError(f"there is no release {name}; known: {listed}")
    return known[name].folder()
