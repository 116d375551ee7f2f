"""What one run leaves: where each record was put, how each was accounted for, where each case stands."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from kintsugi.store.rows import load_headers

from tests.badrecords.office import Office
from tests.badrecords.producing import Place, Producing
from tests.badrecords.records import Draft, Headers, Story


@dataclass(frozen=True)
class Put:
    """One record that was put on a topic: of which case, in which part of its story, and where it came to lie."""

    story: str
    part: str
    draft: Draft
    place: Place


@dataclass(frozen=True)
class Account:
    """A row of ``inputs``."""

    topic: str
    partition: int
    offset: int
    subject: str | None
    status: str
    cause: str | None
    key: bytes | None
    headers: bytes | None
    body: bytes | None

    @property
    def place(self) -> Place:
        """Topic, partition, offset."""
        return self.topic, self.partition, self.offset

    def restored(self) -> tuple[bytes | None, bytes | None, Headers]:
        """Key, value and headers of the record as they were."""
        assert self.headers is not None, f"the record at {self.place} was not kept"
        return self.key, self.body, load_headers(self.headers)


@dataclass(frozen=True)
class Stand:
    """Where a case stands: its status, the cause of its hold, how many inputs wait, and with whom it may be shared."""

    status: str
    cause: str | None
    waiting: int
    consents: dict[str, str]
    state: dict[str, Any]

    @classmethod
    def of(cls, status: str, hold: str | None, waiting: int, state: str) -> Stand:
        """From the columns of ``subjects``."""
        known = json.loads(state)
        consents = {agency: said["decision"] for agency, said in known.get("consents", {}).items()}
        return cls(status, json.loads(hold)["cause"] if hold else None, waiting, consents, known)


@dataclass
class Aftermath:
    """A run at rest. ``accounts``, ``stands``, ``own`` and ``on_topics`` are of that moment; the office runs on."""

    office: Office
    to: Producing
    stories: dict[str, Story]
    good: dict[str, Story]
    repairs: dict[str, Story]
    put: list[Put] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    stands: dict[str, Stand] = field(default_factory=dict)
    own: list[tuple[str, str]] = field(default_factory=list)
    on_topics: dict[str, int] = field(default_factory=dict)

    def accounts_of(self, story: str, part: str) -> list[Account]:
        """The accounts of a part of a story, in the order in which it was put."""
        by_place = {account.place: account for account in self.accounts}
        return [by_place[each.place] for each in self.put if (each.story, each.part) == (story, part)]

    async def stand(self, story: Story) -> Stand:
        """Where a case stands now."""
        [row] = await self.office.rows(
            "SELECT status, hold, waiting, state FROM subjects WHERE subject = $1", story.case.subject
        )
        return Stand.of(row["status"], row["hold"], row["waiting"], row["state"])

    async def statuses(self, story: Story) -> dict[int, tuple[str, str | None]]:
        """Status and cause of a case's inputs from intake now, by sequence."""
        rows = await self.office.rows(
            "SELECT sequence, status, cause FROM inputs WHERE subject = $1 AND source = 'intake' ORDER BY sequence",
            story.case.subject,
        )
        return {row["sequence"]: (row["status"], row["cause"]) for row in rows}

    async def settled(self, story: Story, records: int = 3) -> dict[int, tuple[str, str | None]]:
        """The same once ``records`` inputs are there and none of them waits, or as it is after ten seconds."""
        for _ in range(100):
            found = await self.statuses(story)
            if len(found) >= records and not any(status in ("waiting", "held") for status, _ in found.values()):
                break
            await asyncio.sleep(0.1)
        return found

    async def own_types(self, story: Story) -> list[str]:
        """The short types of what the service emitted for a case, in order."""
        rows = await self.office.rows(
            "SELECT sequence, type FROM published WHERE subject = $1 "
            "UNION ALL SELECT sequence, type FROM outbox WHERE subject = $1 ORDER BY sequence",
            story.case.subject,
        )
        return [row["type"].removeprefix("kintsugi.").removesuffix(".v1") for row in rows]
