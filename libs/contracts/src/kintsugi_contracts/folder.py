"""The contracts folder as data: topics, events by version, sealed purposes, examples and partners' streams.

`load` reads a working folder and a released copy alike. Names of files are relative to the folder it is given.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urljoin

from jsonschema import Draft202012Validator
from pydantic import Field
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from kintsugi_contracts.consumes import Consumers, installed, readers
from kintsugi_contracts.documents import Document, read, validate
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.findings import Finding
from kintsugi_contracts.formats import FORMATS
from kintsugi_contracts.topic_file import Reading, TopicFile

Schema = dict[str, Any]
Kind = Literal["accept", "reject"]

COMMON = "events/common.schema.json"
_SCHEMA = re.compile(r"v([1-9][0-9]*)(?:\.sealed\.([a-z][a-z0-9_]*))?\.schema\.json")
_EXAMPLE = re.compile(r"(?:v([1-9][0-9]*)\.)?(?:sealed\.([a-z][a-z0-9_]*)\.)?(.+)\.json")


class StreamFile(TopicFile):
    """The topic file of a stream for one partner: its topic is of one country and named in full."""

    topic: Annotated[str, Field(pattern=r"^[a-z]{2}\.share\.[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*\.v[1-9][0-9]*$")]


class EventKey(NamedTuple):
    """What identifies an event. A partner's stream is of one country, and two countries may have one of its name."""

    name: str
    country: str | None = None
    """None: an event of a service, the same in every country."""

    def __str__(self) -> str:
        return f"{self.country}.{self.name}" if self.country else self.name


@dataclass(frozen=True)
class Example:
    """A value that must validate, or one that must be refused."""

    document: Document
    kind: Kind
    major: int
    purpose: str | None
    """The sealed purpose whose plaintext it is; None for a record's value."""
    label: str
    """Its name without version and purpose, such as `full` or `required-case_id`."""

    @property
    def keyword(self) -> str:
        """The keyword of JSON Schema that a reject is named after."""
        return self.label.split("-", 1)[0]


@dataclass(frozen=True)
class Version:
    """One major version of an event."""

    name: str
    major: int
    document: Document
    """The schema of the record's value."""
    sealed: Mapping[str, Document]
    """The schema of each sealed purpose's plaintext."""
    examples: tuple[Example, ...]
    country: str | None = None
    """The country of a partner's stream; None for an event of a service."""

    @property
    def key(self) -> EventKey:
        """The event it is a version of."""
        return EventKey(self.name, self.country)

    @property
    def type(self) -> str:
        """The value of `ce_type`."""
        return f"kintsugi.{self.name}.v{self.major}"

    @property
    def schema(self) -> Schema:
        """The schema of the record's value."""
        schema: Schema = self.document.data
        return schema

    def schemas(self) -> Iterator[tuple[str | None, Document]]:
        """The schema of the value (None), then those of the sealed purposes by name."""
        yield None, self.document
        yield from self.sealed.items()

    def examples_of(self, kind: Kind, purpose: str | None = None) -> tuple[Example, ...]:
        """The examples of one schema."""
        return tuple(e for e in self.examples if e.kind == kind and e.purpose == purpose)


@dataclass(frozen=True)
class Event:
    """An event by its major versions. Events of partners' streams have names that begin with `share.`."""

    name: str
    folder: str
    versions: Mapping[int, Version]
    country: str | None = None
    """The country of a partner's stream; None for an event of a service."""

    @property
    def key(self) -> EventKey:
        """What identifies it."""
        return EventKey(self.name, self.country)

    @property
    def newest(self) -> Version:
        """The highest major version."""
        return self.versions[max(self.versions)]


@dataclass(frozen=True)
class Topic:
    """A topic file and where it stands."""

    document: Document
    spec: TopicFile
    consumers: Consumers = field(default_factory=dict)
    """The installed services that read it, where the file itself names no consumers."""

    def finding(self, at: tuple[str, ...], message: str, mend: str) -> Finding:
        """A finding about what a consumer reads, `at` ("consumers", who, event): where the consumer says it."""
        own = self.consumers.get(at[1])
        if own is None:
            return self.document.finding(at, message, mend)
        return own.document.finding(("events", *at[2:]), message, mend)

    @property
    def name(self) -> str:
        """The topic's name, with `{country}` where every country has its own."""
        return self.spec.topic

    @property
    def country(self) -> str | None:
        """The country of a partner's stream; None where every country has the topic."""
        return self.name.partition(".")[0] if isinstance(self.spec, StreamFile) else None

    def key(self, event: str) -> EventKey:
        """The event that a name in this topic file means."""
        return EventKey(event, self.country)


@dataclass(frozen=True)
class Stream:
    """What one partner receives for one purpose in one country."""

    country: str
    integrator: str
    purpose: str
    folder: str
    topics: tuple[Topic, ...]
    """Oldest first: a new major is a topic in parallel, in `topic.v2.yaml`."""
    event: Event


@dataclass(frozen=True)
class Folder:
    """Everything a contracts folder says."""

    path: Path
    topics: Mapping[str, Topic]
    """By the service that writes it."""
    events: Mapping[str, Event]
    """By name; without those of partners' streams."""
    streams: tuple[Stream, ...]
    schemas: Mapping[str, Document]
    """Every schema by its `$id`, the common one included, and those of the platform."""
    platform: Folder | None = None
    """The platform's contracts, for the folder of another package: codes, parts and events that it refers to."""

    @property
    def common(self) -> Document:
        """Codes, identifiers and objects that several events share."""
        return next(d for d in self.schemas.values() if d.name == COMMON)

    def all_topics(self) -> tuple[Topic, ...]:
        """The topics of services, then those of partners' streams."""
        return (*self.topics.values(), *(t for s in self.streams for t in s.topics))

    def own_events(self) -> dict[EventKey, Event]:
        """The events of services and of partners' streams, without the platform's."""
        return {e.key: e for e in (*self.events.values(), *(s.event for s in self.streams))}

    def all_events(self) -> dict[EventKey, Event]:
        """Every event that a topic of the folder may carry."""
        platform = self.platform.events.values() if self.platform else ()
        return {**{e.key: e for e in platform}, **self.own_events()}

    def versions(self) -> Iterator[Version]:
        """Every major version of every event of its own."""
        for event in self.own_events().values():
            yield from event.versions.values()

    def topics_of(self, event: EventKey) -> tuple[Topic, ...]:
        """The topics an event may stand on; more than one for the events every service emits."""
        return tuple(t for t in self.all_topics() if event.country == t.country and event.name in t.spec.events)

    def readings(self, event: EventKey) -> dict[str, Reading]:
        """Who reads an event, and what of it. One that reads it on several topics has the fields of all of them."""
        found: dict[str, Reading] = {}
        for topic in self.topics_of(event):
            for consumer, reads in topic.spec.consumers.items():
                if event.name in reads:
                    known, more = found.get(consumer), reads[event.name]
                    fields = dict.fromkeys((*(known.fields if known else ()), *more.fields))
                    versions = set(more.versions) & set(known.versions if known else more.versions)
                    found[consumer] = Reading.model_construct(fields=tuple(fields), versions=tuple(sorted(versions)))
        return found

    def resolve(self, base: str, ref: str) -> tuple[str, tuple[str, ...], Schema]:
        """What a `$ref` in the schema of `$id` base points at: that schema's `$id`, the path in it, and the part.

        Raises ContractError when nothing stands there.
        """
        target, _, pointer = urljoin(base, ref).partition("#")
        document = self.schemas.get(target)
        part: Any = document.data if document else None
        path = tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])
        for step in path:
            part = part.get(step) if isinstance(part, dict) else None
        if not isinstance(part, dict):
            raise ContractError(f"$ref `{ref}` points at nothing")
        return target, path, part

    def validator(self, document: Document) -> Draft202012Validator:
        """What a strict producer is held to: follows references between files and checks formats."""
        return Draft202012Validator(document.data, registry=self._registry, format_checker=FORMATS)

    @cached_property
    def _registry(self) -> Registry[Any]:
        return Registry().with_resources(
            (name, Resource.from_contents(d.data, default_specification=DRAFT202012))
            for name, d in self.schemas.items()
        )


def load(path: Path, platform: Folder | None = None) -> Folder:
    """The contracts folder at `path`, its topics with what the installed services read of them.

    `platform` as `examine` has it.

    Raises ContractError with every mistake that keeps it from being read, each with file and line.
    """
    folder, findings = examine(path, platform)
    if folder is None:
        said = "\n".join(f"  {path / f.file}:{f.line}: {f.message}; {f.mend}" for f in findings)
        raise ContractError(f"The contracts at {path} cannot be read:\n{said}")
    return folder


def examine(path: Path, platform: Folder | None = None) -> tuple[Folder | None, list[Finding]]:
    """The folder, or None and what keeps it from being read.

    With the `platform`'s folder it is that of another package, which has no codes and no meta-schemas of its own.

    Raises ContractError when there is no contracts folder at `path`, or a service's `consumes.yaml` is wrong.
    """
    if not (path / "topics").is_dir() or not (path / "events").is_dir():
        raise ContractError(f"{path}: no contracts here; give the folder that holds topics/ and events/")
    reader = _Reader(path)
    topics = [reader.topic(f, TopicFile) for f in sorted((path / "topics").glob("*.yaml"))]
    events = [reader.event(f, f.name) for f in sorted((path / "events").iterdir()) if f.is_dir()]
    common = reader.read(path / COMMON) if (path / COMMON).is_file() else None
    if common is None and platform is None and not reader.findings:
        reader.findings.append(Finding(COMMON, 1, 1, "the file is missing", "put it back as the last release has it"))
    streams = [reader.stream(f) for f in sorted((path / "share").glob("*/*/*")) if f.is_dir()]
    by_service: dict[str, Topic] = {}
    for topic in filter(None, topics):
        other = by_service.setdefault(topic.spec.service, topic)
        if other is not topic:
            reader.findings.append(
                topic.document.finding(
                    ["service"],
                    f"service {topic.spec.service} has a topic in {other.document.name} already",
                    "a service writes one topic: move the events there",
                )
            )
    if reader.findings or (common is None and platform is None):
        return None, reader.findings
    consumers = installed()
    folder = Folder(
        path,
        {service: _read_by(topic, path, consumers) for service, topic in by_service.items()},
        {e.name: e for e in events},
        tuple(s for s in streams if s),
        {**(platform.schemas if platform else {}), **{str(d.data["$id"]): d for d in reader.schemas}},
        platform,
    )
    return folder, []


def _read_by(topic: Topic, path: Path, consumers: Consumers) -> Topic:
    """The topic with its readers; a file that names consumers speaks for itself."""
    if topic.spec.consumers:
        return topic
    reads = readers(topic.spec, consumers)
    placed = {}
    for name in reads:
        document = consumers[name].document
        shown = os.path.relpath(document.name, path)
        placed[name] = replace(consumers[name], document=replace(document, name=shown))
    return Topic(topic.document, topic.spec.model_copy(update={"consumers": reads}), placed)


class _Reader:
    """Reads files and collects what is wrong with them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.findings: list[Finding] = []
        self.schemas: list[Document] = []

    def read(self, file: Path) -> Document | None:
        name = file.relative_to(self.path).as_posix()
        try:
            document = read(self.path, name, self.findings)
        except (RecursionError, ValueError) as error:  # nested thousands deep, or a number of thousands of digits
            said = f"the file cannot be read ({type(error).__name__})"
            self.findings.append(
                Finding(name, 1, 1, said, "nothing in contracts nests or counts like that: correct it")
            )
            return None
        if document is None or not file.name.endswith(".schema.json"):
            return document
        if not isinstance(document.data, dict) or not isinstance(document.data.get("$id"), str):
            self.findings.append(document.finding([], "a schema without $id", "give it the $id its place asks for"))
            return None
        if twin := next((d for d in self.schemas if d.data["$id"] == document.data["$id"]), None):
            mend = "give it the $id its own place asks for"
            self.findings.append(document.finding(["$id"], f"{twin.name} has this $id too", mend))
            return None
        self.schemas.append(document)
        return document

    def topic(self, file: Path, model: type[TopicFile]) -> Topic | None:
        document = self.read(file)
        spec = document and validate(document, model, document.data, (), self.findings)
        return Topic(document, spec) if document and spec else None

    def event(self, folder: Path, name: str, country: str | None = None) -> Event:
        schemas = {
            (int(m[1]), m[2]): document
            for file in sorted(folder.glob("*.schema.json"))
            if (m := _SCHEMA.fullmatch(file.name)) and (document := self.read(file))
        }
        examples = [*self._examples(folder, "accept"), *self._examples(folder, "reject")]
        versions = {
            major: Version(
                name,
                major,
                document,
                {purpose: d for (m, purpose), d in schemas.items() if m == major and purpose},
                tuple(e for e in examples if e.major == major),
                country,
            )
            for (major, purpose), document in schemas.items()
            if not purpose
        }
        return Event(name, folder.relative_to(self.path).as_posix(), versions, country)

    def _examples(self, folder: Path, kind: Kind) -> Iterator[Example]:
        for file in sorted((folder / "examples" / kind).glob("*.json")):
            document, match = self.read(file), _EXAMPLE.fullmatch(file.name)
            if document and match:
                yield Example(document, kind, int(match[1] or 1), match[2], match[3])

    def stream(self, folder: Path) -> Stream | None:
        topics = [self.topic(f, StreamFile) for f in sorted(folder.glob("topic*.yaml"))]
        country, integrator, purpose = folder.relative_to(self.path / "share").parts
        event = self.event(folder, f"share.{integrator}.{purpose}", country)
        return Stream(
            country,
            integrator,
            purpose,
            event.folder,
            tuple(sorted((t for t in topics if t), key=lambda t: int(t.name.rpartition(".v")[2]))),
            event,
        )
