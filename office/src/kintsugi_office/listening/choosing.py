"""What a listener wants to hear: from when, which types, which case. Pure, and said back to the person when unclear."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from fnmatch import fnmatchcase

from kintsugi_office.listening.heard import Heard, brief

_AGO = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Unclear(RuntimeError):
    """What was asked for cannot be understood; the text says why and gives what was perhaps meant."""


@dataclass(frozen=True)
class Beginning:
    """Where reading begins: at the first record, at the end, or at a moment of the log's time."""

    at: datetime | None = None
    earliest: bool = False

    @property
    def now(self) -> bool:
        """Whether nothing that happened before is read."""
        return self.at is None and not self.earliest


@dataclass(frozen=True)
class Wanted:
    """Patterns of types (none: all) and one subject (none: all)."""

    patterns: tuple[str, ...] = ()
    subject: str | None = None

    def matches(self, heard: Heard) -> bool:
        """Whether to show it. What cannot be read is shown unless what can be read of it rules it out."""
        if self.subject is not None and heard.subject != self.subject:
            return False
        if not self.patterns or heard.type is None:
            return True
        return any(_fits(heard.type, pattern) for pattern in self.patterns)


def beginning(said: str, now: datetime) -> Beginning:
    """``earliest``, ``now``, a date, a date and time (UTC unless it says otherwise), or ``90m``, ``2h``, ``7d`` ago.

    Raises Unclear for anything else, and for a moment that is yet to come.
    """
    if said == "earliest":
        return Beginning(earliest=True)
    if said == "now":
        return Beginning()
    if ago := _AGO.fullmatch(said):
        return Beginning(now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        raise Unclear(
            f"--from {said}: no moment is meant by this. Say earliest, now, a date such as {now:%Y-%m-%d}, a time such "
            f"as {now:%Y-%m-%dT%H:%M} (UTC), or how long ago: 90m, 2h, 7d."
        ) from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    if at > now:
        raise Unclear(f"--from {said} is yet to come: it is {now:%Y-%m-%d %H:%M} UTC. To hear what comes: --from now.")
    return Beginning(at)


def patterns(said: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """The patterns of types, each of which fits at least one of the ``known`` types of the contracts.

    Raises Unclear with the nearest names for one that fits none.
    """
    for pattern in said:
        if not any(_fits(each, pattern) for each in known):
            raise Unclear(f"--type {pattern}: no event is called that. {_meant(pattern, known)}")
    return tuple(said)


def _fits(ce_type: str, pattern: str) -> bool:
    """``case.*``, ``case.opened``, ``case.opened.v1`` and the whole type mean what a person expects."""
    names = (ce_type, ce_type.removeprefix("kintsugi."), ce_type.removeprefix("kintsugi.").rpartition(".v")[0])
    return any(fnmatchcase(name, pattern.lower()) for name in names)


def _meant(pattern: str, known: Collection[str]) -> str:
    names = sorted({brief(each) for each in known})
    groups = sorted({name.partition(".")[0] for name in names})
    wanted = pattern.lower().removeprefix("kintsugi.").removesuffix(".*")
    if wanted in groups:
        return f"Perhaps: '{wanted}.*'."
    near = [f"'{group}.*'" for group in get_close_matches(wanted.partition(".")[0], groups, n=1, cutoff=0.6)]
    near += get_close_matches(wanted, names, n=3, cutoff=0.5)
    near += [name for name in names if wanted and wanted in name and name not in near][:3]
    if near:
        return f"Perhaps: {', '.join(near)}."
    return "The events begin with: " + ", ".join(f"{group}.*" for group in groups) + "."
