"""One document as one page of HTML without scripts: it reads the same from a file, in print, with everything off."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from importlib import resources
from typing import Any

from kintsugi_contracts.asyncapi.fields import fields, table_of
from kintsugi_contracts.asyncapi.markup import code, inline, prose, table, tag

Node = dict[str, Any]


def page(document: Node, others: Mapping[str, str], *, source: str) -> str:
    """A bundled document as HTML.

    `others` are the titles of all documents by their pages, this one's included; `source` is the document itself as
    a file beside the page.
    """
    style = (resources.files(__package__) / "page.css").read_text(encoding="utf-8")
    title = escape(document["info"]["title"])
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>\n{style}</style></head><body>",
            tag("a", "Skip to the text", href="#text", class_="skip"),
            _head(document, others, source),
            '<div class="columns">',
            tag("main", *_sections(document), id="text"),
            _contents(document),
            "</div></body></html>\n",
        ]
    )


def _head(document: Node, others: Mapping[str, str], source: str) -> str:
    info = document["info"]
    links = (
        tag("a", escape(title), href=file, aria_current="page" if title == info["title"] else False)
        for file, title in others.items()
    )
    return tag(
        "header",
        tag("nav", *links, aria_label="Documents", class_="documents"),
        tag("h1", escape(info["title"]), " ", tag("small", escape(info["version"]))),
        prose(info["description"]),
        tag(
            "p",
            tag("a", "This document as one AsyncAPI file", href=source),
            f" (AsyncAPI {escape(document['asyncapi'])}, no references to other files). ",
            tag("a", "Contents", href="#contents", class_="to-contents"),
        ),
    )


def _contents(document: Node) -> str:
    def links(prefix: str, names: Mapping[str, str]) -> str:
        return tag("ul", *(tag("li", tag("a", escape(t), href=f"#{prefix}-{n}")) for n, t in names.items()))

    return tag(
        "nav",
        tag("a", "Connect", href="#connect"),
        tag("a", "Topics", href="#topics"),
        links("topic", {name: channel["address"] for name, channel in document["channels"].items()}),
        tag("a", "Headers", href="#headers"),
        tag("a", "Messages", href="#messages"),
        links("message", {name: name for name in document["components"]["messages"]}),
        id="contents",
        aria_label="Contents",
        class_="contents",
    )


def _sections(document: Node) -> Iterator[str]:
    yield tag("h2", "Connect", id="connect")
    yield from _connect(document)
    yield tag("h2", "Topics", id="topics")
    for name, channel in document["channels"].items():
        yield from _topic(document, name, channel)
    yield tag("h2", "Headers", id="headers")
    for name, trait in document["components"]["messageTraits"].items():
        yield tag("h3", code(name), id=f"trait-{name}")
        yield prose(f"{trait['summary']} {trait['description']}")
        yield from _key(trait)
        yield table_of(trait["headers"])
    yield tag("h2", "Messages", id="messages")
    for name, message in document["components"]["messages"].items():
        yield tag("section", *_message(document, name, message), id=f"message-{name}")


def _connect(document: Node) -> Iterator[str]:
    schemes = document["components"]["securitySchemes"]
    for server in document["servers"].values():
        yield prose(server["description"])
        names = [ref["$ref"].rpartition("/")[2] for ref in server["security"]]
        rows = [
            ["Address", code(server["host"]) + _variables(server)],
            ["Protocol", code(server["protocol"])],
            *(["Login", f"{code(schemes[name]['type'])}. {inline(schemes[name]['description'])}"] for name in names),
        ]
        yield table(["What", "Is"], rows, class_="plain")
    for name, parameter in document["components"].get("parameters", {}).items():
        examples = ", ".join(code(each) for each in parameter["examples"])
        yield tag("p", code(f"{{{name}}}"), f": {inline(parameter['description'])} Such as {examples}.")


def _variables(server: Node) -> str:
    return "".join(
        f". {inline(said['description'])} Such as {code(said['default'])}." for said in server["variables"].values()
    )


def _topic(document: Node, name: str, channel: Node) -> Iterator[str]:
    binding = channel["bindings"]["kafka"]
    settings = {"partitions": binding["partitions"], **binding["topicConfiguration"]}
    operations = [o for o in document["operations"].values() if o["channel"]["$ref"] == f"#/channels/{name}"]
    yield tag("h3", code(channel["address"]), " ", _level(channel["x-dataclassification"]), id=f"topic-{name}")
    yield tag("p", tag("strong", inline(channel["summary"])), class_="lead")
    yield prose(channel["description"])
    messages = document["components"]["messages"]
    yield table(
        ["Message", "Meaning"],
        ([_message_link(each), inline(messages[each]["summary"])] for each in channel["messages"]),
        class_="messages",
    )
    for operation in operations:
        yield from _operation(operation)
    rows = ([code(key), code(_plain(value))] for key, value in settings.items())
    yield tag("details", tag("summary", "Settings of the topic"), table(["Setting", "Value"], rows, class_="plain"))


def _operation(operation: Node) -> Iterator[str]:
    bindings, party = operation["bindings"]["kafka"], operation["tags"][0]["name"]
    reading = operation["action"] == "receive"
    names = [
        f"{kind} {code(bindings[f'{kind}Id']['examples'][0])}"
        for kind in ("group", "client")
        if f"{kind}Id" in bindings
    ]
    said = f"Kafka's {' and '.join(names)}, or a name that begins so."
    inside = [tag("summary", tag("strong", escape(party)), " reads" if reading else " writes")]
    if reading:
        inside += [prose(operation["summary"]), prose(operation["description"])]
    yield tag("details", *inside, tag("p", said), open=reading)


def _message(document: Node, name: str, message: Node) -> Iterator[str]:
    badges = [tag("span", escape(each["name"]), class_="badge") for each in message.get("tags", ())]
    yield tag("h3", escape(message["title"]), " ", code(name), " ", *badges)
    yield tag("p", tag("strong", inline(message["summary"])), class_="lead")
    yield prose(message["description"])
    homes = [
        tag("a", code(channel["address"]), href=f"#topic-{key}")
        for key, channel in document["channels"].items()
        if name in channel["messages"]
    ]
    headers = message["headers"]["properties"]
    constants = {key: said["const"] for key, said in headers.items() if "const" in said}
    rows = [["Topic", ", ".join(homes)], *([code(key), code(said)] for key, said in constants.items())]
    traits = [ref["$ref"].rpartition("/")[2] for ref in message.get("traits", ())]
    if traits:
        rows.append(["Other headers", ", ".join(tag("a", code(each), href=f"#trait-{each}") for each in traits)])
    yield table(["What", "Is"], rows, class_="plain")
    if not traits:
        yield tag("h4", "Headers")
        yield table_of(message["headers"])
        yield from _key(message)
    yield tag("h4", "Value")
    yield (
        table_of(message["payload"])
        if message["payload"].get("type") == "object"
        else prose(message["payload"]["description"])
    )
    for purpose, plaintext in message.get("x-sealed", {}).items():
        count = sum(1 for _ in fields(plaintext))
        head = f"Sealed: {code(purpose)}, {count} {'field' if count == 1 else 'fields'} of plaintext"
        yield tag("details", tag("summary", head), prose(plaintext["description"]), table_of(plaintext))
    for example in message.get("examples", ()):
        text = json.dumps(example["payload"], indent=2, ensure_ascii=False)
        body = tag("pre", code(text), tabindex="0")
        yield tag("details", tag("summary", f"Example: {escape(example['name'])}"), body)


def _key(message: Node) -> Iterator[str]:
    key = message["bindings"]["kafka"]["key"]
    yield tag("p", tag("strong", "Key"), f": {inline(key['description'])} {code(key['pattern'])}")


def _message_link(name: str) -> str:
    return tag("a", code(name), href=f"#message-{name}")


def _level(level: str) -> str:
    return tag("span", escape(level), class_=f"level {escape(level)}")


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
