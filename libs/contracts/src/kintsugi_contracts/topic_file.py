"""A topic's file: the only place where a topic is edited. And where the schema of an event type stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kintsugi_contracts import plain_yaml
from kintsugi_contracts.base import PURPOSE
from kintsugi_contracts.errors import ContractError

EVENT_TYPE = re.compile(r"kintsugi\.([a-z][a-z0-9_]*\.[a-z][a-z0-9_]*)\.v([1-9][0-9]{0,3})")
"""A `ce_type`: the event's name, then its major version."""
KIND = "^[a-z][a-z0-9_]{0,39}$"
"""What an event may be about: `case`, `staff`, `agency`, `service`, or a kind of a country's own."""
CASE = ("case",)
"""The kinds of subject on a topic whose file does not name them."""


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


class DefaultDeadline(BaseModel):
    """How long something takes in a country whose pack says nothing of it. `calendar` is one of the pack's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: Annotated[int, Field(ge=1, le=3660)]
    unit: Literal["hours", "days", "working_days"]
    calendar: str | None = None

    @model_validator(mode="after")
    def _calendar_for_working_days(self) -> DefaultDeadline:
        if (self.unit == "working_days") != (self.calendar is not None):
            raise ValueError("working_days need a calendar, and hours and days take none")
        return self


class DeclaredDeadline(BaseModel):
    """A deadline of a service's own: a country pack may set it, else the default holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: Annotated[str, Field(min_length=10)]
    default: DefaultDeadline


class Shareable(BaseModel):
    """A clear field of one of the service's events that a partner may be given: where it comes from, and what it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: str
    field: str
    description: Annotated[str, Field(min_length=10)]


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
    purposes: tuple[Annotated[str, Field(pattern=PURPOSE)], ...]
    """The sealed purposes whose keys `service` may hold."""
    subjects: Annotated[tuple[Annotated[str, Field(pattern=KIND)], ...], Field(min_length=1)] = CASE
    """The kinds of subject its records may be about: `case` in `case/<id>`. A record about another is a dead letter."""
    events: dict[str, EventEntry]
    consumers: dict[str, dict[str, Reading]] = {}
    """Reader to event to what it reads of it: of a partner's stream, and of topic files of earlier releases.

    Services say it in `consumes.yaml` of their own package. A file that has `consumers` speaks for itself.
    """
    readers: tuple[str, ...] = ()
    """Users of the broker that may read the topic besides its consumers, such as the office's own tools."""

    tasks: dict[str, str] = {}
    """What the service asks of staff by `staff_task.requested`: `<service>.<what>`, and what that means."""
    deadlines: dict[str, DeclaredDeadline] = {}
    """Deadlines of the service's own, by name: `<service>_<what>`."""
    shareable: dict[str, Shareable] = {}
    """Fields that share may pass on to partners, by name: `<service>_<what>`."""

    @model_validator(mode="after")
    def _own_names(self) -> TopicFile:
        for kind, names in (("deadline", self.deadlines), ("shareable field", self.shareable)):
            for name in names:
                if re.fullmatch(rf"{re.escape(self.service)}_[a-z0-9_]{{1,40}}", name) is None:
                    raise ValueError(
                        f"the {kind} {name!r} of {self.service} does not begin with its name: {self.service}_<what>"
                    )
        if strangers := [code for code in self.tasks if code.partition(".")[0] != self.service]:
            raise ValueError(
                f"the task {strangers[0]!r} of {self.service} does not begin with its name: {self.service}.<what>"
            )
        for name, each in self.shareable.items():
            if each.event not in self.events:
                raise ValueError(f"the shareable field {name!r} comes from {each.event!r}, which is not in `events`")
        return self

    def name(self, country: str) -> str:
        """The topic's name in a country, such as `xa.intake.v1`."""
        return self.topic.replace("{country}", country)

    def types(self) -> tuple[str, ...]:
        """Every `ce_type` that may stand on the topic."""
        return tuple(f"kintsugi.{name}.v{v}" for name, entry in self.events.items() for v in entry.versions)


@dataclass(frozen=True)
class Declarations:
    """What services add to what a country pack may set and name, beyond what the platform's own packages know."""

    deadlines: Mapping[str, DeclaredDeadline] = field(default_factory=dict)
    shareable: Mapping[str, Shareable] = field(default_factory=dict)

    @classmethod
    def of(cls, topics: Iterable[TopicFile]) -> Self:
        """Those of these topic files. A name begins with its service, so no two declare one."""
        listed = list(topics)
        return cls(
            {name: each for topic in listed for name, each in topic.deadlines.items()},
            {name: each for topic in listed for name, each in topic.shareable.items()},
        )


@cache
def topic_files(contracts: Path) -> dict[str, TopicFile]:
    """The topic files of a contracts folder, by service.

    Raises ContractError naming the file and every mistake in it.
    """
    files: dict[str, TopicFile] = {}
    for path in sorted((contracts / "topics").glob("*.yaml")):
        try:
            topic = TopicFile.model_validate(plain_yaml.read(path))
        except plain_yaml.YAMLError as error:
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


def schema_path(contracts: Path, ce_type: str, purpose: str | None = None) -> Path:
    """Where the JSON Schema of an event, or of the plaintext of one of its sealed purposes, stands.

    Raises ContractError when the type is no event type of ours.
    """
    match = EVENT_TYPE.fullmatch(ce_type)
    if match is None:
        raise ContractError(f"{ce_type!r} is no event type; it reads kintsugi.<subject>.<fact>.v<major>")
    sealed = f".sealed.{purpose}" if purpose else ""
    return contracts / "events" / match.group(1) / f"v{match.group(2)}{sealed}.schema.json"
