"""The CloudEvents envelope of a record, in Kafka's binary mode, and a parser that never raises.

Whatever bytes a record carries, :func:`decode` answers: with an envelope, with an envelope and the cause why
its record cannot be applied (the subject is then held), or with the cause alone (the record is a dead letter).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from kintsugi_contracts.causes import Cause
from kintsugi_contracts.limits import CONTENT_TYPE as CONTENT_TYPE
from kintsugi_contracts.limits import MAX_DEPTH as MAX_DEPTH
from kintsugi_contracts.limits import MAX_HEADER_BYTES as MAX_HEADER_BYTES
from kintsugi_contracts.limits import MAX_ID as MAX_ID
from kintsugi_contracts.limits import MAX_SEQUENCE as MAX_SEQUENCE
from kintsugi_contracts.limits import MAX_SOURCES as MAX_SOURCES
from kintsugi_contracts.limits import MAX_VALUE_BYTES as MAX_VALUE_BYTES

Headers = Sequence[tuple[str, bytes | None]]

_PRINTABLE = re.compile(r"[\x21-\x7e]{1,200}")
_SUBJECT = re.compile(r"[a-z][a-z0-9_]{0,39}/[\x21-\x7e]{1,150}")
_DIGITS = re.compile(r"[0-9]{1,16}")
_SEEN = re.compile(r"[a-z][a-z0-9_-]{0,39}:[0-9]{1,16}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_ESSENTIAL = frozenset({"ce_id", "ce_source", "ce_subject", "ce_sequence"})
_KNOWN = _ESSENTIAL | {
    "ce_specversion",
    "ce_type",
    "ce_time",
    "ce_dataschema",
    "ce_correlationid",
    "ce_causationid",
    "ce_seen",
    "ce_depth",
    "ce_dataclassification",
    "content-type",
    "traceparent",
    "tracestate",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Envelope:
    """What is said about an event outside its data. Never anything personal. A value: never changed in place.

    ``sequence`` counts the events of one subject in one source, from 1. ``seen`` maps a service's short name to
    the last sequence of this subject the emitter had seen, causes of causes included. ``depth`` counts the causes
    behind the event; one that follows a command or a deadline has 0.
    """

    id: str
    source: str
    type: str
    time: datetime
    subject: str
    sequence: int
    seen: Mapping[str, int] = field(default_factory=dict)
    depth: int = 0
    correlationid: str = ""
    causationid: str = ""
    dataschema: str = ""
    dataclassification: str = "internal"
    traceparent: str | None = None
    tracestate: str | None = None

    @property
    def service(self) -> str:
        """The short name of the emitting service: the last part of ``/{country}/{service}``."""
        return self.source.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What the headers of one record said. ``envelope`` is None exactly when the record is a dead letter."""

    envelope: Envelope | None
    fault: Cause | None = None


def kind_of(subject: str) -> str:
    """What kind of subject it is: ``case`` in ``case/<id>``."""
    return subject.partition("/")[0]


def is_subject(text: str) -> bool:
    """Whether this can stand as the subject of an event: a kind, a slash, an opaque printable id."""
    return _SUBJECT.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def source_of(topic: str) -> str:
    """The only ``ce_source`` that may write to ``topic``: ``/xa/intake`` for ``xa.intake.v1``."""
    country, service, *_ = [*topic.split("."), "", ""]
    return f"/{country}/{service}"


def encode(envelope: Envelope) -> list[tuple[str, bytes]]:
    """The headers of a record, in the order of the contract."""
    pairs = [
        ("ce_specversion", "1.0"),
        ("ce_id", envelope.id),
        ("ce_source", envelope.source),
        ("ce_type", envelope.type),
        ("ce_time", envelope.time.astimezone(UTC).isoformat().replace("+00:00", "Z")),
        ("ce_subject", envelope.subject),
        ("ce_dataschema", envelope.dataschema),
        ("ce_correlationid", envelope.correlationid),
        ("ce_causationid", envelope.causationid),
        ("ce_sequence", f"{envelope.sequence:012d}"),
        ("ce_seen", format_seen(envelope.seen)),
        ("ce_depth", str(envelope.depth)),
        ("ce_dataclassification", envelope.dataclassification),
        ("content-type", CONTENT_TYPE),
    ]
    if envelope.traceparent:
        pairs.append(("traceparent", envelope.traceparent))
    if envelope.tracestate:
        pairs.append(("tracestate", envelope.tracestate))
    return [(name, value.encode()) for name, value in pairs]


def format_seen(seen: Mapping[str, int]) -> str:
    """``intake:7 assessment:2``, in the order of names."""
    return " ".join(f"{name}:{seen[name]}" for name in sorted(seen))


def parse_seen(text: str) -> dict[str, int] | None:
    """The inverse of :func:`format_seen`; None where the text is not of that form."""
    seen: dict[str, int] = {}
    parts = text.split()
    if len(parts) > MAX_SOURCES:
        return None
    for part in parts:
        if not _SEEN.fullmatch(part):
            return None
        name, _, number = part.partition(":")
        sequence = int(number)
        if sequence > MAX_SEQUENCE or name in seen:
            return None
        seen[name] = sequence
    return seen


def decode(
    headers: Headers, *, topic: str, key: bytes | None, value: bytes | None, kinds: Collection[str] | None = None
) -> Parsed:
    """Reads a record's envelope. Never raises, whatever the bytes.

    ``kinds`` are those of subject that the topic carries; None for a record whose subject was accepted before.
    Subject, source, id or sequence unreadable, a subject of another kind, a source that does not own the topic, or a
    key that is not the subject: no envelope (dead letter). Anything else wrong: an envelope with the fault that holds
    its subject.
    """
    texts, broken, size = _texts(headers)
    if cause := _essential_fault(texts, broken, topic, key, kinds):
        return Parsed(None, cause)
    fault: Cause | None = None
    if size > MAX_HEADER_BYTES or (value is not None and len(value) > MAX_VALUE_BYTES):
        fault = Cause.oversize
    elif broken:
        fault = Cause.header_unreadable
    seen = parse_seen(texts.get("ce_seen", ""))
    depth = texts.get("ce_depth", "")
    time = _time(texts.get("ce_time", ""))
    kind = texts.get("ce_type", "")
    if (
        seen is None
        or time is None
        or not _DIGITS.fullmatch(depth)
        or not _PRINTABLE.fullmatch(kind)
        or texts.get("ce_specversion") != "1.0"
    ):
        fault = fault or Cause.header_unreadable
    elif texts.get("content-type", "").partition(";")[0].strip().lower() != CONTENT_TYPE:
        fault = fault or Cause.content_type
    elif int(depth) > MAX_DEPTH:
        fault = fault or Cause.depth_exceeded
    traceparent = texts.get("traceparent")
    return Parsed(
        Envelope(
            id=texts["ce_id"],
            source=texts["ce_source"],
            type=kind if _PRINTABLE.fullmatch(kind) else "",
            time=time or _EPOCH,
            subject=texts["ce_subject"],
            sequence=int(texts["ce_sequence"]),
            seen=seen or {},
            depth=min(int(depth), MAX_DEPTH + 1) if _DIGITS.fullmatch(depth) else 0,
            correlationid=texts.get("ce_correlationid", "")[:MAX_ID],
            causationid=texts.get("ce_causationid", "")[:MAX_ID],
            dataschema=texts.get("ce_dataschema", "")[:MAX_ID],
            dataclassification=texts.get("ce_dataclassification", "")[:MAX_ID],
            traceparent=traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None,
            tracestate=texts.get("tracestate", "")[:512] or None,
        ),
        fault,
    )


def _texts(headers: Headers) -> tuple[dict[str, str], set[str], int]:
    """The known headers as text, the names of those that are not readable text, and the size of all in bytes."""
    try:
        # What every record of ours looks like: distinct names, text throughout. One pass, nothing per header.
        texts = {name: raw.decode() for name, raw in headers}  # type: ignore[union-attr]
        joined = "".join(texts.values())
        if len(texts) == len(headers) and "\x00" not in joined and joined.isascii():
            return texts, set(), len(joined) + sum(map(len, texts))
    except (UnicodeDecodeError, AttributeError):
        pass
    return _texts_one_by_one(headers)


def _texts_one_by_one(headers: Headers) -> tuple[dict[str, str], set[str], int]:
    texts: dict[str, str] = {}
    broken: set[str] = set()
    size = 0
    for name, raw in headers:
        size += len(name) + (len(raw) if raw is not None else 0)
        if name not in _KNOWN:
            continue
        if raw is None or name in texts:
            broken.add(name)
            continue
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            broken.add(name)
            continue
        if "\x00" in text:
            broken.add(name)
            continue
        texts[name] = text
    return texts, broken, size


def _essential_fault(
    texts: Mapping[str, str], broken: set[str], topic: str, key: bytes | None, kinds: Collection[str] | None
) -> Cause | None:
    if broken & _ESSENTIAL:
        return Cause.header_unreadable
    if not _PRINTABLE.fullmatch(texts.get("ce_id", "")):
        return Cause.id_unreadable
    if texts.get("ce_source") != source_of(topic):
        return Cause.source_mismatch
    subject = texts.get("ce_subject", "")
    if not is_subject(subject) or (kinds is not None and kind_of(subject) not in kinds):
        return Cause.subject_unreadable
    digits = texts.get("ce_sequence", "")
    if not _DIGITS.fullmatch(digits) or not 1 <= int(digits) <= MAX_SEQUENCE:
        return Cause.sequence_unreadable
    if key != subject.encode():
        return Cause.key_mismatch
    return None


def _time(text: str) -> datetime | None:
    """A moment with its zone; None also for one that lies outside the calendar once it is told in UTC."""
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
