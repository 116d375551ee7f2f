"""Topics, a database and the parts of the runtime around the small service, started and stopped at will."""

import asyncio
import contextlib
import json
import secrets
import string
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from kintsugi import tables
from kintsugi.clock import BusinessClock
from kintsugi.envelope import Envelope, encode, source_of
from kintsugi.keyring import Keyring
from kintsugi.partitioning import PARTITIONS, partition_of
from kintsugi.relay import Brokers, Relay
from kintsugi.runtime.database import engine_of
from kintsugi.settings import Settings
from kintsugi.shell.batches import Batches
from kintsugi.shell.core import Core
from kintsugi.shell.gaps import Gaps
from kintsugi.shell.sends import Sends
from kintsugi.telemetry.metrics import Metrics
from kintsugi.telemetry.tracing import Tracing
from kintsugi.transport import Consumption
from kintsugi.turn import Office
from kintsugi_contracts.catalog import Catalog
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.infrastructure import Infrastructure, told
from tests.integration.recovered.desk import TASKS, application

CATALOG = Catalog.installed()

_CONTRACTS = Path(__file__).parents[3] / "contracts"
_PACK: Any = SimpleNamespace(tightened=lambda _service, _handler: ())


class Scene:
    """One country of its own: three topics, the sources' counters, and the database of the service."""

    def __init__(self, infrastructure: Infrastructure, country: str, url: str, folder: Path) -> None:
        self.infrastructure = infrastructure
        self.country = country
        self.url = url
        self._login: dict[str, Any] = {
            name.removeprefix("KINTSUGI_").lower(): value
            for name, value in told(infrastructure.cluster, folder).items()
        }
        self.sent: dict[tuple[str, str], int] = {}
        self._producer = AIOKafkaProducer(**infrastructure.cluster.client())

    @property
    def settings(self) -> Settings:
        """What a recovery is told."""
        return Settings(
            **self._login,
            country=self.country,
            countries=Path("countries"),
            contracts=_CONTRACTS,
            database_url=self.url,
            keyring_url="postgresql+asyncpg://nobody@127.0.0.1:1/none",
            http_port=1,
            jwt_public_key=Path("none"),
        )

    def topic(self, service: str) -> str:
        """The topic of a service in this country."""
        return f"{self.country}.{service}.v1"

    async def emit(
        self,
        service: str,
        subject: str,
        event: str,
        seen: Mapping[str, int] | None = None,
        *,
        sequence: int | None = None,
        body: bytes | None = None,
    ) -> int:
        """One event of a source, from the examples of the contract; returns its sequence."""
        number = sequence or self.sent.get((service, subject), 0) + 1
        self.sent[(service, subject)] = max(number, self.sent.get((service, subject), 0))
        model = CATALOG.by_type(f"kintsugi.{event}.v1")
        assert model is not None
        value = body or example(event)
        topic = self.topic(service)
        id_ = str(uuid.uuid4())
        headers = encode(
            Envelope(
                id=id_,
                source=source_of(topic),
                type=model.type,
                time=datetime.now(UTC),
                subject=subject,
                sequence=number,
                seen=seen or {},
                correlationid=id_,
                causationid=id_,
                dataschema=model.dataschema,
            )
        )
        await self._producer.send_and_wait(
            topic, value, key=subject.encode(), headers=headers, partition=partition_of(subject)
        )
        return number

    async def log(self, service: str) -> list[tuple[str, int, str]]:
        """Everything on a topic: (subject, sequence, id), by partition and offset."""
        consumer = AIOKafkaConsumer(**self.infrastructure.cluster.client(), auto_offset_reset="earliest")
        await consumer.start()
        try:
            places = [TopicPartition(self.topic(service), number) for number in range(PARTITIONS)]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            found: list[tuple[str, int, str]] = []
            while any([await consumer.position(place) < end for place, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        headers = {name: raw.decode() for name, raw in record.headers}
                        found.append((headers["ce_subject"], int(headers["ce_sequence"]), headers["ce_id"]))
            return sorted(found)
        finally:
            await consumer.stop()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Running"]:
        """The service, from start to stop. It is quiet when the block ends."""
        running = Running(self)
        await running.start()
        try:
            yield running
            await running.quiet()
        finally:
            await running.stop()

    async def query(self, sql: str, *arguments: object) -> list[Any]:
        """Rows of the service's database."""
        connection = await asyncpg.connect(self.url.replace("+asyncpg", ""))
        try:
            return list(await connection.fetch(sql, *arguments))
        finally:
            await connection.close()

    async def memory(self) -> dict[str, Any]:
        """All that a recovery must bring back, as comparable values."""
        subjects = await self.query("SELECT subject, sequence, progress, state, status, waiting, hold FROM subjects")
        agenda = await self.query("SELECT subject, name, kind, body, due_at, recipient FROM agenda")
        tasks = await self.query(f"SELECT subject, task_id, due_at FROM {TASKS.name}")
        return {
            "subjects": {
                row["subject"]: (
                    row["sequence"],
                    {name: row_ for name, row_ in json.loads(row["progress"]).items() if name in ("c", "s", "f")},
                    json.loads(row["state"]),
                    row["status"],
                    row["waiting"],
                    row["hold"],
                )
                for row in subjects
            },
            "agenda": sorted(tuple(row) for row in agenda),
            "tasks": sorted(tuple(row) for row in tasks),
        }

    async def ledger(self) -> tuple[int, int]:
        """How many records the sources hold, and how many the service has accounted for (each place once)."""
        records = sum([len(await self.log(service)) for service in ("intake", "assessment")])
        rows = await self.query(
            """SELECT count(*) AS rows, count(DISTINCT (topic, partition, "offset")) AS places FROM inputs"""
        )
        assert rows[0]["rows"] == rows[0]["places"], "a record is accounted for twice"
        return records, rows[0]["rows"]

    async def dump(self) -> str:
        """A copy of the database as it is now, to be restored with :meth:`restore`. The service must be stopped."""
        return await self._copy(self.url)

    async def restore(self, dump: str) -> None:
        """Puts a dump in the place of the database."""
        self.url = await self._copy(dump)

    async def replace_by(self, url: str) -> None:
        """Another database takes the place, empty but migrated."""
        self.url = url
        await self.migrate()

    async def migrate(self) -> None:
        """Makes the tables."""
        engine = create_async_engine(self.url, poolclass=NullPool)
        async with engine.begin() as connection:
            await connection.run_sync(tables.upgrade, application)
        await engine.dispose()

    async def _copy(self, url: str) -> str:
        address = urlsplit(url)
        name = f"copy_{secrets.token_hex(5)}"
        admin = await asyncpg.connect(self.infrastructure.admin_url)
        try:
            await admin.execute(f'CREATE DATABASE {name} TEMPLATE "{address.path[1:]}" OWNER "{address.username}"')
        finally:
            await admin.close()
        self.copies.append(name)
        return urlunsplit(address._replace(path=f"/{name}"))

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator["Scene"]:
        """Topics and tables for as long as the block runs."""
        self.copies: list[str] = []
        admin = AIOKafkaAdminClient(**self.infrastructure.cluster.client())
        await admin.start()
        topics = [self.topic(service) for service in ("intake", "assessment", "notify")]
        settings = {"retention.ms": "-1", "message.timestamp.type": "LogAppendTime"}
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs=settings) for topic in topics])
        await self._producer.start()
        await self.migrate()
        try:
            yield self
        finally:
            await self._producer.stop()
            await admin.delete_topics(topics)
            await admin.close()
            database = await asyncpg.connect(self.infrastructure.admin_url)
            for name in self.copies:
                await database.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            await database.close()


class Running:
    """Consumer, relay and repairs of the small service. Sends are made by the tests, one by one."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.core: Core[Any] = Core(
            service=application.service,
            views=application.views,
            office=Office(scene.country, _PACK),
            engine=engine_of(scene.url, "notify", size=4),
            keyring=Keyring("postgresql+asyncpg://nobody@127.0.0.1:1/none", {}),
            tracing=Tracing("notify"),
            metrics=Metrics("notify"),
        )
        self.clock = BusinessClock(movable=False)
        cluster = scene.infrastructure.cluster
        self.consumption: Consumption[Any] = Consumption(
            self.core,
            self.clock,
            Batches(self.core, self.clock, 100),
            cluster,
            batch_size=100,
            session_timeout_ms=10_000,
        )
        dsn = scene.url.replace("+asyncpg", "")
        self.relay = Relay(dsn, Brokers(cluster, self.core.group), self.core.tracing, self.core.metrics)
        self.sends: Sends[Any] = Sends(self.core, self.clock, {})
        self.gaps: Gaps[Any] = Gaps(self.core, self.clock)
        self._relaying: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to relay and to consume."""
        self._relaying = asyncio.create_task(self.relay.run())
        await self.consumption.start()

    async def stop(self) -> None:
        """Ends both and gives the connections back."""
        await self.consumption.stop()
        self.relay.stop()
        if self._relaying is not None:
            await asyncio.wait_for(self._relaying, 15)
        await self.core.engine.dispose()

    async def pause(self) -> None:
        """A moment for the machine clock."""
        await asyncio.sleep(0.1)

    async def read(self) -> None:
        """Waits until every topic is read to its end."""
        async with asyncio.timeout(40):
            while True:
                lag = await self.consumption.lag()
                if set(lag) == set(self.core.topics) and not sum(lag.values()):
                    return
                await asyncio.sleep(0.05)

    async def quiet(self) -> None:
        """Waits until everything is read and sent."""
        await self.read()
        async with asyncio.timeout(40):
            while (await self.scene.query("SELECT count(*) AS unsent FROM outbox"))[0]["unsent"]:
                self.relay.wake()
                await asyncio.sleep(0.05)


def country() -> str:
    """A code that no other test uses at the same time, as a rule."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(2))


def case() -> str:
    """A new case."""
    return f"case/{uuid.uuid4()}"


def example(event: str) -> bytes:
    """A value of the contract's own examples."""
    folder = _CONTRACTS / "events" / event / "examples" / "accept"
    return next(path for path in sorted(folder.glob("*.json")) if not path.name.startswith("sealed")).read_bytes()
