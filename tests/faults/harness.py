"""A platform to break: real PostgreSQL and Kafka, one country of its own, its services as real processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from kintsugi.auth import generate_keypair
from kintsugi.secrets import make_key_file
from kintsugi_contracts import consumes
from kintsugi_contracts.topic_file import topic_files
from kintsugi_office import databases, environment, key_files, provision, services, tokens, topics
from kintsugi_office.environment import Addresses, Surroundings
from kintsugi_office.project import Layout, project_folder
from kintsugi_sandbox import mailbox
from kintsugi_sandbox.embedded import EmbeddedKafka, EmbeddedPostgres, places
from kintsugi_sandbox.embedded.servers import free_port

from tests.faults.evidence import Evidence, Promise, collect
from tests.faults.nursery import Nursery
from tests.faults.processes import Process

ALL = ("intake", "assessment", "referral", "notify")
_CODES = [f"x{letter}" for letter in "bcdefghijklmnopqrstuvwyz"]
_NOT_QUIET = """
SELECT (SELECT count(*) FROM outbox) AS unsent,
       (SELECT count(*) FROM subjects WHERE status = 'waiting') AS waiting,
       (SELECT count(*) FROM attempts t JOIN subjects s USING (subject)
        WHERE NOT t.settled AND s.status = 'ok') AS attempts,
       (SELECT count(*) FROM agenda a JOIN subjects s USING (subject)
        WHERE a.kind = 'send' AND a.postponed IS NULL AND s.status = 'ok') AS sends,
       (SELECT count(*) FROM agenda a JOIN subjects s USING (subject) WHERE a.kind = 'deadline' AND s.status = 'ok'
        AND a.due_at <= coalesce((SELECT instant FROM business_clock), now())) AS deadlines
"""


class Servers:
    """One PostgreSQL and one Kafka that tests may kill; countries are handed out one after the other."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kintsugi-faults-"))
        self.folder.chmod(0o755)  # the account that servers run as passes through it
        self.postgres = EmbeddedPostgres(self.folder / "postgres")
        self.kafka = EmbeddedKafka(self.folder / "kafka")
        self.nursery = Nursery()
        self._codes = list(_CODES)

    async def start(self) -> None:
        """Starts both (about 5 s)."""
        await asyncio.gather(self.postgres.start(), self.kafka.start())

    async def stop(self) -> None:
        """Ends both and removes what they kept."""
        self.nursery.close()
        await asyncio.gather(self.postgres.kill(), self.kafka.kill())
        for server in ("postgres", "kafka"):
            places.remove_data(self.folder / server / "data")
        shutil.rmtree(self.folder, ignore_errors=True)

    def country(self) -> str:
        """A code that no platform here has had."""
        return self._codes.pop(0)


class Platform:
    """One country on the servers. ``told`` is added to every process's environment; ``names`` are its services."""

    def __init__(self, servers: Servers, names: Sequence[str] = ALL, *, told: Mapping[str, str] | None = None) -> None:
        self.servers = servers
        self.country = servers.country()
        self.names = tuple(names)
        self.layout = Layout(servers.folder / self.country)
        self.ledger: list[Promise] = []
        self.repeats: list[tuple[Promise, int, bytes]] = []
        self.processes: list[Process] = []
        self._told = dict(told or {})
        self._around: Surroundings | None = None
        self._mail: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self.layout.make()
        around = self._around = await self._prepared()
        port = int(around.addresses.smtp_url.rsplit(":", 1)[1])
        self._mail = await mailbox.serve(self.layout.mail, port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(process.kill() for process in self.processes))
        if self._mail is not None:
            self._mail.close()

    async def _prepared(self) -> Surroundings:
        project, packs = project_folder(), self.layout.data / "countries"
        copy_pack(project / "countries" / "xa", packs / self.country)
        plans = list(topics.planned(project / "contracts", self.country))
        purposes: dict[str, tuple[str, ...]] = {
            plan.service: plan.purposes for plan in plans if plan.service in self.names
        }
        generate_keypair(self.layout.secrets)
        make_key_file(self.layout.link_key)
        key_files.hand_out(self.layout, purposes)
        made, _ = await asyncio.gather(
            databases.ensure(self.servers.postgres, self.country, purposes),
            provision.apply(
                self.servers.kafka.cluster, self.layout, provision.declared(project / "contracts", self.country)
            ),
        )
        for service in services.installed(self.names):
            await databases.migrate(made.own[service.name], service)
        ports: dict[str, int] = {}
        for name in ("mail", *self.names):
            ports[name] = free_port(taken=list(ports.values()))
        addresses = Addresses(self.servers.kafka.bootstrap, f"smtp://127.0.0.1:{ports.pop('mail')}", ports)
        return Surroundings(
            country=self.country,
            profile="demo",
            project=project,
            layout=self.layout,
            databases=made,
            addresses=addresses,
            purposes=purposes,
        )

    def process(self, *names: str, **told: str) -> Process:
        """A process of these services, not started yet. A second one of the same services gets ports of its own."""
        assert self._around is not None
        values = {
            key: value for key, value in environment.of_process(self._around, *names).items() if "KINTSUGI" in key
        }
        ports = {name: self._around.addresses.ports[name] for name in names}
        number = sum(1 for each in self.processes if each.names == names)
        if number:
            ports = {name: free_port() for name in names}
            prefix = {name: "KINTSUGI_" if len(names) == 1 else f"KINTSUGI_{name.upper()}_" for name in names}
            values |= {f"{prefix[name]}HTTP_PORT": str(port) for name, port in ports.items()}
        values |= {
            "KINTSUGI_COUNTRIES": str(self.layout.data / "countries"),
            "KINTSUGI_TRACE_RATIO": "0",
            "KINTSUGI_SESSION_TIMEOUT_MS": "3000",
        }
        log = self.layout.logs / f"{'+'.join(names)}.{number}.out"
        process = Process(self.servers.nursery, names, ports, {**values, **self._told, **told}, log)
        self.processes.append(process)
        return process

    async def up(self) -> dict[str, Process]:
        """One process per service, started and ready."""
        made = {name: self.process(name) for name in self.names}
        for process in made.values():
            process.start()
        await asyncio.gather(*(process.ready() for process in made.values()))
        return made

    def url(self, service: str) -> str:
        """The base of a service's HTTP API."""
        assert self._around is not None
        return self._around.addresses.url(service)

    def token(self, role: str) -> str:
        """A staff token."""
        valid = timedelta(hours=4)
        return tokens.issue(self.layout, role, subject=f"test-{role}", valid=valid, country=self.country)

    def dsn(self, service: str) -> str:
        """A service's database for asyncpg."""
        assert self._around is not None
        return self._around.databases.own[service].replace("+asyncpg", "")

    async def sql(self, service: str, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Runs one statement in a service's database."""
        connection = await asyncpg.connect(self.dsn(service), timeout=10)
        try:
            found: list[asyncpg.Record] = await connection.fetch(statement, *values)
            return found
        finally:
            await connection.close()

    async def end_leases(self) -> None:
        """As if two minutes had passed: attempts whose process died are up for settling."""
        await self.sql("notify", "UPDATE attempts SET lease_until = now() WHERE NOT settled")

    async def move_clock(self, instant: datetime) -> None:
        """Moves the business clock of every service."""
        headers = {"Authorization": f"Bearer {self.token('operator')}"}
        async with httpx.AsyncClient(timeout=20, trust_env=False, headers=headers) as client:
            for name in self.names:
                url, body = f"{self.url(name)}/operations/clock", {"instant": instant.isoformat()}
                while (answer := await client.post(url, json=body)).status_code == 503:  # noqa: ASYNC110
                    await asyncio.sleep(0.2)  # a process that was killed has not started again yet
                assert answer.status_code == 204, answer.text

    async def quiet(self, seconds: float = 30) -> str | None:
        """Waits until nothing is under way, twice in a row. Returns None, or what still was when the time was over."""
        end, calm = time.monotonic() + seconds, 0
        while True:
            busy = await self._busy()
            calm = 0 if busy else calm + 1
            if calm == 2:
                return None
            if time.monotonic() > end:
                return busy
            if busy and "attempts" in busy:
                await self.end_leases()
            await asyncio.sleep(0.15)

    async def _busy(self) -> str | None:
        busy: list[str] = []
        ends = await self.ends()
        for name in self.names:
            try:
                row = (await self.sql(name, _NOT_QUIET))[0]
                positions = await self.sql(name, "SELECT topic, partition, next_offset FROM positions")
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                busy.append(f"{name}: {type(error).__name__}")
                continue
            busy += [f"{name}: {row[what]} {what}" for what in row.keys() if row[what]]  # noqa: SIM118 - not a dict
            reached = {(each["topic"], each["partition"]): each["next_offset"] for each in positions}
            read = [f"{self.country}.{each}.v1" for each in subscriptions()[name]]
            lag = sum(end - reached.get(place, 0) for place, end in ends.items() if place[0] in read)
            busy += [f"{name}: lag {lag}"] if lag else []
        return "; ".join(busy) or None

    async def ends(self) -> dict[tuple[str, int], int]:
        """The end of every partition of the country's topics."""
        consumer = AIOKafkaConsumer(**self.servers.kafka.cluster.client(), enable_auto_commit=False)
        await consumer.start()
        try:
            places = [TopicPartition(f"{self.country}.{name}.v1", n) for name in ALL for n in range(12)]
            found = await consumer.end_offsets(places)
        finally:
            await consumer.stop()
        return {(place.topic, place.partition): end for place, end in found.items() if end}

    async def evidence(self) -> Evidence:
        """Everything the checker judges by."""
        alive = {"+".join(each.names): await each.alive() for each in self.processes if each.running}
        return await collect(
            cluster=self.servers.kafka.cluster,
            country=self.country,
            databases={name: self.dsn(name) for name in self.names},
            subscriptions=subscriptions(),
            mail=self.layout.mail,
            ledger=self.ledger,
            repeats=self.repeats,
            ends=[code for process in self.processes for code in process.ends],
            alive=alive,
        )

    @property
    def settings(self) -> Surroundings:
        """Where its parts are."""
        assert self._around is not None
        return self._around


def subscriptions() -> dict[str, list[str]]:
    """Which services each one reads, from their consumes.yaml."""
    files, consumers = topic_files(project_folder() / "contracts"), consumes.installed()
    return {
        name: [source for source, topic in files.items() if name in consumes.readers(topic, consumers)] for name in ALL
    }


def copy_pack(source: Path, target: Path) -> None:
    """The pack of a fictional country under another code."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("samples", "README.md"))
    code = target.name
    for file in target.rglob("*"):
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            text = re.sub(rf"\b{source.name.upper()}-", f"{code.upper()}-", text)
            file.write_text(re.sub(rf"(?m)^code: {source.name}$", f"code: {code}", text), encoding="utf-8")


async def operate(platform: Platform, service: str, path: str, body: Any = None) -> Any:
    """A request to a service's operations API."""
    headers = {"Authorization": f"Bearer {platform.token('operator')}"}
    async with httpx.AsyncClient(timeout=20, trust_env=False, headers=headers) as client:
        url = f"{platform.url(service)}/operations{path}"
        answer = await (client.get(url) if body is None else client.post(url, json=body))
        answer.raise_for_status()
        with contextlib.suppress(json.JSONDecodeError):
            return answer.json()
    return None
