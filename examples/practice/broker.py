"""A share topic with its partner's login and rights, filled with records, on a broker that is there."""

import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from kintsugi.kafka import Cluster, Protocol
from kintsugi.secrets import Secret
from kintsugi_office.access import integrator, username
from kintsugi_office.broker import broker
from kintsugi_office.rights import wanted
from kintsugi_office.topics import TopicPlan, streams

from examples.practice.stream import Practised

CONTRACTS = Path(__file__).parents[2] / "contracts"
PARTNER, PURPOSE = "labour-registry", "wage-claims"
CONTRACT = CONTRACTS / "share" / "xa" / PARTNER / PURPOSE


@asynccontextmanager
async def share_topic(admin: Cluster, country: str, records: Iterable[Practised]) -> AsyncIterator[tuple[str, Cluster]]:
    """The partner's topic in a country, with these records in it, and the broker as the partner. Both are removed.

    The partner has exactly the rights that a real office gives: to read this topic, in groups of its own name.
    """
    plan = _plan(country)
    name, password = username(country, integrator(PARTNER)), Secret(secrets.token_urlsafe(24))
    rights = {right for right in wanted(country, [plan]) if right.user == name}
    topics = AIOKafkaAdminClient(**admin.client())
    await topics.start()
    there = broker(admin)
    try:
        await topics.create_topics([NewTopic(plan.name, plan.partitions, 1, topic_configs=plan.config)])
        there.set_passwords({name: password})
        there.allow(rights)
        await _produce(admin, plan.name, records)
        yield plan.name, Cluster(admin.bootstrap, name, password, Protocol.sasl_plaintext)
    finally:
        there.withdraw(rights)
        there.remove_users([name])
        await topics.delete_topics([plan.name])
        await topics.close()


def _plan(country: str) -> TopicPlan:
    (plan,) = [plan for plan in streams(CONTRACTS, "xa") if f".{PARTNER}.{PURPOSE}." in plan.name]
    return replace(plan, name=f"{country}.{plan.name.partition('.')[2]}")


async def _produce(admin: Cluster, topic: str, records: Iterable[Practised]) -> None:
    async with AIOKafkaProducer(**admin.client(), enable_idempotence=True) as producer:
        for record in records:
            headers = [(name, None if text is None else text.encode()) for name, text in record.headers.items()]
            await producer.send_and_wait(topic, record.value, key=record.key.encode(), headers=headers)
