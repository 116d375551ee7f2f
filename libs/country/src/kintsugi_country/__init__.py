"""Country packs: what differs from country to country, as validated, immutable data.

`load("countries/xa")` gives a Pack or raises PackError; `check` lists every mistake with file and line.
"""

from kintsugi_contracts.findings import Finding

from kintsugi_country.country import DEADLINES, ROLES, DeadlineName, Office, Role
from kintsugi_country.directory import Agency, Directory, LocationType, Service, ServiceStatus
from kintsugi_country.errors import PackError
from kintsugi_country.instrument import Band, Domain, Instrument, Item, Need, Scale
from kintsugi_country.integrators import Integrator, PublicKey, SharePurpose
from kintsugi_country.loader import Pack, check, load
from kintsugi_country.messages import Text
from kintsugi_country.templates import TEMPLATES, Audience, Template

__all__ = [
    "DEADLINES", "ROLES", "TEMPLATES", "Agency", "Audience", "Band", "DeadlineName", "Directory",
    "Domain", "Finding", "Instrument", "Integrator", "Item", "LocationType", "Need", "Office", "Pack", "PackError",
    "PublicKey", "Role", "Scale", "Service", "ServiceStatus", "SharePurpose", "Template", "Text", "check", "load",
]  # fmt: skip
