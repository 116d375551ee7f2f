"""The lines of inputs that cannot be applied yet: per source, in order, in memory and in the database."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from kintsugi_contracts.causes import Cause
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.envelope import Envelope, decode
from kintsugi.shell.writing import InputRow
from kintsugi.store import statements as sql
from kintsugi.store.rows import Record, load_headers

_PIECE = 64


class Origin(Enum):
    """Where the account of an input is: nowhere yet, in this unit, or in the database."""

    fresh = auto()
    here = auto()
    stored = auto()


@dataclass(slots=True, eq=False)
class Queued:
    """An input of a subject, with what its headers said, and where its account is."""

    record: Record
    envelope: Envelope
    fault: Cause | None
    origin: Origin
    row: InputRow | None = None

    @property
    def head(self) -> tuple[str, int]:
        """Its source and sequence."""
        return self.envelope.service, self.envelope.sequence


@dataclass(slots=True)
class _Stored:
    """One source's line in the database, read in pieces, never whole: a long one behind a gap is only touched."""

    queue: deque[Queued] = field(default_factory=deque)
    last: tuple[int, int, int] = (0, -1, -1)
    exhausted: bool = False


class Lines:
    """The lines of one subject. ``has_stored`` says whether the database may hold some."""

    def __init__(self, subject: str, *, has_stored: bool) -> None:
        self._subject = subject
        self._has_stored = has_stored
        self._here: dict[tuple[str, int], list[Queued]] = {}
        self._stored: dict[str, _Stored] = {}

    def add(self, queued: Queued) -> None:
        """One more at its place."""
        self._here.setdefault(queued.head, []).append(queued)

    def remove(self, queued: Queued) -> None:
        """Takes out one that :meth:`at` gave."""
        if queued.origin is Origin.stored:
            self._stored[queued.envelope.service].queue.remove(queued)
        else:
            self._here[queued.head].remove(queued)

    async def at(self, connection: AsyncConnection, source: str, sequence: int) -> list[Queued]:
        """Everything that carries this number."""
        stored = await self._to(connection, source, sequence)
        return [queued for queued in stored if queued.envelope.sequence == sequence] + list(
            self._here.get((source, sequence), ())
        )

    async def first(self, connection: AsyncConnection, sources: Sequence[str]) -> Queued | None:
        """The head of the first line that is not empty."""
        for source in sources:
            here = sorted((head for head in self._here if head[0] == source and self._here[head]), key=lambda h: h[1])
            stored = list((await self._read(connection, source)).queue) if self._has_stored else []
            heads = stored[:1] + [self._here[head][0] for head in here[:1]]
            if heads:
                return min(heads, key=lambda queued: queued.envelope.sequence)
        return None

    async def take_passed(self, connection: AsyncConnection, source: str, sequence: int) -> list[Queued]:
        """Takes out what waits under numbers below ``sequence``: copies, as a rule."""
        passed: list[Queued] = []
        for head in [head for head in self._here if head[0] == source and head[1] < sequence]:
            passed.extend(self._here.pop(head))
        while self._has_stored:
            line = await self._read(connection, source)
            if not line.queue or line.queue[0].envelope.sequence >= sequence:
                break
            passed.append(line.queue.popleft())
        return passed

    async def _to(self, connection: AsyncConnection, source: str, sequence: int) -> list[Queued]:
        if not self._has_stored:
            return []
        line = await self._read(connection, source)
        return [queued for queued in line.queue if queued.envelope.sequence <= sequence]

    async def _read(self, connection: AsyncConnection, source: str) -> _Stored:
        line = self._stored.setdefault(source, _Stored())
        if line.queue or line.exhausted:
            return line
        found = await connection.execute(
            sql.QUEUE,
            {
                "subject": self._subject,
                "source": source,
                "sequence": line.last[0],
                "partition": line.last[1],
                "offset": line.last[2],
                "most": _PIECE,
            },
        )
        line.queue.extend(_queued(mapping) for mapping in found.mappings())
        line.exhausted = len(line.queue) < _PIECE
        if line.queue:
            last = line.queue[-1]
            line.last = (last.envelope.sequence, last.record.partition, last.record.offset)
        return line


def _queued(row: RowMapping) -> Queued:
    record = Record(
        topic=row["topic"],
        partition=row["partition"],
        offset=row["offset"],
        key=row["key"],
        value=row["body"],
        headers=load_headers(row["headers"]),
        appended_ms=int(row["appended_ms"]),
    )
    parsed = decode(record.headers, topic=record.topic, key=record.key, value=record.value)
    if parsed.envelope is None:
        raise LookupError(f"the input at {record.place} was stored as waiting and has no readable envelope")
    return Queued(record, parsed.envelope, parsed.fault, Origin.stored)
