"""What the checker judges by: every record of every topic from offset 0, every table, every mail, every promise.

Nothing here is shared with the services: headers are read as the contract describes them, tables by plain SQL.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from functools import cached_property
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from kintsugi.kafka import Cluster
from kintsugi_office import services

Place = tuple[str, int, int]
Row = Mapping[str, Any]
_TABLES = {
    "subjects": "SELECT subject, sequence, progress, state, status, waiting FROM subjects WHERE status <> 'new'",
    "inputs": 'SELECT topic, partition, "offset", source, id, sequence, subject, type, status, cause, key, headers,'
    " body FROM inputs",
    "outbox": "SELECT subject, sequence, headers FROM outbox",
    "published": "SELECT subject, sequence, headers FROM published",
    "agenda": "SELECT subject, name, kind, postponed, claim FROM agenda",
    "attempts": "SELECT subject, name, attempt, delivery, result, reason, settled FROM attempts",
    "positions": "SELECT topic, partition, next_offset FROM positions",
    "commands": "SELECT key, subject, status, answer FROM commands",
}
_VIEWS = {
    "intake": ("cases", "consents"),
    "assessment": ("cases", "assessments"),
    "referral": ("referrals",),
    "notify": ("staff_tasks", "notifications"),
}
_IDLE = """
SELECT datname, application_name, state FROM pg_stat_activity
WHERE datname = $1 AND state LIKE 'idle in transaction%' AND state_change < now() - interval '2 seconds'
"""


@dataclass(frozen=True)
class Promise:
    """A request that was answered 2xx, as its client keeps it."""

    service: str
    method: str
    path: str
    key: str
    role: str
    action: str
    about: Mapping[str, Any]
    body: bytes
    status: int
    answer: bytes


@dataclass(frozen=True)
class Logged:
    """A record as it lies on a topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    @property
    def place(self) -> Place:
        """What names it for ever."""
        return self.topic, self.partition, self.offset

    @cached_property
    def said(self) -> dict[str, str]:
        """Its headers as text; what is not text is left out."""
        return {name: raw.decode("utf-8", "replace") for name, raw in self.headers if raw is not None}

    @property
    def id(self) -> str:
        """``ce_id``."""
        return self.said.get("ce_id", "")

    @property
    def subject(self) -> str:
        """``ce_subject``."""
        return self.said.get("ce_subject", "")

    @property
    def type(self) -> str:
        """``case.opened`` of ``kintsugi.case.opened.v1``."""
        return self.said.get("ce_type", "").removeprefix("kintsugi.").rpartition(".")[0]

    @property
    def service(self) -> str:
        """The last part of ``ce_source``."""
        return self.said.get("ce_source", "").rpartition("/")[2]

    @property
    def sequence(self) -> int:
        """``ce_sequence``."""
        return int(self.said.get("ce_sequence", "0"))

    @property
    def depth(self) -> int:
        """``ce_depth``."""
        return int(self.said.get("ce_depth", "-1"))

    @property
    def cause(self) -> str:
        """``ce_causationid``."""
        return self.said.get("ce_causationid", "")

    @cached_property
    def seen(self) -> dict[str, int]:
        """``ce_seen``."""
        parts = (part.split(":") for part in self.said.get("ce_seen", "").split())
        return {name: int(number) for name, number in parts}

    @cached_property
    def data(self) -> dict[str, Any]:
        """Its value as JSON."""
        found: dict[str, Any] = json.loads(self.value or b"{}")
        return found


@dataclass(frozen=True)
class Mail:
    """A message the mail server took."""

    to: str
    message_id: str


@dataclass
class Base:
    """The tables of one service, read in one snapshot. ``idle``: connections that forgot their transaction."""

    tables: dict[str, list[Row]] = field(default_factory=dict)
    views: dict[str, list[Row]] = field(default_factory=dict)
    idle: list[Row] = field(default_factory=list)


@dataclass
class Evidence:
    """All of it."""

    country: str
    subscriptions: Mapping[str, Sequence[str]]
    records: dict[str, list[Logged]]
    bases: dict[str, Base]
    mails: list[Mail]
    ledger: Sequence[Promise]
    repeats: Sequence[tuple[Promise, int, bytes]]
    ends: Sequence[int]
    alive: Mapping[str, bool]

    def topic(self, service: str) -> str:
        """The topic a service writes."""
        return f"{self.country}.{service}.v1"

    @cached_property
    def firsts(self) -> dict[str, list[Logged]]:
        """By service, the first occurrence of every event, in the order of the log."""
        found: dict[str, list[Logged]] = {}
        for service in ("intake", "assessment", "referral", "notify"):
            known: set[str] = set()
            kept = found.setdefault(service, [])
            for record in self.records.get(self.topic(service), ()):
                if record.id not in known:
                    known.add(record.id)
                    kept.append(record)
        return found

    @cached_property
    def digest(self) -> dict[str, Any]:
        """Everything that a record seen before must not change."""
        states = {
            service: {
                row["subject"]: (row["sequence"], row["state"], json.loads(row["progress"]).get("c"))
                for row in base.tables["subjects"]
            }
            for service, base in self.bases.items()
        }
        views = {
            f"{service}.{name}": sorted(repr(sorted(row.items())) for row in rows)
            for service, base in self.bases.items()
            for name, rows in base.views.items()
        }
        own = {service: sorted(event.id for event in events) for service, events in self.firsts.items()}
        return {"states": states, "views": views, "own": own, "mails": len(self.mails)}


async def collect(
    *,
    cluster: Cluster,
    country: str,
    databases: Mapping[str, str],
    subscriptions: Mapping[str, Sequence[str]],
    mail: Path,
    ledger: Sequence[Promise],
    repeats: Sequence[tuple[Promise, int, bytes]],
    ends: Sequence[int],
    alive: Mapping[str, bool],
) -> Evidence:
    """Reads everything once."""
    services = ("intake", "assessment", "referral", "notify")
    read = {source for sources in subscriptions.values() for source in sources}
    return Evidence(
        country=country,
        subscriptions={name: subscriptions[name] for name in databases},
        records=await _records(cluster, [f"{country}.{source}.v1" for source in sorted({*services, *read})]),
        bases={name: await _base(url, name) for name, url in databases.items()},
        mails=_mails(mail),
        ledger=list(ledger),
        repeats=list(repeats),
        ends=list(ends),
        alive=dict(alive),
    )


async def _records(cluster: Cluster, topics: Sequence[str]) -> dict[str, list[Logged]]:
    consumer = AIOKafkaConsumer(
        **cluster.client(), enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=100
    )
    await consumer.start()
    found: dict[str, list[Logged]] = {topic: [] for topic in topics}
    try:
        places = [TopicPartition(topic, number) for topic in topics for number in range(12)]
        ends = await consumer.end_offsets(places)
        left = {place for place in places if ends[place]}
        consumer.assign(sorted(left))
        for place in left:
            consumer.seek(place, 0)
        async with asyncio.timeout(60):
            while left:
                for records in (await consumer.getmany(timeout_ms=300, max_records=5000)).values():
                    for each in records:
                        headers = tuple((name, raw) for name, raw in each.headers)
                        found[each.topic].append(
                            Logged(each.topic, each.partition, each.offset, each.key, each.value, headers)
                        )
                for place in list(left):
                    if await consumer.position(place) >= ends[place]:
                        left.discard(place)
    finally:
        await consumer.stop()
    for records in found.values():
        records.sort(key=lambda record: (record.partition, record.offset))
    return found


async def _base(url: str, service: str) -> Base:
    connection = await asyncpg.connect(url, timeout=10)
    base = Base()
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            for name, query in _TABLES.items():
                base.tables[name] = [dict(row) for row in await connection.fetch(query)]
            views = services.load(service).views.tables
            for name in _VIEWS[service]:
                base.views[name] = [dict(row) for row in await connection.fetch(f"SELECT * FROM {views[name].name}")]
        database = await connection.fetchval("SELECT current_database()")
        base.idle = [dict(row) for row in await connection.fetch(_IDLE, database)]
    finally:
        await connection.close()
    return base


def _mails(folder: Path) -> list[Mail]:
    return [_mail(file) for file in sorted(folder.glob("[0-9]*.eml"))]


def _mail(file: Path) -> Mail:
    message = message_from_bytes(file.read_bytes())
    return Mail(str(message["X-Envelope-To"]), str(message["Message-ID"]))
