"""Puts the contracts into the wheel beside the models made from them. An editable install reads them where they are."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PARTS = ("events", "meta", "sealing", "share", "topics", "README.md", "asyncapi.yaml", "asyncapi")


class ContractsHook(BuildHookInterface[Any]):
    """Without the released copies: they are for whoever changes the contracts, who has a checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the parts of the folder. Raises FileNotFoundError where there is none to add."""
        contracts = Path(self.root).parents[1] / "contracts"
        if not contracts.is_dir():
            raise FileNotFoundError(f"{contracts}: build kintsugi-events in a checkout, which holds the contracts")
        if version == "standard":
            for part in _PARTS:
                build_data["force_include"][str(contracts / part)] = f"kintsugi_events/contracts/{part}"
