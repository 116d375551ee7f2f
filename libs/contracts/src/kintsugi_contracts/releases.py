"""Released copies of the contracts: frozen with a digest of every file, each bound to the one before."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kintsugi_contracts.changes import Change
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.folder import Folder, load
from kintsugi_contracts.rules.files import passing
from kintsugi_contracts.schema_changes import Verdict

RELEASED, MANIFEST = "released", "manifest.json"
FROZEN = ("topics", "events", "share", "sealing")
_MEND = "Put it back as it was released; what is needed now goes into the next release."


@dataclass(frozen=True)
class Release:
    """A frozen copy and what its manifest says."""

    version: str
    path: Path
    manifest: dict[str, Any]

    @property
    def digest(self) -> str:
        """The SHA-256 of the manifest, which the next release carries."""
        return hashlib.sha256((self.path / MANIFEST).read_bytes()).hexdigest()

    def folder(self, platform: Folder | None = None) -> Folder:
        """The frozen contracts; beside the platform's, where they are another package's."""
        return load(self.path, platform)


def number(version: str) -> tuple[int, int, int]:
    """A version as numbers.

    Raises ContractError when it is not of the form 1.2.3.
    """
    parts = version.split(".")
    if len(parts) != 3 or not all(p.isdecimal() and p == str(int(p)) for p in parts):
        raise ContractError(f"{version} is no version; write three numbers, such as 1.2.0")
    return int(parts[0]), int(parts[1]), int(parts[2])


def releases(contracts: Path) -> list[Release]:
    """Every release, the oldest first.

    Raises ContractError when a folder there is no release.
    """
    found = []
    for path in (contracts / RELEASED).glob("*"):
        if passing(Path(path.name)):
            continue
        if not path.is_dir() or path.is_symlink():
            raise ContractError(f"{path}: no release; only folders named after versions stand there")
        manifest = _manifest(path / MANIFEST)
        number(path.name)
        found.append(Release(path.name, path, manifest))
    return sorted(found, key=lambda r: number(r.version))


def _manifest(file: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ContractError(f"{file}: cannot be read ({type(error).__name__}); {_MEND}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise ContractError(f"{file}: lists no files; {_MEND}")
    return manifest


def tampered(contracts: Path) -> Iterator[Change]:
    """Releases that are no longer what their manifests say, or that are not bound to the one before."""
    before: Release | None = None
    for release in releases(contracts):
        at = f"{RELEASED}/{release.version}"
        listed = release.manifest["files"]
        standing = _digests(release.path)
        for name in sorted(listed.keys() | standing.keys()):
            if name not in standing:
                yield _broken(release.version, f"{at}/{name}", "removed from a release that stands")
            elif name not in listed:
                yield _broken(release.version, f"{at}/{name}", "added to a release that stands")
            elif listed[name] != standing[name]:
                yield _broken(release.version, f"{at}/{name}", "edited in a release that stands")
        bound = {"version": before.version, "sha256": before.digest} if before else None
        if release.manifest.get("version") != release.version or release.manifest.get("previous") != bound:
            said = f"not bound to {'release ' + before.version if before else 'nothing'}, the release before it"
            yield _broken(release.version, f"{at}/{MANIFEST}", said)
        before = release


def against(contracts: Path, ref: str) -> Iterator[Change]:
    """Releases that differ from what a commit has of them; new releases are no difference.

    Raises ContractError when git or the commit is not there.
    """
    listing = _git(contracts, "ls-tree", "-r", "-z", ref, "--", RELEASED)
    then = {name: meta.split()[2] for meta, _, name in (e.partition("\t") for e in listing.split("\0") if e)}
    versions = {name.split("/")[1] for name in then}
    now = sorted(
        f.relative_to(contracts).as_posix()
        for version in versions
        for f in (contracts / RELEASED / version).rglob("*")
        if f.is_file() and not passing(f.relative_to(contracts))
    )
    hashes = (
        _git(
            contracts, "hash-object", "--stdin-paths", text="\n".join(str((contracts / n).absolute()) for n in now)
        ).split()
        if now
        else []
    )
    standing = dict(zip(now, hashes, strict=True))
    for name in sorted(then.keys() | standing.keys()):
        if then.get(name) != standing.get(name):
            how = "removed from" if name not in standing else "added to" if name not in then else "edited in"
            yield _broken(name.split("/")[1], name, f"{how} a release that stands in {ref}")


def freeze(contracts: Path, version: str) -> Release:
    """Copy the contracts into a release. Whether they may be released is the caller's question.

    The copy is made aside and takes its name in one step, so that a release stands whole or not at all.
    Raises ContractError when the version is not above the last one, or the copy cannot be made.
    """
    standing = releases(contracts)
    last = standing[-1] if standing else None
    if last and number(version) <= number(last.version):
        raise ContractError(f"{version} is not above {last.version}, the last release; give a higher one")
    number(version)
    target = contracts / RELEASED / version
    try:
        return _frozen(contracts, target, last)
    except OSError as error:
        raise ContractError(
            f"{version} is not released: {error.strerror or type(error).__name__} ({error.filename or target}); "
            "nothing was changed; look whether another release ran at the same time and the folder can be written"
        ) from error


def _frozen(contracts: Path, target: Path, last: Release | None) -> Release:
    version = target.name
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=contracts, prefix=".release-") as made:
        copy = Path(made) / version
        for part in FROZEN:
            if (contracts / part).is_dir():
                shutil.copytree(contracts / part, copy / part, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        manifest = {
            "version": version,
            "previous": {"version": last.version, "sha256": last.digest} if last else None,
            "files": _digests(copy),
        }
        (copy / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        copy.rename(target)
    return Release(version, target, manifest)


def same_as(contracts: Path, release: Release) -> bool:
    """Whether nothing has changed since a release."""
    files = {f"{part}/{name}": d for part in FROZEN for name, d in _digests(contracts / part).items()}
    return bool(files == release.manifest["files"])


def _digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file but the manifest. A link has none: what it points at may change."""
    return {
        f.relative_to(folder).as_posix(): "" if f.is_symlink() else hashlib.sha256(f.read_bytes()).hexdigest()
        for f in sorted(folder.rglob("*"))
        if (f.is_file() or f.is_symlink()) and f != folder / MANIFEST and not passing(f.relative_to(folder))
    }


def _broken(version: str, file: str, said: str) -> Change:
    return Change(Verdict.forbidden, "release", file, 1, f"release {version}", said, _MEND)


def _git(folder: Path, *arguments: str, text: str = "") -> str:
    git = shutil.which("git")
    if git is None:
        raise ContractError("git is not installed; check without --against, or install it")
    done = subprocess.run(  # noqa: S603
        [git, "-C", str(folder), *arguments], input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ContractError(f"git cannot say what stands there: {done.stderr.strip()}; give a commit this checkout has")
    return done.stdout
