"""Hides the package named in ABSENT from every process that starts with this folder on its path, as if uninstalled."""

import importlib.metadata as metadata
import os
import sys
from typing import Any

_absent = os.environ["ABSENT"]
_every = metadata.entry_points


def _without(**wanted: Any) -> metadata.EntryPoints:
    found: Any = _every(**wanted)
    return metadata.EntryPoints(point for point in found if point.module.partition(".")[0] != _absent)


metadata.entry_points = _without  # type: ignore[assignment]
sys.modules[_absent] = None  # type: ignore[assignment]
