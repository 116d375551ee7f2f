"""Deadlines end when the country's calendar and clock say so, through weekends, holidays and summer time."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kintsugi_country.calendars import Calendar, Deadline, Holiday, due
from pydantic import ValidationError

ZONE = ZoneInfo("Asia/Beirut")  # in 2026: an hour forward at midnight of 29 March, back at midnight of 25 October
OFFICE = Calendar(
    weekend=("saturday", "sunday"),
    holidays=(Holiday(name="Day of Labour", every="05-01"), Holiday(name="Festival", date=date(2026, 4, 10))),
)
FROM, TO = (datetime.fromisoformat(day) for day in ("2025-01-01", "2030-01-01"))
MOMENTS = st.datetimes(FROM, TO, timezones=st.just(UTC))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


def working_days(amount: int) -> Deadline:
    return Deadline(amount=amount, unit="working_days", calendar="office")


@pytest.mark.parametrize(
    ("rule", "start", "end"),
    [
        (Deadline(amount=24, unit="hours"), "2026-06-01T10:00", "2026-06-02T10:00"),
        (Deadline(amount=24, unit="hours"), "2026-03-28T10:00", "2026-03-29T11:00"),
        (Deadline(amount=24, unit="hours"), "2026-10-24T10:00", "2026-10-25T09:00"),
        (Deadline(amount=1, unit="days"), "2026-03-28T10:00", "2026-03-29T10:00"),
        (Deadline(amount=7, unit="days"), "2026-10-20T10:00", "2026-10-27T10:00"),
        (working_days(3), "2026-06-01T16:00", "2026-06-04T16:00"),
        (working_days(3), "2026-06-04T16:00", "2026-06-09T16:00"),
        (working_days(1), "2026-04-09T09:00", "2026-04-13T09:00"),
        (working_days(1), "2026-04-30T09:00", "2026-05-04T09:00"),
        (working_days(1), "2026-06-06T23:00", "2026-06-08T23:00"),
        (working_days(5), "2026-03-26T10:00", "2026-04-02T10:00"),
    ],
)
def test_a_deadline_ends_at_the_country_s_own_time(rule: Deadline, start: str, end: str) -> None:
    assert due(rule, at(start), ZONE, OFFICE) == at(end)


def test_a_wall_clock_time_that_summer_time_skips_moves_behind_the_gap() -> None:
    end = due(Deadline(amount=1, unit="days"), at("2026-03-28T00:30"), ZONE, None)
    assert end.astimezone(ZONE).replace(tzinfo=None) == datetime.fromisoformat("2026-03-29T01:30")


def test_a_wall_clock_time_that_occurs_twice_means_its_first_occurrence() -> None:
    end = due(Deadline(amount=1, unit="days"), at("2026-10-23T23:30"), ZONE, None)
    assert end == datetime(2026, 10, 24, 20, 30, tzinfo=UTC)


def test_the_zone_of_the_start_does_not_matter() -> None:
    start = at("2026-06-05T01:00")  # still Thursday in UTC
    assert due(working_days(1), start.astimezone(UTC), ZONE, OFFICE) == at("2026-06-08T01:00")


def test_a_start_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        due(Deadline(amount=1, unit="hours"), datetime(2026, 6, 1), ZONE, None)  # noqa: DTZ001


@given(
    start=MOMENTS,
    amount=st.integers(1, 40),
)
def test_working_days_end_on_a_working_day_and_never_early(start: datetime, amount: int) -> None:
    end = due(working_days(amount), start, ZONE, OFFICE)
    assert OFFICE.works_on(end.astimezone(ZONE).date())
    assert end - start >= timedelta(days=amount) - timedelta(hours=1)


@given(start=MOMENTS)
def test_a_longer_deadline_never_ends_before_a_shorter_one(start: datetime) -> None:
    ends = [due(working_days(amount), start, ZONE, OFFICE) for amount in range(1, 12)]
    assert ends == sorted(ends)


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 3, "unit": "working_days"},
        {"amount": 3, "unit": "hours", "calendar": "office"},
        {"amount": 0, "unit": "days"},
        {"amount": 3, "unit": "fortnights"},
    ],
)
def test_a_deadline_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Deadline.model_validate(wrong)
