"""Makes the topics of a country exactly as ``contracts/topics/*.yaml`` describe them; safe to run again."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code
from kintsugi.kafka import Cluster

_ALREADY_EXISTS = 36


class TopicRefused(RuntimeError):
    """A topic on the broker is not what its file says and must not be changed, or the broker refused it."""


@dataclass(frozen=True)
class TopicPlan:
    """One topic as its file has it, for one country. ``purposes`` are those its service may hold keys of."""

    name: str
    service: str
    partitions: int
    config: dict[str, str]
    purposes: tuple[str, ...]


def planned(contracts: Path, country: str) -> list[TopicPlan]:
    """The topics of a country, from the topic files. Raises TopicRefused when a file lacks something."""
    plans = []
    for file in sorted((contracts / "topics").glob("*.yaml")):
        content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        try:
            plans.append(
                TopicPlan(
                    name=str(content["topic"]).format(country=country),
                    service=str(content["service"]),
                    partitions=int(content["partitions"]),
                    config={str(name): str(value) for name, value in content["config"].items()},
                    purposes=tuple(content.get("purposes", ())),
                )
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TopicRefused(f"{file}: {error!r} is missing or wrong; see contracts/README.md.") from error
    if not plans:
        raise TopicRefused(f"{contracts / 'topics'} has no topic files.")
    return plans


async def ensure(cluster: Cluster, plans: Iterable[TopicPlan], *, replication: int = 1) -> list[str]:
    """Make missing topics, bring settings of existing ones in line, and return the names of those made.

    Raises TopicRefused before changing anything when an existing topic has another number of partitions: keys would
    move between partitions and lose their order.
    """
    wanted = {plan.name: plan for plan in plans}
    admin = AIOKafkaAdminClient(**cluster.client())
    await admin.start()
    try:
        there = sorted(wanted.keys() & set(await admin.list_topics()))
        for topic in await admin.describe_topics(there) if there else []:
            plan, count = wanted[topic["topic"]], len(topic["partitions"])
            if count != plan.partitions:
                raise TopicRefused(
                    f"{plan.name} has {count} partitions, its file says {plan.partitions}. "
                    "A topic keeps its partitions for life: restore the file, or make a new major topic."
                )
        made = [plan for name, plan in wanted.items() if name not in there]
        if made:
            answer = await admin.create_topics(
                [NewTopic(plan.name, plan.partitions, replication, topic_configs=plan.config) for plan in made]
            )
            for name, code, *reason in answer.topic_errors:
                if code not in (0, _ALREADY_EXISTS):
                    raise TopicRefused(
                        f"The broker refused {name}: {for_code(code).__name__} {reason[0] or ''}".strip()
                    )
        await _align(admin, [wanted[name] for name in there])
        return [plan.name for plan in made]
    finally:
        await admin.close()


async def _align(admin: AIOKafkaAdminClient, plans: list[TopicPlan]) -> None:
    if not plans:
        return
    resources = [ConfigResource(ConfigResourceType.TOPIC, plan.name) for plan in plans]
    current: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs(resources):
        for code, _, _, name, entries in answer.resources:
            if code:
                raise TopicRefused(f"The settings of {name} cannot be read: {for_code(code).__name__}")
            current[name] = {entry[0]: entry[1] for entry in entries}
    drifted = [plan for plan in plans if not plan.config.items() <= current[plan.name].items()]
    if drifted:
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, plan.name, configs=plan.config) for plan in drifted]
        )
