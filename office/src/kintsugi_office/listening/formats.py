"""A record for programs: one JSON object, or one CloudEvent in structured mode, a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kintsugi.envelope import CONTENT_TYPE, Envelope, format_seen

from kintsugi_office.listening.heard import Heard


def as_json(heard: Heard) -> str:
    """Where it lies, its envelope, its data without anything sealed, and what is wrong with it."""
    envelope = heard.envelope
    line: dict[str, Any] = {
        "topic": heard.topic,
        "partition": heard.partition,
        "offset": heard.offset,
        "appended": _moment(heard.appended),
        "type": heard.type,
        "subject": heard.subject,
    }
    if envelope is not None:
        line |= {
            "id": envelope.id,
            "source": envelope.source,
            "time": _moment(envelope.time),
            "sequence": envelope.sequence,
            "seen": dict(envelope.seen),
            "depth": envelope.depth,
            "correlationid": envelope.correlationid,
            "causationid": envelope.causationid,
            "dataschema": envelope.dataschema,
            "dataclassification": envelope.dataclassification,
            "traceparent": envelope.traceparent,
        }
    line |= {"data": heard.data, "sealed": list(heard.sealed), "problem": None}
    if heard.problem is not None:
        line["problem"] = {"code": heard.problem.code, "where": list(heard.problem.where)}
    return _dump(line)


def as_cloudevent(heard: Heard) -> str | None:
    """The event as CloudEvents 1.0 JSON; None for a record that is no CloudEvent, since it has no envelope or type.

    ``sealednotshown`` names the purposes that the event carries and this line does not. One whose body cannot be
    shown has no data, and says why in ``problem``.
    """
    envelope = heard.envelope
    if envelope is None or not envelope.type:
        return None
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": envelope.id,
        "source": envelope.source,
        "type": envelope.type,
        "time": _moment(envelope.time),
        "subject": envelope.subject,
        **{name: value for name, value in _extensions(heard, envelope).items() if value},
    }
    if envelope.dataschema:
        event["dataschema"] = envelope.dataschema
    if heard.data is not None:
        event |= {"datacontenttype": CONTENT_TYPE, "data": heard.data}
    return _dump(event)


def _extensions(heard: Heard, envelope: Envelope) -> Mapping[str, str | None]:
    return {
        "correlationid": envelope.correlationid,
        "causationid": envelope.causationid,
        "sequence": f"{envelope.sequence:012d}",
        "seen": format_seen(envelope.seen),
        "depth": str(envelope.depth),
        "dataclassification": envelope.dataclassification,
        "traceparent": envelope.traceparent,
        "tracestate": envelope.tracestate,
        "sealednotshown": " ".join(heard.sealed),
        "problem": heard.problem.code if heard.problem else None,
    }


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _dump(line: Mapping[str, Any]) -> str:
    return json.dumps(line, separators=(",", ":"))
