"""Finds what the contracts hold: event models by type, upcasters, topic files and schema files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import kintsugi_events as events
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kintsugi_contracts.base import Event, Purpose

_TYPE = re.compile(r"kintsugi\.([a-z][a-z0-9_]*\.[a-z][a-z0-9_]*)\.v([1-9][0-9]{0,3})")

_BY_TYPE: dict[str, type[Event]] = {
    model.type: model
    for model in vars(events).values()
    if isinstance(model, type) and issubclass(model, Event) and model is not Event
}
_NAMES = frozenset(m.group(1) for m in map(_TYPE.fullmatch, _BY_TYPE) if m)

_Old = TypeVar("_Old", bound=Event)
_New = TypeVar("_New", bound=Event)
Upcaster = Callable[[Event], Event]
_UPCASTERS: dict[str, tuple[type[Event], Upcaster]] = {}
"""By the older type: the model it is read as, and how."""


class ContractError(Exception):
    """A file of the contracts cannot be used. The text says which, where, and what to do."""


def by_type(ce_type: str) -> type[Event] | None:
    """The model of a `ce_type`; None when this release does not know it."""
    return _BY_TYPE.get(ce_type)


def is_known_name(ce_type: str) -> bool:
    """Whether some version of this event is known: with no model, that tells an unknown major from an unknown type."""
    match = _TYPE.fullmatch(ce_type)
    return match is not None and match.group(1) in _NAMES


def event_types() -> tuple[type[Event], ...]:
    """Every event model, in the order of `ce_type`."""
    return tuple(model for _, model in sorted(_BY_TYPE.items()))


def upcast(old: str, *, to: str) -> Callable[[Callable[[_Old], _New]], Callable[[_Old], _New]]:
    """Declares how a fact of an older major version is read as a newer one.

    The function is pure and is applied whenever `old` is decoded for a reader of the newer version; chains are
    followed. Sealed values keep the origin they were sealed under, so copy them over as they are.
    """
    for known in (old, to):
        if known not in _BY_TYPE:
            raise ContractError(f"upcast {old} -> {to}: no model for {known}; generate the models first")
    if old in _UPCASTERS:
        raise ContractError(f"upcast {old} -> {to}: {old} has an upcaster already; a fact is read in one way")
    if _version(to) <= _version(old):
        raise ContractError(f"upcast {old} -> {to}: an upcaster goes to a higher version")

    def register(function: Callable[[_Old], _New]) -> Callable[[_Old], _New]:
        _UPCASTERS[old] = (_BY_TYPE[to], cast(Upcaster, function))
        return function

    return register


def _version(ce_type: str) -> int:
    match = _TYPE.fullmatch(ce_type)
    return int(match.group(2)) if match else 0


def versions_up(model: type[Event]) -> Iterator[type[Event]]:
    """The version itself, then each newer one that its facts can be read as."""
    yield model
    while (step := _UPCASTERS.get(model.type)) is not None:
        model = step[0]
        yield model


def decode(model: type[Event], raw: bytes | str, *, source: str, id: str, to: type[Event] | None = None) -> Event:
    """Reads a record's value as a consumer does and lifts it to `to`, or to the newest version there is a way to.

    Raises pydantic.ValidationError when the value breaks the contract of its own version.
    """
    return lifted(model.decode(raw, source=source, id=id), to)


def lifted(event: Event, to: type[Event] | None = None) -> Event:
    """The same fact in a newer version: `to`, or the newest one there is a way to."""
    while type(event) is not to and (step := _UPCASTERS.get(event.type)) is not None:
        event = step[1](event)
    return event


class EventEntry(BaseModel):
    """What a topic file says of one event."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    versions: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    protective: bool


class Reading(BaseModel):
    """What one service reads of one event: the fields it relies on, and the versions it can take.

    A topic file may write the list of fields alone; it then reads version 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: tuple[str, ...] = ()
    """Top-level fields; `sealed.<purpose>` for what it opens."""
    versions: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (1,)

    @model_validator(mode="before")
    @classmethod
    def _list_alone(cls, given: Any) -> Any:
        return {"fields": given} if isinstance(given, list | tuple) else given


class TopicFile(BaseModel):
    """One file of `contracts/topics`: the only place where a topic is edited."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: Annotated[str, Field(pattern=r"^\{country\}\.[a-z][a-z0-9_]*\.v[1-9][0-9]*$")]
    service: str
    owner: str = ""
    """Who answers for the topic: whom a consumer asks, and who decides on a change."""
    purpose: str
    producer: str
    key: str
    partitions: Annotated[int, Field(ge=1)]
    sensitivity: Annotated[str, Field(pattern="^(public|internal|confidential|restricted)$")]
    config: dict[str, str]
    purposes: tuple[Purpose, ...]
    """The sealed purposes whose keys `service` may hold."""
    events: dict[str, EventEntry]
    consumers: dict[str, dict[str, Reading]]
    """Service to event to what it reads of it."""
    readers: tuple[str, ...] = ()
    """Users of the broker that may read the topic besides its consumers, such as the office's own tools."""

    def name(self, country: str) -> str:
        """The topic's name in a country, such as `xa.intake.v1`."""
        return self.topic.replace("{country}", country)

    def types(self) -> tuple[str, ...]:
        """Every `ce_type` that may stand on the topic."""
        return tuple(f"kintsugi.{name}.v{v}" for name, entry in self.events.items() for v in entry.versions)


@cache
def topic_files(contracts: Path) -> dict[str, TopicFile]:
    """The topic files of a contracts folder, by service.

    Raises ContractError naming the file and every mistake in it.
    """
    files: dict[str, TopicFile] = {}
    for path in sorted((contracts / "topics").glob("*.yaml")):
        try:
            topic = TopicFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except yaml.YAMLError as error:
            raise ContractError(f"{path}: not YAML: {error}; mend the file") from error
        except ValidationError as error:
            said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ContractError(f"{path}: {said}; contracts/README.md lists what a topic file holds") from error
        if topic.service in files:
            raise ContractError(f"{path}: service {topic.service} has two topic files; a service writes one topic")
        files[topic.service] = topic
    if not files:
        raise ContractError(f"{contracts}: no topic files; give the folder that holds topics/ and events/")
    return files


def schema_path(contracts: Path, ce_type: str, purpose: Purpose | str | None = None) -> Path:
    """Where the JSON Schema of an event, or of the plaintext of one of its sealed purposes, stands.

    Raises ContractError when the type is no event type of ours.
    """
    match = _TYPE.fullmatch(ce_type)
    if match is None:
        raise ContractError(f"{ce_type!r} is no event type; it reads kintsugi.<subject>.<fact>.v<major>")
    sealed = f".sealed.{purpose}" if purpose else ""
    return contracts / "events" / match.group(1) / f"v{match.group(2)}{sealed}.schema.json"


# Last, because they are declared with `upcast`; here, so that whoever can decode has them.
from kintsugi_events import upcasters as upcasters  # noqa: E402
