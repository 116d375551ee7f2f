"""``build/faults.json``: what was broken, and what the checker counted after it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from kintsugi_office.project import project_folder

from tests.faults.checker import Findings


@dataclass
class Report:
    """Adds up over a session."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: list[dict[str, Any]] = field(default_factory=list)
    seeded: dict[str, list[str]] = field(default_factory=dict)

    def run(self, name: str, findings: Findings, **more: Any) -> None:
        """One run: its counts, and the names of the invariants that did not hold."""
        self.runs.append({"name": name, **findings.counts, "violations": findings.names, **more})

    def write(self) -> None:
        """Writes the file."""
        totals = {
            name: sum(int(run[name]) for run in self.runs) for name in ("received", "lost", "doubled", "reordered")
        }
        content = {
            "runs": len(self.runs),
            **totals,
            "kills": dict(sorted(self.kills.items())),
            "seeded_bugs_caught_by": dict(sorted(self.seeded.items())),
            "each": self.runs,
        }
        file = project_folder() / "build" / "faults.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content, indent=1) + "\n")
