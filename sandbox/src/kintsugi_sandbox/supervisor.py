"""One country office on one machine: servers, databases, topics, mail server and services, started and kept running."""

import asyncio
import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

import httpx
import psutil
from kintsugi.auth import generate_keypair
from kintsugi.kafka import Cluster
from kintsugi.secrets import make_key_file
from kintsugi_office import access, databases, environment, key_files, progress, provision, services, state, topics
from kintsugi_office.databases import Databases
from kintsugi_office.environment import Addresses, Surroundings
from kintsugi_office.project import Layout, contracts_folder, project_folder
from kintsugi_office.services import InstalledService
from kintsugi_office.state import OfficeAlreadyRuns, OfficeState, ProcessState

from kintsugi_sandbox import loopback
from kintsugi_sandbox.child import Child
from kintsugi_sandbox.embedded import EmbeddedKafka, EmbeddedPostgres, servers

Shape = Literal["processes", "all-in-one"]
_ALL = "services"  # the name of the process that runs all services in the all-in-one shape


class Office:
    """Start and supervise everything of one country; ``async with Office(Layout.at(None)) as office:``.

    ``extra`` adds variables to the environment of a process (by service name; ``services`` in the all-in-one shape).
    ``ask`` is asked before a service may read or open more than at the last start; without it nothing is asked.
    Start it from the main thread: every process dies with it.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        country: str = "xa",
        profile: str = "development",
        shape: Shape = "processes",
        project: Path | None = None,
        found: Sequence[InstalledService] | None = None,
        extra: Mapping[str, Mapping[str, str]] | None = None,
        say: Callable[[str], None] = progress.say,
        ask: provision.Ask | None = None,
    ) -> None:
        self.layout = layout
        self.country = country
        self.profile = profile
        self.shape: Shape = shape
        self.project = project or project_folder()
        self.services = list(services.installed() if found is None else found)
        self.postgres = EmbeddedPostgres(layout.postgres)
        self.kafka = EmbeddedKafka(layout.kafka, password_file=layout.kafka_password(access.ADMIN))
        self.children: dict[str, Child] = {}
        self.databases = Databases({}, {}, "")
        self.addresses = Addresses("", "", {})
        self._extra = extra or {}
        self._say = say
        self._ask = ask
        self._phase: Literal["starting", "ready", "stopping"] = "starting"
        self._lock: IO[str] | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def bootstrap(self) -> str:
        """The broker's address."""
        return self.kafka.bootstrap

    @property
    def cluster(self) -> Cluster:
        """The broker, as the office's own tools log in: they read every topic and write none."""
        return access.login(self.layout, self.bootstrap, self.country, access.OFFICE)

    def url(self, service: str) -> str:
        """The base of a service's HTTP API."""
        return self.addresses.url(service)

    async def start(self) -> None:
        """Start everything and return when every service is ready. What was started is stopped again on a failure."""
        self.layout.make()
        self._take_lock()
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop services, then the mail server, then Kafka and PostgreSQL, each in order."""
        self._phase = "stopping"
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        mailbox = self.children.pop("mailbox", None)
        await asyncio.gather(*(child.stop() for child in self.children.values()))
        if mailbox is not None:
            await mailbox.stop()
        await self.kafka.stop()
        await self.postgres.stop()
        if self._lock is not None:
            self.layout.state.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    async def kill(self, name: str, *, down_for: float = 0.0) -> None:
        """SIGKILL to a service's process; it comes back by itself, not before ``down_for`` seconds."""
        await self.child(name).kill(down_for=down_for)

    async def restart(self, name: str) -> None:
        """Stop a service in order and start it again; returns when it is ready."""
        await self.child(name).restart()

    def child(self, name: str) -> Child:
        """The process that runs a service (or ``mailbox``). Raises LookupError for a name that nothing has."""
        process = _ALL if self.shape == "all-in-one" and name in self.addresses.ports else name
        try:
            return self.children[process]
        except KeyError:
            raise LookupError(f"No process {name!r} here. There are: {', '.join(self.children)}.") from None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start(self) -> None:
        self._say("Starting PostgreSQL and Apache Kafka")
        await asyncio.gather(self.postgres.start(), self.kafka.start())
        contracts = contracts_folder(self.project)
        wanted = provision.declared(contracts, self.country, also=(service.name for service in self.services))
        plans = topics.planned(contracts, self.country)
        purposes = {service.name: () for service in self.services} | {
            plan.service: plan.purposes for plan in plans if plan.service in {s.name for s in self.services}
        }
        if self._ask is not None:
            await provision.confirm(self.kafka.cluster, self.layout, wanted, self._ask)
        self._make_keys(purposes)
        self._say("Preparing databases, keys, topics and who may use them")
        self.databases, done = await asyncio.gather(
            databases.ensure(self.postgres, self.country, purposes),
            provision.apply(self.kafka.cluster, self.layout, wanted),
        )
        for line in provision.taken_away(done):
            self._say(line)
        for service in self.services:
            await databases.migrate(self.databases.own[service.name], service)
        self.addresses = self._choose_addresses()
        around = Surroundings(
            country=self.country,
            profile=self.profile,
            project=self.project,
            layout=self.layout,
            databases=self.databases,
            addresses=self.addresses,
            purposes=purposes,
        )
        self.children = {child.name: child for child in [self._mailbox(), *self._service_children(around)]}
        self._say(f"Starting {', '.join(service.name for service in self.services)}")
        for child in self.children.values():
            child.start()
        self._write_state()
        self._watching = asyncio.create_task(self._watch_servers(), name="watch servers")
        await asyncio.gather(*(child.wait_ready() for child in self.children.values()))
        self._phase = "ready"
        self._write_state()

    def _take_lock(self) -> None:
        self._lock = self.layout.lock.open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            self._lock = None
            raise OfficeAlreadyRuns(
                f"An office already runs in {self.layout.data}. Stop it: kintsugi down; or use another folder: --data."
            ) from None

    def _make_keys(self, purposes: key_files.Held) -> None:
        generate_keypair(self.layout.secrets)
        make_key_file(self.layout.link_key)
        if any(service.name == environment.SHARE for service in self.services):
            make_key_file(self.layout.share_key)
        key_files.hand_out(self.layout, purposes)

    def _choose_addresses(self) -> Addresses:
        """The ports of last time where they are free, so that a bookmark survives a restart."""
        note = self.layout.ports
        kept: dict[str, int] = json.loads(note.read_text()) if note.exists() else {}
        ports: dict[str, int] = {}
        for name in ["mailbox", *(service.name for service in self.services)]:
            before = kept.get(name, 0)
            free = before and before not in ports.values() and servers.port_is_free(before)
            ports[name] = before if free else servers.free_port(taken=[*ports.values(), *kept.values()])
        note.write_text(json.dumps(ports))
        return Addresses(self.bootstrap, f"smtp://127.0.0.1:{ports.pop('mailbox')}", ports)

    def _mailbox(self) -> Child:
        port = int(self.addresses.smtp_url.rsplit(":", 1)[1])

        async def listens() -> bool:
            return not servers.port_is_free(port)

        return Child(
            "mailbox",
            [sys.executable, "-m", "kintsugi_sandbox.mailbox", "--port", str(port), "--folder", str(self.layout.mail)],
            environment=os.environ,
            logs=self.layout.logs,
            ports={"mailbox": port},
            ready=listens,
            changed=self._write_state,
        )

    def _service_children(self, around: Surroundings) -> list[Child]:
        names = [service.name for service in self.services]
        if self.shape == "all-in-one":
            command = [sys.executable, "-m", "kintsugi.runtime", *names]
            return [self._service_child(_ALL, command, around, names)]
        return [self._service_child(service.name, service.command, around, [service.name]) for service in self.services]

    def _service_child(self, process: str, command: list[str], around: Surroundings, names: list[str]) -> Child:
        ports = {name: self.addresses.ports[name] for name in names}

        async def answers() -> bool:
            async with loopback.client(seconds=2) as client:
                try:
                    asked = [await client.get(f"http://127.0.0.1:{port}/readyz") for port in ports.values()]
                except httpx.HTTPError:
                    return False
            return all(answer.status_code == 200 for answer in asked)

        return Child(
            process,
            command,
            environment={**environment.of_process(around, *names), **self._extra.get(process, {})},
            logs=self.layout.logs,
            ports=ports,
            ready=answers,
            changed=self._write_state,
        )

    async def _watch_servers(self) -> None:
        """Start a server again that ended by itself; the services wait for it meanwhile."""
        while True:
            for label, server in (("PostgreSQL", self.postgres), ("Kafka", self.kafka)):
                if server.lost:
                    self._say(f"{label} ended unexpectedly and is started again; its log: {server.log}")
                    with contextlib.suppress(servers.ServerDidNotStart):
                        await server.start()
                    self._write_state()
            await asyncio.sleep(0.5)

    def _write_state(self) -> None:
        processes = {"postgres": _described("postgres", self.postgres), "kafka": _described("kafka", self.kafka)}
        processes |= {name: child.describe() for name, child in self.children.items()}
        state.write(
            self.layout.state,
            OfficeState(
                pid=os.getpid(),
                started=psutil.Process().create_time(),
                phase=self._phase,
                country=self.country,
                profile=self.profile,
                shape=self.shape,
                project=str(self.project),
                bootstrap=self.bootstrap,
                services={name: self.url(name) for name in self.addresses.ports},
                versions={service.name: service.version for service in self.services},
                databases=dict(self.databases.own),
                keyrings=dict(self.databases.keyring),
                processes=processes,
            ),
        )


def _described(name: str, server: EmbeddedPostgres | EmbeddedKafka) -> ProcessState:
    return ProcessState(
        pid=server.pid if server.running else None,
        state="ready" if server.running else "stopped",
        ports={name: server.port},
        log=str(server.log),
    )
