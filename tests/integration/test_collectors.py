"""An event about a service goes by command, topic and collector to a query and the trace; a collector may come late."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import string
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import singledispatch
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from fastapi import APIRouter, Depends, Response
from kintsugi import keyring_admin, tables
from kintsugi.application import Application
from kintsugi.auth import Caller, generate_keypair, issue, require
from kintsugi.collector import Collector, Wired
from kintsugi.commands import AnyCommands
from kintsugi.envelope import Envelope, encode
from kintsugi.http.liveness import Watchdog
from kintsugi.partitioning import partition_of
from kintsugi.recovery import RecoveryRefused, recover
from kintsugi.runtime.database import CannotStart
from kintsugi.runtime.process import ServiceProcess
from kintsugi.service import Context, Service, State
from kintsugi.settings import Profile, Settings
from kintsugi.views import Views
from kintsugi_contracts.base import Event
from kintsugi_contracts.catalog import Catalog, EventPackage
from kintsugi_office.operators import CannotDo, Operators
from kintsugi_office.telling import tell
from kintsugi_office.trace import read
from kintsugi_sandbox.embedded.servers import free_port
from pydantic import BaseModel, ConfigDict
from sqlalchemy import BigInteger, Column, MetaData, PrimaryKeyConstraint, Table, Text, select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.infrastructure import Infrastructure, told

ROOT = Path(__file__).parents[2]
NewDatabase = Callable[..., Awaitable[str]]
Staff = Depends(require("caseworker"))

TOPIC = """
topic: "{country}.places.v1"
service: places
owner: The places team
purpose: Which services there are, for lists.
producer: places
key: ce_subject
partitions: 12
sensitivity: public
config: {cleanup.policy: delete, retention.ms: "-1", message.timestamp.type: LogAppendTime, max.message.bytes: "327680"}
purposes: []
subjects: SUBJECTS
events:
  place.listed: {versions: [1], protective: false}
"""


class PlaceListed(Event):
    type: ClassVar[str] = "kintsugi.place.listed.v1"
    service: ClassVar[str] = "places"
    dataclassification: ClassVar[str] = "public"
    dataschema: ClassVar[str] = "https://schemas.example/events/place.listed/v1.schema.json"

    code: str


class Place(State):
    code: str = ""


class ListPlace(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: str
    id: str | None = None


class Listed(BaseModel):
    subject: str


@singledispatch
def evolve(_event: object, state: Place) -> Place:
    return state


@evolve.register
def _(event: PlaceListed, state: Place) -> Place:
    return state.model_copy(update={"code": event.code})


places: Service[Place] = Service("places", state=Place, evolve=evolve)


@places.command(ListPlace, creates=True, subject="service", named=lambda command: command.id or str(uuid.uuid4()))
def list_place(command: ListPlace, _state: Place, _ctx: Context) -> list[Event]:
    return [PlaceListed(code=command.code)]


emitting = APIRouter()
collecting = APIRouter()


@emitting.post("/places")
async def post_place(command: ListPlace, commands: AnyCommands, caller: Caller = Staff) -> Response:
    return await commands.execute(command, caller=caller, answer=lambda done: Listed(subject=done.subject), status=201)


ROWS = Table(
    "listed_places",
    MetaData(),
    Column("source", Text),
    Column("subject", Text),
    Column("sequence", BigInteger),
    Column("code", Text, nullable=False),
    PrimaryKeyConstraint("source", "subject", "sequence"),
)


@collecting.get("/listed", dependencies=[Staff])
async def get_listed(commands: AnyCommands) -> list[dict[str, Any]]:
    return [dict(row) for row in await commands.rows(select(ROWS).order_by(ROWS.c.subject, ROWS.c.sequence))]


def row(event: PlaceListed, _envelope: Envelope) -> dict[str, object] | None:
    if event.code == "raises":
        raise LookupError("a code this collector does not know")
    return None if event.code == "hidden" else {"code": event.code}


NO_TABLES = """
revision = "{0}_0001"
down_revision = None
branch_labels = ("{0}",)
depends_on = None


def upgrade() -> None:
    from alembic import op

    op.execute("{1}")
"""
MADE = (
    "CREATE TABLE listed_places (source text, subject text, sequence bigint, code text NOT NULL CHECK (code <> 'no'), "
    "PRIMARY KEY (source, subject, sequence))"
)


class Country:
    """A country with the service, its collector, and the servers they need; processes are started by the test."""

    def __init__(self, infrastructure: Infrastructure, folder: Path) -> None:
        self.infrastructure = infrastructure
        self.folder = folder
        self.code = "".join(secrets.choice(string.ascii_lowercase) for _ in range(2))
        self.topic = f"{self.code}.places.v1"
        self.processes: dict[str, ServiceProcess] = {}
        self.ports: dict[str, int] = {}
        self.databases: dict[str, str] = {}
        self.application = Application(
            places, Views(MetaData(), lambda _subject, _state: {}), self._versions("places", "SELECT 1"), [emitting]
        )
        self.collector = Collector(
            "listed", (PlaceListed,), ROWS, row, self._versions("listed", MADE), routers=[collecting]
        )

    def _versions(self, name: str, statement: str) -> Path:
        folder = self.folder / f"{name}-migrations"
        folder.mkdir()
        (folder / f"{name}_0001.py").write_text(NO_TABLES.format(name, statement))
        return folder

    def catalog(self, subjects: str = "[service]") -> Catalog:
        """The installed events and the one of this test, on a topic that carries these subjects."""
        contracts = self.folder / f"contracts-{secrets.token_hex(4)}"
        (contracts / "topics").mkdir(parents=True)
        (contracts / "topics" / "places.v1.yaml").write_text(TOPIC.replace("SUBJECTS", subjects))
        package = EventPackage("country-places", (PlaceListed,), contracts)
        return Catalog([*Catalog.installed().packages, package])

    @contextlib.asynccontextmanager
    async def made(self, new_database: NewDatabase) -> AsyncIterator[Country]:
        pack = self.folder / "countries" / self.code
        for file in (ROOT / "countries/xa").rglob("*"):
            if file.is_file():
                copy = pack / file.relative_to(ROOT / "countries/xa")
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(file.read_bytes())
        country = pack / "country.yaml"
        country.write_text(country.read_text().replace("code: xa\n", f"code: {self.code}\n"))
        self.keys = generate_keypair(self.folder)
        keyring = self.databases["keyring"] = await new_database("keyring")
        address, superuser = urlsplit(keyring), urlsplit(self.infrastructure.admin_url)
        admin_url = urlunsplit(superuser._replace(scheme="postgresql+asyncpg", path=address.path))
        await keyring_admin.create_schema(admin_url, [])
        assert address.username is not None
        await keyring_admin.grant(admin_url, address.username, [])
        for name, wired in (("places", self.application), ("listed", self.collector)):
            url = self.databases[name] = await new_database(name)
            engine = create_async_engine(url, poolclass=NullPool)
            async with engine.begin() as connection:
                await connection.run_sync(tables.upgrade, wired)
            await engine.dispose()
        admin = AIOKafkaAdminClient(**self.infrastructure.cluster.client())
        await admin.start()
        settings = {"retention.ms": "-1", "message.timestamp.type": "LogAppendTime"}
        await admin.create_topics([NewTopic(self.topic, 12, 1, topic_configs=settings)])
        try:
            yield self
        finally:
            for name in list(self.processes):
                await self.processes.pop(name).stop()
            await admin.delete_topics([self.topic])
            await admin.close()

    async def start(self, wired: Wired, catalog: Catalog | None = None) -> None:
        self.ports[wired.name] = free_port()
        process = ServiceProcess(wired, self.settings(wired.name), Watchdog(60), catalog or self.catalog())
        self.processes[wired.name] = process
        await process.start()

    def settings(self, name: str) -> Settings:
        login = {
            key.removeprefix("KINTSUGI_").lower(): value
            for key, value in told(self.infrastructure.cluster, self.folder).items()
        }
        return Settings(
            **login,  # type: ignore[arg-type]
            country=self.code,
            countries=self.folder / "countries",
            contracts=ROOT / "contracts",
            database_url=self.databases[name],
            keyring_url=self.databases["keyring"],
            http_port=self.ports.get(name, 1),
            jwt_public_key=self.keys.public,
            profile=Profile.development,
            keys=self.folder,
        )

    def _headers(self, role: str) -> dict[str, str]:
        token = issue(self.keys.private.read_bytes(), role, "staff-1", timedelta(hours=1), self.code)
        return {"Authorization": f"Bearer {token}"}

    async def ask(self, service: str, method: str, path: str, body: Any = None, role: str = "caseworker") -> Any:
        headers = {**self._headers(role), "Idempotency-Key": str(uuid.uuid4())}
        async with httpx.AsyncClient(timeout=20) as http:
            url = f"http://127.0.0.1:{self.ports[service]}{path}"
            return await http.request(method, url, json=body, headers=headers)

    async def listed(self, code: str, **more: str) -> str:
        """Lists a place by a real command; returns its subject."""
        answer = await self.ask("places", "POST", "/places", {"code": code, **more})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["subject"])

    async def rows(self, count: int) -> list[tuple[str, int, str]]:
        """What the collector answers, once it has this many rows."""
        async with asyncio.timeout(30):
            while True:
                answer = await self.ask("listed", "GET", "/listed")
                assert answer.status_code == 200, answer.text
                found = [(each["subject"], each["sequence"], each["code"]) for each in answer.json()]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.1)

    async def status(self, name: str) -> dict[str, Any]:
        """What an operator is told, once nothing of the topic is left to read."""
        async with asyncio.timeout(30):
            while True:
                said = dict((await self.ask(name, "GET", "/operations/status", role="operator")).json())
                if said["lag"].get(self.topic) == 0:
                    return said
                await asyncio.sleep(0.1)

    async def query(self, name: str, sql: str) -> list[Any]:
        connection = await asyncpg.connect(self.databases[name].replace("+asyncpg", ""))
        try:
            return list(await connection.fetch(sql))
        finally:
            await connection.close()

    async def produce(self, subject: str, body: bytes, sequence: int = 1, id_: str | None = None) -> None:
        """A record as another producer with the right to the topic would write it."""
        envelope = Envelope(
            id=id_ or str(uuid.uuid4()),
            source=f"/{self.code}/places",
            type=PlaceListed.type,
            time=datetime.now(UTC),
            subject=subject,
            sequence=sequence,
            dataschema=PlaceListed.dataschema,
        )
        producer = AIOKafkaProducer(**self.infrastructure.cluster.client())
        await producer.start()
        try:
            place = partition_of(subject)
            await producer.send_and_wait(self.topic, body, subject.encode(), place, headers=encode(envelope))
        finally:
            await producer.stop()

    @contextlib.asynccontextmanager
    async def operators(self) -> AsyncIterator[Operators]:
        async with httpx.AsyncClient(timeout=20, headers=self._headers("operator")) as client:
            yield Operators(client, {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()})


@pytest_asyncio.fixture(loop_scope="session")
async def country(infrastructure: Infrastructure, new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Country]:
    async with Country(infrastructure, tmp_path).made(new_database) as made:
        yield made


@pytest.mark.timeout(180)
async def test_an_event_about_a_service_goes_by_command_topic_and_collector_to_a_query_and_the_trace(
    country: Country,
) -> None:
    await country.start(country.application)
    await country.start(country.collector)
    subject = await country.listed("shelter")
    assert subject.startswith("service/")
    assert uuid.UUID(subject.removeprefix("service/")).version == 4

    assert await country.rows(1) == [(subject, 1, "shelter")]
    status = await country.status("listed")
    assert (status["dead_letters"], status["subjects"]["ok"]) == (0, 0), "a collector has no rows of subjects"
    ready = await country.ask("listed", "GET", "/readyz")
    assert ready.json()["status"] == "ready"

    async with country.operators() as services:
        assert await services.subject(subject[:20]) == subject
        assert await services.subject(subject.removeprefix("service/")[:13]) == subject, "a bare id will do"
        with pytest.raises(CannotDo):
            await services.subject(subject.replace("service/", "case/"))
        story, now = await read(services, subject)
    (root,) = story.roots
    (event,) = root.children
    assert (root.kind, event.type, event.service) == ("request", "place.listed", "places")
    assert [(taken.service, taken.status) for taken in event.taken] == [("listed", "applied")]
    assert any("place.listed" in line.text for line in tell(story, now))


@pytest.mark.timeout(180)
async def test_a_collector_that_comes_late_has_all_and_a_second_reading_adds_no_row(country: Country) -> None:
    await country.start(country.application)
    codes = {await country.listed(f"code-{number}", id=f"Place-{number}"): f"code-{number}" for number in range(8)}
    assert "service/Place-0" in codes, "a command may name what it creates"
    await country.start(country.collector)
    found = await country.rows(8)
    assert {(subject, code) for subject, _, code in found} == set(codes.items())

    await country.processes.pop("listed").stop()
    await country.query("listed", "UPDATE positions SET next_offset = 0")
    await country.start(country.collector)
    await country.status("listed")
    assert await country.rows(8) == found
    counts = await country.query("listed", "SELECT status, count(*) FROM inputs GROUP BY status ORDER BY status")
    assert [tuple(each) for each in counts] == [("applied", 8), ("duplicate", 8)]


@pytest.mark.timeout(180)
async def test_a_collector_is_rebuilt_to_equal_rows_also_while_it_runs(country: Country) -> None:
    await country.start(country.application)
    await country.start(country.collector)
    for number in range(8):
        await country.listed(f"code-{number}")
    found = await country.rows(8)
    await country.query("listed", "UPDATE listed_places SET code = 'wrong'")
    report = await recover(country.collector, country.settings("listed"))
    assert report.collector
    # No record comes: the collector itself must see that its positions were moved.
    assert sorted(await country.rows(8)) == sorted(found)
    subject = await country.listed("one more")
    assert sorted(await country.rows(9)) == sorted([*found, (subject, 1, "one more")])

    await country.processes.pop("listed").stop()
    await recover(country.collector, country.settings("listed"))
    assert await country.query("listed", "SELECT 1 FROM listed_places") == []
    await country.start(country.collector)
    assert len(await country.rows(9)) == 9
    with pytest.raises(RecoveryRefused, match="collector"):
        await recover(country.collector, country.settings("listed"), compare=True)


@pytest.mark.timeout(180)
async def test_what_a_collector_cannot_read_is_kept_and_stops_nothing_else(country: Country) -> None:
    await country.start(country.application)
    await country.start(country.collector)
    bad = "service/bad"
    known = str(uuid.uuid4())
    await country.produce(bad, b"{}", 1)
    await country.produce(bad, json.dumps({"code": "raises"}).encode(), 2)
    await country.produce(bad, json.dumps({"code": "no"}).encode(), 3)
    await country.produce(bad, json.dumps({"code": "hidden"}).encode(), 4)
    await country.produce(bad, json.dumps({"code": "after a gap"}).encode(), 9, known)
    await country.produce(bad, json.dumps({"code": "after a gap"}).encode(), 9, known)
    await country.produce(bad, json.dumps({"code": "another"}).encode(), 9)
    await country.produce("staff/1", json.dumps({"code": "not of this topic"}).encode())
    subject = await country.listed("good")
    assert sorted(await country.rows(2)) == sorted([(bad, 9, "after a gap"), (subject, 1, "good")])
    await country.status("listed")
    causes = await country.query("listed", "SELECT sequence, status, cause FROM inputs WHERE status <> 'applied'")
    assert sorted((tuple(each) for each in causes), key=str) == sorted(
        [
            (1, "dead", "contract_violation"),
            (2, "dead", "handler_raised"),
            (3, "dead", "database_refused"),
            (4, "ignored", None),
            (9, "duplicate", None),
            (9, "dead", "sequence_reused"),
            (None, "dead", "subject_unreadable"),
        ],
        key=str,
    )
    assert (await country.status("listed"))["dead_letters"] == 5


@pytest.mark.timeout(60)
async def test_a_service_whose_topic_does_not_carry_what_it_creates_does_not_start(country: Country) -> None:
    with pytest.raises(CannotStart, match="name 'service' under 'subjects' in its topic file"):
        ServiceProcess(country.application, country.settings("places"), Watchdog(60), country.catalog("[case]"))


def test_a_collector_whose_table_has_another_primary_key_is_refused(tmp_path: Path) -> None:
    table = Table("listed_places", MetaData(), Column("subject", Text, primary_key=True))
    with pytest.raises(ValueError, match="must be source, subject, sequence"):
        Collector("listed", (PlaceListed,), table, row, tmp_path)
