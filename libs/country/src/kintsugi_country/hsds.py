"""Reads HSDS 3.0 JSON files into the directory, and says what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from kintsugi_contracts.documents import Document, nearest, read, validate
from kintsugi_contracts.findings import Finding
from pydantic import BaseModel, ConfigDict, Field
from pydantic.types import UUID4

from kintsugi_country.directory import Agency, Directory, LocationType, Service, ServiceStatus
from kintsugi_country.frozen import Email

NEEDS = "kintsugi-needs"
RESOURCE_TYPES = "kintsugi-resource-types"
REDACTED_TYPES = frozenset({"safe_house"})
OPT_IN_TYPES = frozenset({"survivor_network", "support_group_in_person", "support_group_online"})


class _Row(BaseModel):
    """An HSDS object. Properties nobody reads here are allowed, as HSDS allows them."""

    model_config = ConfigDict(frozen=True, extra="allow")
    id: UUID4


class _Language(_Row):
    code: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]


class _Area(_Row):
    name: str
    extent: str | None = None
    """The country's own area code, written with extent_type "text"."""


class _Attribute(_Row):
    link_entity: Literal["service"]
    taxonomy_term_id: UUID4


class _Cost(_Row):
    option: str | None = None
    amount: float | None = None


class _AtLocation(_Row):
    location_id: UUID4


class _Contact(_Row):
    email: Email | None = None


class _Organization(_Row):
    name: str
    description: str
    email: Email | None = None
    contacts: tuple[_Contact, ...] = ()
    languages: tuple[_Language, ...] = ()


class _Service(_Row):
    organization_id: UUID4
    name: str
    status: ServiceStatus
    minimum_age: Annotated[float, Field(ge=0)] | None = None
    maximum_age: Annotated[float, Field(ge=0)] | None = None
    eligibility_description: str | None = None
    interpretation_services: str | None = None
    assured_date: date | None = None
    languages: tuple[_Language, ...] = ()
    service_areas: tuple[_Area, ...] = ()
    attributes: tuple[_Attribute, ...] = ()
    service_at_locations: tuple[_AtLocation, ...] = ()
    cost_options: tuple[_Cost, ...] = ()


class _Location(_Row):
    location_type: LocationType
    addresses: tuple[_Row, ...] = ()
    accessibility: tuple[_Row, ...] = ()
    latitude: float | None = None
    longitude: float | None = None


class _Term(_Row):
    code: str
    name: str
    taxonomy: str


R = TypeVar("R", bound=_Row)


def read_directory(folder: Path, areas: frozenset[str] | None, findings: list[Finding]) -> Directory | None:
    """The directory of the pack at `folder`, or None with every mistake appended to `findings`.

    `areas` are the country's area codes, None where they cannot be read.
    """
    before = len(findings)
    terms = _rows(folder, "taxonomy_terms", _Term, findings)
    locations = _rows(folder, "locations", _Location, findings)
    organizations = _rows(folder, "organizations", _Organization, findings)
    services = _rows(folder, "services", _Service, findings)
    if terms is None or locations is None or organizations is None or services is None or len(findings) > before:
        return None
    agencies = _agencies(*organizations, findings)
    term_by_id = {term.id: term for term in terms[1]}
    location_by_id = {location.id: location for location in locations[1]}
    entries = []
    for number, row in enumerate(services[1]):
        reader = _ServiceReader(services[0], number, row, findings)
        entry = reader.entry(agencies, term_by_id, location_by_id, areas)
        if entry is not None:
            entries.append(entry)
    if len(findings) > before:
        return None
    return Directory(services=tuple(entries), agencies=tuple(agencies.values()))


def _rows(folder: Path, name: str, model: type[R], findings: list[Finding]) -> tuple[Document, tuple[R, ...]] | None:
    document = read(folder, f"directory/{name}.json", findings)
    if document is None:
        return None
    if not isinstance(document.data, list):
        findings.append(document.finding((), "the file is not a list of objects", "wrap the objects in [ … ]"))
        return None
    rows: list[R] = []
    seen: set[object] = set()
    for number, raw in enumerate(document.data):
        row = validate(document, model, raw, (number,), findings)
        if row is None:
            continue
        if row.id in seen:
            findings.append(document.finding((number, "id"), f"the id {row.id} stands twice", "draw a new UUID"))
        seen.add(row.id)
        rows.append(row)
    return document, tuple(rows)


def _agencies(document: Document, rows: Sequence[_Organization], findings: list[Finding]) -> dict[object, Agency]:
    agencies: dict[object, Agency] = {}
    for number, row in enumerate(rows):
        email = next((contact.email for contact in row.contacts if contact.email), row.email)
        if email is None:
            message = f"organization {row.id} has no e-mail address: no request could reach it"
            findings.append(document.finding((number,), message, "add contacts: [{id, email}]"))
            continue
        if not row.languages:
            message = f"organization {row.id} names no language it reads"
            findings.append(document.finding((number,), message, "add languages: [{id, code}], most preferred first"))
        languages = tuple(language.code for language in row.languages)
        agencies[row.id] = Agency(id=str(row.id), name=row.name, email=email, languages=languages)
    return agencies


class _ServiceReader:
    """Turns one HSDS service into an entry, with its references followed."""

    def __init__(self, document: Document, number: int, row: _Service, findings: list[Finding]) -> None:
        self._document = document
        self._number = number
        self._row = row
        self._findings = findings

    def entry(
        self,
        agencies: dict[object, Agency],
        terms: dict[UUID4, _Term],
        locations: dict[UUID4, _Location],
        areas: frozenset[str] | None,
    ) -> Service | None:
        row = self._row
        agency = agencies.get(row.organization_id)
        if agency is None:
            self._say(
                ("organization_id",), f"there is no organization {row.organization_id}", "add it or correct the id"
            )
        needs, types = self._classified(terms)
        places = self._places(locations)
        redacted = not REDACTED_TYPES.isdisjoint(types)
        if redacted and any(place.addresses or place.latitude is not None for place in places):
            message = "the location of a safe house is written in the directory"
            self._say(
                ("service_at_locations",), message, "remove address and coordinates: a shelter's location is redacted"
            )
        for index, area in enumerate(row.service_areas):
            if areas is not None and area.extent is not None and area.extent not in areas:
                self._say(
                    ("service_areas", index, "extent"), f"{area.extent!r} is not an area", nearest(area.extent, areas)
                )
        if None not in (row.minimum_age, row.maximum_age) and row.minimum_age > row.maximum_age:  # type: ignore[operator]
            self._say(("minimum_age",), "minimum_age is above maximum_age: nobody is admitted", "correct the ages")
        if agency is None:
            return None
        return Service(
            id=str(row.id),
            name=row.name,
            agency=agency,
            status=row.status,
            resource_types=types,
            needs=needs,
            minimum_age=row.minimum_age,
            maximum_age=row.maximum_age,
            languages=tuple(language.code for language in row.languages),
            areas=tuple(area.extent for area in row.service_areas if area.extent is not None),
            location_types=tuple(dict.fromkeys(place.location_type for place in places)),
            redacted=redacted,
            opt_in=not OPT_IN_TYPES.isdisjoint(types),
            free=any(cost.option == "free" or cost.amount == 0 for cost in row.cost_options),
            accessible=any(place.accessibility for place in places),
            assured_on=row.assured_date,
            eligibility=row.eligibility_description,
            interpretation=row.interpretation_services,
        )

    def _classified(self, terms: dict[UUID4, _Term]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        found: dict[str, list[str]] = {NEEDS: [], RESOURCE_TYPES: []}
        for index, attribute in enumerate(self._row.attributes):
            term = terms.get(attribute.taxonomy_term_id)
            if term is None:
                message = f"there is no taxonomy term {attribute.taxonomy_term_id}"
                self._say(("attributes", index), message, "add it to taxonomy_terms.json or correct the id")
            elif term.taxonomy in found:
                found[term.taxonomy].append(term.code)
        for taxonomy, codes in found.items():
            if not codes:
                message = f"the service has no term of the taxonomy {taxonomy}: nobody would ever find it"
                self._say(("attributes",), message, "add an attribute with such a term")
        return tuple(found[NEEDS]), tuple(found[RESOURCE_TYPES])

    def _places(self, locations: dict[UUID4, _Location]) -> list[_Location]:
        places = []
        for index, link in enumerate(self._row.service_at_locations):
            place = locations.get(link.location_id)
            if place is None:
                message = f"there is no location {link.location_id}"
                self._say(("service_at_locations", index), message, "add it to locations.json or correct the id")
            else:
                places.append(place)
        return places

    def _say(self, path: tuple[int | str, ...], message: str, mend: str) -> None:
        self._findings.append(self._document.finding((self._number, *path), message, mend))
