"""A release stands as it was made: whatever is edited, added or removed is found, by its manifest or by git."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kintsugi_contracts import gate
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.releases import Release, freeze, releases, same_as
from kintsugi_contracts.schema_changes import Verdict

from tests.contract.folders import Copy

CLOSED = "events/case.closed/v1.schema.json"
FULL = "events/case.closed/examples/accept/full.json"


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Contracts with one release."""
    made = Copy(tmp_path)
    freeze(made.path, "1.0.0")
    return made


def more(copy: Copy, number: int) -> None:
    """A change that is fine."""
    copy.text("topics/intake.v1.yaml", "purpose: ", f"purpose: ({number}) ")


def test_a_release_is_a_frozen_copy_with_a_digest_of_every_file(copy: Copy) -> None:
    (release,) = releases(copy.path)
    files = release.manifest["files"]
    assert release.manifest["previous"] is None
    assert {name.split("/")[0] for name in files} >= {"topics", "events", "sealing"}
    for name, digest in files.items():
        frozen = (release.path / name).read_bytes()
        assert hashlib.sha256(frozen).hexdigest() == digest
        assert frozen == (copy.path / name).read_bytes()
    assert same_as(copy.path, release)


def test_what_is_released_passes_and_is_compared_with(copy: Copy) -> None:
    report = gate.check(copy.path)
    assert report.passes
    assert report.releases == ("1.0.0",)
    assert (report.findings, report.changes) == ((), ())


def test_releases_are_a_chain(copy: Copy) -> None:
    more(copy, 1)
    second = gate.release(copy.path, "1.1.0")
    more(copy, 2)
    third = gate.release(copy.path, "1.10.0")
    first = releases(copy.path)[0]
    assert second.manifest["previous"] == {"version": "1.0.0", "sha256": first.digest}
    assert third.manifest["previous"] == {"version": "1.1.0", "sha256": second.digest}
    assert [r.version for r in releases(copy.path)] == ["1.0.0", "1.1.0", "1.10.0"]
    assert gate.check(copy.path).passes


def _edit(release: Release) -> None:
    (release.path / CLOSED).write_text((release.path / CLOSED).read_text() + "\n")


def _remove(release: Release) -> None:
    (release.path / FULL).unlink()


def _add(release: Release) -> None:
    (release.path / "events/case.closed/examples/accept/later.json").write_text("{}")


def _rebind(release: Release) -> None:
    manifest = release.manifest | {"previous": {"version": "0.9.0", "sha256": "0" * 64}}
    (release.path / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (_edit, "edited in a release that stands"),
        (_remove, "removed from a release that stands"),
        (_add, "added to a release that stands"),
        (_rebind, "not bound to nothing, the release before it"),
    ],
)
def test_a_release_that_was_touched_is_forbidden(tamper: Callable[[Release], None], said: str, copy: Copy) -> None:
    tamper(releases(copy.path)[0])
    report = gate.check(copy.path)
    assert not report.passes
    assert [(c.verdict, c.subject, c.said) for c in report.changes] == [(Verdict.forbidden, "release 1.0.0", said)]


def _reseal(release: Release) -> None:
    """Make the manifest agree with what stands, as somebody would who edits a release on purpose."""
    files = release.manifest["files"]
    fresh = {name: hashlib.sha256((release.path / name).read_bytes()).hexdigest() for name in files}
    (release.path / "manifest.json").write_text(json.dumps(release.manifest | {"files": fresh}, indent=2) + "\n")


def test_an_edited_release_with_a_new_manifest_breaks_the_chain(copy: Copy) -> None:
    more(copy, 1)
    gate.release(copy.path, "1.1.0")
    first = releases(copy.path)[0]
    _edit(first)
    _reseal(first)
    (change,) = (c for c in gate.check(copy.path).changes if c.verdict is Verdict.forbidden)
    assert (change.subject, change.said) == ("release 1.1.0", "not bound to release 1.0.0, the release before it")


def _git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=Test", "-c", "user.email=test@office.example"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(copy: Copy) -> Copy:
    """The same, committed."""
    project = copy.path.parent
    _git(project, "init", "--initial-branch", "main")
    _git(project, "add", ".")
    _git(project, "commit", "--message", "Release")
    return copy


def test_git_sees_an_edited_release_whose_manifest_agrees(repository: Copy) -> None:
    release = releases(repository.path)[0]
    _edit(release)
    _reseal(release)
    assert gate.check(repository.path).passes
    report = gate.check(repository.path, "main")
    assert {(c.verdict, c.said, c.file) for c in report.changes} == {
        (Verdict.forbidden, "edited in a release that stands in main", f"released/1.0.0/{name}")
        for name in (CLOSED, "manifest.json")
    }


def test_git_sees_a_file_that_came_and_one_that_went(repository: Copy) -> None:
    release = releases(repository.path)[0]
    _add(release)
    _remove(release)
    said = {c.said for c in gate.check(repository.path, "HEAD").changes}
    assert {"added to a release that stands in HEAD", "removed from a release that stands in HEAD"} <= said


def test_a_new_release_is_no_difference_to_git(repository: Copy) -> None:
    more(repository, 1)
    gate.release(repository.path, "1.1.0")
    assert gate.check(repository.path, "main").passes


def test_a_release_that_git_has_and_the_folder_lacks_is_forbidden(repository: Copy) -> None:
    (repository.path / "released/1.0.0").rename(repository.path.parent / "gone")
    assert not gate.check(repository.path, "main").passes


@pytest.mark.parametrize("ref", ["nowhere", "--upload-pack=x"])
def test_a_commit_that_is_not_there_stops_the_check(ref: str, repository: Copy) -> None:
    with pytest.raises(ContractError, match="git cannot say what stands there"):
        gate.check(repository.path, ref)


def test_a_folder_without_git_stops_a_check_against_it(copy: Copy) -> None:
    with pytest.raises(ContractError, match="git cannot say what stands there"):
        gate.check(copy.path, "main")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1.0.0", "1.0.0 is not above 1.0.0"),
        ("0.9.9", "0.9.9 is not above 1.0.0"),
        ("1.1", "1.1 is no version"),
        ("1.01.0", "1.01.0 is no version"),
        ("v2.0.0", "v2.0.0 is no version"),
        ("../../x", "is no version"),
    ],
)
def test_a_version_goes_up(version: str, said: str, copy: Copy) -> None:
    more(copy, 1)
    with pytest.raises(ContractError, match=said):
        gate.release(copy.path, version)
    assert [r.version for r in releases(copy.path)] == ["1.0.0"]


def test_nothing_new_is_not_released(copy: Copy) -> None:
    with pytest.raises(ContractError, match=r"nothing has changed since 1\.0\.0"):
        gate.release(copy.path, "1.1.0")


def test_what_does_not_pass_is_not_released(copy: Copy) -> None:
    copy.text("topics/intake.v1.yaml", "partitions: 12", "partitions: 24")
    with pytest.raises(ContractError, match="does not pass"):
        gate.release(copy.path, "1.1.0")
    assert [r.version for r in releases(copy.path)] == ["1.0.0"]


def test_every_release_is_compared_with_and_not_only_the_last(copy: Copy) -> None:
    copy.text("events/common.schema.json", '        "goals_met",', '        "goals_met",\n        "merged",')
    gate.release(copy.path, "1.1.0")
    copy.text("events/common.schema.json", '        "merged",\n', "")
    (change,) = (c for c in gate.check(copy.path).changes if c.verdict is Verdict.major)
    assert change.said == "`reason` lost the code `merged`, which records that stand may hold"
    assert change.since == ("1.1.0",)


def test_what_is_no_release_among_releases_is_said(copy: Copy) -> None:
    (copy.path / "released/notes").mkdir()
    with pytest.raises(ContractError, match=r"notes/manifest\.json: cannot be read"):
        gate.check(copy.path)


def test_an_example_of_a_release_that_consumers_can_no_longer_read_is_found(copy: Copy) -> None:
    # A release made past the gate holds a value that the model of today refuses.
    for name in (FULL, "events/case.closed/examples/accept/survivor_request.json"):
        copy.text(name, "Z", "")
    copy.text(CLOSED, '"$ref": "../common.schema.json#/$defs/Instant"', '"type": "string", "pattern": "^[^ ]+$"')
    freeze(copy.path, "1.1.0")
    found = [f for f in gate.check(copy.path).findings if f.file.startswith("released/1.1.0/")]
    assert {f.file for f in found} >= {f"released/1.1.0/{FULL}"}
    assert all("today's consumers cannot read this released example: closed_at" in f.message for f in found)


def test_a_difference_between_two_releases_is_told(copy: Copy) -> None:
    copy.text("topics/intake.v1.yaml", "owner: The intake team", "owner: The door team")
    assert [c.rule for c in gate.diff(copy.path, "1.0.0", gate.WORKING)] == ["owner"]
    gate.release(copy.path, "1.1.0")
    assert [c.rule for c in gate.diff(copy.path, "1.0.0", "1.1.0")] == ["owner"]
    with pytest.raises(ContractError, match=r"no release 3\.0\.0; known: 1\.0\.0, 1\.1\.0, working"):
        gate.diff(copy.path, "1.0.0", "3.0.0")


def test_a_vector_of_sealing_stays_as_it_is(copy: Copy) -> None:
    vectors = "sealing/vectors.json"
    copy.change(vectors, lambda v: v["opens"].append(v["opens"][0] | {"name": "one more"}))
    (change,) = gate.check(copy.path).changes
    assert (change.verdict, change.said) == (Verdict.fine, "1 new vector")
    copy.change(vectors, lambda v: v["opens"].pop(0))
    copy.change(vectors, lambda v: v["fails"][0].__setitem__("ct", "AAAA"))
    found = [c for c in gate.check(copy.path).changes if c.verdict is Verdict.forbidden]
    assert {c.said.split(":")[0] for c in found} == {
        "the vector `first byte of the nonce flipped` of `fails` was changed",
        "the vector `a contact profile` of `opens` was removed",
    }


@pytest.mark.parametrize(
    "text", ["[]", '"x"', '{"version": "1.0.0", "previous": null, "files": null}', "{", "\ufeff{}"]
)
def test_a_manifest_that_is_none_stops_the_check(text: str, copy: Copy) -> None:
    (copy.path / "released/1.0.0/manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(ContractError, match=r"released/1\.0\.0/manifest\.json"):
        gate.check(copy.path)


@pytest.mark.parametrize("text", ["{", "[]", '{"opens": [{}]}', '{"opens": 1}'])
def test_vectors_that_are_none_stop_the_check(text: str, copy: Copy) -> None:
    copy.add("sealing/vectors.json", text)
    with pytest.raises(ContractError, match=r"sealing/vectors\.json: is no list of vectors"):
        gate.check(copy.path)


def test_what_a_computer_leaves_behind_is_no_part_of_a_release(repository: Copy) -> None:
    for folder in ("released", "released/1.0.0", "released/1.0.0/events"):
        (repository.path / folder / ".DS_Store").write_text("x")
    assert gate.check(repository.path, "main").passes


def test_a_release_that_is_a_link_is_none(copy: Copy, tmp_path: Path) -> None:
    (copy.path / "released/1.0.0").rename(tmp_path / "elsewhere")
    (copy.path / "released/1.0.0").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ContractError, match="no release; only folders"):
        gate.check(copy.path)


def test_a_file_of_a_release_that_became_a_link_is_edited(copy: Copy) -> None:
    file = copy.path / "released/1.0.0" / CLOSED
    file.unlink()
    file.symlink_to(copy.path / CLOSED)
    (change,) = gate.check(copy.path).changes
    assert (change.file, change.said) == (f"released/1.0.0/{CLOSED}", "edited in a release that stands")


def test_a_release_that_another_one_overtakes_leaves_no_trace(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    more(copy, 1)
    copytree = shutil.copytree

    def overtaken(*given: Any, **how: Any) -> Any:
        (copy.path / "released/1.1.0").mkdir(exist_ok=True)
        (copy.path / "released/1.1.0/manifest.json").write_text("theirs")
        return copytree(*given, **how)

    monkeypatch.setattr(shutil, "copytree", overtaken)
    with pytest.raises(ContractError, match=r"1\.1\.0 is not released: .*another release ran at the same time"):
        gate.release(copy.path, "1.1.0")
    assert [f.name for f in (copy.path / "released/1.1.0").iterdir()] == ["manifest.json"]
    assert (copy.path / "released/1.1.0/manifest.json").read_text() == "theirs"
    assert list(copy.path.glob(".release-*")) == []


def test_a_release_that_is_killed_half_way_is_none(copy: Copy) -> None:
    more(copy, 1)
    program = (
        "import os, shutil, sys; from pathlib import Path; from kintsugi_contracts import gate\n"
        "copied = shutil.copytree\n"
        "def dies(source, *given, **how):\n"
        "    made = copied(source, *given, **how)\n"
        "    os._exit(9) if Path(source).name == 'events' else None\n"
        "    return made\n"
        "shutil.copytree = dies\n"
        "gate.release(Path(sys.argv[1]), '1.1.0')\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(copy.path)], check=False, capture_output=True)
    assert done.returncode == 9, done.stderr
    assert [r.version for r in releases(copy.path)] == ["1.0.0"]
    assert len(list(copy.path.glob(".release-*"))) == 1
    assert gate.check(copy.path).passes
    gate.release(copy.path, "1.1.0")
    assert gate.check(copy.path).passes
