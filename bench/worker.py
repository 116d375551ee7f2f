"""One variant in a process of its own: ``python -m bench.worker VARIANT``, settings as JSON on standard input.

Prints one JSON line: events, seconds between the first and the last commit, CPU seconds of this process meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

Setting = dict[str, Any]
Marks = list[tuple[float, float, int]]


def tune() -> None:
    """As the runtime does: what was imported is frozen, collections are rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


class Meter:
    """Marks after each commit; the first batch is left out, since it pays for connections and joining."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.count = 0
        self.marks: Marks = []
        self.done = asyncio.Event()

    def committed(self, count: int) -> None:
        """``count`` more events are done."""
        self.count += count
        self.marks.append((time.perf_counter(), time.process_time(), self.count))
        if self.count >= self.total:
            self.done.set()

    def result(self) -> dict[str, float]:
        """Between the first mark and the last."""
        (t0, c0, n0), (t1, c1, n1) = self.marks[0], self.marks[-1]
        return {"events": n1 - n0, "seconds": t1 - t0, "cpu_seconds": c1 - c0}


async def floor(setting: Setting, meter: Meter, *, produce: bool) -> None:
    """``getmany``, validate, one ``unnest`` insert of the same rows; with ``produce`` each record is also sent on."""
    import asyncpg
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
    from kintsugi_events import ContactProfileChanged

    connection = await asyncpg.connect(setting["dsn"])
    await connection.execute("CREATE TABLE IF NOT EXISTS floor (id text, subject text, at timestamptz, body text)")
    consumer = AIOKafkaConsumer(
        setting["topic"], **setting["kafka"], group_id=setting["group"],
        auto_offset_reset="earliest", enable_auto_commit=False,
    )  # fmt: skip
    producer = None
    await consumer.start()
    if produce:
        producer = AIOKafkaProducer(**setting["kafka"], acks="all", enable_idempotence=True)
        await producer.start()
    tune()
    while not meter.done.is_set():
        polled = await consumer.getmany(timeout_ms=100, max_records=500)
        records = [record for each in polled.values() for record in each]
        if not records:
            continue
        columns: tuple[list[Any], ...] = ([], [], [], [])
        for record in records:
            event = ContactProfileChanged.model_validate_json(record.value, extra="ignore")
            headers = dict(record.headers)
            for column, value in zip(
                columns, (headers["ce_id"].decode(), record.key.decode(), event.reviewed_at, record.value.decode()),
                strict=True,
            ):  # fmt: skip
                column.append(value)
        await connection.execute(
            "INSERT INTO floor SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[])", *columns
        )
        if producer is not None:
            sent = [
                await producer.send(setting["out"], value=r.value, key=r.key, headers=list(r.headers)) for r in records
            ]
            await asyncio.gather(*sent)
        await consumer.commit()
        meter.committed(len(records))
    await consumer.stop()
    if producer is not None:
        await producer.stop()
    await connection.close()


async def ours(setting: Setting, meter: Meter) -> None:
    """The whole service: the kit's own consumption, shell and relay, until the outbox is empty too."""
    from pathlib import Path

    import asyncpg
    import kintsugi_country as pack
    from kintsugi import tables
    from kintsugi.clock import BusinessClock
    from kintsugi.kafka import Cluster, Protocol
    from kintsugi.keyring import Keyring
    from kintsugi.relay import Brokers, Relay
    from kintsugi.runtime.database import engine_of
    from kintsugi.runtime.wake import RelayBell
    from kintsugi.secrets import Secret
    from kintsugi.shell.batches import Batches
    from kintsugi.shell.core import Core
    from kintsugi.telemetry.metrics import Metrics
    from kintsugi.telemetry.tracing import Tracing
    from kintsugi.transport import Consumption
    from kintsugi.turn import Office

    from bench.service import application

    engine = engine_of(setting["database"], "bench")
    async with engine.begin() as connection:
        await connection.run_sync(tables.upgrade, application)
    keyring = Keyring(setting["keyring"], {"contact": bytes.fromhex(setting["kek"])})
    tracing = Tracing("referral", setting["sampled"], None, Path(setting["spans"]) if setting["sampled"] else None)
    office = Office(setting["country"], pack.load(Path(setting["countries"]) / "xa"))
    core: Core[Any] = Core(
        service=application.service, views=application.views, office=office, engine=engine, keyring=keyring,
        tracing=tracing, metrics=Metrics("referral"),
    )  # fmt: skip
    cluster = Cluster(
        setting["kafka"]["bootstrap_servers"], setting["kafka"]["sasl_plain_username"],
        Secret(setting["kafka"]["sasl_plain_password"]), Protocol(setting["kafka"]["security_protocol"]),
    )  # fmt: skip
    clock = BusinessClock(movable=False)
    batches = Batches(core, clock, setting["batch"])
    consumption = Consumption(core, clock, batches, cluster, batch_size=setting["batch"], session_timeout_ms=30_000)
    relay = Relay(setting["dsn"], Brokers(cluster, core.group), tracing, core.metrics)
    bell = RelayBell(relay, engine)

    run = batches.run

    async def metered(*arguments: Any) -> Any:
        batch = await run(*arguments)
        meter.committed(batch.count)
        return batch

    batches.run = metered  # type: ignore[method-assign, assignment]
    core.committed.append(lambda emitted, _owed: bell.ring() if emitted else None)
    relaying = asyncio.create_task(relay.run())
    tune()
    await consumption.start()
    await meter.done.wait()
    watching = await asyncpg.connect(setting["dsn"])
    while await watching.fetchval("SELECT count(*) FROM outbox"):
        if relaying.done():
            await relaying
        await asyncio.sleep(0.01)
    meter.committed(0)
    await watching.close()
    await consumption.stop()
    relay.stop()
    await relaying
    await keyring.aclose()
    await engine.dispose()


async def main() -> None:
    """Runs the variant named on the command line."""
    setting: Setting = json.load(sys.stdin)
    variants: dict[str, Callable[[Setting, Meter], Awaitable[None]]] = {
        "floor": lambda s, m: floor(s, m, produce=False),
        "floor_and_produce": lambda s, m: floor(s, m, produce=True),
        "service": ours,
        "tutorial": lambda s, m: importlib.import_module("bench.tutorial").run(s, m),
    }
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    meter = Meter(setting["total"])
    async with asyncio.timeout(180):
        await variants[sys.argv[1]](setting, meter)
    print(json.dumps(meter.result()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
