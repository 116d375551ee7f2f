"""A service declares its own deadlines and shareable fields: a pack may set and name them, and no others."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kintsugi_contracts.topic_file import Declarations, TopicFile
from kintsugi_country import PackError, check, load
from pydantic import ValidationError

XA = Path(__file__).parents[2] / "countries" / "xa"
START = datetime(2026, 11, 20, 9, tzinfo=UTC)


def topic(**said: object) -> TopicFile:
    """The topic file of a country's own service."""
    whole = {
        "topic": "{country}.housing.v1",
        "service": "housing",
        "purpose": "Which rooms are offered.",
        "producer": "housing",
        "key": "ce_subject",
        "partitions": 12,
        "sensitivity": "internal",
        "config": {},
        "purposes": [],
        "events": {"room.offered": {"versions": [1], "protective": False}},
    }
    return TopicFile.model_validate(whole | said)


def deadline(amount: int = 3, unit: str = "days", **more: object) -> dict[str, object]:
    said = "How long an offered room is kept for one person."
    return {"description": said, "default": {"amount": amount, "unit": unit, **more}}


def shareable(field: str = "kind", event: str = "room.offered") -> dict[str, str]:
    return {"event": event, "field": field, "description": "What kind of room was offered last."}


DECLARED = Declarations.of([topic(deadlines={"housing_offer": deadline()}, shareable={"housing_room": shareable()})])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(XA, tmp_path / "xa"))


def change(folder: Path, name: str, old: str, new: str) -> None:
    file = folder / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


def test_a_declared_deadline_that_the_country_does_not_set_ends_as_its_service_says(folder: Path) -> None:
    assert load(folder, DECLARED).due("housing_offer", START) == START + timedelta(days=3)


def test_a_country_sets_a_declared_deadline_as_it_does_its_own(folder: Path) -> None:
    change(folder, "country.yaml", "\ndeadlines:\n", "\ndeadlines:\n  housing_offer: {amount: 5, unit: hours}\n")
    assert check(folder, DECLARED) == []
    assert load(folder, DECLARED).due("housing_offer", START) == START + timedelta(hours=5)


def test_a_deadline_that_no_installed_service_declares_is_refused_with_those_that_are_known(folder: Path) -> None:
    change(folder, "country.yaml", "\ndeadlines:\n", "\ndeadlines:\n  housing_ofer: {amount: 5, unit: hours}\n")
    (found,) = check(folder, DECLARED)
    assert found.message == "deadlines: 'housing_ofer' is not known here"
    assert found.mend == "did you mean 'housing_offer'?"
    with pytest.raises(PackError, match="'housing_ofer' is not known here"):
        load(folder)


def test_without_the_service_its_deadline_is_none(folder: Path) -> None:
    with pytest.raises(LookupError, match="no deadline 'housing_offer'"):
        load(folder).due("housing_offer", START)


def test_a_default_by_a_calendar_that_the_country_lacks_asks_it_to_set_the_deadline(folder: Path) -> None:
    by_days = {"housing_offer": deadline(2, "working_days", calendar="harbour")}
    declared = Declarations.of([topic(deadlines=by_days)])
    (found,) = check(folder, declared)
    assert "housing_offer is not set" in found.message
    assert "'harbour'" in found.message
    change(folder, "country.yaml", "\ndeadlines:\n", "\ndeadlines:\n  housing_offer: {amount: 5, unit: hours}\n")
    assert check(folder, declared) == []


def test_an_integrator_may_ask_for_a_declared_field_and_for_no_other_of_that_service(folder: Path) -> None:
    file = "integrators/labour-registry.yaml"
    change(folder, file, "[opened_month,", "[opened_month, housing_room,")
    assert check(folder, DECLARED) == []
    (alone,) = check(folder)
    assert alone.message == "housing_room is no field that can be shared"
    change(folder, file, "housing_room", "housing_price")
    (found,) = check(folder, DECLARED)
    assert found.message == "housing_price is no field that can be shared"


@pytest.mark.parametrize(
    "said",
    [
        {"deadlines": {"offer": deadline()}},
        {"deadlines": {"housing": deadline()}},
        {"deadlines": {"housingoffer": deadline()}},
        {"shareable": {"area": shareable()}},
    ],
)
def test_a_name_that_does_not_begin_with_its_service_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="housing_<what>"):
        topic(**said)


def test_a_field_of_another_service_s_event_cannot_be_declared_as_shareable() -> None:
    with pytest.raises(ValidationError, match=r"case\.opened"):
        topic(shareable={"housing_area": shareable("area", "case.opened")})


@pytest.mark.parametrize(
    "default", [{"amount": 1, "unit": "working_days"}, {"amount": 1, "unit": "days", "calendar": "office"}]
)
def test_working_days_have_a_calendar_and_nothing_else_has(default: dict[str, object]) -> None:
    said = {"housing_offer": {"description": "How long a room is kept.", "default": default}}
    with pytest.raises(ValidationError, match="working_days need a calendar"):
        topic(deadlines=said)
