"""From a record to an event of ours, to a fault, or to nothing that concerns this service."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kintsugi_contracts.base import Event
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.causes import Cause
from pydantic import ValidationError

from kintsugi.envelope import Envelope
from kintsugi.service import Service

# PostgreSQL stores no NUL. As a raw byte it is not JSON at all, and the parser says so.
_NUL = b"\\u0000"


@dataclass(frozen=True, slots=True)
class Decoded:
    """``event`` is None both for a fault and for a type that is ignored; ``fault`` tells the two apart."""

    event: Event | None = None
    fault: Cause | None = None


IGNORED = Decoded()


def decode_event(catalog: Catalog, service: Service[Any], envelope: Envelope, value: bytes | None) -> Decoded:
    """Reads a record's value by its type. Never raises.

    A type that the service has nothing to do with is ignored without reading its body; an unknown major version of
    a type it does take is a fault, since its meaning would be lost.
    """
    model = catalog.by_type(envelope.type)
    if model is None:
        taken = {*service.events, *(t for t in service.evolve.registry if t is not object)}
        return Decoded(fault=Cause.unknown_major) if another_major(taken, envelope.type) else IGNORED
    version = service.reads_as(model, catalog)
    return IGNORED if version is None else decode_value(catalog, model, envelope, value, version)


def decode_value(
    catalog: Catalog, model: type[Event], envelope: Envelope, value: bytes | None, version: type[Event] | None = None
) -> Decoded:
    """Reads a record's value as ``model``, lifted to ``version`` or else the newest one; never raises."""
    if envelope.dataschema and envelope.dataschema != model.dataschema:
        return Decoded(fault=Cause.unknown_schema)
    if value is None:
        return Decoded(fault=Cause.unreadable_body)
    if _NUL in value:
        return Decoded(fault=Cause.contract_violation)
    try:
        return Decoded(catalog.decode(model, value, source=envelope.source, id=envelope.id, to=version))
    except ValidationError as error:
        unreadable = any(each["type"] == "json_invalid" for each in error.errors(include_input=False))
        return Decoded(fault=Cause.unreadable_body if unreadable else Cause.contract_violation)
    except (ValueError, RecursionError, OverflowError):
        return Decoded(fault=Cause.unreadable_body)


def another_major(taken: Iterable[type[Event]], type_: str) -> bool:
    """Whether an unknown type is another major version of one of these."""
    stem, _, major = type_.rpartition(".v")
    return bool(stem) and major.isdigit() and any(t.type.rpartition(".v")[0] == stem for t in taken)
