"""A country pack that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence

from kintsugi_contracts.findings import Finding


class PackError(Exception):
    """A pack that cannot be used. `findings` lists every mistake, not only the first one."""

    def __init__(self, folder: str, findings: Sequence[Finding]) -> None:
        self.folder = folder
        self.findings = tuple(findings)
        lines = "\n".join(f"  {finding}" for finding in self.findings)
        super().__init__(f"The country pack {folder} has {len(self.findings)} mistake(s) and is refused:\n{lines}")
