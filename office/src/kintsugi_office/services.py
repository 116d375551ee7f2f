"""Which services are installed here: found by the entry point group ``kintsugi.services``, never by name."""

import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from kintsugi.application import Application

GROUP = "kintsugi.services"
# The order of the flow, for people who read lists; a service that is not named comes last.
_FLOW = ("intake", "assessment", "referral", "notify")


@dataclass(frozen=True)
class InstalledService:
    """A service of this installation: its short name, its package and the version of its distribution."""

    name: str
    package: str
    version: str

    @property
    def command(self) -> list[str]:
        """How its process is started."""
        return [sys.executable, "-m", self.package]


def installed() -> list[InstalledService]:
    """Every installed service, in the order of the flow."""
    found = [
        InstalledService(point.name, _package(point), point.dist.version if point.dist else "unknown")
        for point in entry_points(group=GROUP)
    ]
    return sorted(found, key=lambda service: (_place(service.name), service.name))


def load(name: str) -> Application[object]:
    """Import a service and return its wiring. Raises LookupError when it is not installed."""
    for point in entry_points(group=GROUP, name=name):
        wired: Application[object] = point.load()
        return wired
    raise LookupError(f"No service {name!r} is installed. Installed: {', '.join(s.name for s in installed())}.")


def _package(point: EntryPoint) -> str:
    return point.module.split(".", 1)[0]


def _place(name: str) -> int:
    return _FLOW.index(name) if name in _FLOW else len(_FLOW)
