"""Which services of the directory may answer a need, best first, each with the reasons why it is offered."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, time

from kintsugi_country import LocationType, Pack, Service
from kintsugi_events import MatchReason

from kintsugi_referral.domain import OLDEST

MOST_OPTIONS = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a service must fit. Ages in years, both included; ``languages`` empty means that none is known."""

    need: str
    youngest: float
    oldest: float
    languages: tuple[str, ...]
    area: str


@dataclass(frozen=True, slots=True)
class Match:
    """A service that fits, and why."""

    service: Service
    reasons: tuple[MatchReason, ...]


def match(pack: Pack, wanted: Wanted, now: datetime, *, without: Collection[str] = ()) -> tuple[Match, ...]:
    """At most :data:`MOST_OPTIONS` services, best first; other agencies come before a second service of the same.

    ``without`` are ids of services not to offer again. A service fits when it is active, answers the need, serves
    the area, was confirmed within the country's ``directory_freshness``, admits somebody of these ages, and speaks
    one of the languages or has interpreters. Full fits come before partial ones; the order is the same every time.
    """
    found = [
        (service, reasons)
        for service in pack.directory.services_for(wanted.need)
        if service.id not in without and (reasons := _reasons(service, wanted, pack, now)) is not None
    ]
    found.sort(key=lambda pair: (_distance(pair[1]), -_confirmed(pair[0]), pair[0].id))
    return tuple(Match(service, reasons) for service, reasons in _varied(found))[:MOST_OPTIONS]


def _reasons(service: Service, wanted: Wanted, pack: Pack, now: datetime) -> tuple[MatchReason, ...] | None:
    if not service.active or not service.serves(wanted.area) or not _fresh(service, pack, now):
        return None
    if not _admits_some(service, wanted):
        return None
    reasons = [MatchReason.need_met]
    if _admits_all(service, wanted):
        reasons.append(MatchReason.age_eligible)
    if wanted.languages:
        spoken = {tag for language in wanted.languages for tag in (language, language.partition("-")[0])}
        if service.speaks(spoken):
            reasons.append(MatchReason.language_spoken)
        elif service.interpretation:
            reasons.append(MatchReason.interpreter_available)
        else:
            return None
    reasons.append(MatchReason.area_served)
    if LocationType.virtual in service.location_types:
        reasons.append(MatchReason.remote_service)
    reasons.append(MatchReason.confirmed_recently)
    return tuple(reasons)


def _admits_some(service: Service, wanted: Wanted) -> bool:
    """Whether the service takes at least some of these ages: a coarse band must not hide help that may fit."""
    youngest = service.minimum_age if service.minimum_age is not None else 0
    oldest = service.maximum_age if service.maximum_age is not None else OLDEST
    return youngest <= wanted.oldest and wanted.youngest <= oldest


def _admits_all(service: Service, wanted: Wanted) -> bool:
    # A directory writes "up to 99" and means "without an upper limit".
    return service.admits(wanted.youngest, min(wanted.oldest, 99) if wanted.oldest == OLDEST else wanted.oldest)


def _fresh(service: Service, pack: Pack, now: datetime) -> bool:
    if service.assured_on is None:
        return False
    confirmed = datetime.combine(service.assured_on, time.min, tzinfo=pack.zone)
    return now < pack.due("directory_freshness", confirmed)


def _confirmed(service: Service) -> int:
    return service.assured_on.toordinal() if service.assured_on else 0


def _distance(reasons: Iterable[MatchReason]) -> int:
    """How far a fit is from a full one: an age that may not be admitted weighs more than an interpreter."""
    found = set(reasons)
    return 2 * (MatchReason.age_eligible not in found) + (MatchReason.interpreter_available in found)


def _varied(
    found: list[tuple[Service, tuple[MatchReason, ...]]],
) -> list[tuple[Service, tuple[MatchReason, ...]]]:
    """The same, with the best service of each agency before any agency's second."""
    seen: set[str] = set()
    first: list[tuple[Service, tuple[MatchReason, ...]]] = []
    later: list[tuple[Service, tuple[MatchReason, ...]]] = []
    for pair in found:
        (later if pair[0].agency.id in seen else first).append(pair)
        seen.add(pair[0].agency.id)
    return [*first, *later]
