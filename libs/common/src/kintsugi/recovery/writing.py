"""Writes rebuilt subjects over what stood: one transaction, COPY, and nothing per event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic

from pydantic_core import to_json
from sqlalchemy import Table

from kintsugi.agenda import Agenda, Send
from kintsugi.recovery.fold import Folded, Standing
from kintsugi.recovery.ledger import Account, settled_columns
from kintsugi.recovery.log import Entry
from kintsugi.recovery.standing import Unsent
from kintsugi.service import S, Service
from kintsugi.store.rows import dump_headers, dump_hold, dump_progress
from kintsugi.store.statements import INPUT_COLUMNS
from kintsugi.store.view_tables import LIVING
from kintsugi.views import Views

AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
PUBLISHED_KEPT = timedelta(days=30)

_SUBJECT_COLUMNS = (
    "subject", "version", "sequence", "progress", "state", "status", "hold", "held_since", "waiting",
    "waiting_since", "partition", "fold_version",
)  # fmt: skip
_AGENDA_COLUMNS = ("subject", "name", "kind", "body", "due_at", "partition", "recipient")
_PUBLISHED_COLUMNS = (
    "id", "topic", "partition", "subject", "sequence", "type", "headers", "value", "created_at", "published_at",
)  # fmt: skip

_SET_ASIDE = """
CREATE TEMPORARY TABLE standing_subjects ON COMMIT DROP AS
    SELECT subject, version, sequence, progress, state, status, hold, waiting, partition FROM subjects;
CREATE TEMPORARY TABLE standing_agenda ON COMMIT DROP AS SELECT subject, name, attempt FROM agenda;
ANALYZE standing_subjects;
"""
STANDING = "standing_subjects"
_SETTLE = """
UPDATE inputs AS i SET status = n.status, cause = n.cause, settled_at = now(), key = NULL, headers = NULL, body = NULL
FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[]) AS n (topic, "offset", status, cause)
WHERE i.topic = n.topic AND i.partition = $1 AND i."offset" = n."offset"
"""
_READ_AGAIN = """DELETE FROM inputs WHERE topic = $1 AND partition = $2 AND "offset" >= $3 AND kind = 'event'"""
_POSITION = """
INSERT INTO positions (topic, partition, next_offset) VALUES ($1, $2, $3)
ON CONFLICT (topic, partition) DO UPDATE
SET next_offset = excluded.next_offset, read_to_end = NULL, read_to_end_business = NULL
"""
_IDS = "SELECT nextval(pg_get_serial_sequence('outbox', 'id')) FROM generate_series(1, $1)"
_MOVE = """
WITH sent AS (DELETE FROM outbox WHERE id = ANY($1::bigint[]) RETURNING *)
INSERT INTO published (id, topic, partition, subject, sequence, type, headers, value, created_at)
SELECT id, topic, partition, subject, sequence, type, headers, value, created_at FROM sent
"""
_DROP = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"

# An attempt that nobody will end any more: to a survivor it stays unknown, to others it is made again.
_ATTEMPTS_END = """
UPDATE attempts SET result = CASE delivery WHEN 'at_most_once' THEN 'unknown' ELSE 'failed' END,
    reason = CASE delivery WHEN 'at_most_once' THEN 'no_outcome' ELSE 'recovered' END,
    settled = delivery <> 'at_most_once', ended_at = now()
WHERE NOT settled AND result IS NULL
"""
_ATTEMPTS_COUNT = """
UPDATE agenda AS a SET attempt = s.attempt FROM standing_agenda s
WHERE a.subject = s.subject AND a.name = s.name AND s.attempt > 0
"""
# Owed to a survivor, and it may have been sent by what was lost: never a second message. One whose time has not come
# was never attempted.
_ATTEMPTS_UNKNOWN = """
INSERT INTO attempts (claim, subject, name, attempt, recipient, delivery, lease_until, result, reason, ended_at)
SELECT gen_random_uuid(), a.subject, a.name, greatest(a.attempt, 1), coalesce(a.recipient, ''), 'at_most_once',
       now(), 'unknown', 'no_outcome', now()
FROM agenda a
WHERE a.kind = 'send' AND a.due_at <= $1 AND CAST(a.body AS jsonb) ->> 'delivery' = 'at_most_once'
  AND NOT EXISTS (SELECT FROM attempts t WHERE t.subject = a.subject AND t.name = a.name AND NOT t.settled)
"""
_CLAIMED = """
UPDATE agenda AS a SET claim = t.claim, attempt = greatest(a.attempt, t.attempt) FROM attempts t
WHERE NOT t.settled AND t.subject = a.subject AND t.name = a.name
"""
_AUDIT = "INSERT INTO audit (actor, action, subject, detail) VALUES ('recovery', $1, $2, $3)"
_FACT = """
INSERT INTO service_facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
_CLOCK = "UPDATE business_clock SET instant = greatest(instant, $1)"


def view_rows(views: Views[S], folded: Iterable[Folded[S]]) -> dict[str, list[dict[str, object]]]:
    """The rows of these subjects by table, each with its subject."""
    rows: dict[str, list[dict[str, object]]] = {}
    for each in folded:
        for name, found in views.of(each.subject.id, each.subject.state).items():
            rows.setdefault(name, []).extend({"subject": each.subject.id, **row} for row in found)
    return rows


class Swap(Generic[S]):
    """Replaces the tables of one service. Everything happens in the transaction that ``connection`` is in."""

    def __init__(self, connection: Any, service: Service[S], views: Views[S], own_topic: str, at: datetime) -> None:
        self._connection = connection
        self._service = service
        self._views = views
        self._own_topic = own_topic
        self._at = at
        # Above every version that was ever given out, so that an ETag from before matches nothing.
        self._version = int(at.timestamp())

    async def begin(self) -> None:
        """Sets what stands aside and empties the tables that are rebuilt, and those of other releases' views, which
        they fill anew."""
        await self._connection.execute(_SET_ASIDE)
        views = [f'"{row[0]}"' for row in await self._connection.fetch(LIVING)]
        names = ", ".join(["subjects", "agenda", *views])
        await self._connection.execute(f"TRUNCATE {names}")

    async def subjects(self, partition: int, folded: Sequence[Folded[S]], standing: dict[str, Standing]) -> None:
        """Subjects, what they are owed, and their views."""
        rows: list[tuple[Any, ...]] = []
        owed: list[tuple[Any, ...]] = []
        for each in folded:
            subject, progress = each.subject, each.subject.progress
            before = standing.get(subject.id)
            rows.append(
                (
                    subject.id,
                    max(self._version, before.version + 1 if before else 0),
                    progress.sequence,
                    dump_progress(progress),
                    subject.state.model_dump_json(exclude_defaults=True),
                    each.status,
                    dump_hold(progress.hold),
                    datetime.fromisoformat(progress.hold.since) if progress.hold else None,
                    each.waiting,
                    self._at if each.waiting else None,
                    partition,
                    self._service.fold_version,
                )
            )
            owed.extend(agenda_rows(subject.id, partition, self._service.agenda(subject.state)))
        await self._copy("subjects", _SUBJECT_COLUMNS, rows)
        await self._copy("agenda", _AGENDA_COLUMNS, owed)
        await self._copy(self._views.versions.name, ("subject", "version"), [row[:2] for row in rows])
        for name, found in view_rows(self._views, folded).items():
            if found:
                await self._connection.execute(_insert(self._views.tables[name]), to_json(found).decode())

    async def inputs(self, partition: int, account: Account) -> None:
        """The ledger, and where the consumer goes on."""
        for topic, position in account.again.items():
            await self._connection.execute(_READ_AGAIN, topic, partition, position)
            await self._connection.execute(_POSITION, topic, partition, position)
        if account.settled:
            await self._connection.execute(_SETTLE, partition, *settled_columns(account).values())
        await self._copy("inputs", INPUT_COLUMNS, [row.values() for row in account.rows])

    async def published(self, partition: int, end: int, lost: Sequence[Entry], sent: Sequence[Unsent]) -> int:
        """Own events of the topic that the database did not know, and unsent ones that are on it after all."""
        await self._connection.execute(_POSITION, self._own_topic, partition, end)
        if sent:
            await self._connection.execute(_MOVE, [each.id for each in sent])
        oldest = (self._at - PUBLISHED_KEPT).timestamp() * 1000
        kept = [entry for entry in lost if entry.record.appended_ms >= oldest]
        if kept:
            ids = [row[0] for row in await self._connection.fetch(_IDS, len(kept))]
            await self._copy(
                "published", _PUBLISHED_COLUMNS, [_published(*each) for each in zip(ids, kept, strict=True)]
            )
        return len(kept)

    async def overtaken(self, unsent: Sequence[Unsent]) -> None:
        """Unsent events whose number another event took on the topic: they never were. The audit names them."""
        await self._connection.execute(_DROP, [each.id for each in unsent])
        for each in unsent:
            envelope = each.entry.parsed.envelope
            said = {"sequence": each.sequence, "type": envelope.type if envelope else None}
            await self._connection.execute(_AUDIT, "overtaken", each.subject, to_json(said).decode())

    async def finish(self, own_time: datetime | None, latest: datetime | None, *, movable: bool) -> int:
        """Attempts, clock and facts. The times are the latest of this service's events, and of all of the log.

        Returns how many sends end as ``unknown``.
        """
        if movable and own_time is not None and own_time > self._at:
            # Only a clock that was moved can be ahead of the machine's: a lost one is moved there again.
            await self._connection.execute(_CLOCK, own_time)
        now = await self._connection.fetchval("SELECT instant FROM business_clock") if movable else None
        latest = max(each for each in (now or self._at, latest) if each is not None)
        await self._connection.execute(_ATTEMPTS_COUNT)
        await self._connection.execute(_ATTEMPTS_END)
        await self._connection.execute(_ATTEMPTS_UNKNOWN, latest)
        await self._connection.execute(_CLAIMED)
        await self._connection.execute(_FACT, "fold_version", str(self._service.fold_version))
        await self._connection.execute("DELETE FROM service_facts WHERE name = 'recovering'")
        return int(
            await self._connection.fetchval(
                "SELECT count(*) FROM agenda a JOIN attempts t USING (claim) WHERE t.result = 'unknown'"
            )
        )

    async def _copy(self, table: str, columns: Sequence[str], records: list[tuple[Any, ...]]) -> None:
        if records:
            await self._connection.copy_records_to_table(table, records=records, columns=columns)


def agenda_rows(subject: str, partition: int, agenda: Agenda) -> list[tuple[Any, ...]]:
    """What is owed to one subject, in the order of the columns."""
    return [
        (
            subject,
            name,
            entry.kind,
            entry.model_dump_json(),
            entry.at or AT_ONCE,
            partition,
            entry.recipient if isinstance(entry, Send) else None,
        )
        for name, entry in agenda.items()
    ]


def _published(id_: int, entry: Entry) -> tuple[Any, ...]:
    record, envelope = entry.record, entry.envelope
    at = datetime.fromtimestamp(record.appended_ms / 1000, UTC)
    return (
        id_,
        record.topic,
        record.partition,
        envelope.subject,
        envelope.sequence,
        envelope.type,
        dump_headers(record.headers),
        record.value or b"",
        at,
        at,
    )


def _insert(table: Table) -> str:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    return (
        f"INSERT INTO {table.name} ({columns}) "  # noqa: S608 - names come from the service's own metadata
        f"SELECT {columns} FROM jsonb_populate_recordset(CAST(NULL AS {table.name}), CAST($1 AS jsonb))"
    )
