"""Deadlines in a country's own time: clock hours, calendar days and working days."""

from __future__ import annotations

import datetime as clock
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, StringConstraints, model_validator

from kintsugi_country.frozen import Frozen

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Unit = Literal["hours", "days", "working_days"]


class Holiday(Frozen):
    """A day on which the office does not work: one `date`, or `every` year on MM-DD."""

    name: str
    date: clock.date | None = None
    every: Annotated[str, StringConstraints(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Holiday:
        if (self.date is None) == (self.every is None):
            raise ValueError("a holiday has either a date or every (MM-DD), not both and not neither")
        return self

    def falls_on(self, day: clock.date) -> bool:
        return self.date == day or self.every == f"{day:%m-%d}"


class Calendar(Frozen):
    """Which days are working days."""

    weekend: Annotated[tuple[Weekday, ...], Field(max_length=6)]
    holidays: tuple[Holiday, ...] = ()

    def works_on(self, day: clock.date) -> bool:
        return WEEKDAYS[day.weekday()] not in self.weekend and not any(h.falls_on(day) for h in self.holidays)


class Deadline(Frozen):
    """How long something may take, and where that number comes from.

    `source` names the law, standard or agreement; without one the number is the office's own choice.
    """

    amount: Annotated[int, Field(ge=1, le=3660)]
    unit: Unit
    calendar: str | None = None
    source: str | None = None

    @model_validator(mode="after")
    def _calendar_only_for_working_days(self) -> Deadline:
        if self.unit == "working_days" and self.calendar is None:
            raise ValueError("working_days need a calendar")
        if self.unit != "working_days" and self.calendar is not None:
            raise ValueError(f"a calendar has no effect on {self.unit}")
        return self


def due(deadline: Deadline, start: datetime, zone: ZoneInfo, calendar: Calendar | None) -> datetime:
    """The moment (UTC) at which `deadline` ends for something that began at `start`.

    Hours are elapsed time. Days and working days keep the wall-clock time of `start` in `zone`; a working-day count
    begins with the first working day after the day of `start`. A wall-clock time that a change to summer time skips
    becomes the same distance after the gap; one that occurs twice means its first occurrence.

    Raises ValueError if `start` has no time zone.
    """
    if start.tzinfo is None:
        raise ValueError("a deadline needs a start with a time zone")
    if deadline.unit == "hours":
        return start.astimezone(UTC) + timedelta(hours=deadline.amount)
    local = start.astimezone(zone)
    day = local.date()
    if deadline.unit == "days":
        day += timedelta(days=deadline.amount)
    else:
        if calendar is None:
            raise ValueError("working days need a calendar")
        for _ in range(deadline.amount):
            day += timedelta(days=1)
            while not calendar.works_on(day):
                day += timedelta(days=1)
    return datetime.combine(day, local.time().replace(fold=0), tzinfo=zone).astimezone(UTC)
