"""How rows become values and back: records, subjects, waiting inputs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kintsugi_contracts.causes import Cause
from pydantic_core import from_json, to_json
from sqlalchemy import RowMapping

from kintsugi.envelope import Headers
from kintsugi.subject import Cursor, Hold, Progress

_dumps = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


@dataclass(slots=True)
class Record:
    """A record as it lies on a topic. ``appended_ms`` is the broker's time in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    appended_ms: int

    @property
    def place(self) -> tuple[str, int, int]:
        """Topic, partition, offset: what names a record for ever."""
        return self.topic, self.partition, self.offset


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """A row of ``subjects`` as it was read under its lock."""

    subject: str
    version: int
    progress: Progress
    state: str
    status: str
    waiting_since: datetime | None
    partition: int
    fold_version: int


def dump_headers(headers: Headers) -> bytes:
    """Headers as bytes that :func:`load_headers` turns back exactly, null and non-UTF-8 values included."""
    return to_json([(name, None if raw is None else raw.decode("latin-1")) for name, raw in headers])


def load_headers(raw: bytes) -> list[tuple[str, bytes | None]]:
    """The inverse of :func:`dump_headers`."""
    return [(name, None if text is None else text.encode("latin-1")) for name, text in from_json(raw)]


def dump_progress(progress: Progress) -> str:
    """Cursors, seen, flow and trace as text; counter, hold and waiting have columns of their own."""
    return _dumps(
        {
            "c": {source: [cursor.sequence, cursor.id] for source, cursor in progress.cursors.items()},
            "s": dict(progress.seen),
            "f": progress.flow,
            "t": progress.trace,
            **({"k": progress.skipped} if progress.skipped else {}),
        }
    )


def load_progress(text: str, sequence: int, hold: str | None, waiting: int) -> Progress:
    """The inverse of :func:`dump_progress`, with what the columns hold."""
    kept: dict[str, Any] = json.loads(text)
    return Progress(
        sequence=sequence,
        cursors={source: Cursor(number, id_) for source, (number, id_) in kept.get("c", {}).items()},
        seen=kept.get("s", {}),
        hold=load_hold(hold),
        waiting=waiting,
        flow=kept.get("f", ""),
        trace=kept.get("t", ""),
        skipped=tuple((source, number) for source, number in kept.get("k", ())),
    )


def dump_hold(hold: Hold | None) -> str | None:
    """A hold as text."""
    if hold is None:
        return None
    return json.dumps({name: getattr(hold, name) for name in Hold.__dataclass_fields__}, separators=(",", ":"))


def load_hold(text: str | None) -> Hold | None:
    """The inverse of :func:`dump_hold`."""
    if text is None:
        return None
    kept = json.loads(text)
    return Hold(**{**kept, "cause": Cause(kept["cause"])})


def subject_row(row: RowMapping) -> SubjectRow:
    """A locked row as a value."""
    return SubjectRow(
        subject=row["subject"],
        version=row["version"],
        progress=load_progress(row["progress"], row["sequence"], row["hold"], row["waiting"]),
        state=row["state"],
        status=row["status"],
        waiting_since=row["waiting_since"],
        partition=row["partition"],
        fold_version=row["fold_version"],
    )
