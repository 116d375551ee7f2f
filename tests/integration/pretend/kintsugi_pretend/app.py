"""All the office needs of a service's wiring: where its migrations are."""

from pathlib import Path
from types import SimpleNamespace

application = SimpleNamespace(migrations=Path(__file__).parent / "versions")
