"""Safe windows on the survivor's own clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import kintsugi_events as e
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kintsugi_notify.windows import MARGIN, is_open, next_opening, usable, zone_of

from services.notify.tests.notify_examples import window

# Clocks go from 00:00 to 01:00 on 29 March 2026 and from 00:00 to 23:00 on 25 October 2026.
XA = ZoneInfo("Asia/Beirut")
# Clocks go from 02:00 to 03:00 on 29 March 2026 and from 03:00 to 02:00 on 25 October 2026.
PARIS = ZoneInfo("Europe/Paris")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "open_"),
    [
        ("2026-03-02T08:59:59", False),
        ("2026-03-02T09:00:00", True),
        ("2026-03-02T12:59:00", True),
        ("2026-03-02T12:59:01", False),
        ("2026-03-02T13:00:00", False),
        ("2026-03-03T10:00:00", False),
    ],
)
def test_a_window_is_open_from_its_start_until_a_minute_before_its_end(moment: str, open_: bool) -> None:
    assert is_open([window("monday", "11:00", "15:00")], XA, at(moment)) is open_


def test_a_window_follows_the_survivors_clock_into_summer_time() -> None:
    monday = [window("monday", "11:00", "15:00")]
    assert not is_open(monday, XA, at("2026-03-23T08:30:00"))
    assert is_open(monday, XA, at("2026-03-30T08:30:00"))


def test_a_window_may_last_until_midnight() -> None:
    late = [window("monday", "22:00", "24:00")]
    assert is_open(late, XA, at("2026-03-02T21:59:00"))
    assert not is_open(late, XA, at("2026-03-02T22:00:00"))


def test_the_next_opening_may_be_a_week_away() -> None:
    monday = [window("monday", "11:00", "15:00")]
    assert next_opening(monday, XA, at("2026-03-02T08:00:00")) == at("2026-03-02T09:00:00")
    assert next_opening(monday, XA, at("2026-03-02T12:00:00")) == at("2026-03-09T09:00:00")


def test_the_nearest_of_several_windows_opens_next() -> None:
    several = [window("friday", "08:00", "09:00"), window("tuesday", "08:00", "09:00")]
    assert next_opening(several, XA, at("2026-03-02T12:00:00")) == at("2026-03-03T06:00:00")


def test_a_window_that_summer_time_swallows_opens_a_week_later() -> None:
    early = [window("sunday", "02:10", "02:50")]
    assert next_opening(early, PARIS, at("2026-03-28T12:00:00")) == at("2026-04-05T00:10:00")


def test_an_hour_that_comes_twice_is_open_twice() -> None:
    early = [window("sunday", "02:10", "02:50")]
    first = next_opening(early, PARIS, at("2026-10-24T12:00:00"))
    assert first == at("2026-10-25T00:10:00")
    assert next_opening(early, PARIS, at("2026-10-25T00:50:00")) == at("2026-10-25T01:10:00")


@pytest.mark.parametrize(
    "never",
    [
        [],
        [window("monday", "11:00", "11:00")],
        [window("monday", "15:00", "11:00")],
        [e.ContactWindow(weekday=e.Weekday.unknown, start="11:00", end="15:00")],
    ],
)
def test_a_window_that_can_never_open_is_no_window(never: list[e.ContactWindow]) -> None:
    assert not usable(never)
    assert next_opening(never, XA, at("2026-03-02T08:00:00")) is None


def test_an_unknown_zone_is_not_guessed() -> None:
    assert zone_of("Asia/Beirut") == XA
    assert zone_of("Nowhere/Town") is None
    assert zone_of("../etc/passwd") is None


HALF_HOURS = st.integers(0, 47).map(lambda half: f"{half // 2:02}:{half % 2 * 30:02}")
WINDOWS = st.lists(
    st.builds(window, st.sampled_from([day for day in e.Weekday if day != "unknown"]), HALF_HOURS, HALF_HOURS),
    min_size=1,
    max_size=4,
)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001


@given(windows=WINDOWS, zone=st.sampled_from([XA, PARIS, ZoneInfo("Asia/Kathmandu")]), moment=MOMENTS)
def test_the_next_opening_is_open_and_nothing_opens_before_it(
    windows: list[e.ContactWindow], zone: ZoneInfo, moment: datetime
) -> None:
    opening = next_opening(windows, zone, moment)
    if opening is None:
        assert not usable(windows)
        return
    assert opening > moment
    assert is_open(windows, zone, opening)
    step = timedelta(minutes=30)
    # Whatever is open between now and then was open already: the window that runs at `moment`.
    while (moment := moment + step) < opening and not is_open(windows, zone, moment - step):
        assert not is_open(windows, zone, moment)


@given(windows=WINDOWS, moment=MOMENTS)
def test_nothing_that_is_handed_over_arrives_outside_a_window(windows: list[e.ContactWindow], moment: datetime) -> None:
    if is_open(windows, XA, moment):
        arrival = (moment + MARGIN - timedelta(seconds=1)).astimezone(XA)
        clock = f"{arrival:%H:%M}"
        assert (
            any(w.weekday == f"{arrival:%A}".lower() and w.start <= clock < w.end for w in windows)
            or moment.astimezone(XA).utcoffset() != arrival.utcoffset()
        )
