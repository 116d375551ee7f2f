"""What a partner may see of a case as a pure function of its facts, and when two records say the same.

Nothing here knows of events, consents, keys or HTTP.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field, JsonValue

BANDS = ("urgent", "high", "moderate", "low", "unknown")
"""How pressing a need is, the most pressing first."""

NOT_SHOWN = frozenset({"entered-in-error"})
"""States of a request that no partner hears of: it should never have been recorded."""


class Frozen(BaseModel):
    """A value that never changes in place."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Request(Frozen):
    """One need's way to a service. ``asked`` says whether an agency was ever asked."""

    need: str = ""
    asked: bool = False
    status: str = "unknown"


class Facts(Frozen):
    """What the office knows of a case, as far as any stream may ever need it. Codes and coarse values only."""

    closed: bool = False
    opened_month: str | None = None
    casework_type: str | None = None
    age_band: str | None = None
    languages: tuple[str, ...] = ()
    area: str | None = None
    needs: tuple[tuple[str, str], ...] = ()
    requests: Mapping[str, Request] = Field(default_factory=dict)
    declared: Mapping[str, JsonValue] = Field(default_factory=dict)
    """The last value of each field that another service declares as shareable, by the name it is shared by."""


def stream_key(integrator: str, purpose: str, version: int) -> str:
    """The name of a stream within a country: ``labour-registry.wage-claims.v1``."""
    return f"{integrator}.{purpose}.v{version}"


def topic(country: str, key: str) -> str:
    """The Kafka topic of a stream."""
    return f"{country}.share.{key}"


def month_of(instant: str) -> str:
    """``2026-11`` of an RFC 3339 moment: the day on which somebody was met would single them out."""
    return instant[:7]


def projection(facts: Facts, fields: Iterable[str], needs: Sequence[str]) -> dict[str, object]:
    """What a record says in clear: its status and these fields, as far as they are known.

    ``needs`` are the only ones that ``needs`` and ``requests`` may speak of.
    """
    said: dict[str, object] = {"status": "closed" if facts.closed else "open"}
    for name in fields:
        known = _VALUES.get(name)
        value = known(facts, frozenset(needs)) if known else facts.declared.get(name)
        if value or value == 0:
            said[name] = value
    return said


def digest(
    said: Mapping[str, object], fields: Sequence[str], sealed_fields: Sequence[str], identity: str, key: bytes
) -> str:
    """The same for two records that say the same. ``identity`` names the sealed values that are behind them.

    Without ``key`` a reader of the office's topic could try what a few coarse codes come to.
    """
    whole = [said, list(fields), list(sealed_fields), identity if sealed_fields else ""]
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16, key=key).hexdigest()


def _needs(facts: Facts, about: frozenset[str]) -> list[dict[str, str]]:
    """Each need once, in its most pressing band."""
    bands: dict[str, str] = {}
    for need, band in facts.needs:
        if need in about and BANDS.index(band) < BANDS.index(bands.get(need, BANDS[-1])):
            bands[need] = band
        elif need in about:
            bands.setdefault(need, band)
    return [{"need": need, "band": bands[need]} for need in sorted(bands)]


def _requests(facts: Facts, about: frozenset[str]) -> list[dict[str, str]]:
    shown = {
        (request.need, request.status)
        for request in facts.requests.values()
        if request.asked and request.need in about and request.status not in NOT_SHOWN
    }
    return [{"need": need, "status": status} for need, status in sorted(shown)]


_VALUES: Mapping[str, Callable[[Facts, frozenset[str]], object]] = {
    "opened_month": lambda facts, _about: facts.opened_month,
    "casework_type": lambda facts, _about: facts.casework_type,
    "age_band": lambda facts, _about: facts.age_band,
    "languages": lambda facts, _about: list(facts.languages),
    "area": lambda facts, _about: facts.area,
    "needs": _needs,
    "requests": _requests,
}

FIELDS = frozenset(_VALUES)
"""The platform's fields that this release can fill; the country packs' catalogue names the same."""
