"""``python -m bench``: every variant in turn on one broker and one database, medians and ratios, build/bench.json."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import platform
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from kintsugi import keyring_admin
from kintsugi.keyring import Keyring
from kintsugi_office.project import project_folder
from kintsugi_office.topics import ensure, planned
from kintsugi_sandbox.embedded import EmbeddedKafka, EmbeddedPostgres

from bench import flows, rebuild, workload

FOLDER = Path("build/bench")
VARIANTS = ("floor", "floor_and_produce", "service_10", "service_100", "tutorial")
WORKER = {"service_10": "service", "service_100": "service"}
_RATIOS = ("service_to_floor", "service_to_floor_that_produces", "service_to_tutorial")
SAMPLED = {"service_10": 0.1, "service_100": 1.0}


async def main() -> int:
    """Measures and writes the JSON. 0 when everything ran."""
    options = _options()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a topic just made has no leader for some milliseconds
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    load = round(os.getloadavg()[0], 1)  # of others: figures of a busy machine are relative at best
    async with EmbeddedPostgres(FOLDER / "postgres") as postgres, EmbeddedKafka(FOLDER / "kafka") as kafka:
        rounds = await _rounds(options, postgres, kafka)
        rebuilt = await rebuild.measured(postgres, kafka, _country(0, VARIANTS.index("service_10")))
    result: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.system(),
            "load_before": load,
        },
        "events_a_round": options.events,
        "rounds": rounds,
        **_summary(rounds),
        "rebuild": rebuilt,
    }
    if not options.throughput_only:
        result |= await flows.measured(FOLDER, options.flows)
    Path("build/bench.json").write_text(json.dumps(result, indent=2) + "\n")
    _print(result)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--events", type=int, default=20_000, help="events a round (the tutorial way: a twentieth)")
    parser.add_argument("--rounds", type=int, default=3, help="times each variant runs, interleaved")
    parser.add_argument("--flows", type=int, default=400, help="flows at 20 a second for the latencies")
    parser.add_argument("--throughput-only", action="store_true", help="leave latencies and memory out")
    return parser.parse_args()


async def _rounds(
    options: argparse.Namespace, postgres: EmbeddedPostgres, kafka: EmbeddedKafka
) -> dict[str, list[dict[str, float]]]:
    for role in ("bench", "keys"):
        await postgres.create_role(role)
    await postgres.create_database("keyring", owner="keys", guests=["bench"])
    await keyring_admin.create_schema(postgres.url("keyring", "keys"), ["contact"])
    await keyring_admin.grant(postgres.url("keyring", "keys"), "bench", ["contact"])
    keyring_url = postgres.url("keyring", "bench")
    kek = bytes(range(32))
    keyring = Keyring(keyring_url, {"contact": kek}, cache_size=100_000)
    names = workload.subjects(options.events // workload.EVENTS_OF_A_SUBJECT, seed=1)
    keys = await workload.keys_of(keyring, names)
    await keyring.aclose()
    measured: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for turn in range(options.rounds):
        for number, variant in enumerate(VARIANTS):
            total = options.events // 20 if variant == "tutorial" else options.events
            country = _country(turn, number)
            topics = {name: f"{country}.{name}.v1" for name in ("intake", "referral")}
            plans = [plan for plan in planned(project_folder() / "contracts", country) if plan.name in topics.values()]
            await ensure(kafka.cluster, plans)
            sampled = SAMPLED.get(variant, 0.0)
            filled = await workload.fill(
                kafka.cluster, topics["intake"], workload.events(country, keys, seed=turn), sampled
            )
            database = f"bench_{country}"
            await postgres.create_database(database, owner="bench")
            setting = {
                "total": min(total, filled),
                "topic": topics["intake"],
                "out": topics["referral"],
                "group": f"{country}.bench",
                "country": country,
                "kafka": kafka.cluster.client(),
                "database": postgres.url(database, "bench"),
                "dsn": postgres.url(database, "bench", driver="postgresql"),
                "keyring": keyring_url,
                "kek": kek.hex(),
                "countries": str(project_folder() / "countries"),
                "sampled": sampled,
                "spans": str(FOLDER / f"{country}.spans.jsonl"),
                "batch": 500,
            }
            print(f"round {turn + 1}/{options.rounds}  {variant:<18}", end=" ", flush=True)
            found = await _worker(WORKER.get(variant, variant), setting)
            found["rate"] = found["events"] / found["seconds"]
            found["cpu_us"] = found["cpu_seconds"] / found["events"] * 1e6
            measured[variant].append(found)
            print(f"{found['rate']:>9,.0f} events/s  {found['cpu_us']:>7,.0f} CPU us/event", flush=True)
    return measured


def _country(turn: int, number: int) -> str:
    """Topics and a database of its own for each turn of each variant."""
    return "x" + chr(ord("b") + turn * len(VARIANTS) + number)


async def _worker(variant: str, setting: dict[str, Any]) -> dict[str, float]:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.worker", variant,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(worker.communicate(json.dumps(setting).encode()), 240)
    if worker.returncode != 0:
        raise SystemExit(f"bench: variant '{variant}' failed with {worker.returncode}; its output is above")
    found: dict[str, float] = json.loads(out.splitlines()[-1])
    return found


def _summary(rounds: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Medians, and ratios of neighbours in the same round: those hold when the machine's speed drifts."""

    def ratio(over: str, under: str) -> float:
        pairs = zip(rounds[over], rounds[under], strict=True)
        return round(statistics.median(a["rate"] / b["rate"] for a, b in pairs), 3)

    def medians(variant: str) -> dict[str, float]:
        return {
            name: round(statistics.median(each[name] for each in rounds[variant]), 1) for name in ("rate", "cpu_us")
        }

    def by_cpu(over: str, under: str) -> float:
        """How much less of this process's CPU an event of ``under`` takes: steadier where the machine is shared."""
        pairs = zip(rounds[over], rounds[under], strict=True)
        return round(statistics.median(b["cpu_us"] / a["cpu_us"] for a, b in pairs), 3)

    return {
        "medians": {variant: medians(variant) for variant in rounds},
        "service_to_floor": ratio("service_10", "floor"),
        "service_to_tutorial": ratio("service_10", "tutorial"),
        "service_always_on_to_floor": ratio("service_100", "floor"),
        "service_to_floor_that_produces": ratio("service_10", "floor_and_produce"),
        "service_to_floor_by_cpu": by_cpu("service_10", "floor"),
        "service_to_tutorial_by_cpu": by_cpu("service_10", "tutorial"),
    }


def _print(result: dict[str, Any]) -> None:
    print(f"\n{'variant':<20}{'events/s':>12}{'CPU us/event':>14}")
    for variant, found in result["medians"].items():
        print(f"{variant:<20}{found['rate']:>12,.0f}{found['cpu_us']:>14,.0f}")
    for name in (*_RATIOS, "service_to_floor_by_cpu", "service_to_tutorial_by_cpu"):
        print(f"{name:<34}{result[name]:>8.3f}")
    print(f"rebuild {result['rebuild']['events_per_second']:,.0f} events/s")
    for chain, found in result.get("latency_ms", {}).items():
        print(f"{chain:<12} p50 {found['p50']:.0f} ms  p95 {found['p95']:.0f} ms  p99 {found['p99']:.0f} ms")
    for chain, found in result.get("latency_ms_calm", {}).get("four_processes", {}).items():
        print(f"{chain:<12} p50 {found['p50']:.0f} ms  p95 {found['p95']:.0f} ms  p99 {found['p99']:.0f} ms  (calm)")
    for shape, megabytes in result.get("memory_mb", {}).items():
        print(f"memory {shape:<12} {megabytes:.0f} MB")
    print("build/bench.json")


if __name__ == "__main__":
    started = time.monotonic()
    code = asyncio.run(main())
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(code)
