"""The batches of a collector: rows and positions in one commit, no subject locked, none held."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence

from kintsugi_contracts.causes import Cause
from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.clock import BusinessClock
from kintsugi.collector import KEY, Collector, Nothing
from kintsugi.decoding import decode_event
from kintsugi.envelope import Envelope, Parsed
from kintsugi.shell.batches import Batch, Batches, Place
from kintsugi.shell.core import Core
from kintsugi.shell.writing import InputRow, Writer
from kintsugi.store.rows import Record

Key = tuple[str, str, int]

_KNOWN = text("""
SELECT i.source, i.subject, i.sequence, i.id
FROM unnest(CAST(:sources AS text[]), CAST(:subjects AS text[]), CAST(:sequences AS bigint[]))
     AS n (source, subject, sequence)
JOIN inputs i ON i.subject = n.subject AND i.source = n.source AND i.sequence = n.sequence
WHERE i.status = 'applied'
""")


class Collecting(Batches[Nothing]):
    """Runs records through a collector. Each is accounted for: applied, ignored, duplicate, or dead with its cause."""

    def __init__(self, core: Core[Nothing], clock: BusinessClock, size: int, collector: Collector) -> None:
        super().__init__(core, clock, size)
        self._row = collector.row
        table = collector.table
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        self._insert = text(
            f"INSERT INTO {table.name} ({columns}) "  # noqa: S608 - names come from the collector's own metadata
            f"SELECT {columns} FROM jsonb_populate_recordset(CAST(NULL AS {table.name}), CAST(:rows AS jsonb)) "
            f"ON CONFLICT ({', '.join(KEY)}) DO NOTHING RETURNING {', '.join(KEY)}"
        )

    async def _attempt(
        self, records: Sequence[Record], positions: Mapping[Place, int], refuse: frozenset[str]
    ) -> Batch:
        core = self._core
        started = time.perf_counter()
        made: dict[Key, dict[str, object]] = {}
        account: list[InputRow] = []
        for record in records:
            row, input_ = self._read(record, core.parsed(record), refuse)
            account.append(input_)
            if row is not None and input_.envelope is not None:
                made.setdefault(_key(input_.envelope), row)
        following = {(record.topic, record.partition): record.offset + 1 for record in records}
        async with core.engine.begin() as connection:
            await self._write(connection, made, account)
            writer = Writer(core, connection)
            await writer.inputs(account, [])
            await writer.positions([(*place, positions[place], offset) for place, offset in following.items()])
        for each in account:
            if each.status == "applied":
                core.circuit.passed()
            elif each.cause is Cause.handler_raised:
                core.circuit.held(Cause.handler_raised)
        for topic, number in Counter(record.topic for record in records).items():
            core.metrics.consumed(topic, number)
        core.metrics.batch(len(records), time.perf_counter() - started)
        for (status, cause), number in Counter((each.status, each.cause or "") for each in account).items():
            core.metrics.inputs(status, cause, number)
        return Batch(len(records), {**positions, **following})

    def _read(self, record: Record, said: Parsed, refuse: frozenset[str]) -> tuple[dict[str, object] | None, InputRow]:
        """The row of a record, and its account."""
        envelope = said.envelope
        if envelope is None:
            return None, InputRow(record, None, "dead", said.fault or Cause.unknown)
        if envelope.subject in refuse:
            return None, InputRow(record, envelope, "dead", Cause.database_refused)
        decoded = decode_event(self._core.catalog, self._core.service, envelope, record.value)
        if fault := said.fault or decoded.fault:
            return None, InputRow(record, envelope, "dead", fault)
        if decoded.event is None:
            return None, InputRow(record, envelope, "ignored", None)
        try:
            row = self._row(decoded.event, envelope)
        except Exception as error:
            self._core.log_raised(error, type_=envelope.type, envelope=envelope)
            return None, InputRow(record, envelope, "dead", Cause.handler_raised, type(error).__name__)
        if row is None:
            return None, InputRow(record, envelope, "ignored", None)
        return {**row, **dict(zip(KEY, _key(envelope), strict=True))}, InputRow(record, envelope, "applied", None)

    async def _write(
        self, connection: AsyncConnection, made: Mapping[Key, Mapping[str, object]], account: Sequence[InputRow]
    ) -> None:
        """Inserts what is not there yet, and says of the rest whether it is a copy or a reused number."""
        if not made:
            return
        found = await connection.execute(self._insert, {"rows": to_json(list(made.values())).decode()})
        fresh: set[Key] = {(row.source, row.subject, row.sequence) for row in found}
        known = await _ids(connection, [key for key in made if key not in fresh])
        for each in account:
            if each.status != "applied" or each.envelope is None:
                continue
            key = _key(each.envelope)
            if key in fresh:
                fresh.discard(key)
                known[key] = each.envelope.id
            elif known.get(key, each.envelope.id) == each.envelope.id:
                each.status = "duplicate"
            else:
                each.status, each.cause = "dead", Cause.sequence_reused


async def _ids(connection: AsyncConnection, keys: Sequence[Key]) -> dict[Key, str]:
    """The ids under which these numbers were taken before, as far as they are still accounted for."""
    if not keys:
        return {}
    sources, subjects, sequences = zip(*keys, strict=True)
    names = {"sources": list(sources), "subjects": list(subjects), "sequences": list(sequences)}
    return {(row.source, row.subject, row.sequence): row.id for row in await connection.execute(_KNOWN, names)}


def _key(envelope: Envelope) -> Key:
    return envelope.service, envelope.subject, envelope.sequence
