"""Every event has topics, every topic an owner, and nobody relies on what is not there."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.consumes import installed
from kintsugi_contracts.documents import nearest
from kintsugi_contracts.findings import Finding
from kintsugi_contracts.folder import Event, EventKey, Folder, Topic
from kintsugi_contracts.topic_changes import CLASSES
from kintsugi_contracts.topic_file import CASE, TopicFile

OF = {"public": "public", "internal": "internal", "personal": "confidential", "special": "restricted"}
"""The class of a record by the highest sensitivity inside."""


def findings(folder: Folder, catalog: Catalog) -> Iterator[Finding]:
    """Breaches in the topic files, and in what the installed services read of them.

    `catalog` holds the topic files of the other packages: a service that reads ours may have its own there.
    """
    events = folder.all_events()
    services = {**catalog.topics, **{name: topic.spec for name, topic in folder.topics.items()}}
    yield from _nowhere(folder, services.values())
    for topic in folder.all_topics():
        if not topic.spec.owner.strip():
            yield topic.document.finding([], "the topic has no owner", "add `owner`: who decides on a change")
        yield from _events(topic, events)
        yield from _consumers(folder, topic, events, services)
        yield from _sealed(topic, events)
    for service, topic in folder.topics.items():
        yield from _source(service, topic)
        if service in catalog.platform and topic.spec.subjects != CASE:
            said = "a topic of the platform carries other subjects than cases"
            fix = "write [case], as readers of earlier releases expect; other subjects need a service of their own"
            yield topic.document.finding(["subjects"], said, fix)
    for stream in folder.streams:
        name = f"{stream.country}.share.{stream.integrator}.{stream.purpose}.v"
        for topic in stream.topics:
            if not topic.name.startswith(name):
                yield topic.document.finding(
                    ["topic"], f"the topic is not named after {stream.folder}", f"{name}<major>"
                )
        if not stream.topics:
            said = "a partner's stream without a topic file"
            yield Finding(
                f"{stream.folder}/topic.yaml", 1, 1, said, "generate the streams again from the country packs"
            )


def _source(service: str, topic: Topic) -> Iterator[Finding]:
    name = f"{{country}}.{service}.v"
    if not topic.name.startswith(name):
        yield topic.document.finding(["topic"], f"the topic of {service} is not named after it", f"write {name}1")
    if topic.spec.producer != service:
        said = f"{topic.spec.producer} writes the topic of {service}"
        yield topic.document.finding(["producer"], said, "a service writes its own topic and no other")
    if topic.spec.config.get("retention.ms") != "-1":
        said = "records of a service's topic would go in time, and services rebuild from them"
        yield topic.document.finding(["config", "retention.ms"], said, 'write "-1"')


def _events(topic: Topic, events: dict[EventKey, Event]) -> Iterator[Finding]:
    for name, entry in topic.spec.events.items():
        known = events[topic.key(name)].versions if topic.key(name) in events else {}
        for major in entry.versions:
            if major not in known:
                said = f"version {major} of `{name}` has no schema"
                yield topic.document.finding(("events", name), said, f"add {_home(topic, name)}/v{major}.schema.json")


def _nowhere(folder: Folder, topics: Collection[TopicFile]) -> Iterator[Finding]:
    """Events that an installed service reads and no topic carries."""
    carried = {event for topic in topics for event in topic.events}
    for service, consumer in installed().items():
        for event in consumer.spec.events.keys() - carried:
            said = f"{service} reads `{event}`, which no installed package of contracts has on a topic"
            document = replace(consumer.document, name=os.path.relpath(consumer.document.name, folder.path))
            yield document.finding(("events", event), said, nearest(event, carried))


def _home(topic: Topic, event: str) -> str:
    """Where the schemas of an event of this topic stand."""
    return topic.document.name.rpartition("/")[0] if topic.country else f"events/{event}"


def _consumers(
    folder: Folder, topic: Topic, events: dict[EventKey, Event], services: Mapping[str, TopicFile]
) -> Iterator[Finding]:
    partners = {s.integrator for s in folder.streams}
    stream = next((s for s in folder.streams if topic in s.topics), None)
    for consumer, reads in topic.spec.consumers.items():
        at = ("consumers", consumer)
        owner = services.get(consumer)
        if stream is not None:
            if consumer != stream.integrator:
                said = f"{consumer} reads what is shared with {stream.integrator}"
                yield topic.document.finding(at, said, "remove it: what one partner receives is for that partner alone")
                continue
        elif consumer not in topic.consumers and (owner is None or topic.spec.service == consumer):
            if consumer in partners:
                said, mend = f"{consumer} is a partner, and reads its own stream alone", "share it there, by consent"
            else:
                said = f"{consumer} is no service that reads another's topic, and no partner"
                mend = "name a service that has a topic file"
            yield topic.document.finding(at, said, mend)
            continue
        for name, reading in reads.items():
            entry = topic.spec.events.get(name)
            event = events.get(topic.key(name))
            if entry is None or event is None:
                said = f"{consumer} reads `{name}`, which the topic does not carry"
                yield topic.finding((*at, name), said, "name an event of `events`")
                continue
            if missing := sorted(set(reading.versions) - event.versions.keys()):
                said = f"{consumer} takes version {missing[0]} of `{name}`, which has no schema"
                mend = f"add {_home(topic, name)}/v{missing[0]}.schema.json"
                yield topic.finding((*at, name), said, mend)
            if missing := sorted(set(entry.versions) - set(reading.versions)):
                said = f"`{name}` may be written in version {missing[0]}, which {consumer} does not take"
                mend = f"consumers first: when {consumer} has the model, let it read versions: {list(entry.versions)}"
                yield topic.finding((*at, name), said, mend)
            own = consumer in topic.consumers or owner is not None
            keys = owner.purposes if owner else ()
            yield from _fields(topic, consumer, event, reading.fields, keys if own else None)


def _fields(
    topic: Topic, consumer: str, event: Event, fields: tuple[str, ...], keys: Collection[str] | None
) -> Iterator[Finding]:
    """Fields that do not exist; of one with a topic of its own (``keys`` is not None), sealed ones without a key."""
    known = {n for v in event.versions.values() for n in v.schema["properties"]}
    purposes = {p for v in event.versions.values() for p in v.sealed}
    for field in fields:
        at = ("consumers", consumer, event.name)
        if not field.startswith("sealed."):
            if field not in known:
                said = f"{consumer} reads `{field}` of `{event.name}`, which does not exist"
                yield topic.finding(at, said, "name a property of its schema")
            continue
        purpose = field.removeprefix("sealed.")
        if purpose not in purposes:
            said = f"{consumer} opens {purpose} of `{event.name}`, which it does not carry"
            yield topic.finding(at, said, "name a sealed purpose of its schema")
        elif keys is not None and purpose not in keys:
            said = f"{consumer} opens {purpose} of `{event.name}` and may hold no key for it"
            yield topic.finding(at, said, f"list {purpose} in `purposes` of its own topic file, or drop the field")


def _sealed(topic: Topic, events: dict[EventKey, Event]) -> Iterator[Finding]:
    """Keys for what it seals, and a class that is high enough."""
    highest = "public"
    for name, entry in topic.spec.events.items():
        for major in entry.versions:
            event = events.get(topic.key(name))
            version = event.versions.get(major) if event else None
            if version is None:
                continue
            for _, document in version.schemas():
                highest = max(highest, *_classes(document.data), key=CLASSES.index)
            for purpose in sorted(version.sealed.keys() - set(topic.spec.purposes)):
                said = f"{topic.spec.service} seals {purpose} in `{name}` and may hold no key for it"
                yield topic.document.finding(["purposes"], said, f"list {purpose} in `purposes`")
    if CLASSES.index(topic.spec.sensitivity) < CLASSES.index(highest):
        said = f"`sensitivity` is {topic.spec.sensitivity}, and the topic carries what is {highest}"
        yield topic.document.finding(["sensitivity"], said, f"write {highest}")


def _classes(schema: object) -> Iterator[str]:
    yield "public"
    if isinstance(schema, dict):
        if isinstance(level := schema.get("x-sensitivity"), str):
            yield OF[level]
        for part in schema.values():
            yield from _classes(part)
