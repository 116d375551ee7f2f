"""The catalog knows types, tells an unknown major from an unknown type, and lifts older facts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import singledispatch
from pathlib import Path
from typing import ClassVar

import pytest
from kintsugi.decoding import decode_event
from kintsugi.envelope import Envelope
from kintsugi.service import Service, State
from kintsugi_contracts.base import Event, Instant
from kintsugi_contracts.catalog import PLATFORM, Catalog, EventPackage, Upcaster
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.topic_file import schema_path
from kintsugi_events import CaseClosed, CaseOpened, InputHeld

CATALOG = Catalog.installed()

RAW = b'{"reason": "goals_met", "closed_at": "2026-03-02T12:00:00Z", "approved_role": "supervisor"}'


def test_a_type_finds_its_model() -> None:
    assert CATALOG.by_type("kintsugi.case.closed.v1") is CaseClosed
    assert CATALOG.by_type("kintsugi.case.closed.v9") is None


@pytest.mark.parametrize(
    ("ce_type", "known"),
    [
        ("kintsugi.case.closed.v1", True),
        ("kintsugi.case.closed.v9", True),
        ("kintsugi.case.vanished.v1", False),
        ("case.closed.v1", False),
        ("kintsugi.case.closed", False),
        ("kintsugi.case.closed.v0", False),
    ],
)
def test_an_unknown_major_is_told_from_an_unknown_type(ce_type: str, known: bool) -> None:
    assert CATALOG.is_known_name(ce_type) is known


class CaseClosedV2(Event):
    type: ClassVar[str] = "kintsugi.case.closed.v2"
    service: ClassVar[str] = "intake"
    ended_at: Instant


def lift(event: CaseClosed) -> CaseClosedV2:
    return CaseClosedV2(ended_at=event.closed_at)


def package(*events: type[Event], name: str = PLATFORM, upcasters: tuple[Upcaster, ...] = ()) -> EventPackage:
    return EventPackage(name, events, upcasters=upcasters)


UP = Upcaster(CaseClosed, CaseClosedV2, lift)
LIFTING = Catalog([package(CaseClosed, CaseClosedV2, upcasters=(UP,))])


def test_an_older_fact_is_read_as_the_newer_one() -> None:
    lifted = LIFTING.decode(CaseClosed, RAW, source="/xa/intake", id="1")
    assert lifted == CaseClosedV2(ended_at=datetime(2026, 3, 2, 12, tzinfo=UTC))
    with pytest.raises(ContractError, match="has an upcaster already"):
        Catalog([package(CaseClosed, CaseClosedV2, upcasters=(UP, UP))])


def test_each_service_is_given_the_version_it_knows() -> None:
    moment = datetime(2026, 3, 2, 12, tzinfo=UTC)
    envelope = Envelope("1", "/xa/intake", CaseClosed.type, moment, "case/1", 1, dataschema=CaseClosed.dataschema)
    given: dict[object, object] = {}
    for known in (CaseClosed, CaseClosedV2, None):

        @singledispatch
        def evolve(event: Event, state: State) -> State:
            return state

        service = Service("lamps", state=State, evolve=evolve)
        if known is not None:
            evolve.register(known, lambda event, state: state)
        event = decode_event(LIFTING, service, envelope, RAW).event
        given[known] = None if event is None else type(event)
        assert service.takes(CaseClosed, LIFTING) is (known is not None)
    assert given == {CaseClosed: CaseClosed, CaseClosedV2: CaseClosedV2, None: None}


def test_an_upcaster_needs_two_models_and_goes_up() -> None:
    with pytest.raises(ContractError, match=r"kintsugi\.case\.closed\.v2 is no model"):
        Catalog([package(CaseClosed, upcasters=(UP,))])
    with pytest.raises(ContractError, match="higher version"):
        Catalog([package(CaseClosed, upcasters=(Upcaster(CaseClosed, CaseClosed, lambda event: event),))])


def test_the_events_of_another_package_are_read_as_that_package_says() -> None:
    with pytest.raises(ContractError, match="is of another package"):
        Catalog([package(CaseClosed, CaseClosedV2), package(name="xa-more", upcasters=(UP,))])


class RoomOffered(Event):
    type: ClassVar[str] = "kintsugi.room.offered.v1"
    service: ClassVar[str] = "housing"


class CaseVanished(Event):
    type: ClassVar[str] = "kintsugi.case.vanished.v1"
    service: ClassVar[str] = "intake"


class OddlyNamed(Event):
    type: ClassVar[str] = "xa.room.offered"
    service: ClassVar[str] = "housing"


def test_a_country_adds_a_package_of_its_own() -> None:
    both = Catalog([package(CaseClosed), package(RoomOffered, name="xa-housing-events")])
    assert both.event_types() == (CaseClosed, RoomOffered)
    assert CATALOG.by_type(RoomOffered.type) is None


def test_two_packages_cannot_declare_one_type() -> None:
    class Twin(Event):
        type: ClassVar[str] = RoomOffered.type
        service: ClassVar[str] = "shelter"

    with pytest.raises(ContractError, match=r"xb-b and xa-a both declare kintsugi\.room\.offered\.v1"):
        Catalog([package(RoomOffered, name="xa-a"), package(Twin, name="xb-b")])


def test_a_package_cannot_declare_events_of_anothers_service() -> None:
    with pytest.raises(ContractError, match="xa-more declares events of 'intake', which is a service of"):
        Catalog([package(CaseOpened), package(CaseVanished, name="xa-more")])


def test_a_type_is_named_as_types_are() -> None:
    with pytest.raises(ContractError, match=r"OddlyNamed has the type 'xa\.room\.offered'"):
        Catalog([package(OddlyNamed, name="xa-housing-events")])


def test_without_an_upcaster_a_fact_is_read_as_it_is() -> None:
    assert isinstance(CATALOG.decode(CaseClosed, RAW, source="/xa/intake", id="1"), CaseClosed)


def test_a_schema_path_needs_an_event_type() -> None:
    with pytest.raises(ContractError, match="is no event type"):
        schema_path(Path("contracts"), "../../etc/passwd")


def test_an_event_of_any_service_is_read_from_services_nobody_has_heard_of(tmp_path: Path) -> None:
    (tmp_path / "topics").mkdir()
    platform = CATALOG.packages[0].contracts
    assert platform is not None
    said = (platform / "topics/assessment.v1.yaml").read_text()
    (tmp_path / "topics/housing.v1.yaml").write_text(
        said.replace("service: assessment", "service: housing").replace("purposes: [assessment]", "purposes: []")
    )
    with_housing = Catalog([*CATALOG.packages, EventPackage("xa-housing-events", (RoomOffered,), tmp_path)])

    @singledispatch
    def evolve(event: Event, state: State) -> State:
        return state

    listens = Service("lamps", state=State, evolve=evolve)
    evolve.register(InputHeld, lambda event, state: state)
    assert listens.sources(CATALOG) == frozenset()
    assert listens.sources(with_housing) == {"housing"}


def test_a_purpose_of_a_package_begins_with_the_name_of_its_service(tmp_path: Path) -> None:
    (tmp_path / "topics").mkdir()
    platform = CATALOG.packages[0].contracts
    assert platform is not None
    said = (platform / "topics/intake.v1.yaml").read_text()
    said = said.replace("service: intake", "service: housing").replace("purposes: [", "purposes: [plan, ", 1)
    (tmp_path / "topics/housing.v1.yaml").write_text(said)
    housing = EventPackage("xa-housing-events", (RoomOffered,), tmp_path)
    with pytest.raises(ContractError, match=r"'housing' claims the purpose 'plan'.*'housing' or 'housing_plan'"):
        Catalog([*CATALOG.packages, housing])


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"tasks": {"intake.call": "Call."}}, "the task 'intake.call' of housing does not begin with its name"),
        (
            {"deadlines": {"answer": {"description": "An answer.", "default": {"amount": 3, "unit": "days"}}}},
            "the deadline 'answer' of housing does not begin with its name",
        ),
    ],
)
def test_a_task_or_deadline_of_a_package_begins_with_the_name_of_its_service(
    tmp_path: Path, declared: dict[str, object], said: str
) -> None:
    (tmp_path / "topics").mkdir()
    platform = CATALOG.packages[0].contracts
    assert platform is not None
    text = (platform / "topics/assessment.v1.yaml").read_text().replace("service: assessment", "service: housing")
    (tmp_path / "topics/housing.v1.yaml").write_text(f"{text}\n{json.dumps(declared)[1:-1]}\n")
    with pytest.raises(ContractError, match=said):
        Catalog([*CATALOG.packages, EventPackage("xa-housing-events", (RoomOffered,), tmp_path)])
