"""What stands still is not lost: a stored outcome, a missing key, an input that came, seen on a real PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import kintsugi_events as e
import pytest
import pytest_asyncio
from kintsugi.agenda import Result
from kintsugi.clock import BusinessClock
from kintsugi.envelope import Envelope, encode
from kintsugi.http.problems import Problem
from kintsugi.keyring import Missing
from kintsugi.operations.repair import Repair
from kintsugi.runtime.database import engine_of
from kintsugi.sealing import DataKey
from kintsugi.service import Service
from kintsugi.shell.batches import Batches
from kintsugi.shell.core import Core
from kintsugi.shell.sends import Sends
from kintsugi.store.rows import Record
from kintsugi.tables import upgrade
from kintsugi.telemetry.metrics import Metrics
from kintsugi.telemetry.tracing import Tracing
from kintsugi.turn import Office
from kintsugi_contracts.base import Event
from kintsugi_events.common import DiscardReason
from kintsugi_notify.app import application
from kintsugi_notify.handlers import service
from sqlalchemy import text

from services.notify.tests import notify_examples as x

SUBJECT = "case/00000000-0000-4000-8000-000000000001"


class _Keys:
    """A keyring that has a key only where one was made, as the real one."""

    def __init__(self) -> None:
        self.made: dict[Any, DataKey] = {}

    async def fetch(self, wanted: Any, create: Any = frozenset()) -> Any:
        for name in create:
            self.made.setdefault(name, DataKey("k", b"0" * 32))
        return {name: self.made.get(name, Missing()) for name in {*wanted, *create}}


@pytest_asyncio.fixture(loop_scope="session")
async def core(new_database: Callable[..., Awaitable[str]]) -> AsyncIterator[Core[Any]]:
    """notify on a database of its own, with a keyring that holds no key yet."""
    engine = engine_of(await new_database("notify"), "notify")
    async with engine.begin() as connection:
        await connection.run_sync(upgrade, application)
    yield Core(service, application.views, Office("xa", x.PACK), engine, _Keys(), Tracing("notify"), Metrics("notify"))  # type: ignore[arg-type]
    await engine.dispose()


CLOCK = BusinessClock(movable=True)


def _record(event: Event, sequence: int, offset: int, source: str) -> Record:
    envelope = Envelope(
        id=str(uuid.uuid4()), source=f"/xa/{source}", type=event.type, time=x.NOW, subject=SUBJECT, sequence=sequence,
        dataschema=event.dataschema,
    )  # fmt: skip
    topic = f"xa.{source}.v1"
    return Record(topic, 0, offset, SUBJECT.encode(), event.encode(), encode(envelope), 1_772_445_600_000)


async def _consume(core: Core[Any], records: list[Record]) -> None:
    async with core.engine.begin() as connection:
        await connection.execute(text("UPDATE business_clock SET instant = :now"), {"now": x.NOW})
        for topic in {record.topic for record in records}:
            first = min(record.offset for record in records if record.topic == topic)
            await connection.execute(
                text("INSERT INTO positions (topic, partition, next_offset) VALUES (:t, 0, :o) ON CONFLICT DO NOTHING"),
                {"t": topic, "o": first},
            )
        rows = (await connection.execute(text("SELECT topic, next_offset FROM positions"))).all()
    await Batches(core, CLOCK, 500).run(records, {(row.topic, 0): row.next_offset for row in rows})


async def test_a_survivor_without_any_sealed_contact_is_withheld_and_staff_hear_of_it(core: Core[Any]) -> None:
    await _consume(core, [_record(x.case_opened(), 1, 0, "intake"), _record(x.proposed(), 1, 0, "referral")])
    sends = Sends(core, CLOCK, {})
    [(subject, name)] = [found for found in await sends.runnable() if found[1].startswith("survivor_notice")]
    await sends.claim(subject, name)
    assert not [found for found in await sends.runnable() if found[1] == name]


async def test_an_outcome_whose_handler_raised_is_applied_after_the_release(core: Core[Any]) -> None:
    await _consume(core, [_record(x.case_opened(), 1, 0, "intake"), _record(x.risk(), 2, 1, "intake")])
    sends = Sends(core, CLOCK, {})
    [(subject, name)] = [found for found in await sends.runnable() if found[1].startswith("staff_alert")]
    claimed = await sends.claim(subject, name)
    assert claimed is not None
    handler = service.outcomes["staff_alert"]
    good = handler.decide

    def broken(*_: object) -> Any:
        raise ValueError("a bad deploy")

    handler.decide = broken
    try:
        await sends.settle(claimed.claim, Result.sent)
    finally:
        handler.decide = good
    await Repair(core, CLOCK).release(SUBJECT, "operator:1")
    for claim in await sends.unsettled():
        await sends.settle(claim)
    async with core.engine.connect() as connection:
        sent = await connection.scalar(text("SELECT count(*) FROM outbox WHERE type LIKE '%notification.sent%'"))
        left = (await connection.execute(text("SELECT name, claim FROM agenda WHERE name = :n"), {"n": name})).all()
    assert sent == 1, f"the outcome is gone and its entry stays claimed for ever: {left}"


async def test_a_protective_event_that_came_is_not_passed_over_by_a_release_without_it(core: Core[Any]) -> None:
    def broken(_event: object, _case: object, _ctx: object) -> Any:
        raise ValueError("a bad deploy")

    holding: Service[Any] = Service("notify", state=service.state, evolve=service.evolve, agenda=service.agenda)
    holding.events = {**service.events}
    holding.on(e.ConsentWithdrawn)(broken)
    core.service = holding
    first = [_record(x.case_opened(), 1, 0, "intake"), _record(x.consent(), 2, 1, "intake")]
    await _consume(core, [*first, _record(x.withdrawn(), 3, 2, "intake")])
    with pytest.raises(Problem) as refused:
        await Repair(core, CLOCK).discard(SUBJECT, "operator:1", DiscardReason.consumer_defect)
    assert refused.value.code == "protective"
    with pytest.raises(Problem):
        await Repair(core, CLOCK).release(SUBJECT, "operator:1", [("intake", 3)])
