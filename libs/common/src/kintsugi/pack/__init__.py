"""Country packs: what differs from country to country, as validated, immutable data.

`load("countries/xa")` gives a Pack or raises PackError; `check` lists every mistake with file and line.
"""

from kintsugi.pack.country import DEADLINES, ROLES, DeadlineName, Office, Role
from kintsugi.pack.directory import Agency, Directory, LocationType, Service, ServiceStatus
from kintsugi.pack.findings import Finding, PackError
from kintsugi.pack.instrument import Band, Domain, Instrument, Item, Need, Scale
from kintsugi.pack.integrators import Integrator, PublicKey, SharePurpose
from kintsugi.pack.loader import Pack, check, load
from kintsugi.pack.messages import Text
from kintsugi.pack.templates import TEMPLATES, Audience, Template

__all__ = [
    "DEADLINES", "ROLES", "TEMPLATES", "Agency", "Audience", "Band", "DeadlineName", "Directory",
    "Domain", "Finding", "Instrument", "Integrator", "Item", "LocationType", "Need", "Office", "Pack", "PackError",
    "PublicKey", "Role", "Scale", "Service", "ServiceStatus", "SharePurpose", "Template", "Text", "check", "load",
]  # fmt: skip
