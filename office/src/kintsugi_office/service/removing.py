"""``kintsugi service remove``: what a service leaves behind, named part by part; nothing goes unasked."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from kintsugi.kafka import Cluster
from kintsugi_contracts.catalog import Catalog
from sqlalchemy.engine import make_url

from kintsugi_office import access, databases, services, state
from kintsugi_office.broker import broker
from kintsugi_office.project import Layout
from kintsugi_office.rights import Right
from kintsugi_office.roles import PostgresRoles

_OWED = "SELECT kind, split_part(name, '/', 1) AS name, count(*) AS number FROM agenda GROUP BY 1, 2 ORDER BY 1, 2"
_HELD = "SELECT status, count(*) AS number FROM subjects WHERE status NOT IN ('ok', 'new') GROUP BY 1 ORDER BY 1"
_KEYS = """
SELECT g.purpose, count(k.subject) FILTER (WHERE k.wrapped IS NOT NULL) AS number,
       array(SELECT o.role::text FROM keyring.role_purpose o WHERE o.purpose = g.purpose AND o.role <> g.role) AS others
FROM keyring.role_purpose g LEFT JOIN keyring.data_key k ON k.purpose = g.purpose
WHERE g.role = $1 GROUP BY g.purpose, g.role ORDER BY 1
"""


class Part(StrEnum):
    """What can be erased, each only when it is asked for by name."""

    topic = "topic"
    database = "database"
    keys = "keys"


class CannotRemove(Exception):
    """A part is not erased as things are; the text says why and what to do. Nothing was changed."""


@dataclass
class Remains:
    """What there is of a service in an office. ``keys`` are purposes with the number of data keys, its own alone."""

    service: str
    installed: str | None
    running: bool
    topic: str
    records: int | None = None
    """Records on its topic; None where there is no topic."""
    readers: list[str] = field(default_factory=list)
    rights: list[Right] = field(default_factory=list)
    login: bool = False
    database: str | None = None
    megabytes: float = 0.0
    subjects: int = 0
    unsent: int = 0
    owed: list[tuple[str, str, int]] = field(default_factory=list)
    unsettled: list[tuple[str, int]] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)
    shared_keys: list[str] = field(default_factory=list)
    """Purposes it may open that other services may too: they stay whatever is erased."""

    @property
    def nothing(self) -> bool:
        """Whether the office knows no such service, and has nothing of one."""
        there = (self.installed, self.database, self.records is not None, self.rights, self.login, self.keys)
        return not any(there)


async def remains(layout: Layout, name: str, catalog: Catalog) -> Remains:
    """What a service leaves in the running office, whether it is still installed or not.

    Raises OfficeNotRunning, NoLogin and BrokerRefused.
    """
    current = state.running(layout.state)
    version = next((each.version for each in services.installed() if each.name == name), None)
    found = Remains(name, version, name in current.services, _topic(current.country, name, catalog))
    admin = access.cluster(layout, access.ADMIN)
    await asyncio.gather(_on_kafka(admin, current.country, found), _in_postgres(layout, current, found))
    return found


async def erase(
    layout: Layout, found: Remains, parts: Iterable[Part], *, say: Callable[[str], None] = lambda _line: None
) -> None:
    """Erase these parts for good. Raises CannotRemove while the service is installed or runs."""
    if found.running or found.installed:
        raise CannotRemove(
            f"'{found.service}' is installed here and would be made again: uninstall its packages, restart the office "
            "(kintsugi down, kintsugi up), and say it again"
        )
    current = state.running(layout.state)
    wanted = set(parts)
    if Part.database in wanted and found.database is not None:
        roles = _roles(layout, current)
        await roles.drop_database(found.database)
        say(f"Erased the database {found.database}.")
    if Part.keys in wanted and found.keys:
        await _erase_keys(layout, current, found)
        say(f"Erased the keys of {', '.join(found.keys)}: what they sealed can be opened by no one.")
    if Part.topic in wanted and found.records is not None:
        client = AIOKafkaAdminClient(**access.cluster(layout, access.ADMIN).client())
        await client.start()
        try:
            await client.delete_topics([found.topic])
        finally:
            await client.close()
        say(f"Erased the topic {found.topic} with {found.records} records.")


def _topic(country: str, name: str, catalog: Catalog) -> str:
    known = catalog.topics.get(name)
    return known.name(country) if known else f"{country}.{name}.v1"


async def _on_kafka(admin: Cluster, country: str, found: Remains) -> None:
    users, rights = await asyncio.to_thread(broker(admin).users_and_rights)
    user = access.username(country, found.service)
    found.login = user in users
    found.rights = sorted(right for right in rights if right.user == user)
    found.readers = sorted(
        {r.user for r in rights if r.resource == "topic" and r.name == found.topic and r.user != user}
    )
    client = AIOKafkaAdminClient(**admin.client())
    await client.start()
    try:
        if found.topic not in await client.list_topics():
            return
        (described,) = await client.describe_topics([found.topic])
    finally:
        await client.close()
    places = [TopicPartition(found.topic, number) for number in range(len(described["partitions"]))]
    consumer = AIOKafkaConsumer(**admin.client(), enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(places)
        first, ends = await asyncio.gather(consumer.beginning_offsets(places), consumer.end_offsets(places))
        found.records = sum(ends[place] - first[place] for place in places)
    finally:
        await consumer.stop()


async def _in_postgres(layout: Layout, current: state.OfficeState, found: Remains) -> None:
    roles = _roles(layout, current)
    name = databases.name_of(current.country, found.service)
    connection = await asyncpg.connect(roles.url(driver="postgresql"))
    try:
        size = await connection.fetchval("SELECT pg_database_size(datname) FROM pg_database WHERE datname = $1", name)
    finally:
        await connection.close()
    if size is not None:
        found.database, found.megabytes = name, size / 1e6
        connection = await asyncpg.connect(roles.url(name, driver="postgresql"))
        try:
            found.subjects = await connection.fetchval("SELECT count(*) FROM subjects WHERE status <> 'new'")
            found.unsent = await connection.fetchval("SELECT count(*) FROM outbox")
            found.owed = [(r["kind"], r["name"], r["number"]) for r in await connection.fetch(_OWED)]
            found.unsettled = [(r["status"], r["number"]) for r in await connection.fetch(_HELD)]
        except asyncpg.UndefinedTableError:
            pass  # a collector has no subjects; a database that was never migrated has nothing
        finally:
            await connection.close()
    keyring = databases.name_of(current.country, "keyring")
    connection = await asyncpg.connect(roles.url(keyring, driver="postgresql"))
    try:
        for row in await connection.fetch(_KEYS, name):
            if row["others"] or not _own(row["purpose"], found.service):
                found.shared_keys.append(row["purpose"])
            else:
                found.keys[row["purpose"]] = row["number"]
        left = await connection.fetch(
            "SELECT purpose, count(*) FILTER (WHERE wrapped IS NOT NULL) AS number FROM keyring.data_key"
            " WHERE purpose = $1 OR purpose LIKE $2 GROUP BY purpose",
            found.service,
            found.service.replace("_", r"\_") + r"\_%",
        )
        found.keys |= {row["purpose"]: row["number"] for row in left}
    finally:
        await connection.close()


async def _erase_keys(layout: Layout, current: state.OfficeState, found: Remains) -> None:
    roles = _roles(layout, current)
    connection = await asyncpg.connect(roles.url(databases.name_of(current.country, "keyring"), driver="postgresql"))
    try:
        async with connection.transaction():
            names = list(found.keys)
            await connection.execute("DELETE FROM keyring.data_key WHERE purpose = ANY($1::text[])", names)
            await connection.execute("DELETE FROM keyring.role_purpose WHERE purpose = ANY($1::text[])", names)
    finally:
        await connection.close()
    for purpose in found.keys:
        layout.key(purpose).unlink(missing_ok=True)
    shutil.rmtree(layout.keys_of(found.service), ignore_errors=True)


def _own(purpose: str, service: str) -> bool:
    return purpose == service or purpose.startswith(f"{service}_")


def _roles(layout: Layout, current: state.OfficeState) -> PostgresRoles:
    """PostgreSQL of the running office, as its superuser."""
    url = make_url(next(iter(current.databases.values())))
    return PostgresRoles(layout.postgres, host=url.host or "127.0.0.1", port=url.port or 5432)
