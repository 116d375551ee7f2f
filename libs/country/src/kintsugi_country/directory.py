"""The country's directory of services, read from HSDS 3.0 JSON.

Four files, each a list of HSDS objects that refer to each other by id: `organizations.json`, `services.json`,
`locations.json`, `taxonomy_terms.json`. Properties HSDS has and nobody here reads are allowed and ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from enum import StrEnum
from functools import cached_property

from kintsugi_country.frozen import Frozen


class ServiceStatus(StrEnum):
    """HSDS 3.0 status of a service."""

    active = "active"
    inactive = "inactive"
    defunct = "defunct"
    temporarily_closed = "temporarily closed"


class LocationType(StrEnum):
    """HSDS 3.0 type of a location."""

    physical = "physical"
    postal = "postal"
    virtual = "virtual"


class Agency(Frozen):
    """An organisation that offers services. `languages` are those its staff read, most preferred first."""

    id: str
    name: str
    email: str
    languages: tuple[str, ...]


class Service(Frozen):
    """One service as matching sees it. It holds no address: a shelter's location cannot leave by accident."""

    id: str
    name: str
    agency: Agency
    status: ServiceStatus
    resource_types: tuple[str, ...]
    needs: tuple[str, ...]
    """Need codes the service answers."""
    minimum_age: float | None = None
    maximum_age: float | None = None
    """Ages in years, both included; None means no limit."""
    languages: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    """Area codes served; empty means the whole country."""
    location_types: tuple[LocationType, ...] = ()
    redacted: bool = False
    """Whether the location is withheld from everybody outside the referral service."""
    opt_in: bool = False
    """Peer support: offered, never assigned, and membership is shown to nobody."""
    assured_on: date | None = None
    """The day on which somebody last checked this entry; None means never."""
    free: bool = False
    accessible: bool = False
    """Whether a location says how people with disabilities get in."""
    eligibility: str | None = None
    interpretation: str | None = None

    @property
    def active(self) -> bool:
        return self.status is ServiceStatus.active

    @property
    def remote(self) -> bool:
        """Whether it can be used without travelling."""
        return LocationType.virtual in self.location_types

    def admits(self, youngest: float, oldest: float) -> bool:
        """Whether everybody between the two ages (in years, both included) is admitted."""
        return (self.minimum_age is None or self.minimum_age <= youngest) and (
            self.maximum_age is None or oldest <= self.maximum_age
        )

    def serves(self, area: str) -> bool:
        return not self.areas or area in self.areas

    def speaks(self, languages: Iterable[str]) -> bool:
        return any(language in self.languages for language in languages)


class Directory(Frozen):
    """All services and agencies, in the order of the files."""

    services: tuple[Service, ...]
    agencies: tuple[Agency, ...]

    def services_for(self, need: str) -> tuple[Service, ...]:
        """Every service that answers the need, whatever its status or freshness: matching decides, and says why."""
        return self._by_need.get(need, ())

    def service(self, service_id: str) -> Service:
        """The service with this id; raises LookupError."""
        try:
            return self._by_id[service_id]
        except KeyError:
            raise LookupError(f"the directory has no service {service_id}") from None

    def agency(self, agency_id: str) -> Agency:
        """The agency with this id; raises LookupError."""
        try:
            return self._agencies_by_id[agency_id]
        except KeyError:
            raise LookupError(f"the directory has no agency {agency_id}") from None

    @cached_property
    def _by_id(self) -> dict[str, Service]:
        return {service.id: service for service in self.services}

    @cached_property
    def _agencies_by_id(self) -> dict[str, Agency]:
        return {agency.id: agency for agency in self.agencies}

    @cached_property
    def _by_need(self) -> dict[str, tuple[Service, ...]]:
        needs = dict.fromkeys(need for service in self.services for need in service.needs)
        return {need: tuple(s for s in self.services if need in s.needs) for need in needs}
