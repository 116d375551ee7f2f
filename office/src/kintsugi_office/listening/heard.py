"""A record as it may be shown: its envelope, its data without anything sealed, and what is wrong with it.

Only what the contract knows is shown. A body that breaks it, or has no contract here, may hold what should have been
sealed, so its content is never shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kintsugi.envelope import Envelope, Headers, decode
from kintsugi_contracts.base import Event
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.causes import Cause
from pydantic import ValidationError

_READABLE = re.compile(r"[\x21-\x7e]{1,200}")
_PREFIX = "kintsugi."


@dataclass(frozen=True)
class Problem:
    """Why a record is not an event of the contract: a code, and for a person where in the body."""

    code: str
    where: tuple[str, ...] = ()


@dataclass(frozen=True)
class Heard:
    """One record. ``type`` and ``subject`` are None where even they cannot be read.

    ``data`` is None where there is a problem; ``sealed`` names the purposes that are there and not shown.
    """

    topic: str
    partition: int
    offset: int
    appended: datetime
    type: str | None
    subject: str | None
    size: int | None
    envelope: Envelope | None
    data: Mapping[str, Any] | None
    sealed: tuple[str, ...]
    problem: Problem | None

    @property
    def place(self) -> str:
        """Where it lies: ``xa.intake.v1/7 at 120``."""
        return f"{self.topic}/{self.partition} at {self.offset}"

    @property
    def service(self) -> str:
        """Who writes the topic: its second part."""
        return self.topic.partition(".")[2].partition(".")[0]

    @property
    def name(self) -> str:
        """The event as people call it, ``case.opened``; with its version where that is not the first."""
        return brief(self.type) if self.type else "unreadable"


def brief(ce_type: str) -> str:
    """``case.opened`` for ``kintsugi.case.opened.v1``; ``case.opened.v2`` keeps its version."""
    return ce_type.removeprefix(_PREFIX).removesuffix(".v1")


def hear(
    catalog: Catalog,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
) -> Heard:
    """What may be shown of a record. Never raises, whatever the bytes."""
    parsed = decode(headers, topic=topic, key=key, value=value)
    envelope = parsed.envelope
    data: Mapping[str, Any] | None = None
    sealed: tuple[str, ...] = ()
    if envelope is None or parsed.fault is not None:
        problem: Problem | None = Problem(str(parsed.fault or Cause.unknown))
    else:
        data, sealed, problem = _body(catalog, envelope, value)
    return Heard(
        topic=topic,
        partition=partition,
        offset=offset,
        appended=datetime.fromtimestamp(timestamp_ms / 1000, UTC),
        type=(envelope.type or None) if envelope else _header(headers, "ce_type"),
        subject=envelope.subject if envelope else _header(headers, "ce_subject"),
        size=None if value is None else len(value),
        envelope=envelope,
        data=data,
        sealed=sealed,
        problem=problem,
    )


def _body(
    catalog: Catalog, envelope: Envelope, value: bytes | None
) -> tuple[Mapping[str, Any] | None, tuple[str, ...], Problem | None]:
    if value is None:
        return None, (), Problem("tombstone")
    model = catalog.by_type(envelope.type)
    if model is None:
        return None, (), Problem("unknown_major" if catalog.is_known_name(envelope.type) else "unknown_type")
    if envelope.dataschema and envelope.dataschema != model.dataschema:
        return None, (), Problem(str(Cause.unknown_schema))
    try:
        event: Event = model.decode(value, source=envelope.source, id=envelope.id)
        sealed = tuple(str(purpose) for purpose in event.sealed)
        return json.loads(event.with_sealed({}).encode()), sealed, None
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)
        if any(each["type"] == "json_invalid" for each in wrong):
            return None, (), Problem(str(Cause.unreadable_body))
        # Names of fields that the contract knows; one that it does not know may be anything.
        known = set(model.model_fields)
        where = dict.fromkeys(_path(each["loc"]) for each in wrong if each["loc"] and each["loc"][0] in known)
        return None, (), Problem(str(Cause.contract_violation), tuple(where))
    except (ValueError, RecursionError, OverflowError):
        return None, (), Problem(str(Cause.unreadable_body))


def _path(loc: tuple[int | str, ...]) -> str:
    """The field and, of what is inside it, only places in lists: a key inside may be anything."""
    return str(loc[0]) + "".join(f"[{part}]" for part in loc[1:] if isinstance(part, int))


def _header(headers: Headers, name: str) -> str | None:
    """A header's text where it is readable and stands there once."""
    found = [raw for each, raw in headers if each == name]
    if len(found) != 1 or found[0] is None:
        return None
    text = found[0].decode("ascii", "replace")
    return text if _READABLE.fullmatch(text) else None
