"""Puts the fictional country's pack into the wheel. An editable install reads it where it is."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class SamplesHook(BuildHookInterface[Any]):
    """For whoever tries the platform without a checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the pack. Raises FileNotFoundError where there is none to add."""
        countries = Path(self.root).parent / "countries"
        if not countries.is_dir():
            raise FileNotFoundError(f"{countries}: build kintsugi-sandbox in a checkout, which holds the sample pack")
        if version == "standard":
            build_data["force_include"][str(countries)] = "kintsugi_sandbox/countries"
