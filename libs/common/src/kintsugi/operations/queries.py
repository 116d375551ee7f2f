"""What the operations API reads: never a body, never anything personal; references, codes, counts and times."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.store.rows import load_headers, load_hold, load_progress
from kintsugi.views import Views

COUNTS = text("""
SELECT count(*) FILTER (WHERE status = 'ok') AS ok, count(*) FILTER (WHERE status = 'waiting') AS waiting,
       count(*) FILTER (WHERE status = 'held') AS held, count(*) FILTER (WHERE status = 'blocked') AS blocked,
       coalesce(sum(waiting), 0) AS inputs_waiting
FROM subjects
""")
DEAD = text("SELECT count(*) FROM inputs WHERE status = 'dead'")
OUTBOX = text("SELECT count(*) AS unsent, min(created_at) AS oldest FROM outbox")
STANDING = text("""
SELECT (SELECT count(*) FROM outbox) AS unsent, (SELECT created_at FROM outbox ORDER BY id LIMIT 1) AS oldest,
       (SELECT count(*) FROM subjects WHERE status IN ('held', 'blocked')) AS held,
       (SELECT coalesce(sum(waiting), 0) FROM subjects WHERE status IN ('waiting', 'held', 'blocked')) AS waiting,
       (SELECT count(*) FROM inputs WHERE status = 'dead') AS dead_letters
""")
HELD = text("""
SELECT subject, status, hold, held_since, waiting FROM subjects
WHERE status IN ('held', 'blocked') ORDER BY held_since, subject LIMIT 500
""")
DEAD_LETTERS = text("""
SELECT topic, partition, "offset", source, id, sequence, subject, type, cause, appended_at, arrived_at,
       length(body) AS bytes
FROM inputs WHERE status = 'dead' ORDER BY arrived_at, topic, partition, "offset" LIMIT 500
""")
DEAD_LETTER = text("""
SELECT topic, partition, "offset", cause, key, headers, body, appended_at FROM inputs
WHERE status = 'dead' AND topic = :topic AND partition = :partition AND "offset" = :offset
""")
PULSE = text("""
SELECT (SELECT count(*) FROM outbox) AS outbox,
       (SELECT count(*) FROM agenda a JOIN subjects s USING (subject)
        WHERE a.kind = 'send' AND a.claim IS NULL AND a.due_at <= :now AND (a.retry_at IS NULL OR a.retry_at <= :now)
          AND s.status = 'ok') AS sends,
       (SELECT count(*) FROM attempts t JOIN subjects s USING (subject)
        WHERE NOT t.settled AND (t.result IS NULL OR s.status IN ('ok', 'waiting'))) AS attempts,
       (SELECT count(*) FROM subjects WHERE status = 'waiting') AS waiting,
       (SELECT count(*) FROM subjects WHERE status IN ('held', 'blocked')) AS held,
       (SELECT count(*) FROM agenda a JOIN subjects s USING (subject)
        WHERE a.kind = 'deadline' AND a.due_at <= :now AND s.status = 'ok') AS deadlines,
       (SELECT min(due) FROM (
            SELECT a.due_at AS due FROM agenda a JOIN subjects s USING (subject)
            WHERE a.kind = 'deadline' AND s.status = 'ok' AND a.due_at > :now
            UNION ALL
            SELECT greatest(a.due_at, coalesce(a.retry_at, a.due_at)) FROM agenda a JOIN subjects s USING (subject)
            WHERE a.kind = 'send' AND s.status = 'ok' AND greatest(a.due_at, coalesce(a.retry_at, a.due_at)) > :now
              AND a.retry_at IS DISTINCT FROM 'infinity'
       ) AS n) AS next_due
""")
POSITIONS = text("SELECT topic, partition, next_offset FROM positions ORDER BY topic, partition")
SUBJECTS_LIKE = text("""
SELECT subject FROM subjects WHERE subject LIKE :prefix AND status <> 'new' ORDER BY subject LIMIT 20
""")
SUBJECT = text("""
SELECT subject, version, sequence, progress, status, hold, held_since, waiting, waiting_since
FROM subjects WHERE subject = :subject
""")
AGENDA = text("""
SELECT name, kind, due_at, attempt, postponed, retry_at, claim IS NOT NULL AS claimed FROM agenda
WHERE subject = :subject ORDER BY due_at, name
""")
INPUTS = text("""
SELECT kind, source, id, sequence, type, status, cause, detail, topic, partition, "offset", appended_at, arrived_at,
       settled_at
FROM inputs WHERE subject = :subject ORDER BY arrived_at, source, sequence LIMIT 2000
""")
OWN = text("""
SELECT sequence, type, headers, created_at, published_at FROM published WHERE subject = :subject
UNION ALL
SELECT sequence, type, headers, created_at, NULL FROM outbox WHERE subject = :subject
ORDER BY sequence LIMIT 2000
""")

_TOLD = ("ce_id", "ce_time", "ce_causationid", "ce_correlationid", "ce_seen", "ce_depth", "traceparent")


@dataclass(frozen=True, slots=True)
class Standing:
    """What is not settled: unsent rows and the oldest one's age in seconds, subjects that stand still, inputs behind
    them or waiting for an earlier event, dead letters."""

    unsent: int
    oldest_age_s: float
    held: int
    waiting: int
    dead_letters: int


async def standing(connection: AsyncConnection) -> Standing:
    """What is not settled, by indexes that hold nothing else, so that it may be asked often."""
    row = (await connection.execute(STANDING)).mappings().one()
    return Standing(row["unsent"], _age(row["oldest"]), row["held"], int(row["waiting"]), row["dead_letters"])


async def status(connection: AsyncConnection) -> dict[str, Any]:
    """Subjects by status, unsent outbox rows and the age of the oldest in seconds, dead letters."""
    counts = (await connection.execute(COUNTS)).mappings().one()
    outbox = (await connection.execute(OUTBOX)).mappings().one()
    return {
        "outbox": {"unsent": outbox["unsent"], "oldest_age_s": _age(outbox["oldest"])},
        "subjects": {name: counts[name] for name in ("ok", "waiting", "held", "blocked")},
        "inputs_waiting": int(counts["inputs_waiting"]),
        "dead_letters": await connection.scalar(DEAD),
    }


async def pulse(connection: AsyncConnection, now: datetime) -> dict[str, Any]:
    """Whether anything is under way at this business time, and when something next falls due."""
    row = (await connection.execute(PULSE, {"now": now})).mappings().one()
    following: datetime | None = row["next_due"]
    return {
        **{name: row[name] for name in ("outbox", "sends", "attempts", "waiting", "held", "deadlines")},
        "next_due": _at(following),
        "business_now": _at(now),
    }


async def held(connection: AsyncConnection) -> list[dict[str, Any]]:
    """Subjects that stand still, oldest first, with why and how much lined up behind."""
    found: list[dict[str, Any]] = []
    for row in (await connection.execute(HELD)).mappings():
        at = load_hold(row["hold"])
        found.append(
            {
                "subject": row["subject"],
                "status": row["status"],
                "since": _at(row["held_since"]),
                "waiting": row["waiting"],
                "cause": str(at.cause) if at else "blocked",
                "kind": at.kind if at else None,
                "source": at.source if at else None,
                "sequence": at.sequence if at else None,
                "type": at.type if at else None,
            }
        )
    return found


async def dead_letters(connection: AsyncConnection) -> list[dict[str, Any]]:
    """Records that belong to no subject that could be read, oldest first, without their bytes."""
    return [_row(row) for row in (await connection.execute(DEAD_LETTERS)).mappings()]


async def dead_letter(connection: AsyncConnection, place: tuple[str, int, int]) -> dict[str, Any] | None:
    """One dead letter with its original bytes, as hexadecimal: they may be personal, so a reading is audited."""
    where = {"topic": place[0], "partition": place[1], "offset": place[2]}
    row = (await connection.execute(DEAD_LETTER, where)).mappings().first()
    if row is None:
        return None
    headers = load_headers(row["headers"])
    return {
        "place": "/".join(map(str, place)),
        "cause": row["cause"],
        "appended_at": _at(row["appended_at"]),
        "key": _hex(row["key"]),
        "headers": [[name, _hex(raw)] for name, raw in headers],
        "body": _hex(row["body"]),
    }


async def find(connection: AsyncConnection, views: Views[Any], ref: str, kinds: Collection[str]) -> list[str]:
    """The subjects a person may mean by a case reference, a subject of these kinds, or the beginning of either."""
    plain = "".join(letter for letter in ref if letter.isalnum() or letter in "-/")
    found = set[str]()
    for prefix in _prefixes(ref, kinds):  # one by one: only a single pattern is looked up in the index
        found |= {row.subject for row in await connection.execute(SUBJECTS_LIKE, {"prefix": prefix})}
    for table in views.tables.values():
        if "case_ref" in table.c and plain:
            query = select(table.c.subject).where(table.c.case_ref.like(f"{plain.upper()}%")).distinct().limit(20)
            found |= {row.subject for row in await connection.execute(query)}
    return sorted(found)


def _prefixes(ref: str, kinds: Collection[str]) -> list[str]:
    """The beginnings of subjects that a reference may stand for, as LIKE has them. A bare id may be of any kind."""
    kind, slash, id_ = ref.partition("/")
    if not slash:
        kind, id_ = "", ref
    if not id_ or not id_.isascii() or not id_.isprintable():
        return []
    # Ids that we make are in lower case; those that a command gives need not be.
    return [
        _escaped(f"{each}/{form}") + "%"
        for each in kinds
        if not slash or each == kind
        for form in sorted({id_, id_.lower()})
    ]


def _escaped(text_: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text_)


async def story(connection: AsyncConnection, subject: str) -> dict[str, Any] | None:
    """Everything this service knows of one subject's course: inputs, own events, what is owed, where it stands."""
    row = (await connection.execute(SUBJECT, {"subject": subject})).mappings().first()
    if row is None:
        return await _collected(connection, subject)
    progress = load_progress(row["progress"], row["sequence"], row["hold"], row["waiting"])
    hold = progress.hold
    own: list[dict[str, Any]] = []
    for each in (await connection.execute(OWN, {"subject": subject})).mappings():
        said = {name: raw.decode() for name, raw in load_headers(each["headers"]) if name in _TOLD and raw is not None}
        own.append(
            {
                "sequence": each["sequence"],
                "type": each["type"],
                "created_at": _at(each["created_at"]),
                "published_at": _at(each["published_at"]),
                **said,
            }
        )
    return {
        "subject": subject,
        "status": row["status"],
        "version": row["version"],
        "sequence": progress.sequence,
        "cursors": {name: cursor.sequence for name, cursor in progress.cursors.items()},
        "hold": {"cause": str(hold.cause), "source": hold.source, "sequence": hold.sequence, "type": hold.type}
        if hold
        else None,
        "held_since": _at(row["held_since"]),
        "waiting": row["waiting"],
        "waiting_since": _at(row["waiting_since"]),
        "agenda": [_row(each) for each in (await connection.execute(AGENDA, {"subject": subject})).mappings()],
        "inputs": [_row(each) for each in (await connection.execute(INPUTS, {"subject": subject})).mappings()],
        "own": own,
    }


async def _collected(connection: AsyncConnection, subject: str) -> dict[str, Any] | None:
    """What is known of a subject without a row of its own: the records about it that were taken or ignored."""
    inputs = [_row(each) for each in (await connection.execute(INPUTS, {"subject": subject})).mappings()]
    if not inputs:
        return None
    cursors: dict[str, int] = {}
    for each in inputs:
        cursors[each["source"]] = max(each["sequence"], cursors.get(each["source"], 0))
    return {
        "subject": subject,
        "status": "ok",
        "version": 0,
        "sequence": 0,
        "cursors": cursors,
        "hold": None,
        "held_since": None,
        "waiting": 0,
        "waiting_since": None,
        "agenda": [],
        "inputs": inputs,
        "own": [],
    }


def _row(row: RowMapping) -> dict[str, Any]:
    return {name: _at(value) if isinstance(value, datetime) else value for name, value in dict(row).items()}


def _age(oldest: datetime | None) -> float:
    age = (datetime.now(UTC) - oldest).total_seconds() if oldest else 0.0
    return round(max(age, 0.0), 3)


def _at(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    if moment.year >= 9999:
        return "infinity"
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _hex(raw: bytes | None) -> str | None:
    return None if raw is None else raw.hex()
