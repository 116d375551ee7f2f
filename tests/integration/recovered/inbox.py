"""Records given straight to the batches of the small service: no Kafka, a real database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from kintsugi.clock import BusinessClock
from kintsugi.envelope import Envelope, decode, encode
from kintsugi.keyring import Keyring
from kintsugi.operations.repair import Repair
from kintsugi.partitioning import partition_of
from kintsugi.runtime.database import engine_of
from kintsugi.shell.batches import Batches
from kintsugi.shell.core import Core
from kintsugi.shell.gaps import Gaps
from kintsugi.store.rows import Record, load_headers
from kintsugi.tables import upgrade
from kintsugi.telemetry.metrics import Metrics
from kintsugi.telemetry.tracing import Tracing
from kintsugi.turn import Office
from kintsugi_contracts.catalog import Catalog
from sqlalchemy import text

from tests.integration.recovered.desk import application
from tests.integration.recovered.office import _PACK, example

CATALOG = Catalog.installed()


class Inbox:
    """One process of the service, fed by hand."""

    def __init__(self, url: str, service: Any = None) -> None:
        self.core: Core[Any] = Core(
            service=service or application.service,
            views=application.views,
            office=Office("xa", _PACK),
            engine=engine_of(url, "notify"),
            keyring=Keyring("postgresql+asyncpg://nobody@127.0.0.1:1/none", {}),
            tracing=Tracing("notify"),
            metrics=Metrics("notify"),
        )
        self.clock = BusinessClock(movable=False)
        self.repair: Repair[Any] = Repair(self.core, self.clock)
        self.gaps: Gaps[Any] = Gaps(self.core, self.clock)
        self._offsets: dict[tuple[str, int], int] = {}

    async def migrate(self) -> None:
        """Makes the tables."""
        async with self.core.engine.begin() as connection:
            await connection.run_sync(upgrade, application)

    async def take(self, source: str, subject: str, event: str, sequence: int, **said: Any) -> Envelope:
        """One record of a source, from the contract's examples, in a batch of its own."""
        model = CATALOG.by_type(f"kintsugi.{event}.v1")
        assert model is not None
        envelope = Envelope(
            id=str(uuid4()),
            source=f"/xa/{source}",
            type=model.type,
            time=await self._now(),
            subject=subject,
            sequence=sequence,
            dataschema=model.dataschema,
            **said,
        )
        place = (f"xa.{source}.v1", partition_of(subject))
        offset = self._offsets.get(place, 0)
        self._offsets[place] = offset + 1
        async with self.core.engine.begin() as connection:
            insert = "INSERT INTO positions (topic, partition, next_offset) VALUES (:t, :p, 0) ON CONFLICT DO NOTHING"
            await connection.execute(text(insert), {"t": place[0], "p": place[1]})
        record = Record(*place, offset, subject.encode(), example(event), encode(envelope), 1_772_445_600_000)
        await Batches(self.core, self.clock, 500).run([record], {place: offset})
        return envelope

    async def own(self, subject: str) -> list[Envelope]:
        """The envelopes this service emitted, in order."""
        query = text("SELECT topic, headers, value FROM outbox WHERE subject = :subject ORDER BY id")
        async with self.core.engine.connect() as connection:
            rows = (await connection.execute(query, {"subject": subject})).all()
        read = [
            decode(load_headers(row.headers), topic=row.topic, key=subject.encode(), value=row.value) for row in rows
        ]
        return [each.envelope for each in read if each.envelope is not None]

    async def status(self, subjects: Sequence[str]) -> list[str]:
        """How the subjects stand."""
        query = text("SELECT subject, status FROM subjects")
        async with self.core.engine.connect() as connection:
            found = {row.subject: row.status for row in await connection.execute(query)}
        return [found[subject] for subject in subjects]

    async def _now(self) -> Any:
        async with self.core.engine.connect() as connection:
            return await self.clock.now(connection)
