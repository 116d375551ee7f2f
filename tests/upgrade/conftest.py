"""The release before this one, made once for all tests of this folder."""

from __future__ import annotations

import pytest

from tests.upgrade.releases import PREVIOUS, Release, previous, stored


@pytest.fixture(scope="session")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The release of the commit in previous.txt."""
    if not stored(PREVIOUS):
        pytest.skip(f"this clone does not hold commit {PREVIOUS}, of which the earlier release is made: fetch it")
    return previous(tmp_path_factory.mktemp("earlier"))
