"""A service that takes what its consumes.yaml does not declare is stopped at its start, and told what to add."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest
from kintsugi.runtime.database import CannotStart
from kintsugi.runtime.declared import reads_declared
from kintsugi.service import Service
from kintsugi_assessment.app import application as assessment
from kintsugi_contracts.base import Event
from kintsugi_contracts.catalog import Catalog
from kintsugi_events import CaseOpened, ConsentRecorded
from kintsugi_intake.app import application as intake
from kintsugi_notify.app import application as notify
from kintsugi_referral.app import application as referral
from kintsugi_share.app import application as share

CATALOG = Catalog.installed()
SERVICES = [each.service for each in (intake, assessment, referral, share, notify)]


class CaseOpenedLater(CaseOpened):
    """A version that assessment's package does not declare."""

    type = "kintsugi.case.opened.v2"


def with_handler(event: type[Event], name: str = "assessment") -> Service[Any]:
    seeded = copy.copy(assessment.service)
    seeded.name, seeded.events = name, dict(seeded.events)

    @seeded.on(event)
    def follow(_event: object, _state: object, _ctx: object) -> Sequence[Event]:
        return []

    return seeded


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_each_of_our_services_takes_only_what_it_declares(service: Service[Any]) -> None:
    reads_declared(service, CATALOG)


def test_a_handler_of_an_event_that_is_not_declared_stops_the_start_and_is_named_with_what_to_add() -> None:
    with pytest.raises(CannotStart, match=r"kintsugi_assessment/consumes\.yaml:\n  consent\.recorded: \{fields: "):
        reads_declared(with_handler(ConsentRecorded), CATALOG)


def test_a_handler_of_a_version_that_is_not_declared_stops_the_start() -> None:
    with pytest.raises(CannotStart, match=r"case\.opened: version 2; it declares 1"):
        reads_declared(with_handler(CaseOpenedLater), CATALOG)


def test_a_service_without_a_package_of_its_own_has_nothing_to_declare_in() -> None:
    reads_declared(with_handler(ConsentRecorded, name="rehearsal"), CATALOG)
