"""Share passes on what a service it has never heard of declares as shareable, by consent, and keeps nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from kintsugi.agenda import Outcome, Result
from kintsugi.testing import Scenario
from kintsugi_contracts.base import Event
from kintsugi_contracts.catalog import Catalog, EventPackage
from kintsugi_contracts.consumes import installed, readers
from kintsugi_events import DisclosureDue
from kintsugi_share.app import application
from kintsugi_share.contract import EventSchemas
from kintsugi_share.domain import Facts, projection
from kintsugi_share.partners import Partners, contracts_of
from kintsugi_share.state import CaseFile

from services.share.tests.share_examples import NOW, agreed, entry, left, opened, pack, record_of

ROOT = Path(__file__).parents[3]


class RoomOffered(Event):
    """An event of a country's own service."""

    type = "kintsugi.room.offered.v1"
    service = "housing"

    kind: str | None = None
    beds: int = 0
    landlord: str = ""


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """The platform's packages, and one of a country's own."""
    (tmp_path / "topics").mkdir()
    topic = yaml.safe_load((ROOT / "contracts/topics/share.v1.yaml").read_text()) | {
        "topic": "{country}.housing.v1",
        "service": "housing",
        "producer": "housing",
        "purposes": [],
        "events": {"room.offered": {"versions": [1], "protective": False}},
        "shareable": {
            "housing_room": {"event": "room.offered", "field": "kind", "description": "The room offered last."},
            "housing_beds": {"event": "room.offered", "field": "beds", "description": "How many beds it has."},
        },
    }
    (tmp_path / "topics/housing.v1.yaml").write_text(yaml.safe_dump(topic))
    (tmp_path / "events/room.offered").mkdir(parents=True)
    kind = {"description": "The kind.", "x-sensitivity": "internal", "type": "string", "enum": ["single", "shared"]}
    (tmp_path / "events/room.offered/v1.schema.json").write_text(json.dumps({"properties": {"kind": kind}}))
    return Catalog([*Catalog.installed().packages, EventPackage("xa-housing", (RoomOffered,), tmp_path)])


def test_share_reads_the_topic_of_a_service_that_declares_a_shareable_field_and_only_that_field(
    catalog: Catalog,
) -> None:
    service = application.within(catalog).service
    assert "housing" in service.sources(catalog)
    assert service.takes(RoomOffered, catalog)
    reads = readers(catalog.topics["housing"], installed())["share"]
    assert {event: sorted(reading.fields) for event, reading in reads.items()} == {"room.offered": ["beds", "kind"]}


def test_without_that_package_share_is_as_it_was(catalog: Catalog) -> None:
    application.within(catalog)
    assert RoomOffered not in application.service.events
    assert RoomOffered not in application.service.evolve.registry
    assert application.within(Catalog.installed()).service.sources(Catalog.installed()) == {
        "intake",
        "assessment",
        "referral",
    }


def test_the_last_value_of_a_declared_field_is_kept_and_nothing_else_of_its_event(catalog: Catalog) -> None:
    evolve = application.within(catalog).service.evolve
    case = evolve(RoomOffered(kind="single", beds=2, landlord="M. Haddad"), CaseFile())
    assert case.facts.declared == {"housing_room": "single", "housing_beds": 2}
    assert "Haddad" not in case.model_dump_json()
    later = evolve(RoomOffered(kind="shared"), case)
    assert later.facts.declared == {"housing_room": "shared", "housing_beds": 0}
    assert evolve(RoomOffered(), later).facts.declared == {"housing_beds": 0}


def test_a_record_says_a_declared_field_that_its_purpose_names() -> None:
    facts = Facts(declared={"housing_room": "single", "housing_beds": 0})
    assert projection(facts, ["housing_room"], ()) == {"status": "open", "housing_room": "single"}
    assert projection(facts, ["housing_beds", "area"], ()) == {"status": "open", "housing_beds": 0}
    assert projection(Facts(), ["housing_room"], ()) == {"status": "open"}


def test_a_partner_with_consent_hears_of_a_declared_field_that_changed(catalog: Catalog) -> None:
    xa = pack()
    registry = next(each for each in xa.integrators if each.name == "labour-registry")
    wages = registry.purposes["wage-claims"]
    wanted = wages.model_copy(update={"fields": ("housing_room", *wages.fields)})
    asking = registry.model_copy(update={"purposes": {"wage-claims": wanted}})
    xa = replace(xa, integrators=(asking,), shareable=catalog.declared.shareable)
    contracts = contracts_of(xa, EventSchemas(ROOT / "contracts", xa.shareable, catalog.folders))
    service = application.within(catalog).service
    given = Scenario(service, xa, now=NOW, resources=Partners("xa", b"s" * 32, contracts)).given(opened(), agreed())
    before = left(given)
    after = before.when(RoomOffered(kind="single")).then(DisclosureDue)
    assert record_of(after)["housing_room"] == "single"
    again = after.when(Outcome(name=entry(after), result=Result.sent, attempt=1)).given
    again.when(RoomOffered(kind="single", beds=4)).then()


def test_what_share_took_before_it_takes_still(catalog: Catalog) -> None:
    before, after = application.service, application.within(catalog).service
    assert before.events.keys() < after.events.keys()
    assert set(before.evolve.registry) < set(after.evolve.registry)
