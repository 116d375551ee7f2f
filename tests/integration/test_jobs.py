"""The jobs of containers prepare what the embedded office prepares, and hand each service its own secrets only."""

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError
from kintsugi.auth import Verifier, issuer_of
from kintsugi.kafka import Cluster, Protocol, read_password
from kintsugi.secrets import make_key_file, make_secret_file
from kintsugi_office.project import Layout
from kintsugi_sandbox.embedded.kafka import classpath, java_program
from kintsugi_sandbox.embedded.servers import free_port, spawn, stop_process, tail

from tests import compose
from tests.infrastructure import Infrastructure, forget

PROJECT = Path(__file__).parents[2]
CONTAINER = PROJECT / "infra" / "container"
COUNTRY = "xj"  # nobody else's: roles belong to the whole server
SERVICES = ("intake", "assessment", "referral", "notify", "share")


def job(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kintsugi_office.jobs", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def office(tmp_path: Path) -> dict[str, str]:
    return {
        "KINTSUGI_PROJECT": str(PROJECT),
        "KINTSUGI_DATA": str(tmp_path / "data"),
        "KINTSUGI_COUNTRY": COUNTRY,
        "KINTSUGI_POSTGRES": "postgres:5432",
    }


def test_each_service_is_handed_its_own_keys_and_no_others(tmp_path: Path, office: dict[str, str]) -> None:
    done = job("secrets", "--into", str(tmp_path / "out"), environment=office)
    assert done.returncode == 0, done.stderr
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    held = {(file.relative_to(tmp_path / "out").parts[0], file.name) for file in files}
    assert {name for service, name in held if service == "notify"} == {
        "contact.key",
        "jwt-public.pem",
        "notify.password",
        "settings.env",
    }
    assert {service for service, name in held if name == "admin.password"} == set()
    assert {service for service, name in held if name == "identity.key"} == {"intake", "share"}
    assert {service for service, name in held if name == "link.key"} == {"referral"}
    assert {service for service, name in held if name == "share.key"} == {"share"}
    assert not any("private" in name for _, name in held)
    # The broker's container runs as another account, of the same group; Prometheus as one of no group of ours.
    modes = {"kafka": 0o640, "prometheus": 0o644}
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == modes.get(file.parent.name, 0o600), file
    listed = json.loads((tmp_path / "out" / "prometheus" / "services.json").read_text())
    assert listed == [
        {"targets": [f"{service}:8080"], "labels": {"service": service}}
        for service in ("assessment", "intake", "notify", "referral", "share")
    ]
    assert stat.S_IMODE((tmp_path / "out" / "prometheus").stat().st_mode) == 0o755
    before = {file: file.read_bytes() for file in files}
    assert job("secrets", "--into", str(tmp_path / "out"), environment=office).returncode == 0
    assert {file: file.read_bytes() for file in files} == before


def test_a_service_that_is_upgraded_after_the_job_is_still_told_of_the_key_files_it_was_given(
    tmp_path: Path, office: dict[str, str]
) -> None:
    secrets, notify = tmp_path / "data" / "secrets", tmp_path / "out" / "notify"
    for purpose in ("identity", "contact", "assessment", "narrative"):
        make_key_file(secrets / f"kek-{purpose}.key")
    for service in ("intake", "assessment", "referral", "notify", "share"):
        make_secret_file(secrets / "kafka" / f"{service}.password", b"of the earlier release")
    make_key_file(notify / "kek-contact.key")
    former = (secrets / "kek-contact.key").read_bytes()
    done = job("secrets", "--into", str(tmp_path / "out"), environment=office)
    assert done.returncode == 0, done.stderr
    told = (notify / "settings.env").read_text().splitlines()
    assert "KINTSUGI_KEK_CONTACT=/run/kintsugi/kek-contact.key" in told
    assert "KINTSUGI_KEYS=/run/kintsugi/keys" in told
    assert (notify / "keys" / "contact.key").read_bytes() == former
    assert "KINTSUGI_KEK_CONTACT" not in (tmp_path / "out" / "intake" / "settings.env").read_text()


def test_a_service_that_would_hold_another_key_waits_for_a_person_s_word(
    tmp_path: Path, office: dict[str, str]
) -> None:
    handed = ("secrets", "--into", str(tmp_path / "out"))
    assert job(*handed, environment=office).returncode == 0, "the first start asks nothing"
    (tmp_path / "data" / "secrets" / "keys-of" / "share" / "identity.key").unlink()  # as if share had not held it
    refused = job(*handed, environment=office)
    assert refused.returncode == 1
    assert "share will hold keys for identity" in refused.stderr
    assert "add --yes" in refused.stderr
    assert job(*handed, "--yes", environment=office).returncode == 0
    assert job(*handed, environment=office).returncode == 0, "what was confirmed is not asked again"


def test_a_token_of_the_job_is_accepted_with_the_key_that_services_are_handed(
    tmp_path: Path, office: dict[str, str]
) -> None:
    job("secrets", "--into", str(tmp_path / "out"), environment=office)
    token = job("token", "--role", "caseworker", environment=office).stdout.strip()
    public = (tmp_path / "out" / "intake" / "jwt-public.pem").read_bytes()
    assert Verifier(public, issuer_of(COUNTRY), country=COUNTRY).verify(token).roles == {"caseworker"}


def test_a_token_before_the_secrets_says_what_to_do(office: dict[str, str]) -> None:
    done = job("token", "--role", "caseworker", environment=office)
    assert done.returncode == 1
    assert "does not exist" in done.stdout + done.stderr


async def test_databases_and_topics_are_made_and_a_second_run_changes_nothing(
    tmp_path: Path, office: dict[str, str], infrastructure: Infrastructure
) -> None:
    superuser = urlsplit(infrastructure.admin_url)
    if superuser.username != "postgres":
        pytest.skip("this server's superuser is not called postgres, as that of docker-compose.yml is")
    office |= {
        "KINTSUGI_POSTGRES": f"{superuser.hostname}:{superuser.port}",
        "KINTSUGI_BOOTSTRAP": infrastructure.bootstrap,
    }
    passwords = tmp_path / "data" / "postgres" / "passwords.json"
    passwords.parent.mkdir(parents=True)
    passwords.write_text(json.dumps({"postgres": superuser.password}))
    if infrastructure.kafka_password is None:
        pytest.skip("this broker has no logins, as that of docker-compose.yml has")
    kafka = Layout(tmp_path / "data").kafka_password("admin")
    make_secret_file(kafka, infrastructure.kafka_password.encode())
    admin = await asyncpg.connect(infrastructure.admin_url)
    try:
        for _ in range(2):
            for arguments in (["secrets", "--into", str(tmp_path / "out")], ["migrate"], ["topics"]):
                done = job(*arguments, environment=office)
                assert done.returncode == 0, done.stderr
        for name in SERVICES:
            line = (tmp_path / "out" / name / "settings.env").read_text().split("\n", 1)[0]
            own = line.partition("=")[2].strip("'").replace("+asyncpg", "")
            told = dict(
                line.split("=", 1) for line in (tmp_path / "out" / name / "settings.env").read_text().splitlines()
            )
            password = read_password(tmp_path / "out" / name / Path(told["KINTSUGI_KAFKA_PASSWORD_FILE"]).name)
            service = Cluster(
                infrastructure.bootstrap, told["KINTSUGI_KAFKA_USERNAME"], password, Protocol.sasl_plaintext
            )
            async with AIOKafkaProducer(**service.client(), acks="all", enable_idempotence=True) as producer:
                await producer.send_and_wait(f"{COUNTRY}.{name}.v1", b"written as itself")
            connection = await asyncpg.connect(own)
            assert await connection.fetchval("SELECT count(*) FROM subjects") == 0
            await connection.close()
    finally:
        for name in ("keyring", *SERVICES):
            await admin.execute(f"DROP DATABASE IF EXISTS kintsugi_{COUNTRY}_{name} WITH (FORCE)")
        for name in ("keyring", *SERVICES):
            await admin.execute(f"DROP ROLE IF EXISTS kintsugi_{COUNTRY}_{name}")
        await admin.close()
        await forget(infrastructure.cluster, COUNTRY)


def test_a_server_address_without_a_port_is_refused(office: dict[str, str], tmp_path: Path) -> None:
    done = job("secrets", "--into", str(tmp_path), "--server", "postgres", environment=office)
    assert done.returncode == 2
    assert "host:port" in done.stderr


@pytest.fixture
def containers(tmp_path: Path) -> dict[str, str]:
    """What the script that starts the broker of docker-compose.yml finds in its container, on this machine."""
    java, jars = shlex.quote(str(java_program())), shlex.quote(os.pathsep.join(map(str, classpath())))
    (tmp_path / "opt" / "bin").mkdir(parents=True)
    for name, main in (("kafka-storage.sh", "kafka.tools.StorageTool"), ("kafka-server-start.sh", "kafka.Kafka")):
        program = tmp_path / "opt" / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {java} -Xmx256m -cp {jars} {main} "$@"\n')
        program.chmod(0o755)
    ports = [free_port(), free_port()]
    settings = (CONTAINER / "kafka.properties").read_text()
    for before, after in (
        ("CLIENT://:9092", f"CLIENT://127.0.0.1:{ports[0]}"),
        ("CLIENT://kafka:9092", f"CLIENT://127.0.0.1:{ports[0]}"),
        ("localhost:9093", f"127.0.0.1:{ports[1]}"),
        ("log.dirs=/var/lib/kafka/data", f"log.dirs={tmp_path / 'volume'}"),
    ):
        assert before in settings
        settings = settings.replace(before, after)
    (tmp_path / "volume").mkdir()
    (tmp_path / "kafka.properties").write_text(settings)
    return {
        "PATH": os.environ["PATH"],
        "KAFKA_HOME": str(tmp_path / "opt"),
        "KINTSUGI_GIVEN": str(tmp_path / "out" / "kafka"),
        "KINTSUGI_BROKER": str(tmp_path / "kafka.properties"),
        "TMPDIR": str(tmp_path),
        "KINTSUGI_BOOTSTRAP": f"127.0.0.1:{ports[0]}",
    }


def started_once(containers: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(CONTAINER / "kafka")]
    return subprocess.run(command, env=containers, capture_output=True, text=True, check=False)


async def test_the_broker_of_the_compose_file_starts_with_what_the_job_hands_out_and_keeps_everybody_else_out(
    tmp_path: Path, office: dict[str, str], containers: dict[str, str]
) -> None:
    assert job("secrets", "--into", str(tmp_path / "out"), environment=office).returncode == 0
    bootstrap = containers["KINTSUGI_BOOTSTRAP"]
    for _ in range(2):
        broker = spawn(["sh", CONTAINER / "kafka"], env=containers, log=tmp_path / "broker.out")
        try:
            topics = job("topics", environment=office | {"KINTSUGI_BOOTSTRAP": bootstrap})
            assert topics.returncode == 0, topics.stderr + tail(tmp_path / "broker.out")
            assert "Kafka is as the contracts say" in topics.stderr
            nobody = AIOKafkaProducer(bootstrap_servers=bootstrap)
            with pytest.raises(KafkaConnectionError):
                await nobody.start()
            await nobody.stop()
        finally:
            await stop_process(broker, first=signal.SIGTERM, seconds=20)
    assert "Made" not in topics.stderr, "the second start found what the first one made"

    (tmp_path / "volume" / "admin-made").unlink()
    old = started_once(containers)
    assert old.returncode == 1
    assert "docker compose down --volumes" in old.stderr


def test_secrets_and_a_token_are_made_with_what_the_compose_file_mounts_and_no_more(
    tmp_path: Path, office: dict[str, str]
) -> None:
    containers = compose.load(PROJECT / "docker-compose.yml")["services"]
    commands = {"secrets": ["--into", str(tmp_path / "out")], "token": ["--role", "caseworker"]}
    for name, arguments in commands.items():
        inside = tmp_path / name
        inside.mkdir()
        (inside / "contracts").symlink_to(PROJECT / "contracts")  # in the image
        for mount in compose.mounts(containers[name]):
            if mount["target"].startswith("/srv/kintsugi/"):
                (inside / Path(mount["target"]).name).symlink_to(mount["source"])
        done = job(name, *arguments, environment=office | {"KINTSUGI_PROJECT": str(inside)})
        assert done.returncode == 0, f"{name}: {done.stderr}"
