"""Several contracts folders as one: the platform's, and those of the other packages of an installation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kintsugi_contracts.catalog import PLATFORM, Catalog
from kintsugi_contracts.documents import Document
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.folder import Event, Folder, Topic, load


def installed(catalog: Catalog) -> Folder:
    """What every installed package of contracts says, as one. Raises ContractError as `merged` and `load` do."""
    known = next((p.contracts for p in catalog.packages if p.name == PLATFORM), None)
    if known is None:
        raise ContractError(f"{PLATFORM} is not installed, and the other packages refer to its contracts: install it")
    platform = load(known)
    return merged([platform, *(load(path, platform) for path in catalog.folders if path != known)])


def merged(folders: Sequence[Folder]) -> Folder:
    """One folder of several, at the place of the first, which is the platform's.

    Raises ContractError, each file named with its folder, for a service that has a topic in two of them, and for an
    event or a schema that stands in two of them and says different things.
    """
    topics: dict[str, tuple[Folder, Topic]] = {}
    events: dict[str, tuple[Folder, Event]] = {}
    schemas: dict[str, tuple[Folder, Document]] = {}
    for folder in folders:
        for service, topic in folder.topics.items():
            other, known = topics.setdefault(service, (folder, topic))
            if known is not topic:
                raise ContractError(
                    f"{_at(folder, topic.document)}: service {service} has a topic in {_at(other, known.document)} "
                    "already: a service writes one topic; give one of the two another name"
                )
        for name, event in folder.events.items():
            other, standing = events.setdefault(name, (folder, event))
            if _texts(standing) != _texts(event):
                raise ContractError(
                    f"{folder.path / event.folder}: `{name}` stands in {other.path / standing.folder} too, and says "
                    "something else there: an event has one package; give one of the two another name"
                )
        for identity, document in folder.schemas.items():
            other, twin = schemas.setdefault(identity, (folder, document))
            if twin.text != document.text:
                raise ContractError(
                    f"{_at(folder, document)}: {_at(other, twin)} has the $id {identity} too, and says something else: "
                    "refer to the platform's codes by its $id, or give the schema its own"
                )
    return Folder(
        folders[0].path,
        {service: topic for service, (_, topic) in topics.items()},
        {name: event for name, (_, event) in events.items()},
        tuple(stream for folder in folders for stream in folder.streams),
        {identity: document for identity, (_, document) in schemas.items()},
    )


def by_its_own(folder: Folder) -> Folder:
    """The folder with no reader of its topics but its own services: what it says wherever it is installed."""

    def own(topic: Topic) -> Topic:
        readers = {name: reads for name, reads in topic.spec.consumers.items() if name in folder.topics}
        return replace(topic, spec=topic.spec.model_copy(update={"consumers": readers}))

    return replace(folder, topics={service: own(topic) for service, topic in folder.topics.items()})


def _texts(event: Event) -> dict[str, str]:
    """The schemas of an event, by version and purpose; examples are free."""
    return {
        f"{major}/{purpose or ''}": document.text
        for major, version in event.versions.items()
        for purpose, document in version.schemas()
    }


def _at(folder: Folder, document: Document) -> str:
    return str(folder.path / document.name)
