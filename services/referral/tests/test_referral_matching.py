"""Which services are offered, in which order, and why."""

from datetime import date
from typing import Any

import pytest
from kintsugi_country import LocationType, Service, ServiceStatus
from kintsugi_events import MatchReason as R
from kintsugi_referral.matching import MOST_OPTIONS, Wanted, match

from services.referral.tests.referral_examples import HARBOUR_ROOMS, HILL_HOUSE, NOW, OPEN_DOOR, entry, pack_with

ADULT = Wanted("housing", 25, 39, ("en",), "XA-HB")


def found(*services: Service, wanted: Wanted = ADULT, **options: Any) -> list[str]:
    return [each.service.id for each in match(pack_with(*services), wanted, NOW, **options)]


@pytest.mark.parametrize(
    "change",
    [
        {"status": ServiceStatus.inactive},
        {"status": ServiceStatus.defunct},
        {"status": ServiceStatus.temporarily_closed},
        {"needs": ("legal_aid",)},
        {"areas": ("XA-NH",)},
        {"languages": ("fr",)},
        {"minimum_age": 60},
        {"maximum_age": 17, "minimum_age": None},
        {"assured_on": None},
        {"assured_on": date(2025, 3, 2)},
    ],
    ids=str,
)
def test_a_service_that_differs_in_one_thing_that_matters_is_not_offered(change: dict[str, Any]) -> None:
    assert found(entry("same", OPEN_DOOR)) == ["same"]
    assert found(entry("other", OPEN_DOOR, **change)) == []


def test_a_service_is_fresh_until_the_country_s_time_has_passed() -> None:
    assert found(entry("just", OPEN_DOOR, assured_on=date(2025, 3, 3))) == ["just"]


def test_each_option_says_why_it_is_offered() -> None:
    [option] = match(pack_with(entry("flats", OPEN_DOOR)), ADULT, NOW)
    assert option.reasons == (R.need_met, R.age_eligible, R.language_spoken, R.area_served, R.confirmed_recently)
    remote = entry(
        "line",
        OPEN_DOOR,
        languages=("fr",),
        interpretation="on request",
        areas=(),
        location_types=(LocationType.virtual,),
    )
    [option] = match(pack_with(remote), ADULT, NOW)
    assert R.interpreter_available in option.reasons
    assert R.remote_service in option.reasons
    assert R.language_spoken not in option.reasons


def test_who_speaks_the_language_comes_before_who_has_an_interpreter_and_a_full_fit_of_age_before_both() -> None:
    spoken = entry("spoken", OPEN_DOOR)
    interpreted = entry("interpreted", HILL_HOUSE, languages=("ar",), interpretation="English")
    partly = entry("partly", HARBOUR_ROOMS, minimum_age=30)
    assert found(partly, interpreted, spoken) == ["spoken", "interpreted", "partly"]


def test_a_partial_fit_of_age_is_offered_without_saying_that_the_age_is_eligible() -> None:
    [option] = match(pack_with(entry("partly", OPEN_DOOR, minimum_age=30)), ADULT, NOW)
    assert R.age_eligible not in option.reasons


def test_a_minor_is_never_offered_a_service_for_adults() -> None:
    minor = Wanted("housing", 15, 17, ("en",), "XA-HB")
    assert found(
        entry("adults", OPEN_DOOR), entry("youth", HILL_HOUSE, minimum_age=12, maximum_age=17), wanted=minor
    ) == ["youth"]


def test_an_unknown_language_hides_nothing_and_claims_nothing() -> None:
    [option] = match(pack_with(entry("flats", OPEN_DOOR)), Wanted("housing", 25, 39, (), "XA-HB"), NOW)
    assert not {R.language_spoken, R.interpreter_available} & set(option.reasons)


def test_a_regional_language_is_spoken_by_who_speaks_the_language() -> None:
    assert found(entry("flats", OPEN_DOOR), wanted=Wanted("housing", 25, 39, ("en-GB",), "XA-HB")) == ["flats"]


def test_an_open_upper_age_is_met_by_up_to_99() -> None:
    [option] = match(
        pack_with(entry("any", OPEN_DOOR, maximum_age=99)), Wanted("housing", 60, 120, ("en",), "XA-HB"), NOW
    )
    assert R.age_eligible in option.reasons


def test_another_agency_comes_before_a_second_service_of_the_same() -> None:
    services = [entry(f"a{number}", OPEN_DOOR) for number in range(3)]
    assert found(*services, entry("z", HILL_HOUSE))[:2] == ["a0", "z"]


def test_not_more_options_than_a_person_can_weigh_and_none_that_was_ruled_out() -> None:
    services = [entry(f"s{number}", OPEN_DOOR) for number in range(MOST_OPTIONS + 3)]
    assert len(found(*services)) == MOST_OPTIONS
    assert "s0" not in found(*services, without={"s0"})


def test_the_order_does_not_depend_on_the_order_of_the_directory() -> None:
    services = [entry("b", OPEN_DOOR), entry("a", HILL_HOUSE), entry("c", HARBOUR_ROOMS, assured_on=date(2026, 2, 1))]
    assert found(*services) == found(*reversed(services)) == ["c", "a", "b"]
