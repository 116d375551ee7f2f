"""The whole office under steady work: latencies of each chain at so many flows a second, and memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from kintsugi_country import load
from kintsugi_office import topics
from kintsugi_office.project import Layout
from kintsugi_sandbox.demo.desk import Desk, Ledger
from kintsugi_sandbox.supervisor import Office, Shape

from bench.chains import CHAINS, Flow, Spectator

A_SECOND = 20
CALM = 2
"""Flows a second that leave the machine idle most of the time: what a chain takes by itself, without queues."""
WARM_UP = 20
THINK_SECONDS = 0.5
SETTLE_SECONDS = 3.0
SERVERS = ("postgres", "kafka", "mailbox")


async def measured(folder: Path, flows: int) -> dict[str, Any]:
    """``latency_ms`` by chain with four processes, and ``memory_mb`` of the services in both shapes after the work.

    ``latency_ms_calm`` is the same at a tenth of the flows a second.
    """
    found: dict[str, Any] = {
        "flows": {},
        "latency_ms": {},
        "latency_ms_calm": {},
        "memory_mb": {},
        "memory_shared_mb": {},
    }
    shapes: tuple[tuple[Shape, str], ...] = (("processes", "four_processes"), ("all-in-one", "all_in_one"))
    for shape, name in shapes:
        layout = Layout.at(folder / name)
        async with Office(layout, shape=shape, say=lambda _: None) as office:
            calm, _ = await _work(office, max(20, flows // 10), CALM, name)
            took, unfinished = await _work(office, flows, A_SECOND, name)
            await asyncio.sleep(SETTLE_SECONDS)
            resident, proportional = _memory(office)
        latencies = {chain: percentiles(took[chain]) for chain in CHAINS}
        found["latency_ms_calm"][name] = {chain: percentiles(calm[chain]) for chain in CHAINS}
        found["flows"][name] = {"a_second": A_SECOND, "finished": len(took["choice"]), "unfinished": unfinished}
        found["latency_ms" if shape == "processes" else "latency_ms_all_in_one"] = latencies
        found["memory_mb"][name] = resident
        found["memory_shared_mb"][name] = proportional
        print(f"flows {name:<16} memory {resident:.0f} MB", flush=True)
    return found


async def _work(office: Office, flows: int, a_second: int, name: str) -> tuple[dict[str, list[float]], int]:
    """Starts so many flows a second, whatever became of those before; the first ones only warm up."""
    pack = load(office.project / "countries" / office.country)
    items = [item.id for item in pack.baseline_instrument.items]
    area = f"{office.country.upper()}-HB"
    ledger = Ledger(office.layout.data / "ledger.jsonl")
    desk = Desk(office, ledger, "caseworker")
    plans = topics.planned(office.project / "contracts", office.country)
    took: dict[str, list[float]] = {chain: [] for chain in CHAINS}
    unfinished = 0
    try:
        async with Spectator(office.cluster, plans) as spectator:
            started = time.perf_counter()
            running: list[tuple[Flow, asyncio.Task[None]]] = []
            for number in range(WARM_UP + flows):
                await asyncio.sleep(max(0.0, started + number / a_second - time.perf_counter()))
                flow = Flow(desk, spectator, items, area)
                running.append((flow, asyncio.create_task(flow.run(THINK_SECONDS))))
                if number % 100 == 99:
                    print(f"flows {name:<16} {number + 1}/{WARM_UP + flows} at {a_second} a second", flush=True)
            ends = await asyncio.gather(*(task for _, task in running), return_exceptions=True)
            failures = [end for end in ends if end is not None]
            unfinished = len(failures)
            if failures:
                print(f"flows {name:<16} {unfinished} did not end; the first: {failures[0]!r}", flush=True)
            for flow, _ in running[WARM_UP:]:
                for chain, seconds in flow.took.items():
                    took[chain].append(seconds)
    finally:
        await desk.close()
        ledger.close()
    return took, unfinished


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds, of so many. Raises ValueError where nothing came to its end."""
    if not seconds:
        raise ValueError("no flow came to the end of a chain; the services' logs are in build/bench/*/logs")
    ordered = sorted(seconds)
    found = {f"p{p}": round(ordered[min(len(ordered) - 1, len(ordered) * p // 100)] * 1000, 1) for p in (50, 95, 99)}
    return {**found, "of": len(ordered)}


def _memory(office: Office) -> tuple[float, float]:
    """MB of the services' processes: resident, and with shared pages counted once where the system tells (else 0)."""
    pids = [child.pid for name, child in office.children.items() if name not in SERVERS]
    processes = [psutil.Process(pid) for pid in pids if pid is not None]
    resident = sum(process.memory_info().rss for process in processes)
    proportional = sum(getattr(process.memory_full_info(), "pss", 0) for process in processes)
    return round(resident / 1e6, 1), round(proportional / 1e6, 1)
