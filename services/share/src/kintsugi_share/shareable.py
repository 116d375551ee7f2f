"""Facts of services that share has never heard of: the fields they declare as shareable, and no others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kintsugi.service import Service
from kintsugi_contracts.base import Event
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.topic_file import EVENT_TYPE

from kintsugi_share.handlers.streams import renew
from kintsugi_share.state import CaseFile

Field = tuple[str, str]
"""(name it is shared by, property of the event)."""


def extended(service: Service[CaseFile], catalog: Catalog) -> Service[CaseFile]:
    """The service that also keeps, for each case, the last value of every field declared as shareable."""
    fields: dict[str, list[Field]] = {}
    for name, each in catalog.declared.shareable.items():
        fields.setdefault(each.event, []).append((name, each.field))
    models = {event: EVENT_TYPE.fullmatch(event.type) for event in catalog.event_types()}
    named = {event: fields[match[1]] for event, match in models.items() if match and match[1] in fields}
    return service.with_facts({event: (_keeping(kept), renew) for event, kept in named.items()})


def _keeping(fields: Sequence[Field]) -> Callable[[Event, CaseFile], CaseFile]:
    def keep(event: Event, case: CaseFile) -> CaseFile:
        said = event.model_dump(mode="json", include={source for _, source in fields}, exclude_none=True)
        new = {name: said[source] for name, source in fields if source in said}
        gone = {name for name, source in fields if source not in said}
        kept = {name: value for name, value in case.facts.declared.items() if name not in gone}
        facts = case.facts.model_copy(update={"declared": {**kept, **new}})
        return case.model_copy(update={"facts": facts})

    return keep
