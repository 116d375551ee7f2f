"""The way to a partner's stream on a real broker: what arrives, and what can no longer arrive once it is late."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
import yaml
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from kintsugi.agenda import Message
from kintsugi.channels import DeliveryFailed
from kintsugi.kafka import Cluster
from kintsugi.partitioning import partition_of
from kintsugi.streams import AHEAD_MS, BEHIND_MS, StreamChannel
from kintsugi_sandbox.embedded import EmbeddedKafka
from pydantic import SecretStr

from tests.infrastructure import Infrastructure

FILE = Path(__file__).parents[2] / "contracts/share/xa/labour-registry/wage-claims/topic.yaml"
CONFIG: dict[str, str] = yaml.safe_load(FILE.read_text())["config"]
UNLIMITED = {k: v for k, v in CONFIG.items() if not k.startswith("message.timestamp.")}
REF = "k5xq3mzt7bdyh2waf4rnc6ejpu"


async def made(cluster: Cluster, config: dict[str, str]) -> str:
    """A new topic of three partitions."""
    topic = f"t{secrets.token_hex(4)}.share.labour-registry.wage-claims.v1"
    admin = AIOKafkaAdminClient(**cluster.client())
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 3, 1, topic_configs=config)])
    finally:
        await admin.close()
    return topic


@pytest.fixture
def cluster(infrastructure: Infrastructure) -> Cluster:
    return infrastructure.cluster


@pytest.fixture
def channel(cluster: Cluster) -> StreamChannel:
    return StreamChannel(cluster, "xa.share")


@pytest_asyncio.fixture(loop_scope="session")
async def topic(cluster: Cluster) -> str:
    """A partner's topic, as its file says."""
    return await made(cluster, CONFIG)


@pytest_asyncio.fixture(loop_scope="session")
async def stoppable(server_folder: Path) -> AsyncIterator[EmbeddedKafka]:
    """A broker of this test's own."""
    broker = EmbeddedKafka(server_folder / "kafka")
    await broker.start()
    try:
        yield broker
    finally:
        await broker.kill()


def record(topic: str, *, body: str = '{"revision":1}', age: float = 0, tombstone: bool = False) -> Message:
    """A record that was decided on ``age`` seconds ago."""
    return Message(
        to=SecretStr(topic),
        subject=SecretStr(REF),
        body=SecretStr("" if tombstone else body),
        template="labour-registry.wage-claims.v1",
        locale="und",
        headers={"ce_id": "1", "ce_subject": REF},
        tombstone=tombstone,
        decided_at=datetime.now(UTC) - timedelta(seconds=age),
    )


async def standing(cluster: Cluster, topic: str) -> list[Any]:
    """Everything on a topic, as a partner reads it."""
    consumer = AIOKafkaConsumer(**cluster.client(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(3)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: list[Any] = []
        async with asyncio.timeout(20):
            while any([await consumer.position(place) < end for place, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found.extend(records)
        return sorted(found, key=lambda each: each.offset)
    finally:
        await consumer.stop()


async def stand_still(pid: int) -> None:
    """SIGSTOP, and returns when every thread stands: on a busy machine some go on for a while."""
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(10):
        while not stands(pid):  # noqa: ASYNC110 (another process stops)
            await asyncio.sleep(0.01)


def stands(pid: int) -> bool:
    """Whether all threads of a process are stopped; where the system does not tell of threads, the process."""
    threads = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/stat")]
    if not threads:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    return all(line.rpartition(")")[2].split()[0] == "T" for line in threads)


async def test_a_record_and_its_tombstone_stand_under_the_partner_s_id(
    cluster: Cluster, channel: StreamChannel, topic: str
) -> None:
    await channel.send(record(topic), "key")
    await channel.send(record(topic, tombstone=True), "key")
    first, last = await standing(cluster, topic)
    assert (first.key.decode(), first.value, dict(first.headers)["ce_id"]) == (REF, b'{"revision":1}', b"1")
    assert (last.key.decode(), last.value) == (REF, None)
    assert first.partition == last.partition == partition_of(REF, 3)


async def test_the_broker_itself_refuses_what_was_decided_too_long_ago(
    cluster: Cluster, channel: StreamChannel, topic: str
) -> None:
    for age in (BEHIND_MS / 1000 + 0.5, -AHEAD_MS / 1000 - 2):
        with pytest.raises(DeliveryFailed) as refused:
            await channel.send(record(topic, age=age), "key")
        assert (refused.value.reason, refused.value.permanent) == ("invalid_timestamp", False)
    assert await standing(cluster, topic) == []


async def test_what_waited_in_a_stopped_broker_does_not_arrive_when_it_goes_on(stoppable: EmbeddedKafka) -> None:
    """A consent is withdrawn while the broker stands still with a record in its socket; 6 s later it goes on."""
    cluster = stoppable.cluster
    limited, unlimited = (
        await made(cluster, CONFIG),
        await made(cluster, {**UNLIMITED, "message.timestamp.type": "CreateTime"}),
    )
    channels = {topic: StreamChannel(cluster, "xa.share") for topic in (limited, unlimited)}
    for topic, channel in channels.items():
        await channel.send(record(topic, body="warm"), "key")
    await stand_still(stoppable.pid)
    try:
        started = time.monotonic()
        failed = await asyncio.gather(
            *(channel.send(record(topic, body="late"), "key") for topic, channel in channels.items()),
            return_exceptions=True,
        )
        reported = time.monotonic() - started
        await asyncio.sleep(max(0.0, 6.5 - reported))
    finally:
        os.kill(stoppable.pid, signal.SIGCONT)
    assert [getattr(each, "reason", each) for each in failed] == ["no_answer", "no_answer"]
    assert reported >= (BEHIND_MS + AHEAD_MS) / 1000, "reported while it could still have been taken"
    await channels[limited].send(record(limited, tombstone=True), "key")
    await asyncio.sleep(1)
    assert [each.value for each in await standing(cluster, limited)] == [b"warm", None]
    late = [each.value for each in await standing(cluster, unlimited)]
    assert b"late" in late, "without the topic's time limit it does arrive: this test can fail"


async def test_a_failed_attempt_leaves_nothing_behind_that_goes_on_trying(stoppable: EmbeddedKafka) -> None:
    """Else every attempt while a broker is away would leave a connection, and a record that comes hours later."""
    cluster = stoppable.cluster
    topic = await made(cluster, {**UNLIMITED, "message.timestamp.type": "CreateTime"})
    channel = StreamChannel(cluster, "xa.share")
    before = asyncio.all_tasks()
    await channel.send(record(topic, body="warm"), "key")
    await stand_still(stoppable.pid)
    try:
        with pytest.raises(DeliveryFailed, match="no_answer"):
            await channel.send(record(topic, body="late"), "key")
        await channel.aclose()
        await asyncio.sleep(1)
        left = asyncio.all_tasks() - before
    finally:
        os.kill(stoppable.pid, signal.SIGCONT)
    assert left == set()


async def test_a_topic_whose_broker_cannot_refuse_what_is_late_gets_no_second_record(
    cluster: Cluster, channel: StreamChannel
) -> None:
    careless = await made(cluster, {**UNLIMITED, "message.timestamp.type": "LogAppendTime"})
    await channel.send(record(careless), "key")
    with pytest.raises(DeliveryFailed, match="stream_without_time_limit"):
        await channel.send(record(careless), "key")
    await channel.send(record(careless, tombstone=True), "key")


async def test_a_topic_that_is_not_there_is_tried_again(channel: StreamChannel) -> None:
    with pytest.raises(DeliveryFailed) as missing:
        await channel.send(record("xa.share.labour-registry.missing.v1"), "key")
    assert not missing.value.permanent
