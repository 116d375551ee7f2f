"""The topics of a country as ``contracts/`` describes them, and how they are made; safe to run again."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code
from kintsugi.kafka import Cluster
from kintsugi_contracts import consumes, plain_yaml
from kintsugi_contracts.catalog import PLATFORM, Catalog
from kintsugi_contracts.errors import ContractError

from kintsugi_office.access import ADMIN, integrator

_ALREADY_EXISTS = 36
_OF_THIS_TOPIC = 1  # where a setting comes from, as the broker says it
_USER = re.compile(r"[a-z][a-z0-9_-]*")
# The groups of ``xa.integrator`` would be those of every partner, whose users are ``xa.integrator.<name>``.
_RESERVED = (ADMIN, "integrator")
_KEPT = ("retention.ms", "retention.bytes", "delete.retention.ms")
_NO_LIMIT = -1
_MILLISECONDS = {"hours": 3_600_000, "minutes": 60_000}
_NEEDED = ("topic", "service", "producer", "partitions", "config")


class TopicRefused(RuntimeError):
    """A topic on the broker is not what its file says and must not be changed, or the broker refused it."""


@dataclass(frozen=True)
class TopicPlan:
    """One topic as its file has it, for one country. ``purposes`` are those its service may hold keys of.

    ``producer`` alone writes it; ``readers`` are its consumers and whoever else the file lets read it, by the short
    names of users: ``notify``, ``office``, ``integrator.labour-registry``.
    """

    name: str
    service: str
    partitions: int
    config: dict[str, str]
    purposes: tuple[str, ...] = ()
    producer: str = ""
    readers: tuple[str, ...] = ()
    reads: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """Of the readers that are consumers: each event they read of it, and the fields they rely on."""


@dataclass(frozen=True)
class Drift:
    """How the topics on a broker differ from their files. ``refused`` says what must not be changed, and the mend."""

    absent: list[TopicPlan] = field(default_factory=list)
    changed: dict[str, dict[str, tuple[str | None, str | None]]] = field(default_factory=dict)
    """Topic to setting to its value there and in the file; None where it is not set."""
    refused: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """Topics that none of the files names, without the broker's own."""


def planned(contracts: Path, country: str) -> list[TopicPlan]:
    """The services' topics in a country, from the topic files of ``contracts`` and of other installed packages.

    Their readers are the installed services whose ``consumes.yaml`` names one of their events. Raises TopicRefused
    when a file lacks something.
    """
    files = sorted((contracts / "topics").glob("*.yaml"))
    if not files:
        raise TopicRefused(f"{contracts / 'topics'} has no topic files.")
    try:
        packages = [each.contracts for each in Catalog.installed().packages if each.name != PLATFORM]
        consumers = consumes.installed()
    except ContractError as error:
        raise TopicRefused(str(error)) from error
    for folder in packages:
        if folder is not None and folder.resolve() != contracts.resolve():
            files += sorted((folder / "topics").glob("*.yaml"))
    return [_plan(file, country, consumers=consumers) for file in files]


def streams(contracts: Path, country: str) -> list[TopicPlan]:
    """The topics of partners in a country, from ``share/<country>/<partner>/<purpose>/topic.yaml``.

    Raises TopicRefused when a file lacks something, or lets anybody read who is not the partner of its folder.
    """
    plans = []
    for file in sorted((contracts / "share" / country).glob("*/*/topic.yaml")):
        partner, purpose = file.parts[-3:-1]
        plan = _plan(file, country, partner)
        if not plan.name.startswith(f"{country}.share.{partner}.{purpose}."):
            raise TopicRefused(
                f"{file}: {plan.name} does not belong here; topics here begin with {country}.share.{partner}.{purpose}."
            )
        plans.append(plan)
    return plans


def _plan(
    file: Path, country: str, partner: str | None = None, consumers: consumes.Consumers | None = None
) -> TopicPlan:
    """One file. The consumers of a topic are services; those of a partner's stream are that partner alone.

    A topic file that names consumers, as those of earlier releases do, speaks for itself.
    """
    content: dict[str, Any] = plain_yaml.read(file) or {}
    if lacks := [name for name in _NEEDED if name not in content]:
        raise TopicRefused(f"{file} lacks {', '.join(lacks)}; see contracts/README.md.")
    try:
        reads = _reads(content, consumers or {})
        others = tuple(str(name) for name in content.get("readers", ()))
        plan = TopicPlan(
            name=str(content["topic"]).format(country=country),
            service=str(content["service"]),
            partitions=int(content["partitions"]),
            config={str(name): str(value) for name, value in content["config"].items()},
            purposes=tuple(content.get("purposes", ())),
            producer=str(content["producer"]),
            readers=(*sorted(reads if partner is None else map(integrator, reads)), *others),
            reads={name if partner is None else integrator(name): each for name, each in reads.items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TopicRefused(f"{file} cannot be read: {error}; see contracts/README.md.") from error
    if partner is not None and (strangers := reads.keys() - {partner}):
        raise TopicRefused(
            f"{file}: {', '.join(sorted(strangers))} cannot consume it: this stream is for {partner} alone."
        )
    for user in {plan.producer, *reads, *others}:
        if user in _RESERVED or not _USER.fullmatch(user):
            raise TopicRefused(
                f"{file}: {user!r} cannot be a user of Kafka: names are lower-case letters, digits, '-' and '_', and "
                f"none of {', '.join(_RESERVED)}."
            )
    return plan


def _reads(content: dict[str, Any], consumers: consumes.Consumers) -> dict[str, dict[str, tuple[str, ...]]]:
    """Consumer to event to the fields it relies on: as the file says, or else as the installed services do."""
    if not content.get("consumers"):
        events = {name: entry["versions"] for name, entry in (content.get("events") or {}).items()}
        shareable = [(each["event"], each["field"]) for each in (content.get("shareable") or {}).values()]
        found = {
            name: {event: each.fields for event, each in consumer.spec.of(events, shareable).items()}
            for name, consumer in consumers.items()
            if name != content["service"]
        }
        return {name: reads for name, reads in found.items() if reads}
    return {
        str(name): {
            str(event): tuple(said["fields"] if isinstance(said, dict) else said or ())
            for event, said in (events or {}).items()
        }
        for name, events in content["consumers"].items()
    }


async def drift(cluster: Cluster, plans: Iterable[TopicPlan]) -> Drift:
    """How the broker's topics differ from these."""
    wanted = {plan.name: plan for plan in plans}
    found = Drift()
    async with _Admin(cluster) as admin:
        names = set(await admin.list_topics())
        there = sorted(wanted.keys() & names)
        found.absent.extend(plan for name, plan in wanted.items() if name not in names)
        found.others.extend(sorted(name for name in names - wanted.keys() if not name.startswith("__")))
        for topic in await admin.describe_topics(there) if there else []:
            plan, count = wanted[topic["topic"]], len(topic["partitions"])
            if count != plan.partitions:
                found.refused.append(
                    f"{plan.name} has {count} partitions, its file says {plan.partitions}. "
                    "A topic keeps its partitions for life: restore the file, or make a new major topic."
                )
        for name, (effective, own, default) in (await _settings(admin, there)).items():
            file = wanted[name].config
            changed: dict[str, tuple[str | None, str | None]] = {
                key: (effective.get(key), value) for key, value in file.items() if effective.get(key) != value
            }
            changed |= {key: (value, None) for key, value in own.items() if key not in file}
            if changed:
                found.changed[name] = changed
            found.refused.extend(f"{name}: {why}" for why in _losing(changed, default))
    return found


async def ensure(cluster: Cluster, plans: Iterable[TopicPlan], *, replication: int = 1) -> list[str]:
    """Make missing topics, bring settings of existing ones in line, and return the names of those made.

    Raises TopicRefused before changing anything when an existing topic has another number of partitions (keys would
    move between them and lose their order), or when it would keep less than it does.
    """
    listed = list(plans)
    found = await drift(cluster, listed)
    await change(cluster, listed, found, replication=replication)
    return [plan.name for plan in found.absent]


async def change(cluster: Cluster, plans: Iterable[TopicPlan], found: Drift, *, replication: int = 1) -> None:
    """Make what is absent and set what differs. Raises TopicRefused, before anything, where something must not be."""
    if found.refused:
        raise TopicRefused("\n".join(["nothing was changed.", *found.refused]))
    async with _Admin(cluster) as admin:
        if found.absent:
            answer = await admin.create_topics(
                [NewTopic(plan.name, plan.partitions, replication, topic_configs=plan.config) for plan in found.absent]
            )
            for name, code, *reason in answer.topic_errors:
                if code not in (0, _ALREADY_EXISTS):
                    raise TopicRefused(
                        f"The broker refused {name}: {for_code(code).__name__} {reason[0] or ''}".strip()
                    )
        # Everything of a topic is set at once: what its file does not name goes back to the broker's default.
        changed = [plan for plan in plans if plan.name in found.changed]
        if changed:
            answers = await admin.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, plan.name, configs=plan.config) for plan in changed]
            )
            for code, reason, _, name in (each for answer in answers for each in answer.resources):
                if code:
                    raise TopicRefused(
                        f"The broker refused the settings of {name}: {for_code(code).__name__} {reason or ''}".strip()
                    )


async def _settings(
    admin: AIOKafkaAdminClient, names: list[str]
) -> dict[str, tuple[dict[str, str], dict[str, str], dict[str, str]]]:
    """Of each topic: every setting as it holds, those that are the topic's own, and what would hold without them."""
    if not names:
        return {}
    settings = {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    for answer in await admin.describe_configs(resources, include_synonyms=True):
        for code, _, _, name, entries in answer.resources:
            if code:
                raise TopicRefused(f"The settings of {name} cannot be read: {for_code(code).__name__}")
            own = {entry[0]: entry[1] for entry in entries if entry[3] == _OF_THIS_TOPIC}
            without = {entry[0]: fallback(entry[5]) for entry in entries if entry[0] in own}
            default = {key: value for key, value in without.items() if value is not None}
            settings[name] = ({entry[0]: entry[1] for entry in entries}, own, default)
    return settings


def fallback(synonyms: Iterable[tuple[str, str | None, int]]) -> str | None:
    """What holds of a setting when the topic has none of its own: the next of its (name, value, source).

    The broker's own setting may be told in another unit, such as ``log.retention.hours``.
    """
    for name, value, source in synonyms:
        if source != _OF_THIS_TOPIC and value is not None:
            factor = _MILLISECONDS.get(name.rpartition(".")[2], 1)
            return value if factor == 1 or int(value) < 0 else str(int(value) * factor)
    return None


def _losing(changed: dict[str, tuple[str | None, str | None]], default: dict[str, str]) -> list[str]:
    """Why changes must not be made: they would throw away what is kept now.

    A setting that the file does not name becomes what ``default`` says, the broker's own.
    """
    why = []
    unnamed = {name for name, (_, after) in changed.items() if after is None}
    changed = {
        name: (before, default.get(name) if name in unnamed else after) for name, (before, after) in changed.items()
    }

    def said(verb: str, name: str) -> str:
        return f"its file does not name {name}, which goes" if name in unnamed else f"its file {verb} {name}"

    for name in _KEPT:
        before, after = changed.get(name, (None, None))
        if before is None or after is None or int(before) == int(after) or int(after) == _NO_LIMIT:
            continue
        if int(before) == _NO_LIMIT or int(after) < int(before):
            why.append(
                f"{said('lowers', name)} from {before} to {after}. What is older would be deleted, and the history of "
                "cases with it: restore the file, or make a new major topic."
            )
    before, after = changed.get("cleanup.policy", (None, None))
    if before is not None and after is not None and not set(after.split(",")) <= set(before.split(",")):
        why.append(
            f"{said('changes', 'cleanup.policy')} from {before} to {after}, which removes records that are kept now: "
            "restore the file, or make a new major topic."
        )
    return why


class _Admin:
    """aiokafka's admin client, started and closed."""

    def __init__(self, cluster: Cluster) -> None:
        self._client = AIOKafkaAdminClient(**cluster.client())

    async def __aenter__(self) -> AIOKafkaAdminClient:
        await self._client.start()
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()
