"""A country's own service is made, run, upgraded and taken away without touching a file of the platform.

The blocks of docs/write-a-service.md are run as they stand, in an empty folder, in an environment in which every module
of Kintsugi comes from a wheel, and where this user may do so with the repository's files hidden.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.e2e import outside

DOCUMENT = outside.ROOT / "docs" / "write-a-service.md"

pytestmark = [pytest.mark.slow, pytest.mark.whole]


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
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("outside")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)  # PostgreSQL runs as another user and must come through
    place = outside.make(folder)
    before = place.kintsugi_files()
    said = place.run(outside.blocks_of(DOCUMENT), seconds=420, into=folder / "said.txt")
    return Done(said, before, place.kintsugi_files(), place)


@pytest.mark.timeout(480)
def test_every_module_of_kintsugi_lies_in_the_environment(done: Done) -> None:
    assert done.place.homes() == {next(done.place.python.parents[1].glob("lib/python*/site-packages"))}


def test_no_file_of_the_platform_is_touched(done: Done) -> None:
    assert done.before
    assert done.after == done.before
