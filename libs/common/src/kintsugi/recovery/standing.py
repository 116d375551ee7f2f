"""What stands in a service's database, read before anything is rebuilt: rows, lines, unsent events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kintsugi.envelope import decode
from kintsugi.recovery.fold import Standing
from kintsugi.recovery.ledger import Place
from kintsugi.recovery.log import Entry
from kintsugi.store.rows import Record, load_headers, load_progress

SUBJECTS = """
SELECT subject, version, sequence, progress, state, status, hold, waiting FROM {table} WHERE partition = $1
"""
_OUTBOX = """
SELECT id, topic, partition, subject, sequence, headers, value, created_at FROM outbox WHERE partition = $1 ORDER BY id
"""
_INPUTS = """
SELECT topic, "offset", status FROM inputs WHERE partition = $1 AND topic = ANY($2::text[]) AND kind = 'event'
"""


@dataclass(frozen=True, slots=True)
class Unsent:
    """A row of the outbox, as an entry of the log it is to go to. ``offset`` of its record is its id."""

    id: int
    subject: str
    sequence: int
    entry: Entry


@dataclass(slots=True)
class Standings:
    """Everything of one partition number."""

    subjects: dict[str, Standing] = field(default_factory=dict)
    unsent: list[Unsent] = field(default_factory=list)
    inputs: dict[Place, str] = field(default_factory=dict)


def standing_of(row: Mapping[str, Any]) -> Standing:
    """A row of ``subjects`` as a value."""
    progress = load_progress(row["progress"], row["sequence"], row["hold"], row["waiting"])
    return Standing(progress, row["status"], row["version"], row["state"])


async def load(connection: Any, partition: int, table: str, topics: list[str]) -> Standings:
    """Reads one partition. ``table`` is ``subjects``, or what it was copied to; no ``topics``: no inputs."""
    found = Standings()
    for row in await connection.fetch(SUBJECTS.format(table=table), partition):
        found.subjects[row["subject"]] = standing_of(row)
    for row in await connection.fetch(_OUTBOX, partition):
        headers = load_headers(row["headers"])
        subject = str(row["subject"])
        record = Record(
            row["topic"],
            row["partition"],
            row["id"],
            subject.encode(),
            row["value"],
            headers,
            int(row["created_at"].timestamp() * 1000),
        )
        parsed = decode(headers, topic=record.topic, key=record.key, value=record.value)
        found.unsent.append(Unsent(row["id"], subject, row["sequence"], Entry(record, parsed)))
    if topics:
        for row in await connection.fetch(_INPUTS, partition, topics):
            found.inputs[(row["topic"], row["offset"])] = row["status"]
    return found
