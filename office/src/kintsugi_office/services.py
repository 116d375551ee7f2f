"""Which services are installed here: found by the entry point group ``kintsugi.services``, never by name."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing the kit takes a second, which only those pay who load a service
    from kintsugi.collector import Wired

GROUP = "kintsugi.services"
# The order of the flow, for people who read lists; a service that is not named comes last.
_FLOW = ("intake", "assessment", "referral", "notify", "share")


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


class NotInstalled(LookupError):
    """A service that was asked for by name is not installed here."""


def installed(only: Iterable[str] | None = None) -> list[InstalledService]:
    """Every installed service, in the order of the flow; or those named. Raises NotInstalled for a name unknown."""
    found = [
        InstalledService(point.name, _package(point), point.dist.version if point.dist else "unknown")
        for point in entry_points(group=GROUP)
    ]
    names = set(only or ())
    if absent := names - {service.name for service in found}:
        raise NotInstalled(
            f"Not installed: {', '.join(sorted(absent))}. Installed: {', '.join(service.name for service in found)}."
        )
    kept = [service for service in found if not names or service.name in names]
    return sorted(kept, key=lambda service: (_place(service.name), service.name))


def load(name: str) -> "Wired":
    """Import a service and return its wiring. Raises NotInstalled when there is none."""
    for point in entry_points(group=GROUP, name=name):
        wired: Wired = point.load()
        return wired
    raise NotInstalled(f"No service {name!r} is installed. Installed: {', '.join(s.name for s in installed())}.")


def _package(point: EntryPoint) -> str:
    return point.module.split(".", 1)[0]


def _place(name: str) -> int:
    return _FLOW.index(name) if name in _FLOW else len(_FLOW)
