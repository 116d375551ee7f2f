"""The documents as data: what a set of services and partners sends and receives, by the contracts folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from kintsugi_contracts.asyncapi.headers import BINDING_VERSION, forget_headers, service_trait, stream_key, stream_trait
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.folder import Folder, Topic, Version
from kintsugi_contracts.topic_file import Reading

Node = dict[str, Any]

_SERVER = "office"
_SECURITY = "scramSha512"


@dataclass(frozen=True)
class Party:
    """Whoever writes or reads topics: a service of every country office, or a partner of one."""

    name: str
    country: str | None = None
    """None: a service, which every country has."""

    @property
    def file(self) -> str:
        """The name of its document, without ending."""
        return f"{self.country}.{self.name}" if self.country else self.name

    @property
    def user(self) -> str:
        """Its login on Kafka; its group and client identifiers are the same or begin so."""
        return f"{self.country}.integrator.{self.name}" if self.country else f"{{country}}.{self.name}"

    @property
    def users(self) -> str:
        """A pattern of its logins."""
        if self.country:
            return rf"^{self.country}\.integrator\.{self.name}([.-].*)?$"
        return rf"^[a-z]{{2}}\.{self.name}([.-].*)?$"


@dataclass(frozen=True)
class _Channel:
    """One topic in a document."""

    topic: Topic
    country: str | None
    versions: tuple[Version, ...]

    @property
    def key(self) -> str:
        """Its name in the document."""
        return self.topic.name.removeprefix("{country}.").replace(".", "-").removesuffix("-v1")

    def message(self, version: Version) -> str:
        """The name of a message in this channel and among the components."""
        return f"{version.key}.v{version.major}"

    def written_by(self, party: Party) -> bool:
        """Whether a party is the one that writes here."""
        return party.country is None and party.name == self.topic.spec.producer

    def reads(self, party: Party) -> dict[str, Reading]:
        """What a party reads here, by event."""
        if party.country not in (None, self.country):
            return {}
        return self.topic.spec.consumers.get(party.name, {})


def parties(folder: Folder) -> tuple[Party, ...]:
    """The services, then the partners of each country, by name."""
    services = {topic.spec.producer for topic in folder.all_topics()}
    partners = {
        (stream.country, consumer) for stream in folder.streams for t in stream.topics for consumer in t.spec.consumers
    }
    return (*(Party(s) for s in sorted(services)), *(Party(name, country) for country, name in sorted(partners)))


def platform(folder: Folder) -> Node:
    """Everything that everybody sends and receives."""
    return _document(
        folder,
        parties(folder),
        title="Kintsugi",
        description=(
            "Every topic of a country office: who writes it, who reads which fields, and what a record looks like. "
            "Each service and each partner has a document of its own beside this one."
        ),
        root="./",
    )


def of_party(folder: Folder, party: Party) -> Node:
    """What one service or partner sends and receives."""
    said = (
        f"What the partner `{party.name}` of the country office `{party.country}` may read."
        if party.country
        else f"What the service `{party.name}` sends and receives. A replacement in any language keeps to this."
    )
    return _document(folder, [party], title=f"Kintsugi: {party.file}", description=said, root="../")


def _document(folder: Folder, who: Iterable[Party], *, title: str, description: str, root: str) -> Node:
    who = list(who)
    channels = [c for c in _channels(folder) if any(c.written_by(p) or c.reads(p) for p in who)]
    operations = {key: node for c in channels for p in who for key, node in _operations(c, p)}
    used = {ref["$ref"].rpartition("/")[2] for node in operations.values() for ref in node["messages"]}
    messages = {
        c.message(v): _message(folder, c, v, root) for c in channels for v in c.versions if c.message(v) in used
    }
    forgotten = {f"{c.key}.forget": _forget(c) for c in channels if f"{c.key}.forget" in used}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": title,
            "version": metadata.version("kintsugi-contracts"),
            "description": f"{description}\n\n{_RULES}",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {_SERVER: _server()},
        "channels": {c.key: _channel(c, used) for c in channels},
        "operations": operations,
        "components": {
            "messages": messages | forgotten,
            "messageTraits": {
                **({"cloudevent": service_trait()} if any(not c.country for c in channels) else {}),
                **({"stream": stream_trait()} if any(c.country for c in channels) else {}),
            },
            **({"parameters": {"country": _COUNTRY}} if any(not c.country for c in channels) else {}),
            "securitySchemes": {
                _SECURITY: {
                    "type": _SECURITY,
                    "description": "A user and password for each service and partner, from the country office.",
                }
            },
        },
    }


_COUNTRY = {
    "description": "The country office: ISO 3166-1 alpha-2 in small letters; xa to xz are fictional.",
    "examples": ["xa"],
}

_RULES = """\
- Ignore fields and headers you do not know, and read a code you do not know as `unknown`: so a contract grows.
- Records may come twice: `ce_source` and `ce_id` name one event.
- A value is JSON Schema 2020-12; the keywords in use mean the same in the schema object of AsyncAPI.
- Every property has an `x-sensitivity`; `personal` and `special` stand only in the plaintext of a sealed purpose."""


def _channels(folder: Folder) -> Iterator[_Channel]:
    versions = {(e.key, major): v for e in folder.all_events().values() for major, v in e.versions.items()}
    for topic in folder.all_topics():
        declared = [(topic.key(name), major) for name, entry in topic.spec.events.items() for major in entry.versions]
        if missing := [f"{key.name} v{major}" for key, major in declared if (key, major) not in versions]:
            file = folder.path / topic.document.name
            raise ContractError(f"{file}: no schema of {', '.join(missing)}; add it, or correct the versions")
        yield _Channel(topic, topic.country, tuple(versions[each] for each in declared))


def _server() -> Node:
    return {
        "host": "{bootstrap}",
        "protocol": "kafka-secure",
        "description": "The broker of a country office. It lets one service write a topic, and those it names read it.",
        "variables": {
            "bootstrap": {"description": "Host and port, from the country office.", "default": "kafka.example:9093"}
        },
        "security": [{"$ref": f"#/components/securitySchemes/{_SECURITY}"}],
        "bindings": {"kafka": {"bindingVersion": BINDING_VERSION}},
    }


def _channel(channel: _Channel, used: set[str]) -> Node:
    spec = channel.topic.spec
    readers = [*spec.consumers, *spec.readers]
    names = [channel.message(v) for v in channel.versions]
    if channel.country:
        names.append(f"{channel.key}.forget")
    return {
        "address": channel.topic.name,
        "title": channel.topic.name,
        "summary": spec.purpose,
        "description": (
            f"Written by `{spec.producer}` alone, read by {_listed(readers)}. The key is `{spec.key}`; "
            f"{spec.partitions} partitions for the topic's life, chosen by murmur2 of the key. Owner: {spec.owner}."
        ),
        "servers": [{"$ref": f"#/servers/{_SERVER}"}],
        **({} if channel.country else {"parameters": {"country": {"$ref": "#/components/parameters/country"}}}),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names if name in used},
        "tags": [{"name": spec.sensitivity, "description": "The highest class of what it carries."}],
        "bindings": {
            "kafka": {
                "partitions": spec.partitions,
                "topicConfiguration": _configuration(spec.config),
                "bindingVersion": BINDING_VERSION,
            }
        },
        "x-dataclassification": spec.sensitivity,
        "x-owner": spec.owner,
    }


def _configuration(config: dict[str, str]) -> Node:
    """The settings with the types that the binding asks for; those it does not know stay text."""
    typed: Node = {}
    for name, value in config.items():
        if name == "cleanup.policy":
            typed[name] = value.split(",")
        else:
            typed[name] = int(value) if value.lstrip("-").isdigit() else value
    return typed


def _operations(channel: _Channel, party: Party) -> Iterator[tuple[str, Node]]:
    spec = channel.topic.spec
    forget = [f"{channel.key}.forget"] if channel.country else []
    if channel.written_by(party):
        yield (
            f"{party.name}.sends.{channel.key}",
            _operation(
                channel,
                party,
                action="send",
                title=f"{party.name} writes {channel.topic.name}",
                summary=spec.purpose,
                messages=[*map(channel.message, channel.versions), *forget],
                binding={"clientId": _identifier(party, "client")},
            ),
        )
    if reads := channel.reads(party):
        versions = [v for v in channel.versions if v.name in reads and v.major in reads[v.name].versions]
        yield (
            f"{party.file}.receives.{channel.key}",
            _operation(
                channel,
                party,
                action="receive",
                title=f"{party.name} reads {channel.topic.name}",
                summary=f"What `{party.name}` may read."
                if party.country
                else f"What `{party.name}` relies on. It ignores every other event and field of the topic.",
                messages=[*map(channel.message, versions), *forget],
                binding={"groupId": _identifier(party, "group"), "clientId": _identifier(party, "client")},
            )
            | {
                "description": _table(reads),
                "x-reads": {name: list(reading.fields) for name, reading in reads.items()},
            },
        )


def _operation(channel: _Channel, party: Party, *, messages: list[str], binding: Node, **said: str) -> Node:
    return {
        "action": said.pop("action"),
        "channel": {"$ref": f"#/channels/{channel.key}"},
        **said,
        "tags": [{"name": party.file}],
        "messages": [{"$ref": f"#/channels/{channel.key}/messages/{name}"} for name in messages],
        "bindings": {"kafka": binding | {"bindingVersion": BINDING_VERSION}},
    }


def _identifier(party: Party, kind: str) -> Node:
    said = {
        "group": "The consumer group, which only the party itself may join.",
        "client": "How the party names itself to the broker.",
    }[kind]
    return {
        "type": "string",
        "description": f"{said} `{party.user}`, or a name that begins with it.",
        "pattern": party.users,
        "examples": [party.user.replace("{country}", "xa")],
    }


def _table(reads: dict[str, Reading]) -> str:
    rows = [
        f"| `{name}` | {', '.join(f'v{v}' for v in reading.versions)} | {_listed(reading.fields, 'that it happened')} |"
        for name, reading in reads.items()
    ]
    return "\n".join(["| Event | Version | Fields |", "|---|---|---|", *rows])


def _message(folder: Folder, channel: _Channel, version: Version, root: str) -> Node:
    schema, topics = version.schema, folder.topics_of(version.key)
    writers = [t.spec.producer for t in topics]
    protective = any(t.spec.events[version.name].protective for t in topics)
    said = [f"Written by {_listed(writers)}; read by {_listed(folder.readings(version.key), 'nobody yet')}."]
    if version.sealed:
        said.append(f"Sealed purposes: {_listed(version.sealed)}.")
    if protective:
        said.append("It keeps someone safe: whoever cannot apply it may do so later and never discards it.")
    return {
        "name": version.type,
        "title": schema["title"],
        "summary": schema["description"],
        "description": " ".join(said),
        "traits": [{"$ref": f"#/components/messageTraits/{'stream' if channel.country else 'cloudevent'}"}],
        "headers": {
            "type": "object",
            "properties": {"ce_type": {"const": version.type}, "ce_dataschema": {"const": schema["$id"]}},
        },
        "payload": {"$ref": root + version.document.name},
        "examples": [
            {"name": example.label, "payload": json.loads(example.document.text)}
            for example in version.examples_of("accept")
        ],
        **({"tags": [{"name": "protective"}]} if protective else {}),
        **({"x-sealed": {p: {"$ref": root + d.name} for p, d in version.sealed.items()}} if version.sealed else {}),
    }


def _forget(channel: _Channel) -> Node:
    return {
        "name": "forget",
        "title": "Forget",
        "summary": "Delete what you hold of this case, then acknowledge it.",
        "description": "A record without a value. The acknowledgement goes to the country office over HTTP.",
        "contentType": "application/json",
        "headers": forget_headers(channel.versions[-1].type),
        "payload": {"type": "null", "description": "No value."},
        "bindings": {"kafka": stream_key()},
    }


def _listed(names: Iterable[str], none: str = "nobody") -> str:
    return ", ".join(f"`{name}`" for name in names) or none
