"""What the judge found: counts of effects, and every effect that is lost, doubled or wrong, in words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["lost", "doubled", "unexplained", "disordered", "unsettled", "unsafe", "leaked"]

_MEANINGS: dict[str, str] = {
    "lost": "an expected effect is absent",
    "doubled": "an effect is there twice",
    "unexplained": "an effect that nothing asked for",
    "disordered": "a counter has a gap, or an effect stands before its cause",
    "unsettled": "something is still owed, waits, or was given up",
    "unsafe": "a message went where or when it must not",
    "leaked": "something personal stands where nothing personal may be",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: what is missing or too much, and the fact that makes it so."""

    kind: Kind
    what: str
    because: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}, because {self.because}"


@dataclass
class Verdict:
    """All that was counted and found. ``effects`` counts the expected ones by name, ``found`` those that are there."""

    findings: list[Finding] = field(default_factory=list)
    effects: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    looked_at: Counter[str] = field(default_factory=Counter)

    def add(self, kind: Kind, what: str, because: str) -> None:
        """Note something wrong."""
        self.findings.append(Finding(kind, what, because))

    def expect(self, what: str, there: int, because: str, *, at_least: int = 1, at_most: int = 1) -> None:
        """An effect that must be there ``at_least`` and ``at_most`` so many times, and is there ``there`` times."""
        self.effects[what] += max(at_least, min(there, at_most))
        self.found[what] += min(there, at_most)
        for _ in range(at_least - there):
            self.add("lost", what, because)
        for _ in range(there - at_most):
            self.add("doubled" if at_most else "unexplained", what, because)

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def count(self, kind: Kind) -> int:
        """How many findings of one kind."""
        return sum(1 for finding in self.findings if finding.kind == kind)

    def summary(self, limit: int = 12) -> Sequence[str]:
        """The findings in words, those of a kind together."""
        lines = []
        for kind, meaning in _MEANINGS.items():
            of_kind = [finding for finding in self.findings if finding.kind == kind]
            if not of_kind:
                continue
            lines.append(f"{kind} ({meaning}): {len(of_kind)}")
            lines += [f"  {finding.what}, because {finding.because}" for finding in of_kind[:limit]]
            if len(of_kind) > limit:
                lines.append(f"  and {len(of_kind) - limit} more")
        return lines

    def as_json(self) -> dict[str, Any]:
        """Counts and findings for ``demo.json``."""
        return {
            "expected": sum(self.effects.values()),
            "found": sum(self.found.values()),
            **{kind: self.count(kind) for kind in _MEANINGS},  # type: ignore[arg-type]
            "by_effect": {
                name: {"expected": self.effects[name], "found": self.found[name]} for name in sorted(self.effects)
            },
            "looked_at": dict(self.looked_at),
            "findings": [str(finding) for finding in self.findings[:200]],
        }
