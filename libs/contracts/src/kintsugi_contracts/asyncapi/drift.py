"""Where a service's document and the service itself say different things.

Two witnesses, neither made from the topic files. FastStream describes what is subscribed on the broker: the topics and
the kind of login, no more, since records reach the shell as raw bytes through one subscriber, and the relay writes
without it. The service's own registrations tell which event types it takes. Neither knows fields, groups, headers,
keys or settings: those are held by the schemas' tests, the envelope's tests and the broker's access lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Node = dict[str, Any]


def differences(ours: Node, faststream: Node, *, service: str, country: str) -> list[str]:
    """What a service's document and FastStream's (AsyncAPI 3) disagree on, a sentence each."""
    return [*_topics(ours, faststream, service, country), *_logins(ours, faststream, service)]


def unlike_handlers(ours: Node, handled: Iterable[str], *, service: str) -> list[str]:
    """Where what a service's document says it receives is not what the service takes, by `ce_type`.

    `handled` may hold the service's own events, which it folds as it writes them. So a type that it both writes and
    reads is found missing only where it is declared and not handled, never the other way round.
    """
    received, sent, taken = set(_types(ours, "receive")), set(_types(ours, "send")), set(handled)
    undeclared, unhandled = sorted(taken - received - sent), sorted(received - taken)
    return [
        *(f"{service} takes {each} and its consumes.yaml does not say so: add it there" for each in undeclared),
        *(f"the consumes.yaml of {service} says that it reads {each}, and it has no handler" for each in unhandled),
    ]


def _topics(ours: Node, faststream: Node, service: str, country: str) -> Iterator[str]:
    declared = {address.replace("{country}", country) for address in _addresses(ours)}
    subscribed = set(_addresses(faststream))
    for topic in sorted(subscribed - declared):
        said = f"{service} subscribes to {topic} and its document does not say so"
        yield f"{said}: add what it reads there to its consumes.yaml"
    for topic in sorted(declared - subscribed):
        yield f"the document says that {service} reads {topic}, and it does not subscribe: remove it there or read it"
    if _operations(faststream, "send"):
        yield f"{service} publishes through FastStream: only the relay writes, so that nothing is lost or overtaken"


def _logins(ours: Node, faststream: Node, service: str) -> Iterator[str]:
    declared, used = _schemes(ours), _schemes(faststream)
    if used - declared:
        yield f"{service} logs in by {', '.join(sorted(used - declared))}, its document says {', '.join(declared)}"
    if not used:
        yield f"{service} does not log in, its document says {', '.join(declared)}"


def _schemes(document: Node) -> set[str]:
    return {scheme["type"] for scheme in document["components"].get("securitySchemes", {}).values()}


def _addresses(document: Node) -> Iterator[str]:
    for operation in _operations(document, "receive"):
        yield document["channels"][operation["channel"]["$ref"].removeprefix("#/channels/")]["address"]


def _types(document: Node, action: str) -> Iterator[str]:
    messages = document["components"]["messages"]
    for operation in _operations(document, action):
        yield from (messages[ref["$ref"].rpartition("/")[2]]["name"] for ref in operation["messages"])


def _operations(document: Node, action: str) -> list[Node]:
    return [operation for operation in document["operations"].values() if operation["action"] == action]
