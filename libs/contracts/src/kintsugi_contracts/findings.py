"""What is wrong with a file, said to the person who can fix it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One mistake: where it stands (file relative to its folder, line and column from 1), what it is, how to fix it."""

    file: str
    line: int
    column: int
    message: str
    mend: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}; {self.mend}"
