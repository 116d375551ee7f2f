"""The fixtures every integration test stands on."""

from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests import infrastructure as under_test
from tests.infrastructure import Infrastructure

Topics = Callable[..., Awaitable[dict[str, str]]]
Databases = Callable[..., Awaitable[str]]


async def test_a_record_sent_to_a_fresh_topic_is_read_back(
    infrastructure: Infrastructure, unique_topics: Topics
) -> None:
    topics = await unique_topics("intake", partitions=3)
    producer = AIOKafkaProducer(**infrastructure.cluster.client(), acks="all", enable_idempotence=True)
    await producer.start()
    await producer.send_and_wait(topics["intake"], b"{}", key=b"case/1")
    await producer.stop()
    consumer = AIOKafkaConsumer(
        topics["intake"],
        **infrastructure.cluster.client(),
        group_id=topics["intake"],
        auto_offset_reset="earliest",
    )
    await consumer.start()
    record = await consumer.getone()
    await consumer.stop()
    assert (record.key, record.value) == (b"case/1", b"{}")
    assert record.timestamp_type == 1, "topics stamp records with the time of appending"


async def test_each_topic_prefix_and_each_database_is_new(unique_topics: Topics, new_database: Databases) -> None:
    first, second = await unique_topics("intake"), await unique_topics("intake")
    assert first != second
    assert await new_database() != await new_database()


async def test_a_database_belongs_to_its_role_alone(new_database: Databases) -> None:
    mine, other = await new_database(driver="postgresql"), await new_database(driver="postgresql")
    connection = await asyncpg.connect(mine)
    await connection.execute("CREATE TABLE notes (text text)")
    assert not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    await connection.close()
    stranger = await asyncpg.connect(other)
    assert await stranger.fetchval("SELECT count(*) FROM pg_tables WHERE tablename = 'notes'") == 0
    await stranger.close()


def test_without_a_docker_engine_the_embedded_servers_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KINTSUGI_TEST_BOOTSTRAP", "KINTSUGI_TEST_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert not under_test.docker_answers()
    assert under_test.source() == "embedded"


def test_named_servers_come_before_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINTSUGI_TEST_BOOTSTRAP", "broker.example:9092")
    monkeypatch.setenv("KINTSUGI_TEST_DATABASE_URL", "postgresql://postgres@database.example/postgres")
    assert under_test.source() == "environment"
