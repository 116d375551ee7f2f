"""The release before this one, made once for all tests of this folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.upgrade.releases import PREVIOUS, Release, previous, stored


@pytest.fixture(scope="session")
def earlier() -> Iterator[Release]:
    """The release of the commit in previous.txt."""
    if not stored(PREVIOUS):
        pytest.skip(f"this clone does not hold commit {PREVIOUS}, of which the earlier release is made: fetch it")
    # Not in pytest's own folder: the servers of an office run under another account, which may not pass there.
    with tempfile.TemporaryDirectory(prefix="kintsugi-earlier-") as folder:
        Path(folder).chmod(0o755)
        yield previous(Path(folder))
