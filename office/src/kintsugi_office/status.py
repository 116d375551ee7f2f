"""``kintsugi status``: what runs, and what each service says about itself."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx
import psutil
import typer
from rich.console import Console
from rich.table import Table

from kintsugi_office import state, tokens
from kintsugi_office.options import Data, Json, explained
from kintsugi_office.project import Layout
from kintsugi_office.state import OfficeNotRunning, OfficeState


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(status)


@explained(OfficeNotRunning, tokens.NoSigningKey)
def status(data: Data = None, as_json: Json = False) -> None:
    """Show processes, versions, lag, unsent events, held subjects and dead letters. Exit 1 when no office runs."""
    layout = Layout.at(data)
    current = state.running(layout.state)
    report = asyncio.run(gather(layout, current))
    if as_json:
        typer.echo(json.dumps(report, indent=1))
    else:
        _print(report)


async def gather(layout: Layout, current: OfficeState) -> dict[str, Any]:
    """The whole report as one JSON object. A service that does not answer has ``"answers": false``."""
    token = tokens.issue(
        layout, "operator", subject="kintsugi-status", valid=timedelta(minutes=5), country=current.country
    )
    async with httpx.AsyncClient(timeout=5, trust_env=False, headers={"Authorization": f"Bearer {token}"}) as client:
        answers = await asyncio.gather(*(_ask(client, url) for url in current.services.values()))
    return {
        "country": current.country,
        "profile": current.profile,
        "shape": current.shape,
        "phase": current.phase,
        "supervisor": current.pid,
        "bootstrap": current.bootstrap,
        "processes": {
            name: process.model_dump() | {"memory_mb": _memory(process.pid)}
            for name, process in current.processes.items()
        },
        "services": {
            name: {"version": current.versions.get(name), "url": current.services[name], **answer}
            for name, answer in zip(current.services, answers, strict=True)
        },
    }


async def _ask(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    try:
        answer = await client.get(f"{url}/operations/status")
    except httpx.HTTPError as error:
        return {"answers": False, "problem": type(error).__name__}
    if answer.status_code != 200:
        return {"answers": False, "problem": f"HTTP {answer.status_code}"}
    said: dict[str, Any] = answer.json()
    return {"answers": True} | said


def _memory(pid: int | None) -> int | None:
    try:
        return round(psutil.Process(pid).memory_info().rss / 1e6) if pid else None
    except psutil.NoSuchProcess:
        return None


def _print(report: dict[str, Any]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=80)
    console.print(
        f"Office {report['country']}, {report['shape']}, profile {report['profile']}, {report['phase']} "
        f"(pid {report['supervisor']}). Fictional data only."
    )
    processes = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("process", "state"):
        processes.add_column(heading, no_wrap=True)
    for heading in ("pid", "port", "MB", "restarts"):
        processes.add_column(heading, justify="right", no_wrap=True)
    for name, process in report["processes"].items():
        ports = " ".join(str(port) for port in process["ports"].values())
        cells = (process["pid"] or "-", ports, process["memory_mb"] or "-", process["restarts"])
        processes.add_row(name, process["state"], *(str(cell) for cell in cells))
    console.print()
    console.print(processes)
    console.print()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("service", no_wrap=True)
    for heading in ("version", "lag", "unsent", "oldest s", "waiting", "held", "dead"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, said in report["services"].items():
        table.add_row(name, str(said.get("version") or "-"), *_figures(said))
    console.print(table)
    held = sum(said.get("subjects", {}).get("held", 0) for said in report["services"].values())
    if held:
        console.print(f"\n{held} held: nothing of these cases goes outward. Next: kintsugi held list")


def _figures(said: dict[str, Any]) -> list[str]:
    if not said["answers"]:
        return [str(said["problem"]), *["-"] * 5]
    outbox, subjects = said.get("outbox", {}), said.get("subjects", {})
    oldest = outbox.get("oldest_age_s")
    return [
        str(sum(said.get("lag", {}).values())),
        str(outbox.get("unsent", "-")),
        "-" if oldest is None else f"{oldest:.1f}",
        str(subjects.get("waiting", "-")),
        str(subjects.get("held", "-")),
        str(said.get("dead_letters", "-")),
    ]
