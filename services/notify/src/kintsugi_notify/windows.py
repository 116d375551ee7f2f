"""Safe windows: the hours of the week, on the survivor's own clock, in which a message may arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MARGIN = timedelta(minutes=1)
"""A window counts as closed this long before its end: a message handed over now must still arrive inside it."""

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# A weekly window that a change to summer time swallows comes again a week later.
_HORIZON_DAYS = 15


class Window(Protocol):
    """A span of one weekday: ``start`` and ``end`` as ``HH:MM``, ``24:00`` ending the day."""

    @property
    def weekday(self) -> str: ...

    @property
    def start(self) -> str: ...

    @property
    def end(self) -> str: ...


def zone_of(name: str) -> ZoneInfo | None:
    """The IANA time zone of this name; None where there is none, so that nobody guesses the survivor's hour."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def usable(windows: Iterable[Window]) -> bool:
    """Whether any window can ever be open: of a known weekday, and longer than the margin."""
    return any(window.weekday in _DAYS and _length(window) >= MARGIN for window in windows)


def is_open(windows: Iterable[Window], zone: ZoneInfo, at: datetime) -> bool:
    """Whether a message handed over at ``at`` arrives inside a window of the clock in ``zone``."""
    local = at.astimezone(zone)
    since_midnight = timedelta(
        hours=local.hour, minutes=local.minute, seconds=local.second, microseconds=local.microsecond
    )
    return any(
        window.weekday == _DAYS[local.weekday()]
        and _offset(window.start) <= since_midnight
        and since_midnight + MARGIN <= _offset(window.end)
        for window in windows
    )


def next_opening(windows: Iterable[Window], zone: ZoneInfo, after: datetime) -> datetime | None:
    """The first moment (UTC) after ``after`` at which a window opens; None when none opens within two weeks."""
    spans = tuple(windows)
    today = after.astimezone(zone).date()
    openings = (
        opening
        for ahead in range(-1, _HORIZON_DAYS)
        for opening in _openings(spans, zone, today + timedelta(days=ahead))
        if opening > after and is_open(spans, zone, opening)
    )
    return min(openings, default=None)


def _openings(windows: Iterable[Window], zone: ZoneInfo, day: date) -> Iterator[datetime]:
    for window in windows:
        if window.weekday == _DAYS[day.weekday()] and _offset(window.start) < timedelta(days=1):
            hour, minute = window.start.split(":")
            for fold in (0, 1):
                local = datetime.combine(day, time(int(hour), int(minute), fold=fold), tzinfo=zone)
                yield local.astimezone(UTC)


def _length(window: Window) -> timedelta:
    return _offset(window.end) - _offset(window.start)


def _offset(clock: str) -> timedelta:
    hour, minute = clock.split(":")
    return timedelta(hours=int(hour), minutes=int(minute))
