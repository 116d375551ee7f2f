"""What the entry point `@@service` of the group `kintsugi.contracts` names: the events of this service."""

from pathlib import Path

from kintsugi_contracts.catalog import EventPackage, models

import @@events

package = EventPackage("@@events_distribution", models(@@events), Path(__file__).parent / "contracts")
