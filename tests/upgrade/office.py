"""One office whose data folder outlives the release that runs it: its commands, its people, its mail and its topics."""

from __future__ import annotations

import asyncio
import contextlib
import email
import json
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

import httpx
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.upgrade.releases import Release

SERVICES = ("intake", "assessment", "referral", "notify", "share")
PATIENCE = 120.0
"""Seconds; a machine that does much else at the same time needs them."""


@dataclass
class Office:
    """A data folder, and the release that runs in it now. Only commands and files: nothing of either is imported."""

    data: Path
    release: Release
    hands: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    """Processes of services that the test started itself, and that are to be spoken with."""
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    """All of them, whatever became of them."""
    told: dict[str, tuple[list[str], dict[str, str]]] = field(default_factory=dict)
    """By service: what its process was started with, and its environment."""
    _tokens: dict[str, str] = field(default_factory=dict)

    def run(
        self, *words: str, ok: bool = True, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command of the release."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("KINTSUGI_", "PYTHONPATH"))}
        done = subprocess.run(
            [self.release.kintsugi, *words],
            cwd=self.release.source,
            env={**clean, "KINTSUGI_DATA": str(self.data), **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0 or not ok, f"kintsugi {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done

    def up(self, release: Release, **environment: str) -> str:
        """Starts the office with a release; returns what it said."""
        self.release = release
        done = self.run("up", "--detach", environment=environment)
        for name in SERVICES:
            process = psutil.Process(self.pid(name))
            self.told[name] = (process.cmdline()[1:], process.environ())
        return done.stdout + done.stderr

    def asked(self, *words: str) -> Any:
        """What a command says to programs."""
        return json.loads(self.run(*words, "--json").stdout)

    @property
    def state(self) -> dict[str, Any]:
        """What the office wrote down of what runs."""
        said: dict[str, Any] = json.loads((self.data / "office.json").read_text())
        return said

    def pid(self, name: str) -> int:
        """The process of a service or a server, as the supervisor knows it."""
        return int(self.state["processes"][name]["pid"])

    def freeze(self) -> None:
        """From now on the supervisor starts nothing again: what ends stays away. The other processes go on."""
        os.kill(self.state["pid"], signal.SIGSTOP)

    def end(self, *names: str, how: signal.Signals = signal.SIGKILL) -> None:
        """Ends processes, those of the supervisor or those the test started, and waits until they are gone."""
        for name in names:
            if name in self.hands:
                process = self.hands.pop(name)
                process.send_signal(how)
                process.wait(60)
            else:
                pid = self.pid(name)
                os.kill(pid, how)
                until(lambda pid=pid: gone(pid), what=f"{name} to end")  # type: ignore[misc]

    def pull_the_plug(self) -> None:
        """SIGKILL to the supervisor and to all that it and the test started."""
        for process in self.started:
            process.kill()
            process.wait(60)
        self.hands.clear()
        supervisor = psutil.Process(self.state["pid"])
        family = [supervisor, *supervisor.children(recursive=True)]
        supervisor.kill()
        until(lambda: all(gone(each.pid) for each in family), what="the office to end")

    def by_hand(self, service: str, release: Release, *, told: dict[str, str] | None = None, **extra: str) -> None:
        """Starts a service's process of a release, with what the office told it, and waits until it is ready."""
        command, environment = self.told[service]
        environment = environment if told is None else told
        self.told[service] = command, environment
        with (self.data / "logs" / f"{service}.by-hand.out").open("ab") as output:
            process = subprocess.Popen(
                [release.python, *command],
                cwd=release.source,
                env={**environment, **extra},
                stdout=output,
                stderr=output,
            )
        self.started.append(process)

        def ready() -> bool:
            ended = process.poll()
            assert ended is None, f"{service} ended ({ended}) at its start: {self.output(service)[-2000:]}"
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"http://127.0.0.1:{environment['KINTSUGI_HTTP_PORT']}/readyz").status_code == 200
            return False

        until(ready, what=f"{service} to be ready")
        self.hands[service] = process

    def moved(self, service: str) -> None:
        """Tells the office's commands the port of a process that the test started."""
        said = self.state
        said["services"][service] = f"http://127.0.0.1:{self.told[service][1]['KINTSUGI_HTTP_PORT']}"
        (self.data / "office.json").write_text(json.dumps(said))

    def output(self, service: str) -> str:
        """What processes started by the test printed."""
        return (self.data / "logs" / f"{service}.by-hand.out").read_text(errors="replace")

    def ask(self, method: str, service: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """One request of a staff member, sent under one key until the service answers."""
        role = headers.pop("role", "caseworker")
        if role not in self._tokens:
            self._tokens[role] = self.run("token", "--role", role).stdout.strip()
        sent = {"Authorization": f"Bearer {self._tokens[role]}", "Idempotency-Key": str(uuid.uuid4()), **headers}
        url = f"http://127.0.0.1:{self.told[service][1]['KINTSUGI_HTTP_PORT']}{path}"
        answer: httpx.Response | None = None

        def answered() -> bool:
            nonlocal answer
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.request(method, url, json=body, headers=sent, timeout=20, trust_env=False)
                return answer.status_code not in (429, 502, 503, 504)
            return False

        until(answered, what=f"{service} to answer")
        assert answer is not None
        return answer

    def mails(self) -> list[Message]:
        """Everything that the capturing mail server took, in its order."""
        return [email.message_from_bytes(file.read_bytes()) for file in sorted((self.data / "mail").glob("*.eml"))]

    def records(self, topic: str, user: str = "office") -> list[tuple[str, dict[str, str]]]:
        """Key and headers of every record on a topic, as a user of the office's Kafka reads them."""
        return asyncio.run(_records(self, topic, user))

    def types(self) -> list[str]:
        """The types of all records that the services emitted, without version."""
        found = [record for name in SERVICES for record in self.records(f"xa.{name}.v1")]
        return [headers["ce_type"].removeprefix("kintsugi.").rsplit(".", 1)[0] for _, headers in found]

    def settle(self) -> None:
        """Waits until nothing is unsent or unread."""

        def quiet() -> bool:
            services = self.asked("status")["services"].values()
            return all(
                said["answers"] and not sum(said["lag"].values()) and not said["outbox"]["unsent"] for said in services
            )

        until(quiet, what="the office to be quiet")


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def gone(pid: int) -> bool:
    """Whether a process has ended; nobody may have waited for it yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until(condition: Callable[[], object], *, what: str, seconds: float = PATIENCE) -> None:
    """Waits for something that happens in another process."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.2)


async def _records(office: Office, topic: str, user: str) -> list[tuple[str, dict[str, str]]]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=office.state["bootstrap"],
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username=f"xa.{user}",
        sasl_plain_password=(office.data / "secrets" / "kafka" / f"{user}.password").read_text().strip(),
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in await _partitions(consumer, topic)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: list[tuple[str, dict[str, str]]] = []
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for some in (await consumer.getmany(timeout_ms=200)).values():
                found += [
                    (record.key.decode(), {name: value.decode() for name, value in record.headers}) for record in some
                ]
        return found
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    async with asyncio.timeout(20):
        while not (found := consumer.partitions_for_topic(topic)):
            consumer.subscribe([topic])
            await asyncio.sleep(0.1)
    consumer.unsubscribe()
    return set(found)


@contextlib.contextmanager
def office(data: Path, release: Release) -> Iterator[Office]:
    """An office that is stopped and emptied at the end, whatever runs in it then."""
    made = Office(data, release)
    try:
        yield made
    finally:
        with contextlib.suppress(FileNotFoundError, psutil.NoSuchProcess):
            made.pull_the_plug()
        made.run("empty", "--yes", ok=False)
