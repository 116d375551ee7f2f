"""What all transactions of one service share: its functions, its office, its keys, and what is said about them."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic

import structlog
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.causes import Cause
from sqlalchemy.ext.asyncio import AsyncEngine

from kintsugi.agenda import Agenda
from kintsugi.envelope import Envelope, Parsed, decode, kind_of
from kintsugi.keyring import Keyring, Missing
from kintsugi.partitioning import PARTITIONS, partition_of
from kintsugi.sealing import DataKey, Erased
from kintsugi.service import S, Service
from kintsugi.store.pooling import reading
from kintsugi.store.rows import Record
from kintsugi.telemetry.metrics import Metrics
from kintsugi.telemetry.tracing import Tracing
from kintsugi.turn import Office
from kintsugi.vault import Wanted
from kintsugi.views import Rows, Views

log = structlog.get_logger("kintsugi.shell")

MOST_KNOWN = 50_000


class StaleUnit(Exception):
    """Another process wrote what this transaction had read: it is rolled back and read anew."""


class SubjectFault(Exception):
    """What a state owes or shows cannot be computed: its subject is to be held, as when the database refuses it."""


class LostState(Exception):
    """The database is older than the service's own topic. Nothing may run until ``kintsugi recover`` has."""


class KeyUnavailable(Exception):
    """A key that was asked for is neither there nor erased: the service was not given its purpose."""


class Circuit:
    """Opens when most inputs of late were held for one cause: after a bad deploy, nobody else is held.

    It looks at the last 400 inputs and opens at 100 holds of one cause that are more than half of them; so one bad
    producer, or one unlucky case, does not stop intake.
    """

    def __init__(self, window: int = 400, least: int = 100) -> None:
        self._recent: deque[Cause | None] = deque(maxlen=window)
        self._least = least
        self.open_for: Cause | None = None

    def passed(self) -> None:
        """One input was applied."""
        self._recent.append(None)

    def held(self, cause: Cause) -> None:
        """One subject was held."""
        self._recent.append(cause)
        holds = sum(1 for each in self._recent if each is cause)
        if cause is Cause.handler_raised and holds >= self._least and holds * 2 > len(self._recent):
            self.open_for = cause


@dataclass
class Core(Generic[S]):
    """The parts every transaction works with. ``committed`` callbacks run after each commit, in the same loop;
    ``clock_moved`` ones after the business clock was moved through this process; ``end_wanted`` ones when something
    waits for the topics to be read to their end. ``known``: subjects with a row."""

    service: Service[S]
    views: Views[S]
    office: Office
    engine: AsyncEngine
    keyring: Keyring
    tracing: Tracing
    metrics: Metrics
    catalog: Catalog = field(default_factory=Catalog.installed)
    movable_clock: bool = False
    fold_version: int = 1
    circuit: Circuit = field(default_factory=Circuit)
    committed: list[Callable[[bool, bool], None]] = field(default_factory=list)
    clock_moved: list[Callable[[], None]] = field(default_factory=list)
    end_wanted: list[Callable[[], None]] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    @cached_property
    def reading(self) -> AsyncEngine:
        """For reads of one statement, without a transaction around them."""
        return reading(self.engine)

    @property
    def name(self) -> str:
        """The service's short name."""
        return self.service.name

    @property
    def topic(self) -> str:
        """The one topic this service writes."""
        return self.office.topic(self.service.name)

    @cached_property
    def sources(self) -> frozenset[str]:
        """Short names of the services whose topics it reads."""
        return self.service.sources(self.catalog)

    @cached_property
    def kinds(self) -> Mapping[str, tuple[str, ...]]:
        """The kinds of subject by topic, of those that it reads and of its own."""
        return {self.office.topic(name): self.catalog.kinds(name) for name in (*self.sources, self.name)}

    def keeps(self, subject: str) -> bool:
        """Whether this service has a row for such a subject: what its own topic could not speak of is not its own."""
        return kind_of(subject) in self.office.kinds

    @property
    def topics(self) -> list[str]:
        """The topics it reads, sorted."""
        return sorted(self.office.topic(name) for name in self.sources)

    @property
    def group(self) -> str:
        """Its consumer group on Kafka, which only reports lag: positions are in the database."""
        return f"{self.office.country}.{self.service.name}"

    def parsed(self, record: Record) -> Parsed:
        """What the headers of a record that it reads say. Never raises."""
        kinds = self.kinds.get(record.topic)
        return decode(record.headers, topic=record.topic, key=record.key, value=record.value, kinds=kinds)

    def partition(self, subject: str) -> int:
        """Where a subject lives on every topic."""
        return partition_of(subject, PARTITIONS)

    async def fetch_keys(
        self, wanted: Iterable[Wanted], create: Iterable[Wanted] = ()
    ) -> dict[Wanted, DataKey | Erased]:
        """The keys that are there, for reading, and for sealing where ``create`` names them.

        One that is absent or cannot be unwrapped is left out: only the step that needs it fails, for its own
        subject. Raises KeyringUnavailable when the keyring does not answer.
        """
        found = await self.keyring.fetch(wanted, frozenset(create))
        return {name: key for name, key in found.items() if not isinstance(key, Missing)}

    def derived(self, subject: str, state: S) -> tuple[Agenda, Rows]:
        """What is owed, and the view rows, of a state. Raises SubjectFault where the service's own code raises."""
        try:
            return self.service.agenda(state), self.views.of(subject, state)
        except Exception as error:
            self.log_raised(error, type_="agenda_or_views")
            raise SubjectFault(subject) from error

    def remember(self, subjects: Iterable[str]) -> None:
        """These have a row, which is never deleted while a service runs: none has to be made for them again."""
        if len(self.known) > MOST_KNOWN:
            self.known.clear()
        self.known.update(subjects)

    def after_commit(self, *, emitted: bool, owed: bool) -> None:
        """Wakes whoever waits for new outbox rows or new entries of the agenda."""
        for callback in self.committed:
            callback(emitted, owed)

    def log_raised(self, error: BaseException, *, type_: str, envelope: Envelope | None = None) -> None:
        """Where a handler raised, without its message: that may hold what the event held."""
        frame = traceback.extract_tb(error.__traceback__)[-1] if error.__traceback__ else None
        log.error(
            "handler_raised",
            error=type(error).__name__,
            location=f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" if frame else "unknown",
            type=type_,
            subject=envelope.subject if envelope else None,
            source=envelope.source if envelope else None,
            sequence=envelope.sequence if envelope else None,
        )


Services = dict[str, Any]
