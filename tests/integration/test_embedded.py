"""The embedded servers: started, stopped, killed, and gone when whoever started them is gone."""

import asyncio
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError
from kintsugi_office import broker_settings
from kintsugi_sandbox.embedded import EmbeddedKafka, EmbeddedPostgres, ServerDidNotStart, servers

_START_AND_REPORT = """
import asyncio, sys
from pathlib import Path
from kintsugi_sandbox.embedded import EmbeddedKafka, EmbeddedPostgres

async def main():
    postgres, kafka = EmbeddedPostgres(Path(sys.argv[1]) / "postgres"), EmbeddedKafka(Path(sys.argv[1]) / "kafka")
    await asyncio.gather(postgres.start(), kafka.start())
    print(postgres.pid, kafka.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def _start_elsewhere(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", _START_AND_REPORT, str(folder)], stdout=subprocess.PIPE, text=True)


async def test_rows_survive_a_restart_an_immediate_restart_and_a_kill(server_folder: Path) -> None:
    postgres = EmbeddedPostgres(server_folder / "postgres")
    await postgres.start()
    try:
        await postgres.create_role("writer")
        await postgres.create_database("notes", owner="writer")
        url, port = postgres.url("notes", "writer", driver="postgresql"), postgres.port
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE lines (n int)")
        for number, interrupt in enumerate((postgres.restart, postgres.restart_immediate, postgres.kill)):
            await connection.execute("INSERT INTO lines VALUES ($1)", number)
            await interrupt()
            connection.terminate()
            if not postgres.running:
                await postgres.start()
            assert postgres.port == port
            connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT count(*) FROM lines") == 3
        await connection.close()
    finally:
        await postgres.stop()


async def test_a_role_enters_no_database_but_its_own(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder / "postgres") as postgres:
        for role in ("writer", "stranger"):
            await postgres.create_role(role)
            await postgres.create_role(role)  # again is harmless
            await postgres.create_database(role, owner=role)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(postgres.url("writer", "stranger", driver="postgresql"))
        assert (postgres.folder / "passwords.json").stat().st_mode & 0o077 == 0


async def test_records_survive_a_restart_and_a_kill_of_the_broker(server_folder: Path) -> None:
    kafka = EmbeddedKafka(server_folder / "kafka")
    await kafka.start()
    try:
        bootstrap = kafka.bootstrap
        admin = AIOKafkaAdminClient(**kafka.cluster.client())
        await admin.start()
        await admin.create_topics([NewTopic("notes", 1, 1)])
        await admin.close()
        for interrupt in (kafka.restart, kafka.kill):
            producer = AIOKafkaProducer(**kafka.cluster.client(), acks="all", enable_idempotence=True)
            await producer.start()
            await producer.send_and_wait("notes", b"kept")
            await producer.stop()
            await interrupt()
            if not kafka.running:
                await kafka.start()
            assert kafka.bootstrap == bootstrap
        consumer = AIOKafkaConsumer("notes", **kafka.cluster.client(), auto_offset_reset="earliest")
        await consumer.start()
        read = [await consumer.getone(), await consumer.getone()]
        await consumer.stop()
        assert [record.value for record in read] == [b"kept", b"kept"]
    finally:
        await kafka.stop()


async def test_nothing_survives_a_kill_of_the_process_that_started_the_servers(server_folder: Path) -> None:
    starter = _start_elsewhere(server_folder)
    assert starter.stdout is not None
    line = await asyncio.to_thread(starter.stdout.readline)
    started = [psutil.Process(int(pid)) for pid in line.split()]
    family = [*started, *(child for process in started for child in process.children(recursive=True))]
    assert len(family) > 4, "PostgreSQL has background processes"
    starter.kill()
    starter.wait()
    starter.stdout.close()
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=15)
    assert alive == []


def test_the_guard_ends_a_process_when_its_pipe_closes() -> None:
    """For systems without a parent-death signal."""
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    guard = subprocess.Popen(
        [sys.executable, "-m", "kintsugi_sandbox.embedded.guard", str(sleeper.pid), str(int(signal.SIGTERM))],
        stdin=subprocess.PIPE,
    )
    try:
        time.sleep(0.5)
        assert sleeper.poll() is None
        assert guard.stdin is not None
        guard.stdin.close()
        assert sleeper.wait(15) == -signal.SIGTERM
        assert guard.wait(15) == 0
    finally:
        sleeper.kill()
        guard.kill()


async def test_a_server_that_cannot_start_says_why(server_folder: Path) -> None:
    broken = EmbeddedPostgres(server_folder / "postgres", settings={"shared_buffers": "nonsense"})
    with pytest.raises(ServerDidNotStart, match="shared_buffers"):
        await broken.start()


async def test_a_second_server_on_the_same_data_is_refused(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder / "postgres"):
        with pytest.raises(ServerDidNotStart, match="already uses"):
            await EmbeddedPostgres(server_folder / "postgres").start()


async def test_a_port_taken_by_another_is_replaced(server_folder: Path) -> None:
    postgres = EmbeddedPostgres(server_folder / "postgres")
    await postgres.start()
    await postgres.stop()
    before = postgres.port
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", before)
    try:
        assert not servers.port_is_free(before)
        await postgres.start()
        assert postgres.port != before
    finally:
        await postgres.stop()
        server.close()


async def test_storage_of_a_release_without_logins_gets_them_and_keeps_its_records(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An office made before the broker asked who writes starts as ever, with its cases."""
    open_to_all = {"listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT"}
    kafka = EmbeddedKafka(server_folder / "kafka")
    with monkeypatch.context() as old:
        old.setattr(broker_settings, "security", lambda *_, **__: open_to_all)
        old.setattr(broker_settings, "first_login", lambda _: "--ignore-formatted\n")
        await kafka.launch()
        async with asyncio.timeout(40):
            await _put_without_a_login(kafka.bootstrap)
        await kafka.stop()
    kafka.password_file.unlink()

    await kafka.start()
    try:
        assert stat.S_IMODE(kafka.password_file.stat().st_mode) == 0o600
        async with AIOKafkaConsumer("notes", **kafka.cluster.client(), auto_offset_reset="earliest") as consumer:
            assert (await consumer.getone()).value == b"kept"
        nobody = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
        with pytest.raises(KafkaConnectionError):
            await nobody.start()
        await nobody.stop()
    finally:
        await kafka.stop()


async def _put_without_a_login(bootstrap: str) -> None:
    while True:
        try:
            admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
            await admin.start()
            break
        except KafkaConnectionError:
            await asyncio.sleep(0.2)
    await admin.create_topics([NewTopic("notes", 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait("notes", b"kept")


async def test_a_password_that_is_not_the_broker_s_is_said_with_the_mend(server_folder: Path) -> None:
    kafka = EmbeddedKafka(server_folder / "kafka")
    await kafka.start()
    await kafka.stop()
    kafka.password_file.write_text("of another office")
    await kafka.launch()
    try:
        with pytest.raises(
            ServerDidNotStart, match=r"does not take the password in .*admin\.password.*remove that file"
        ):
            await kafka.ready()
    finally:
        await kafka.stop()
