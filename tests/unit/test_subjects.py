"""What an event may be about: the parser against hostile subjects, and the kinds that a topic carries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import singledispatch
from typing import Any, ClassVar

import pytest
from kintsugi.envelope import Envelope, Parsed, decode, encode, is_subject
from kintsugi.service import Service, State
from kintsugi.subject import Progress
from kintsugi.testing import Deadlines, Scenario
from kintsugi.turn import Causation, Office, Stepper, Subject
from kintsugi.vault import Vault
from kintsugi_contracts.base import Event
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.causes import Cause
from pydantic import BaseModel

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ENVELOPE = Envelope(id="1", source="/xa/places", type="kintsugi.place.listed.v1", time=NOW, subject="", sequence=1)
FOUR = ("case", "staff", "agency", "service")


def parsed(subject: str, kinds: tuple[str, ...] | None = FOUR) -> Parsed:
    headers = encode(replace(ENVELOPE, subject=subject))
    return decode(headers, topic="xa.places.v1", key=subject.encode(), value=b"{}", kinds=kinds)


@pytest.mark.parametrize("kind", FOUR)
def test_a_subject_of_each_kind_is_read_as_it_was_written(kind: str) -> None:
    subject = f"{kind}/3f0c2a9e-8d41-4f6b-9a57-2f1c6f0e7b12"
    said = parsed(subject)
    assert said.fault is None
    assert said.envelope is not None
    assert said.envelope.subject == subject


@pytest.mark.parametrize(
    "subject",
    [
        *("", "/", "service", "service/", "/1", "Service/1", "SERVICE/1", "1service/1", "_service/1", "-/1"),
        *(
            "service /1",
            "service/ 1",
            "service/1 ",
            " service/1",
            "service/a b",
            "service/1\n",
            "service/\t",
            "\nservice/1",
        ),
        *("service/\x7f", "service/é", "sérvice/1", "service\u2215/1", "service/\u202e1", "service\\1", "service:1"),
        *("ser-vice/1", "ser.vice/1", f"{'s' * 41}/1", f"service/{'1' * 151}"),
    ],
)
def test_what_is_no_kind_and_opaque_id_is_a_dead_letter(subject: str) -> None:
    assert parsed(subject, None) == Parsed(None, Cause.subject_unreadable)
    assert not is_subject(subject)


@pytest.mark.parametrize("subject", ["service/1", "housing_unit2/a", f"{'s' * 40}/{'1' * 150}", "service/a/b%_'\"<"])
def test_any_kind_with_any_printable_id_can_be_read(subject: str) -> None:
    assert parsed(subject, None).envelope is not None


@pytest.mark.parametrize("subject", ["staff/1", "services/1", "servic/1", "case_/1", "cas/1"])
def test_a_record_about_a_kind_that_its_topic_does_not_carry_is_a_dead_letter(subject: str) -> None:
    assert parsed(subject, ("service", "case")) == Parsed(None, Cause.subject_unreadable)


def test_the_topics_of_the_platform_carry_cases_alone() -> None:
    catalog = Catalog.installed()
    assert catalog.platform >= {"intake", "assessment", "referral", "notify", "share"}
    assert {catalog.kinds(name) for name in catalog.platform} == {("case",)}
    assert catalog.kinds("nowhere") == ("case",), "a topic whose file is not here carries cases"


class PlaceListed(Event):
    type: ClassVar[str] = "kintsugi.place.listed.v1"
    service: ClassVar[str] = "places"
    name: str


class Place(State):
    name: str = ""


class ListPlace(BaseModel):
    name: str


def places() -> Service[Place]:
    @singledispatch
    def evolve(_event: object, state: Place) -> Place:
        return state

    service: Service[Place] = Service("places", state=Place, evolve=evolve)
    service.command(ListPlace, creates=True, subject="service")(_list)
    return service


def _list(command: ListPlace, _state: Place, _ctx: Any) -> list[Event]:
    return [PlaceListed(name=command.name)]


def stepper(*kinds: str) -> Callable[[str], list[str]]:
    office = Office("xa", Deadlines(), None, kinds)

    def run(id_: str) -> list[str]:
        subject = Subject(id_, Progress(), Place())
        made = Stepper(places(), office, Vault())
        return [
            own.envelope.subject for own in made.command(subject, ListPlace(name="x"), NOW, Causation("1", 0), None)[1]
        ]

    return run


def test_an_event_is_emitted_about_a_kind_that_the_topic_carries() -> None:
    assert stepper("case", "service")("service/1") == ["service/1"]


def test_an_event_about_another_kind_is_refused_and_the_error_says_where_to_name_it() -> None:
    with pytest.raises(TypeError, match="its topic carries case; name the kind under 'subjects' in its topic file"):
        stepper("case")("service/1")


def test_a_scenario_begins_with_a_subject_of_the_kind_that_the_service_creates() -> None:
    (own,) = Scenario(places()).given().when(ListPlace(name="x")).own
    assert own.envelope.subject.startswith("service/")
