"""What the services subscribe to and take is what their documents say, and a difference would be seen."""

from __future__ import annotations

import copy
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

import pytest
from faststream.specification import AsyncAPI
from kintsugi.application import Application
from kintsugi.kafka import Cluster, Protocol
from kintsugi.secrets import Secret
from kintsugi.service import Service
from kintsugi.shell.core import Core
from kintsugi.transport import Consumption
from kintsugi.turn import Office
from kintsugi_contracts.asyncapi.document import Party, of_party
from kintsugi_contracts.asyncapi.drift import differences, unlike_handlers
from kintsugi_contracts.base import Event
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.folder import load

CATALOG = Catalog.installed()

FOLDER = load(Path(__file__).parents[2] / "contracts")
APPLICATIONS: dict[str, Application[Any]] = {
    point.name: point.load() for point in entry_points(group="kintsugi.services")
}
LOGIN = Cluster("127.0.0.1:9", "xa.someone", Secret("fictional"), Protocol.sasl_plaintext)
NOBODY = Cluster("127.0.0.1:9")


def faststream(service: Service[Any], cluster: Cluster = LOGIN) -> dict[str, Any]:
    """FastStream's document of the broker through which a service is fed; nothing connects."""
    nothing = cast(Any, None)
    core: Core[Any] = Core(service, nothing, Office("xa", None), nothing, nothing, nothing, nothing)
    consumption: Consumption[Any] = Consumption(core, nothing, nothing, cluster, batch_size=1, session_timeout_ms=6000)
    made = AsyncAPI(consumption._broker, schema_version="3.0.0").to_specification()
    return dict(made.to_jsonable())


def document(service: str) -> dict[str, Any]:
    """Ours."""
    return of_party(FOLDER, Party(service))


def handled(service: Service[Any]) -> set[str]:
    """The `ce_type` of what a service takes, its own events included."""
    types: set[type[Event]] = {*service.events, *(t for t in service.evolve.registry if t is not object)}
    return {each.type for each in types}


def drifts(service: str, seeded: Service[Any], cluster: Cluster = LOGIN) -> list[str]:
    """What is found of a service."""
    return differences(document(service), faststream(seeded, cluster), service=service, country="xa")


@pytest.mark.parametrize("service", sorted(APPLICATIONS))
def test_a_service_subscribes_to_what_its_document_says_and_logs_in_as_it_says(service: str) -> None:
    assert drifts(service, APPLICATIONS[service].service) == []


@pytest.mark.parametrize("service", sorted(APPLICATIONS))
def test_a_service_takes_what_its_document_says_it_receives(service: str) -> None:
    assert unlike_handlers(document(service), handled(APPLICATIONS[service].service), service=service) == []


def test_a_subscription_that_is_not_declared_is_found() -> None:
    seeded = copy.copy(APPLICATIONS["assessment"].service)
    seeded._subscribes = frozenset({"notify"})
    seeded._sources = (-1, frozenset())
    assert drifts("assessment", seeded) == [
        "assessment subscribes to xa.notify.v1 and its document does not say so: add what it reads there to its "
        "consumes.yaml"
    ]


def test_a_reader_that_no_longer_subscribes_is_found() -> None:
    seeded = copy.copy(APPLICATIONS["assessment"].service)
    seeded._sources = (len(seeded.events) + len(seeded.evolve.registry), frozenset())
    assert drifts("assessment", seeded) == [
        "the document says that assessment reads xa.intake.v1, and it does not subscribe: remove it there or read it"
    ]


def test_a_service_without_a_login_is_found() -> None:
    assert drifts("assessment", APPLICATIONS["assessment"].service, NOBODY) == [
        "assessment does not log in, its document says scramSha512"
    ]


def test_a_service_that_publishes_by_itself_is_found() -> None:
    theirs = faststream(APPLICATIONS["assessment"].service)
    next(iter(theirs["operations"].values()))["action"] = "send"
    found = differences(document("assessment"), theirs, service="assessment", country="xa")
    assert any("only the relay writes" in each for each in found)


def test_a_handler_that_is_not_declared_and_a_declared_reader_without_one_are_found() -> None:
    other = CATALOG.by_type("kintsugi.consent.recorded.v1")
    assert other is not None
    taken = handled(APPLICATIONS["assessment"].service)
    found = unlike_handlers(document("assessment"), (taken - {"kintsugi.case.closed.v1"}) | {other.type}, service="it")
    assert found == [
        "it takes kintsugi.consent.recorded.v1 and its consumes.yaml does not say so: add it there",
        "the consumes.yaml of it says that it reads kintsugi.case.closed.v1, and it has no handler",
    ]
