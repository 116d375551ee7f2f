"""Bugs on purpose, one function each. They replace functions of the kit in a process started by a test, only there."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aiokafka import AIOKafkaProducer
from kintsugi.envelope import encode
from kintsugi.settings import load
from kintsugi.shell import batches, consuming, unit, writing
from kintsugi.store import statements as sql
from kintsugi.subject import Verdict, judge
from sqlalchemy import text


def no_cursor_check() -> None:
    """Whatever comes is applied, whether it came before or not."""

    def careless(envelope: Any, progress: Any, **known: Any) -> Verdict:
        verdict = judge(envelope, progress, **known)
        return Verdict.ready if verdict in (Verdict.duplicate, Verdict.older) else verdict

    consuming.judge = careless  # type: ignore[attr-defined]


def cursor_without_state() -> None:
    """The cursor is written and the state is not."""
    right = writing.Writer.subjects

    async def half(self: Any, changed: Any) -> None:
        now = [loaded.subject for loaded in changed]
        for loaded in changed:
            kept = self._core.service.state.model_validate_json(loaded.row.state)
            loaded.subject = replace(loaded.subject, state=kept)
        await right(self, changed)
        for loaded, subject in zip(changed, now, strict=True):
            loaded.subject = subject

    writing.Writer.subjects = half  # type: ignore[method-assign]


def publish_outside() -> None:
    """Events are sent while the transaction is open, instead of being kept for the relay."""

    async def at_once(self: Any, own: Any) -> None:
        producer = AIOKafkaProducer(**load(self._core.service.name).cluster().client(), acks="all")
        await producer.start()
        for each in own:
            headers = encode(each.envelope)
            key, number = each.envelope.subject.encode(), self._core.partition(each.envelope.subject)
            await producer.send_and_wait(self._core.topic, each.value, key=key, headers=headers, partition=number)
        await producer.stop()

    writing.Writer.outbox = at_once  # type: ignore[method-assign]


def acknowledge_first() -> None:
    """The positions are committed before the records are worked on."""
    right = batches.Batches._attempt

    async def first(self: Any, records: Any, positions: Any, refuse: Any) -> Any:
        after = {(record.topic, record.partition): record.offset + 1 for record in records}
        async with self._core.engine.begin() as connection:
            await connection.execute(
                sql.ADVANCE_POSITIONS,
                {
                    "topics": [place[0] for place in after],
                    "partitions": [place[1] for place in after],
                    "expected": [positions[place] for place in after],
                    "next": list(after.values()),
                },
            )
        return await right(self, records, {**positions, **after}, refuse)

    batches.Batches._attempt = first  # type: ignore[method-assign]
    sql.ADVANCE_POSITIONS = text(
        str(sql.ADVANCE_POSITIONS).replace("= n.expected", "<= greatest(n.expected, n.next_offset)")
    )


def lock_after_read() -> None:
    """What decides is read before the lock was granted, and nothing notices."""
    read = text(str(sql.LOCK).replace(" FOR UPDATE", ""))
    right = unit.Unit.load

    async def early(self: Any, ids: Any, *, create: bool) -> None:
        wanted = sorted(set(ids) - set(self.subjects))
        lock = sql.LOCK
        sql.LOCK = read
        try:
            await right(self, wanted, create=create)
        finally:
            sql.LOCK = lock
        await self.connection.execute(text("SELECT pg_sleep(0.02)"))
        await self.connection.execute(lock, {"subjects": wanted})

    unit.Unit.load = early  # type: ignore[method-assign]
    sql.UPDATE_SUBJECTS = text(str(sql.UPDATE_SUBJECTS).replace(" AND s.version = n.version", ""))


def in_batch_duplicates() -> None:
    """Whether a record is new is judged by what was known before the batch."""

    def by_the_row(self: Any, loaded: Any, envelope: Any) -> Verdict:
        known = {"own": self.core.name, "subscribed": self.core.sources}
        now = judge(envelope, loaded.subject.progress, **known)
        before = judge(envelope, loaded.row.progress, **known)
        copy = now in (Verdict.duplicate, Verdict.older) and before not in (Verdict.duplicate, Verdict.older)
        return Verdict.ready if copy else now

    consuming.Consuming._judge = by_the_row  # type: ignore[method-assign]


def relay_skips() -> None:
    """A row that could not be sent is passed over."""
    from kintsugi import relay

    right = relay.Relay._send
    passes = iter(range(1_000_000))

    async def skipping(self: Any, producer: Any, rows: Any) -> Any:
        kept = rows[1:] if next(passes) % 3 == 0 else rows
        return await right(self, producer, kept)

    relay.Relay._send = skipping  # type: ignore[method-assign]


def handler_raises() -> None:
    """A decision fails: ``KINTSUGI_TEST_RAISES=referral:AssessmentCompleted`` says where and about what."""
    from kintsugi import turn

    service, _, name = os.environ["KINTSUGI_TEST_RAISES"].partition(":")
    right = turn.Stepper._decide

    def raising(self: Any, handler: Any, given: Any, subject: Any, ctx: Any) -> Any:
        if self.service.name == service and type(given).__name__ == name:
            raise ValueError("seeded")
        return right(self, handler, given, subject, ctx)

    turn.Stepper._decide = raising  # type: ignore[method-assign]


def stops_inside() -> None:
    """The process stops still, once, in the middle of its transaction."""
    left = iter([True])

    def stop(name: str) -> None:
        if name == "consume.decided" and next(left, False):
            os.kill(os.getpid(), signal.SIGSTOP)

    batches.reach = stop  # type: ignore[attr-defined]


BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug
    for bug in (
        no_cursor_check,
        cursor_without_state,
        publish_outside,
        acknowledge_first,
        lock_after_read,
        in_batch_duplicates,
        relay_skips,
        handler_raises,
        stops_inside,
    )
}
