"""What each installed service reads of the others' events, from `consumes.yaml` in its own package.

A service is found by its entry point in the group `kintsugi.services`. Its package is located and never imported, so
that a broken service can still be planned, checked and taken away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.documents import Document, nearest, read, validate
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.findings import Finding
from kintsugi_contracts.topic_file import Reading, TopicFile

GROUP = "kintsugi.services"
FILE = "consumes.yaml"


class Consumes(BaseModel):
    """The content of `consumes.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    events: dict[str, Reading]
    """By the event's name: the fields it relies on, and the versions it can take."""
    shareable: bool = False
    """Whether it also reads, of every other service, the fields that this declares as shareable."""

    def of(self, events: Mapping[str, Sequence[int]], shareable: Iterable[tuple[str, str]]) -> dict[str, Reading]:
        """What it reads of a topic with these events, by version, and these shareable (event, field)."""
        found = {event: reading for event, reading in self.events.items() if event in events}
        for event, field in shareable if self.shareable else ():
            known = found.get(event, Reading(versions=tuple(events[event])))
            if field not in known.fields:
                found[event] = known.model_copy(update={"fields": (*known.fields, field)})
        return found


@dataclass(frozen=True)
class Consumer:
    """A service, where it says what it reads, and what it says. The document's name is the file's whole path."""

    document: Document
    spec: Consumes


Consumers = Mapping[str, Consumer]
"""By the service's short name; without services that read nothing."""


def installed() -> Consumers:
    """What every installed service reads. Raises ContractError naming a file that cannot be used, and its lines."""
    points = {point.name: point.module.partition(".")[0] for point in entry_points(group=GROUP)}
    return {name: found for name, package in sorted(points.items()) if (found := _of(name, package)) is not None}


def is_installed(name: str) -> bool:
    """Whether a service of this name is installed, whatever it reads."""
    return bool(entry_points(group=GROUP, name=name))


def of_service(name: str) -> Consumer | None:
    """What one installed service reads; None where it is not installed or reads nothing. Raises ContractError."""
    return installed().get(name)


def readers(topic: TopicFile, consumers: Consumers) -> dict[str, dict[str, Reading]]:
    """Which of these services read a topic, and what of each of its events. A service never reads its own."""
    events = {event: entry.versions for event, entry in topic.events.items()}
    shareable = [(each.event, each.field) for each in topic.shareable.values()]
    found = {name: each.spec.of(events, shareable) for name, each in consumers.items() if name != topic.service}
    return {name: reads for name, reads in found.items() if reads}


@cache
def _of(name: str, package: str) -> Consumer | None:
    folder = _folder(package)
    if folder is None or not (folder / FILE).is_file():
        return None
    findings: list[Finding] = []
    document = read(folder, FILE, findings)
    spec = validate(document, Consumes, document.data, (), findings) if document else None
    if document is None or spec is None:
        said = "; ".join(f"line {each.line}: {each.message}; {each.mend}" for each in findings)
        raise ContractError(f"{folder / FILE}: {said}")
    if spec.service != name:
        raise ContractError(
            f"{folder / FILE}: it speaks for '{spec.service}', and its package is the service '{name}': "
            f"write service: {name}"
        )
    return Consumer(Document(str(folder / FILE), document.text, document.data), spec)


def _folder(package: str) -> Path | None:
    spec = find_spec(package)
    places: Iterable[str] = (spec.submodule_search_locations or ()) if spec else ()
    return next((Path(place) for place in places), None)


def unknown(file: Path, catalog: Catalog) -> list[str]:
    """What a `consumes.yaml` names that no package of the catalog has: events, versions and fields, a line each."""
    findings: list[Finding] = []
    document = read(file.parent, file.name, findings)
    spec = validate(document, Consumes, document.data, (), findings) if document else None
    if document is not None and spec is not None:
        for name, reading in spec.events.items():
            findings += _unknown(document, name, reading, catalog)
    return [str(each) for each in findings]


def _unknown(document: Document, name: str, reading: Reading, catalog: Catalog) -> Iterator[Finding]:
    models = {version: catalog.by_type(f"kintsugi.{name}.v{version}") for version in reading.versions}
    for version, model in models.items():
        at = ("events", name)
        if model is None:
            yield document.finding(at, f"`{name}` has no version {version} here", "name an event that is installed")
            continue
        known = {*model.model_fields, *(f"sealed.{purpose}" for purpose in model.purposes)}
        for field in reading.fields:
            if field not in known:
                yield document.finding(at, f"`{field}` is no field of `{name}`", nearest(field, known))
