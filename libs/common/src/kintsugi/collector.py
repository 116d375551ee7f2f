"""Collectors: one row per event in a table of one's own, for lists and counts over many subjects.

A collector keeps no state of a subject, decides nothing and emits nothing, so it never holds one: what it cannot read
is kept as a dead letter, and the next record is taken. It may be absent, come late, or be rebuilt: its rows are those
of the topics, whenever it reads them.

::

    collector = Collector(
        "service_list",
        events=(ServiceListed,),
        table=SERVICES,
        row=lambda event, envelope: {"name": event.name, "listed_at": envelope.time.isoformat()},
        migrations=Path(__file__).parent / "migrations",
        routers=[router],
    )
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, singledispatch
from pathlib import Path
from typing import Any, Self

from fastapi import APIRouter
from kintsugi_contracts.base import Event
from kintsugi_contracts.catalog import Catalog
from kintsugi_country import Pack
from sqlalchemy import MetaData, Table

from kintsugi.application import Application
from kintsugi.channels import Channel
from kintsugi.envelope import Envelope
from kintsugi.http.border import BodyRule
from kintsugi.service import Service, State
from kintsugi.settings import Settings
from kintsugi.views import Views

KEY = ("source", "subject", "sequence")
RowOf = Callable[[Any, Envelope], Mapping[str, object] | None]


class Nothing(State):
    """What a collector remembers of a subject."""


@dataclass(frozen=True)
class Collector:
    """One collector, wired. The entry points of the group ``kintsugi.services`` may name values of this type.

    ``row(event, envelope)`` is pure: the columns of ``table`` besides its primary key, as JSON has them, or None for
    an event that makes no row. The primary key is ``source`` (the emitting service's short name), ``subject`` and
    ``sequence``. ``version`` is raised with every change of ``row``: a start then asks for a rebuild.
    ``subscribes`` names services whose topics are read although none of ``events`` names them.
    """

    name: str
    events: Sequence[type[Event]]
    table: Table
    row: RowOf
    migrations: Path
    version: int = 1
    subscribes: Sequence[str] = ()
    routers: Sequence[APIRouter] = ()
    body_rules: Mapping[str, BodyRule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ValueError for a table with another primary key: a record read twice would make two rows."""
        if {column.name for column in self.table.primary_key} != set(KEY):
            raise ValueError(
                f"collector '{self.name}': the primary key of '{self.table.name}' must be {', '.join(KEY)}, "
                "so that a record that is read twice makes one row"
            )

    @cached_property
    def service(self) -> Service[Nothing]:
        """What it takes, as the consumer reads it: events without a decision."""
        service: Service[Nothing] = Service(
            self.name,
            state=Nothing,
            evolve=singledispatch(_unchanged),
            fold_version=self.version,
            subscribes=self.subscribes,
        )
        for event in self.events:
            service.on(event)(_decides_nothing)
        return service

    @cached_property
    def views(self) -> Views[Nothing]:
        """None: its table is its own, made by its migrations."""
        return Views(MetaData(), lambda _subject, _state: {})

    @property
    def retired(self) -> Mapping[str, Sequence[str]]:
        """No release ever made tables of views for it."""
        return {}

    def within(self, _catalog: Catalog) -> Self:
        """The same in every installation: it takes what it names."""
        return self

    def resources(self, _settings: Settings, _pack: Pack) -> None:
        """Nothing is decided, so nothing is looked up."""

    def channels(self, _settings: Settings) -> Mapping[str, Channel]:
        """Nothing is sent."""
        return {}


Wired = Application[Any] | Collector
"""What an entry point of the group ``kintsugi.services`` may name."""


def _unchanged(_event: object, state: Nothing) -> Nothing:
    return state


def _decides_nothing(_event: object, _state: object, _ctx: object) -> list[Event]:
    return []
