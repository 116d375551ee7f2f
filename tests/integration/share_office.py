"""A country of its own with intake and share as real services, a partner, and everybody who speaks with them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import shutil
import string
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import ConsumerRecord
from joserfc import jwe
from joserfc.jwk import ECKey
from kintsugi import keyring_admin, tables
from kintsugi.application import Application
from kintsugi.auth import generate_keypair, issue
from kintsugi.clock import BusinessClock
from kintsugi.envelope import Envelope, encode, source_of
from kintsugi.http.liveness import Watchdog
from kintsugi.keyring import Keyring
from kintsugi.partitioning import partition_of
from kintsugi.runtime.database import engine_of
from kintsugi.runtime.process import ServiceProcess
from kintsugi.secrets import make_key_file, read_key_file
from kintsugi.settings import Profile, Settings
from kintsugi.shell.core import Core
from kintsugi.shell.sends import Sends
from kintsugi.telemetry.metrics import Metrics
from kintsugi.telemetry.tracing import Tracing
from kintsugi.turn import Office
from kintsugi_contracts.base import Purpose
from kintsugi_country import load
from kintsugi_events import ConsentRecorded
from kintsugi_intake.app import application as intake
from kintsugi_sandbox.embedded.servers import free_port
from kintsugi_share import schemas
from kintsugi_share.app import application as share
from kintsugi_share.views import CASES
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.infrastructure import Infrastructure, told

ROOT = Path(__file__).parents[2]
PARTNER, MINISTRY = "labour-registry", "labour-ministry"
NewDatabase = Callable[..., Awaitable[str]]
OPENING = {
    "office": "harbour",
    "channel": "hotline",
    "immediate_danger": "no",
    "identity": {"preferred_name": "Moonlit Heron", "real_name": "Amara Deniz Korhan"},
}
GRANT = {
    "decision": "granted",
    "purpose": "sharing",
    "agency": MINISTRY,
    "text_version": "1.0",
    "language": "en",
    "obtained_from": "individual",
}
WITHDRAWAL = {"decision": "withdrawn", "purpose": "sharing", "agency": MINISTRY}


@dataclass
class Land:
    """The country: its folders, topics, databases, keys and tokens."""

    infrastructure: Infrastructure
    folder: Path
    code: str = field(default_factory=lambda: "".join(secrets.choice(string.ascii_lowercase) for _ in range(2)))
    databases: dict[str, str] = field(default_factory=dict)
    processes: dict[str, ServiceProcess] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=20))

    @property
    def topic(self) -> str:
        """The partner's topic."""
        return f"{self.code}.share.{PARTNER}.wage-claims.v1"

    @contextlib.asynccontextmanager
    async def made(self, new_database: NewDatabase) -> AsyncIterator[Land]:
        """Everything that must be there before a service starts, for as long as the block runs."""
        self._folders()
        await self._keyring(await new_database("keyring"))
        for application in (intake, share):
            self.databases[application.name] = await self.migrated(application, await new_database(application.name))
        admin = AIOKafkaAdminClient(**self.infrastructure.cluster.client())
        await admin.start()
        topics = [
            *(self._own(name) for name in ("intake", "assessment", "referral", "share")),
            self._partners(),
        ]
        await admin.create_topics(topics)
        try:
            yield self
        finally:
            for name in list(self.processes):
                await self.stop(name)
            await admin.delete_topics([topic.name for topic in topics])
            await admin.close()
            await self.http.aclose()

    async def start(self, application: Application[Any]) -> None:
        """A service, as its process would run it."""
        self.ports[application.name] = free_port()
        process = ServiceProcess(application, self.settings(application.name), Watchdog(60))
        self.processes[application.name] = process
        await process.start()

    @contextlib.asynccontextmanager
    async def claiming(self) -> AsyncIterator[Sends[Any]]:
        """Share's sends alone, beside a service that does not run."""
        settings, url = self.settings("share"), self.databases["share"]
        pack = load(settings.countries / self.code)
        core: Core[Any] = Core(
            service=share.service,
            views=share.views,
            office=Office(self.code, pack, share.resources(settings, pack)),
            engine=engine_of(url, "share", size=2),
            keyring=Keyring(
                self.databases["keyring"], {"identity": read_key_file(self.folder / "keys" / "identity.key")}
            ),
            tracing=Tracing("share"),
            metrics=Metrics("share"),
        )
        try:
            yield Sends(core, BusinessClock(movable=True), share.channels(settings))
        finally:
            await core.keyring.aclose()
            await core.engine.dispose()

    async def stop(self, name: str) -> None:
        """Ends a service as SIGTERM does."""
        await self.processes.pop(name).stop()

    def keyfile(self, purpose: str) -> Path:
        """The key-encryption key of a purpose."""
        return self.folder / "keys" / f"{purpose}.key"

    def settings(self, name: str) -> Settings:
        """What a service is told; the profile is that of the demonstration, whose clock can be moved."""
        cluster = {
            key.removeprefix("KINTSUGI_").lower(): value
            for key, value in told(self.infrastructure.cluster, self.folder).items()
        }
        return Settings(
            **cluster,  # type: ignore[arg-type]
            country=self.code,
            countries=self.folder / "countries",
            contracts=self.folder / "contracts",
            database_url=self.databases[name],
            keyring_url=self.databases["keyring"],
            http_port=self.ports.get(name, 1),
            jwt_public_key=self.keys.public,
            profile=Profile.demo,
            share_key=self.folder / "share.key",
            keys=self.folder / "keys",
        )

    async def ask(
        self, service: str, method: str, path: str, *, role: str = "caseworker", sub: str = "worker-1", body: Any = None
    ) -> httpx.Response:
        """One request with a token of this role."""
        token = issue(self.keys.private.read_bytes(), role, sub, timedelta(hours=1), self.code)
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid.uuid4())}
        url = f"http://127.0.0.1:{self.ports[service]}{path}"
        return await self.http.request(method, url, json=body, headers=headers)

    async def opens(self) -> str:
        """A new case; returns its reference."""
        answer = await self.ask("intake", "POST", "/cases", body=OPENING)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["case_ref"])

    async def says(self, ref: str, consent: dict[str, str]) -> datetime:
        """A consent is recorded or withdrawn; returns when the 2xx was there, by the machine's clock."""
        answer = await self.ask("intake", "POST", f"/cases/{ref}/consents", body=consent)
        assert answer.status_code == 200, answer.text
        return datetime.now(UTC)

    async def advance(self, instant: datetime) -> None:
        """The business clock of both services moves on."""
        for name in self.processes:
            answer = await self.ask(
                name, "POST", "/operations/clock", role="operator", body={"instant": instant.isoformat()}
            )
            assert answer.status_code == 204, answer.text

    async def records(self, topic: str | None = None) -> list[ConsumerRecord[bytes, bytes]]:
        """Everything on a topic, the partner's unless another is named, in the order of the log's times."""
        topic = topic or self.topic
        consumer = AIOKafkaConsumer(**self.infrastructure.cluster.client(), auto_offset_reset="earliest")
        await consumer.start()
        try:
            numbers = range(3 if topic == self.topic else 12)
            places = [TopicPartition(topic, number) for number in numbers]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            found: list[ConsumerRecord[bytes, bytes]] = []
            while any([await consumer.position(place) < end for place, end in ends.items()]):
                for some in (await consumer.getmany(timeout_ms=200)).values():
                    found.extend(some)
            return sorted(found, key=lambda each: (each.partition, each.offset))
        finally:
            await consumer.stop()

    async def until(self, found: Callable[[], Awaitable[Any]], seconds: float = 15) -> Any:
        """What ``found`` gives once it gives something."""
        async with asyncio.timeout(seconds):
            while not (value := await found()):  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(0.1)
        return value

    async def query(self, sql: str) -> list[Any]:
        """Rows of share's database."""
        connection = await asyncpg.connect(self.databases["share"].replace("+asyncpg", ""))
        try:
            return list(await connection.fetch(sql))
        finally:
            await connection.close()

    async def breaks(self, ref: str) -> str:
        """An event of intake that nobody can read comes next for this case: share holds it. Returns the subject."""
        [row] = await self.query(f"SELECT subject FROM {CASES.name} WHERE case_ref = '{ref}'")
        topic, subject = f"{self.code}.intake.v1", str(row["subject"])
        sequence = max(
            int(dict(each.headers)["ce_sequence"])
            for each in await self.records(topic)
            if (each.key or b"").decode() == subject
        )
        envelope = Envelope(
            id=str(uuid.uuid4()),
            source=source_of(topic),
            type=ConsentRecorded.type,
            time=datetime.now(UTC),
            subject=subject,
            sequence=sequence + 1,
            correlationid="flow",
            causationid="test",
            dataschema=ConsentRecorded.dataschema,
        )
        producer = AIOKafkaProducer(**self.infrastructure.cluster.client())
        await producer.start()
        try:
            place = partition_of(subject)
            await producer.send_and_wait(topic, b"{}", subject.encode(), place, headers=encode(envelope))
        finally:
            await producer.stop()
        await self.until(lambda: self.query("SELECT 1 FROM subjects WHERE status = 'held'"))
        return subject

    async def states(self) -> dict[str, Any]:
        """What share remembers of every case."""
        rows = await self.query("SELECT subject, state FROM subjects ORDER BY subject")
        owed = await self.query("SELECT subject, name, body FROM agenda ORDER BY subject, name")
        return {
            "states": {row["subject"]: json.loads(row["state"]) for row in rows},
            "agenda": [tuple(row) for row in owed],
        }

    def opened(self, sealed: str) -> dict[str, Any]:
        """What the partner reads with its private key."""
        file = ROOT / f"countries/xa/samples/integrators/{PARTNER}.private.jwk.json"
        key = ECKey.import_key(json.loads(file.read_text()))
        return dict(json.loads(jwe.decrypt_compact(sealed, key).plaintext or b""))

    @staticmethod
    async def migrated(application: Application[Any], url: str) -> str:
        """An empty database with the service's tables."""
        engine = create_async_engine(url, poolclass=NullPool)
        async with engine.begin() as connection:
            await connection.run_sync(lambda sync: tables.upgrade(sync, application))
        await engine.dispose()
        return url

    def _folders(self) -> None:
        shutil.copytree(ROOT / "countries/xa", self.folder / "countries" / self.code)
        country = self.folder / "countries" / self.code / "country.yaml"
        country.write_text(country.read_text().replace("code: xa\n", f"code: {self.code}\n"))
        for part in ("topics", "events"):
            shutil.copytree(ROOT / "contracts" / part, self.folder / "contracts" / part)
        folders = ["--contracts", str(self.folder / "contracts"), "--countries", str(self.folder / "countries")]
        assert schemas.main(folders) == 0
        self.keys = generate_keypair(self.folder)
        make_key_file(self.folder / "share.key")
        for purpose in Purpose:
            make_key_file(self.keyfile(purpose))

    async def _keyring(self, url: str) -> None:
        address = urlsplit(url)
        superuser = urlsplit(self.infrastructure.admin_url)
        admin = urlunsplit(superuser._replace(scheme="postgresql+asyncpg", path=address.path))
        await keyring_admin.create_schema(admin, Purpose)
        assert address.username is not None
        await keyring_admin.grant(admin, address.username, [str(purpose) for purpose in Purpose])
        self.databases["keyring"] = url

    def _own(self, service: str) -> NewTopic:
        said = yaml.safe_load((self.folder / f"contracts/topics/{service}.v1.yaml").read_text())
        return NewTopic(f"{self.code}.{service}.v1", said["partitions"], 1, topic_configs=said["config"])

    def _partners(self) -> NewTopic:
        file = self.folder / f"contracts/share/{self.code}/{PARTNER}/wage-claims/topic.yaml"
        said = yaml.safe_load(file.read_text())
        assert said["topic"] == self.topic
        return NewTopic(self.topic, said["partitions"], 1, topic_configs=said["config"])
