"""Fictional inputs for the tests of referral: a small directory, a case, consents, an assessment."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from kintsugi.auth import LinkSigner
from kintsugi.testing import Given, Scenario
from kintsugi_contracts.base import Event, Sealed
from kintsugi_country import Agency, Directory, LocationType, Pack, Service, ServiceStatus, load
from kintsugi_referral.handlers import service
from kintsugi_referral.links import Links
from kintsugi_referral.state import CaseFile

from tests.case_events import NOW, assessed, case_opened, closed, consent, withdrawn

__all__ = ["NOW", "assessed", "case_opened", "closed", "consent", "withdrawn"]

COUNTRY = load(Path(__file__).parents[3] / "countries" / "xa")

HARBOUR_ROOMS = Agency(id="harbour-rooms", name="Harbour Rooms", email="rooms@harbour.example", languages=("fr", "en"))
OPEN_DOOR = Agency(id="open-door", name="Open Door", email="desk@door.example", languages=("en",))
HILL_HOUSE = Agency(id="hill-house", name="Hill House", email="post@hill.example", languages=("ar",))


def entry(id_: str, agency: Agency, **changes: Any) -> Service:
    """A service for adults who need housing in the harbour area, in English; ``changes`` say what is different."""
    plain = Service(
        id=id_,
        name=id_.title(),
        agency=agency,
        status=ServiceStatus.active,
        resource_types=("housing",),
        needs=("housing",),
        minimum_age=18,
        languages=("en",),
        areas=("XA-HB",),
        location_types=(LocationType.physical,),
        assured_on=date(2026, 1, 15),
    )
    return plain.model_copy(update=changes)


ROOMS = entry("rooms", HARBOUR_ROOMS)
FLATS = entry("flats", OPEN_DOOR)
HOUSE = entry("house", HILL_HOUSE, languages=("ar",), interpretation="English by appointment")
LEGAL = entry("lawyers", OPEN_DOOR, needs=("legal_aid",), areas=(), location_types=(LocationType.virtual,))


def pack_with(*services: Service) -> Pack:
    """The pack of xa with another directory."""
    agencies = {each.agency.id: each.agency for each in services}
    return replace(COUNTRY, directory=Directory(services=services, agencies=tuple(agencies.values())))


PACK = pack_with(ROOMS, FLATS, HOUSE, LEGAL)


def links(pack: Pack = PACK) -> Links:
    """Links of a test office."""
    return Links(LinkSigner(b"k" * 32), "https://office.example", pack)


def scenario(pack: Pack = PACK) -> Scenario[CaseFile]:
    """The service on a Monday morning."""
    return Scenario(service, pack, now=NOW, resources=links(pack))


def contact_of(event: Event) -> Sealed:
    """The sealed contact that an event carries."""
    sealed = event.sealed_as("contact")
    assert sealed is not None
    return sealed


def only(given: Given[CaseFile], need: str = "housing") -> Any:
    """The newest referral of the case for a need."""
    return [each for each in given.state.referrals.values() if each.need == need][-1]


def offered(pack: Pack = PACK, *before: Any) -> Given[CaseFile]:
    """A case for which services for housing were proposed; ``before`` happened before the assessment."""
    return scenario(pack).given(case_opened(), *before, assessed("housing"))


def option_of(given: Given[CaseFile], agency: str) -> str:
    """The option of an agency in the newest proposal."""
    return str(next(each.option_id for each in only(given).options if each.agency == agency))
