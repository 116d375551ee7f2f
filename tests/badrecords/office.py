"""One real service in a country of its own: a database, a keyring, topics, and the process that consumes them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from kintsugi import keyring_admin, tables
from kintsugi.auth import generate_keypair, issue
from kintsugi.kafka import Cluster
from kintsugi.partitioning import PARTITIONS
from kintsugi.secrets import make_key_file
from kintsugi_referral.app import application
from kintsugi_sandbox.embedded.servers import free_port
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tests.infrastructure import Infrastructure, told

PROJECT = Path(__file__).parents[2]
SERVICES = ("intake", "assessment", "referral")
# Laxer than the topic files: what a broker lets through by mistake must still do no harm.
LARGEST_RECORD = 4 * 1024 * 1024


@dataclass
class Office:
    """A running referral service, and how to look into it."""

    country: str
    cluster: Cluster
    database: asyncpg.Connection
    http: httpx.AsyncClient
    process: asyncio.subprocess.Process
    log: Path
    private_key: bytes = field(repr=False)

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """What a query of the service's own database answers."""
        found: list[asyncpg.Record] = await self.database.fetch(query, *arguments)
        return found

    async def post(self, path: str, body: dict[str, Any] | None = None, role: str = "operator") -> httpx.Response:
        """Asks the operations API, as a person of that role."""
        token = issue(self.private_key, role, f"staff-{role}", timedelta(minutes=10), self.country)
        return await self.http.post(
            f"/operations/{path}", json=body or {}, headers={"Authorization": f"Bearer {token}"}
        )

    @property
    def alive(self) -> bool:
        """Whether the process that was started at first still runs."""
        return self.process.returncode is None


@contextlib.asynccontextmanager
async def running(servers: Infrastructure, folder: Path) -> AsyncIterator[Office]:
    """Starts referral in a fictional country that no other test uses, and takes all of it away again."""
    async with contextlib.AsyncExitStack() as stack:
        country = await stack.enter_async_context(_topics(servers.cluster))
        _pack(country, folder / "countries")
        urls = await stack.enter_async_context(_databases(servers.admin_url, country))
        await _migrate(urls["referral"])
        pair = generate_keypair(folder / "keys")
        make_key_file(folder / "keys" / "contact.key")
        make_key_file(folder / "keys" / "link.key")
        port = free_port()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KINTSUGI_")} | {
            "KINTSUGI_COUNTRY": country,
            "KINTSUGI_COUNTRIES": str(folder / "countries"),
            "KINTSUGI_CONTRACTS": str(PROJECT / "contracts"),
            **told(servers.cluster, folder / "keys"),
            "KINTSUGI_DATABASE_URL": urls["referral"],
            "KINTSUGI_KEYRING_URL": urls["keyring"],
            "KINTSUGI_KEYS": str(folder / "keys"),
            "KINTSUGI_HTTP_PORT": str(port),
            "KINTSUGI_JWT_PUBLIC_KEY": str(pair.public),
            "KINTSUGI_LOG_FILE": str(folder / "referral.log"),
            "KINTSUGI_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "KINTSUGI_LINK_KEY": str(folder / "keys" / "link.key"),
            "PYTHONUNBUFFERED": "1",
        }
        with (folder / "referral.out").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "kintsugi_referral", env=environment, stdout=output, stderr=output
            )
        stack.push_async_callback(_stop, process)
        database = await asyncpg.connect(urls["referral"].replace("+asyncpg", ""))
        stack.push_async_callback(database.close)
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=15))
        log = folder / "referral.log"
        office = Office(country, servers.cluster, database, http, process, log, pair.private.read_bytes())
        await _ready(office, folder / "referral.out")
        yield office


async def _ready(office: Office, output: Path) -> None:
    async with asyncio.timeout(60):
        while True:
            assert office.alive, f"referral ended at its start; the last line of {output} says why"
            with contextlib.suppress(httpx.TransportError):
                if (await office.http.get("/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.1)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(20):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def _topics(cluster: Cluster) -> AsyncIterator[str]:
    """The topics of the first fictional country code that is free; yields the code."""
    admin = AIOKafkaAdminClient(**cluster.client())
    await admin.start()
    config = {
        "retention.ms": "-1",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(LARGEST_RECORD),
    }
    try:
        for letter in "bcdefghijklmnopqrstuvwyz":
            names = [f"x{letter}.{service}.v1" for service in SERVICES]
            answer = await admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=config) for name in names])
            made = [name for name, code, *_ in answer.topic_errors if code == 0]
            if len(made) == len(names):
                break
            if made:
                await admin.delete_topics(made)
        else:
            raise AssertionError("every fictional country code has topics on this broker: delete those of old runs")
        try:
            yield f"x{letter}"
        finally:
            await admin.delete_topics(names)
    finally:
        await admin.close()


def _pack(country: str, folder: Path) -> None:
    """The pack of xa under another code."""
    shutil.copytree(PROJECT / "countries" / "xa", folder / country)
    path = folder / country / "country.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("code: xa\n", f"code: {country}\n"), encoding="utf-8")


@contextlib.asynccontextmanager
async def _databases(admin_url: str, country: str) -> AsyncIterator[dict[str, str]]:
    """A database for referral and one for the keyring, both owned by roles of this run."""
    address = urlsplit(admin_url)
    mark = secrets.token_hex(4)
    names = {each: f"bad_{country}_{each}_{mark}" for each in ("referral", "keyring")}
    passwords = {each: secrets.token_hex(12) for each in names}
    place = f"{address.hostname}:{address.port}"
    admin = await asyncpg.connect(admin_url)
    try:
        for each, name in names.items():
            await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{passwords[each]}'")
            await admin.execute(f"CREATE DATABASE {name} OWNER {name}")
        owner = f"postgresql+asyncpg://{names['keyring']}:{passwords['keyring']}@{place}/{names['keyring']}"
        service = f"postgresql+asyncpg://{names['referral']}:{passwords['referral']}@{place}"
        await keyring_admin.create_schema(owner, ["contact"])
        await keyring_admin.grant(owner, names["referral"], ["contact"])
        yield {"referral": f"{service}/{names['referral']}", "keyring": f"{service}/{names['keyring']}"}
    finally:
        for name in names.values():
            await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        for name in names.values():
            await admin.execute(f"DROP ROLE IF EXISTS {name}")
        await admin.close()


async def _migrate(url: str) -> None:
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(tables.upgrade, application)
    finally:
        await engine.dispose()
