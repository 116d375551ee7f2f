"""The headers of a record as message traits: one for the services' topics, one for partners' streams."""

from __future__ import annotations

from typing import Any

from kintsugi_contracts.limits import (
    CONTENT_TYPE,
    MAX_DEPTH,
    MAX_HEADER_BYTES,
    MAX_ID,
    MAX_SEQUENCE,
    MAX_SOURCES,
    MAX_VALUE_BYTES,
)

Schema = dict[str, Any]

BINDING_VERSION = "0.5.0"
"""Of the Kafka binding, in every place that has one."""

_PRINTABLE = f"^[!-~]{{1,{MAX_ID}}}$"
_INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$"
_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_SEEN = "[a-z][a-z0-9_-]{0,39}:[0-9]{1,16}"
# In three parts, because RE2 and Go count no further than 1000, repeats inside repeats multiplied.
_SEEN_AFTER = f"( {_SEEN}){{0,{(MAX_SOURCES - 1) // 3}}}" * 3
_CASE = "case/3f0c2a9e-8d41-4f6b-9a57-2f1c6f0e7b12"
_EVENT = "0199f3a2-7c1e-7b64-8f0d-3a5b1c9e2d47"


def service_trait() -> Schema:
    """Of every record on a topic of a service, as the kit's envelope writes and reads it."""
    properties = {
        **_common(),
        "ce_id": _text("The event's identifier, a UUIDv7. With `ce_source` it names the event.", _PRINTABLE, _EVENT),
        "ce_source": _text(
            "The service that wrote it. A record whose source does not own its topic is refused.",
            "^/[a-z]{2}/[a-z][a-z0-9_-]{0,39}$",
            "/xa/intake",
        ),
        "ce_subject": _text(
            "The case it is about, random and opaque. It is the record's key as well.",
            "^[a-z][a-z0-9_]{0,39}/[!-~]{1,150}$",
            _CASE,
        ),
        "ce_correlationid": _text("The flow it belongs to: the same from intake to the last letter.", None, _EVENT),
        "ce_causationid": _text("The event or command that caused it.", None, _EVENT),
        "ce_sequence": _text(
            f"Counts the events of this subject in this source, from 1 to {MAX_SEQUENCE}, with zeros in front to 12 "
            "digits. A gap means that a record is missing; a number seen before means a repetition.",
            "^[0-9]{12,16}$",
            "000000000007",
        ),
        "ce_seen": _text(
            "What the writer had seen of this subject, causes of causes included: the last sequence by service of the "
            "same country. Apply what it names first. Empty where nothing was seen.",
            f"^({_SEEN}{_SEEN_AFTER})?$",
            "assessment:2 intake:7",
        ),
        "ce_depth": _text(
            f"How many causes stand behind it, to {MAX_DEPTH}; 0 after a command or a deadline.",
            "^([0-9]|[12][0-9]|3[0-2])$",
            "1",
        ),
    }
    optional = {
        "traceparent": _text(
            "W3C trace context.",
            "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
        "tracestate": {"description": "W3C trace context of a vendor.", "type": "string", "maxLength": 512},
    }
    return {
        "summary": "CloudEvents 1.0 in Kafka's binary mode, with the order of causes.",
        "description": (
            f"The value is the event's data, at most {MAX_VALUE_BYTES // 1024} KiB of JSON; everything about it is in "
            f"the headers, at most {MAX_HEADER_BYTES // 1024} KiB of ASCII. Nothing personal is in a key or a header. "
            "Ignore headers you do not know."
        ),
        "contentType": CONTENT_TYPE,
        "correlationId": {
            "description": "The flow the event belongs to.",
            "location": "$message.header#/ce_correlationid",
        },
        "headers": {
            "type": "object",
            "required": [*(name for name in _ORDER if name in properties)],
            "properties": {name: (properties | optional)[name] for name in _ORDER if name in properties | optional},
        },
        "bindings": {
            "kafka": {
                "key": _text("`ce_subject`, byte for byte.", "^[a-z][a-z0-9_]{0,39}/[!-~]{1,150}$", _CASE),
                "bindingVersion": BINDING_VERSION,
            }
        },
    }


def stream_trait() -> Schema:
    """Of every record on a partner's stream: nothing by which two partners could join what they hold."""
    return {
        "summary": "CloudEvents 1.0 in Kafka's binary mode, for one partner.",
        "description": (
            "The newest record of a key is all that the partner may know of the case. Nothing in it joins what two "
            "partners hold: the case has another identifier for each."
        ),
        "contentType": CONTENT_TYPE,
        "headers": _stream_headers(_common()),
        "bindings": {"kafka": stream_key()},
    }


def forget_headers(ce_type: str) -> Schema:
    """Of a record without a value, which asks the partner to delete what it holds of a case."""
    kind = {"description": "The event of the stream.", "type": "string", "const": ce_type}
    common = {name: part for name, part in _common().items() if name not in ("ce_dataschema", "content-type")}
    purge = {
        "ce_purgeid": _text(
            "Names this request in the acknowledgement.", _UUID, "5d0c7c1e-93a4-4c0e-8a51-6f2b7d9e0a34"
        ),
        "ce_purgedue": _text("Until when the data must be deleted.", _INSTANT, "2026-12-01T12:00:00Z"),
    }
    return _stream_headers(common | {"ce_type": kind} | purge)


def stream_key() -> Schema:
    """The message binding of a partner's stream."""
    return {
        "key": _text("The case as this partner knows it: `ce_subject`, byte for byte.", "^[a-z2-7]{26}$", _STREAM_CASE),
        "bindingVersion": BINDING_VERSION,
    }


_STREAM_CASE = "k5xq2m7b4tz3wd6hn5ryg2pcea"
_PURGE = "5d0c7c1e-93a4-4c0e-8a51-6f2b7d9e0a34"
_ORDER = (
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_subject",
    "ce_dataschema",
    "ce_correlationid",
    "ce_causationid",
    "ce_sequence",
    "ce_seen",
    "ce_depth",
    "ce_dataclassification",
    "ce_purgeid",
    "ce_purgedue",
    "content-type",
    "traceparent",
    "tracestate",
)


def _common() -> dict[str, Schema]:
    return {
        "ce_specversion": {"description": "The version of CloudEvents.", "type": "string", "const": "1.0"},
        "ce_type": _text(
            "The event and its major version; it names the schema of the value.",
            r"^kintsugi\.[a-z][a-z0-9_.-]*\.v[1-9][0-9]{0,3}$",
            "kintsugi.case.opened.v1",
        ),
        "ce_time": {
            **_text("When it happened, in UTC.", _INSTANT, "2026-03-02T09:12:00Z"),
            "format": "date-time",
        },
        "ce_dataschema": _text(
            "The `$id` of the schema of the value.",
            _PRINTABLE,
            "https://schemas.kintsugi.example/events/case.opened/v1.schema.json",
        ),
        "ce_dataclassification": {
            "description": "The highest class of what is inside, sealed values included.",
            "type": "string",
            "enum": ["public", "internal", "confidential", "restricted"],
        },
        "content-type": {"description": "Of the value.", "type": "string", "const": CONTENT_TYPE},
    }


def _stream_headers(properties: dict[str, Schema]) -> Schema:
    properties = properties | {
        "ce_id": _text("The record's identifier, the same in every repetition of it.", _UUID, _EVENT),
        "ce_source": _text("The service that shares.", "^/[a-z]{2}/share$", "/xa/share"),
        "ce_subject": _text("The case as this partner knows it; the record's key.", "^[a-z2-7]{26}$", _STREAM_CASE),
    }
    names = [name for name in _ORDER if name in properties]
    return {"type": "object", "required": names, "properties": {name: properties[name] for name in names}}


def _text(description: str, pattern: str | None, example: str) -> Schema:
    bound = {"maxLength": MAX_ID} if pattern is None else {"pattern": pattern}
    return {"description": description, "type": "string", **bound, "examples": [example]}
