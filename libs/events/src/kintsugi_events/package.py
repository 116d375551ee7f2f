"""What the entry point `kintsugi` of the group `kintsugi.contracts` names: the events of the platform's services."""

from pathlib import Path

from kintsugi_contracts.catalog import PLATFORM, EventPackage, models

import kintsugi_events
from kintsugi_events.upcasters import UPCASTERS


def contracts_folder() -> Path:
    """The contracts that the models were generated from: in a wheel beside them, in a checkout at its root."""
    shipped = Path(__file__).parent / "contracts"
    return shipped if shipped.is_dir() else Path(__file__).parents[4] / "contracts"


package = EventPackage(PLATFORM, models(kintsugi_events), contracts_folder(), UPCASTERS)
