"""Whether a service takes only what its `consumes.yaml` declares: the broker would refuse it everything else."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from kintsugi_contracts import consumes
from kintsugi_contracts.catalog import EVERY, Catalog
from kintsugi_contracts.consumes import FILE, Consumes
from kintsugi_contracts.topic_file import EVENT_TYPE

from kintsugi.runtime.database import CannotStart
from kintsugi.service import Service


def reads_declared(service: Service[Any], catalog: Catalog) -> None:
    """Raises CannotStart where an installed service takes an event of another that its package does not declare."""
    if not consumes.is_installed(service.name):
        return
    consumer = consumes.of_service(service.name)
    declared = consumer.spec if consumer else Consumes(service=service.name, events={})
    shared = {each.event for each in catalog.declared.shareable.values()} if declared.shareable else set()
    said = list(_undeclared(service, declared, shared))
    if said:
        where = consumer.document.name if consumer else f"{FILE}, which its package lacks"
        lines = "\n  ".join(said)
        raise CannotStart(f"service '{service.name}' takes what it does not declare; add to {where}:\n  {lines}")


def _undeclared(service: Service[Any], declared: Consumes, shared: Collection[str]) -> Iterator[str]:
    """What is missing, a line each. An event that several services write may be its own."""
    taken = {each for each in (*service.events, *service.evolve.registry) if each is not object}
    for event in sorted(taken, key=lambda each: str(each.type)):
        match = EVENT_TYPE.fullmatch(event.type)
        if event.service in (EVERY, service.name) or match is None:
            continue
        name, version = match[1], int(match[2])
        reading = declared.events.get(name)
        if reading is None and name in shared:
            continue
        if reading is None:
            yield f"{name}: {{fields: [], versions: [{version}]}}    and the fields it relies on"
        elif version not in reading.versions:
            yield f"{name}: version {version}; it declares {', '.join(map(str, reading.versions))}"
