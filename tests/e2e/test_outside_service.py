"""A country's own service is made, run, upgraded and taken away without touching a file of the platform.

The blocks of docs/write-a-service.md are run as they stand, in an empty folder, in an environment in which every module
of Kintsugi comes from a wheel, and where this user may do so with the repository's files hidden.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import outside

DOCUMENT = outside.ROOT / "docs" / "write-a-service.md"

pytestmark = [pytest.mark.slow, pytest.mark.whole, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Done:
    """What the document's blocks printed, and the platform's files before and after."""

    said: list[str]
    before: dict[str, str]
    after: dict[str, str]
    place: outside.Outside

    def block(self, *words: str) -> str:
        """What the first block with all these words in it printed."""
        numbers = [n for n, block in enumerate(outside.blocks_of(DOCUMENT)) if all(word in block for word in words)]
        assert numbers, words
        return self.said[numbers[0]]


@pytest.fixture(scope="module")
def done() -> Iterator[Done]:
    folder = Path(tempfile.mkdtemp(prefix="kintsugi-outside-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user and must come through
    place = outside.make(folder)
    before = place.kintsugi_files()
    try:
        said = place.run(outside.blocks_of(DOCUMENT), seconds=540, into=folder / "said.txt")
        yield Done(said, before, place.kintsugi_files(), place)
    finally:
        stop = [str(place.python.parent / "kintsugi"), "down", "--data", str(place.folder / "office" / ".kintsugi")]
        subprocess.run(stop, capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def test_every_module_of_kintsugi_lies_in_the_environment(done: Done) -> None:
    assert done.place.homes() == {next(done.place.python.parents[1].glob("lib/python*/site-packages"))}


def test_no_file_of_the_platform_is_touched(done: Done) -> None:
    assert done.before
    assert done.after == done.before


def test_the_service_holds_to_every_check_before_it_is_installed(done: Done) -> None:
    said = done.block("kintsugi service check .")
    assert "FAILS" not in said
    for check in ("models", "style", "types", "imports", "contracts", "consumes"):
        assert f"holds   {check}" in said.replace("holds  ", "holds   ")


def test_it_runs_beside_the_five(done: Done) -> None:
    said = done.block("kintsugi status", "kintsugi up")
    for service in ("intake", "assessment", "referral", "notify", "share", "housing"):
        assert any(line.split()[:2] == [service, "ready"] for line in said.splitlines()), service


def test_rights_contracts_and_documents_know_it(done: Done) -> None:
    said = done.block("kintsugi topics plan", "kintsugi contracts check")
    assert "As the contracts say: 7 topics" in said
    assert "xa-housing-events:" in said
    assert said.count("in order") == 2
    documents = done.place.folder / "office" / "asyncapi"
    assert "room.offered" in (documents / "asyncapi.yaml").read_text()
    assert (documents / "asyncapi" / "housing.yaml").is_file()


def test_an_offer_is_made_over_http_and_shown_without_the_address(done: Done) -> None:
    said = done.block("offer-1")
    assert '"nights":14' in said
    assert "Quay" not in said


def test_operators_trace_and_hear_it(done: Done) -> None:
    said = done.block("kintsugi trace", "kintsugi listen")
    assert "└ room.offered" in said
    assert "1 shown" in said


def test_a_new_release_shows_what_was_there_before(done: Done) -> None:
    said = done.block("answer-1")
    assert '"open":true' in said
    assert "No difference." in said


def test_what_it_leaves_is_named_and_erased_only_when_asked(done: Done) -> None:
    said = done.block("kintsugi service remove")
    named, erased = said.split("Nothing was erased.", 1)
    for line in (
        "topic        xa.housing.v1, 2 records",
        "may write topic xa.housing.v1",
        "database     kintsugi_xa_housing",
    ):
        assert line in named
    assert "keys         housing_place: 1 data keys" in named
    assert "Kafka: xa.housing has no login any more" in erased
    assert "Erased the topic xa.housing.v1 with 2 records." in erased
