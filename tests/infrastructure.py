"""One real broker and one real database for a test session, and a fresh corner of each for every test.

Taken from KINTSUGI_TEST_BOOTSTRAP and KINTSUGI_TEST_DATABASE_URL (a superuser's URL) when both are set, else from
containers where a Docker engine answers, else from the embedded servers. Workers of pytest-xdist share one set.
KINTSUGI_TEST_KAFKA_USERNAME and KINTSUGI_TEST_KAFKA_PASSWORD name that broker's administrator where it wants a login.
The embedded broker does; that of the containers is open, and what tests who may do what is skipped there.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from kintsugi.kafka import Cluster, Protocol
from kintsugi.secrets import Secret
from kintsugi_office import rights
from kintsugi_office.broker import broker
from kintsugi_sandbox.embedded import EmbeddedKafka, EmbeddedPostgres, places
from kintsugi_sandbox.embedded.servers import free_port

KAFKA_IMAGE = "apache/kafka:4.3.1"
POSTGRES_IMAGE = "postgres:18.6"


@dataclass(frozen=True)
class Infrastructure:
    """Where the session's servers are: a broker, and the URL of a superuser (``postgresql://``, as asyncpg has it)."""

    source: str
    bootstrap: str
    admin_url: str
    kafka_username: str | None = None
    kafka_password: str | None = None

    @property
    def cluster(self) -> Cluster:
        """Kafka as a user who may do everything; what every client of a test is made from."""
        if self.kafka_username is None or self.kafka_password is None:
            return Cluster(self.bootstrap)
        return Cluster(self.bootstrap, self.kafka_username, Secret(self.kafka_password), Protocol.sasl_plaintext)


def told(cluster: Cluster, folder: Path) -> dict[str, str]:
    """The environment that gives a process this cluster and its login; the password goes into a file in ``folder``."""
    environment = {"KINTSUGI_BOOTSTRAP": cluster.bootstrap}
    if cluster.username is None or cluster.password is None:
        return environment
    file = folder / f"{cluster.username}.password"
    file.touch(mode=0o600)
    file.write_text(cluster.password.reveal(), encoding="utf-8")
    return environment | {
        "KINTSUGI_KAFKA_USERNAME": cluster.username,
        "KINTSUGI_KAFKA_PASSWORD_FILE": str(file),
        "KINTSUGI_KAFKA_PROTOCOL": cluster.protocol.value,
    }


async def forget(cluster: Cluster, country: str) -> list[str]:
    """Take a country's topics, users and rights off a broker that others go on using. Returns the topics there were."""
    async with contextlib.AsyncExitStack() as stack:
        admin = AIOKafkaAdminClient(**cluster.client())
        await admin.start()
        stack.push_async_callback(admin.close)
        topics = [name for name in await admin.list_topics() if name.startswith(f"{country}.")]
        if topics:
            await admin.delete_topics(topics)
    if cluster.username is not None:
        await asyncio.to_thread(_forget_users, cluster, country)
    return topics


def _forget_users(cluster: Cluster, country: str) -> None:
    there = broker(cluster)
    users, listed = there.users_and_rights()
    there.withdraw(right for right in listed if rights.ours(country, right.principal))
    there.remove_users(name for name in users if name.startswith(f"{country}."))


def source() -> str:
    """Which servers this session uses: ``environment``, ``containers`` or ``embedded``."""
    if os.environ.get("KINTSUGI_TEST_BOOTSTRAP") and os.environ.get("KINTSUGI_TEST_DATABASE_URL"):
        return "environment"
    return "containers" if docker_answers() else "embedded"


def docker_answers() -> bool:
    """Whether a Docker engine answers within two seconds."""
    import docker

    try:
        client = docker.from_env(timeout=2)
    except docker.errors.DockerException:
        return False
    try:
        return bool(client.ping())
    except Exception:  # docker raises requests' and its own errors alike
        return False
    finally:
        client.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def infrastructure(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Infrastructure]:
    """The session's broker and database, started at first use."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        async with _servers(_announcer(request)) as servers:
            yield servers
    else:
        shared = _Shared(tmp_path_factory.getbasetemp().parent / "kintsugi-servers", worker)
        async with shared.servers(_announcer(request)) as servers:
            yield servers


@pytest_asyncio.fixture(loop_scope="session")
async def unique_topics(infrastructure: Infrastructure) -> AsyncIterator[Callable[..., Awaitable[dict[str, str]]]]:
    """``await unique_topics("intake", "referral", partitions=12)`` makes topics nobody else uses.

    Returns short name → topic, such as ``{"intake": "t3f9a1c.intake.v1"}``. They are deleted after the test.
    """
    made: list[str] = []
    admin = AIOKafkaAdminClient(**infrastructure.cluster.client())
    await admin.start()

    async def make(*names: str, partitions: int = 12) -> dict[str, str]:
        prefix = f"t{secrets.token_hex(4)}"
        topics = {name: f"{prefix}.{name}.v1" for name in names}
        settings = {"retention.ms": "-1", "message.timestamp.type": "LogAppendTime"}
        answer = await admin.create_topics(
            [NewTopic(topic, partitions, 1, topic_configs=settings) for topic in topics.values()]
        )
        refused = [entry for entry in answer.topic_errors if entry[1] != 0]
        assert not refused, f"topics refused by the broker: {refused}"
        made.extend(topics.values())
        return topics

    try:
        yield make
    finally:
        if made:
            await admin.delete_topics(made)
        await admin.close()


@pytest_asyncio.fixture(loop_scope="session")
async def new_database(infrastructure: Infrastructure) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """``await new_database()`` makes an empty database with a role that owns it, and returns its URL.

    ``postgresql+asyncpg://…`` for SQLAlchemy; ``driver="postgresql"`` for asyncpg. Dropped after the test.
    """
    made: list[str] = []
    admin = await asyncpg.connect(infrastructure.admin_url)

    async def make(label: str = "test", *, driver: str = "postgresql+asyncpg") -> str:
        name = f"{label}_{secrets.token_hex(5)}"
        password = secrets.token_hex(12)
        await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        await admin.execute(f"CREATE DATABASE {name} OWNER {name}")
        made.append(name)
        address = urlsplit(infrastructure.admin_url)
        return f"{driver}://{name}:{password}@{address.hostname}:{address.port}/{name}"

    try:
        yield make
    finally:
        for name in made:
            await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            await admin.execute(f"DROP ROLE IF EXISTS {name}")
        await admin.close()


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """A folder for servers a test starts and breaks itself; reachable for the account servers run as."""
    folder = _temporary_folder("kintsugi-test-")
    yield folder
    for link in [entry for entry in folder.rglob("*") if entry.is_symlink()]:
        places.remove_data(link)
    shutil.rmtree(folder)


@contextlib.asynccontextmanager
async def _servers(announce: Callable[[str], None]) -> AsyncIterator[Infrastructure]:
    chosen = source()
    if chosen == "environment":
        url = os.environ["KINTSUGI_TEST_DATABASE_URL"].replace("postgresql+asyncpg://", "postgresql://")
        login = (os.environ.get("KINTSUGI_TEST_KAFKA_USERNAME"), os.environ.get("KINTSUGI_TEST_KAFKA_PASSWORD"))
        yield Infrastructure(chosen, os.environ["KINTSUGI_TEST_BOOTSTRAP"], url, *login)
        return
    if chosen == "containers":
        announce(f"Starting {KAFKA_IMAGE} and {POSTGRES_IMAGE} in containers")
        with _containers() as servers:
            yield servers
        return
    announce("Starting embedded PostgreSQL and Kafka for the tests (about 5 s)")
    started = time.monotonic()
    folder = _temporary_folder("kintsugi-tests-")
    postgres, kafka = EmbeddedPostgres(folder / "postgres"), EmbeddedKafka(folder / "kafka")
    try:
        await asyncio.gather(postgres.start(), kafka.start())
        announce(f"Both answer after {time.monotonic() - started:.1f} s")
        admin = kafka.cluster
        assert admin.password is not None
        url = postgres.url(driver="postgresql")
        yield Infrastructure(chosen, kafka.bootstrap, url, admin.username, admin.password.reveal())
    finally:
        await asyncio.gather(postgres.kill(), kafka.kill())
        for server in ("postgres", "kafka"):
            places.remove_data(folder / server / "data")
        shutil.rmtree(folder, ignore_errors=True)


def _temporary_folder(prefix: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o755)  # pytest's own are closed to the account servers run as
    return folder


@contextlib.contextmanager
def _containers() -> Iterator[Infrastructure]:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.waiting_utils import wait_for_logs
    from testcontainers.postgres import PostgresContainer

    port = free_port()
    kafka = DockerContainer(KAFKA_IMAGE).with_bind_ports(9092, port)
    for name, value in {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "CLIENT://:9092,CONTROLLER://:9093,INSIDE://:9094",
        "KAFKA_ADVERTISED_LISTENERS": f"CLIENT://127.0.0.1:{port},INSIDE://localhost:9094",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "INSIDE",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_LOG_MESSAGE_TIMESTAMP_TYPE": "LogAppendTime",
    }.items():
        kafka = kafka.with_env(name, value)
    with kafka, PostgresContainer(POSTGRES_IMAGE, driver=None) as postgres:
        wait_for_logs(kafka, "Kafka Server started", timeout=60)
        yield Infrastructure("containers", f"127.0.0.1:{port}", postgres.get_connection_url())


class _Shared:
    """Servers used by several processes: the first one in starts them, and stays until the last one is out."""

    def __init__(self, folder: Path, member: str) -> None:
        self._folder = folder
        self._folder.mkdir(exist_ok=True)
        self._note = folder / "servers.json"
        self._ticket = folder / f"{member}.in"

    @contextlib.asynccontextmanager
    async def servers(self, announce: Callable[[str], None]) -> AsyncIterator[Infrastructure]:
        async with contextlib.AsyncExitStack() as stack:
            owner = False
            async with self._lock():
                if self._note.exists():
                    servers = Infrastructure(**json.loads(self._note.read_text()))
                else:
                    servers = await stack.enter_async_context(_servers(announce))
                    self._note.write_text(json.dumps(asdict(servers)))
                    owner = True
                self._ticket.touch()
            try:
                yield servers
            finally:
                self._ticket.unlink()
                if owner:
                    await self._last_out()

    async def _last_out(self) -> None:
        """Wait for the others; whoever comes later starts servers of its own."""
        while True:
            async with self._lock():
                if not any(self._folder.glob("*.in")):
                    self._note.unlink()
                    return
            await asyncio.sleep(0.2)

    @contextlib.asynccontextmanager
    async def _lock(self) -> AsyncIterator[None]:
        with (self._folder / "lock").open("w") as handle:
            await asyncio.to_thread(fcntl.flock, handle, fcntl.LOCK_EX)
            yield


def _announcer(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says a line to the person who waits, past pytest's capturing."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def announce(line: str) -> None:
        pause = capture.global_and_fixture_disabled() if capture else contextlib.nullcontext()
        with pause:
            print(f"\n  {line}", flush=True)

    return announce
