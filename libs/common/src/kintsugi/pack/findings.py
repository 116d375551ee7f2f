"""What is wrong with a country pack, said to the person who can mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One mistake: where it stands (file relative to the pack, line and column from 1), what it is, how to mend it."""

    file: str
    line: int
    column: int
    message: str
    mend: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}; {self.mend}"


class PackError(Exception):
    """A pack that cannot be used. `findings` lists every mistake, not only the first one."""

    def __init__(self, folder: str, findings: Sequence[Finding]) -> None:
        self.folder = folder
        self.findings = tuple(findings)
        lines = "\n".join(f"  {finding}" for finding in self.findings)
        super().__init__(f"The country pack {folder} has {len(self.findings)} mistake(s) and is refused:\n{lines}")
