"""What survives a crash in the model: topics as append-only logs, and one database per service."""

from __future__ import annotations

from typing import NamedTuple

from kintsugi.envelope import Envelope
from kintsugi.subject import Progress

Queue = tuple[str, int]
"""A topic, named by the service that writes it, and a partition."""

Place = tuple[str, int, int]
"""A record: topic, partition, offset."""


class About(NamedTuple):
    """The body of an event about a hold: the input it names, and the cause of the hold it opens or ends."""

    source: str
    sequence: int
    cause: str


class Event(NamedTuple):
    """A record's content. ``number`` is its id as a number, by which the checker knows it."""

    envelope: Envelope
    source: str
    number: int
    about: About | None


class Entry(NamedTuple):
    """One line of a journal: what became of an event, in the order in which the subject's state took it in.

    ``status``: applied, ignored, discarded or skipped for a source's event, own for one of this service's.
    """

    status: str
    source: str
    sequence: int
    event: Event | None


class Row(NamedTuple):
    """A subject. Its state is its journal; ``known`` is the set of events behind it, a bit per number.

    ``known`` is for the checker: it is computed from what happened, never from ``ce_seen``.
    """

    version: int
    progress: Progress
    journal: tuple[Entry, ...]
    known: int


ABSENT = Row(0, Progress(), (), 0)


class Database:
    """One service's tables. Outbox ids are drawn before the commit that makes their rows visible."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.lines: dict[str, dict[Place, Event]] = {}
        self.accounts: dict[Place, str] = {}
        self.outbox: dict[int, Event] = {}
        self.published: list[Event] = []
        self.positions: dict[Queue, int] = {}
        self.answers: dict[str, tuple[int, ...]] = {}
        self.locked: set[str] = set()
        self._drawn = 0

    def draw(self) -> int:
        """The next outbox id; one that is rolled back is not used again."""
        self._drawn += 1
        return self._drawn


class Topics:
    """Every service's topic. ``lost``: numbers of events the broker acknowledged and did not keep."""

    def __init__(self, queues: list[Queue], partitions: dict[str, int]) -> None:
        self.logs: dict[Queue, list[Event]] = {queue: [] for queue in queues}
        self.lost: set[int] = set()
        self._partitions = partitions

    def append(self, event: Event) -> None:
        """One more record, on the partition of its subject."""
        self.logs[event.source, self._partitions[event.envelope.subject]].append(event)
