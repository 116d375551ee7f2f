"""The contracts as tests see them: the real folder, and copies of it that a test may change."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from kintsugi_contracts.folder import Example, Kind, Version, load

CONTRACTS = Path(__file__).parents[2] / "contracts"
EVENTS = CONTRACTS / "events"
FOLDER = load(CONTRACTS)


def name_consumers(contracts: Path) -> None:
    """Write what the installed services read into the topic files of a copy."""
    for topic in FOLDER.topics.values():
        reads = {
            who: {event: [*said.fields] for event, said in events.items()}
            for who, events in topic.spec.consumers.items()
        }
        with (contracts / topic.document.name).open("a", encoding="utf-8") as file:
            file.write(yaml.safe_dump({"consumers": reads}, sort_keys=False))


def examples(kind: Kind) -> list[tuple[Version, Example]]:
    """The examples of every event; partners' streams have no models and are left out."""
    return [
        (v, e)
        for event in FOLDER.events.values()
        for v in event.versions.values()
        for e in v.examples
        if e.kind == kind
    ]


def called(case: tuple[Version, Example]) -> str:
    """What a test report shows of an example."""
    version, example = case
    return f"{version.name}/{example.kind}/{Path(example.document.name).stem}"


def json_of(path: Path) -> dict[str, Any]:
    """A JSON file."""
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


class Copy:
    """A copy of the contracts without releases, in a project folder of its own.

    Its topic files name their consumers, so that a test changes them there and the installed services do not speak.
    """

    def __init__(self, project: Path) -> None:
        self.path = project / "contracts"
        shutil.copytree(CONTRACTS, self.path, ignore=shutil.ignore_patterns("released", "asyncapi*", "__pycache__"))
        name_consumers(self.path)

    def change(self, name: str, edit: Callable[[Any], None]) -> None:
        """Edit a file, JSON or YAML; a text is edited by `text`."""
        file = self.path / name
        json_file = name.endswith(".json")
        value = json.loads(file.read_text()) if json_file else yaml.safe_load(file.read_text())
        edit(value)
        file.write_text(json.dumps(value, indent=2) if json_file else yaml.safe_dump(value, sort_keys=False))

    def text(self, name: str, old: str, new: str) -> None:
        """Replace a text that must be there."""
        file = self.path / name
        before = file.read_text()
        assert old in before, f"{old!r} is not in {name}"
        file.write_text(before.replace(old, new))

    def add(self, name: str, value: Any) -> None:
        """Write a new file; JSON unless it is a text."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value if isinstance(value, str) else json.dumps(value, indent=2))

    def line(self, name: str, text: str) -> int:
        """The number of the first line that has a text."""
        return next(n for n, line in enumerate((self.path / name).read_text().splitlines(), 1) if re.search(text, line))
