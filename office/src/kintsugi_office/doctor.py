"""``kintsugi doctor``: what is wrong with this machine or this office, and how to fix it."""

import asyncio
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import psutil
import typer

from kintsugi_office import access, parts, provision, services, state, status, topic_commands, topics
from kintsugi_office.options import Data, Json
from kintsugi_office.project import Layout, ProjectNotFound, contracts_folder, project_folder
from kintsugi_office.tokens import NoSigningKey


@dataclass(frozen=True)
class Finding:
    """One thing looked at: ``ok``, ``note`` (works, but know it) or ``wrong``; ``mend`` says what to do."""

    state: Literal["ok", "note", "wrong"]
    what: str
    mend: str = ""


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(doctor)


def doctor(data: Data = None, as_json: Json = False) -> None:
    """Look at this machine and this office. Exit 1 when something is wrong."""
    findings = list(examine(Layout.at(data)))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            typer.echo(f"{finding.state:<5}  {finding.what}")
            if finding.mend:
                typer.echo(f"       → {finding.mend}")
    raise typer.Exit(1 if any(finding.state == "wrong" for finding in findings) else 0)


def examine(layout: Layout) -> Iterator[Finding]:
    """Every check, in order; a check that cannot run is itself a finding."""
    checks: list[Callable[[Layout], Iterable[Finding]]] = [
        _python,
        *parts.checks(),
        _project,
        _data,
        _office,
        _broker,
    ]
    for check in checks:
        try:
            yield from check(layout)
        except Exception as error:  # a doctor that dies of what it finds is no help
            yield Finding("wrong", f"The check {check.__name__.strip('_')} could not run: {error!r}", "Report it.")


def _python(_: Layout) -> Iterator[Finding]:
    version = platform.python_version()
    if sys.version_info < (3, 11):  # noqa: UP036 (someone may have made .venv by hand)
        yield Finding("wrong", f"Python {version}", "Install Python 3.11 or newer, remove .venv and run: make")
    else:
        yield Finding("ok", f"Python {version}")


def _project(_: Layout) -> Iterator[Finding]:
    try:
        project = project_folder()
    except ProjectNotFound as error:
        yield Finding("wrong", str(error), "Change into the project.")
        return
    found = services.installed()
    if not found:
        yield Finding("wrong", "No service is installed in this environment", "Run: make")
    else:
        yield Finding("ok", "Services: " + ", ".join(f"{service.name} {service.version}" for service in found))
    count = len(topics.planned(contracts_folder(project), "xa"))
    yield Finding("ok", f"{count} topic files in {project / 'contracts' / 'topics'}")


def _data(layout: Layout) -> Iterator[Finding]:
    if not layout.data.exists():
        yield Finding("ok", f"No office was started in {layout.data} yet")
        return
    owner = layout.data.stat().st_uid
    if owner != os.geteuid():
        yield Finding(
            "wrong",
            f"{layout.data} belongs to user {owner}, you are {os.geteuid()}",
            f"Run as that user, or: sudo chown -R {os.geteuid()} {layout.data}",
        )
    for secret in layout.secrets.rglob("*") if layout.secrets.exists() else ():
        if secret.is_file() and secret.suffix != ".pem" and secret.stat().st_mode & 0o077:
            yield Finding("wrong", f"{secret} can be read by others", f"chmod 600 {secret}")
    current = state.read(layout.state)
    if current is not None and not current.alive:
        yield Finding(
            "note",
            f"{layout.state} was left by an office that is gone (pid {current.pid})",
            "kintsugi down removes it; kintsugi up replaces it.",
        )
    elif current is None:
        yield Finding("ok", f"No office runs in {layout.data}")


def _office(layout: Layout) -> Iterator[Finding]:
    current = state.read(layout.state)
    if current is None or not current.alive:
        return
    yield Finding("ok", f"An office runs (pid {current.pid}, {current.shape}, {current.phase})")
    for name, process in current.processes.items():
        if process.pid is None or not psutil.pid_exists(process.pid):
            yield Finding("wrong", f"{name} is down ({process.state})", f"Read {Path(process.log)}")
        elif process.restarts:
            yield Finding("note", f"{name} was started again {process.restarts} times", f"Read {Path(process.log)}")
    try:
        report = asyncio.run(status.gather(layout, current))
    except NoSigningKey as error:
        yield Finding("wrong", str(error), "Restart the office: kintsugi down, kintsugi up")
        return
    for name, said in report["services"].items():
        if said["answers"]:
            yield Finding("ok", f"{name} answers at {said['url']}")
        else:
            log = layout.logs / f"{name}.log"
            yield Finding("wrong", f"{name} does not answer at {said['url']} ({said['problem']})", f"Read {log}")
    from kintsugi_office import databases  # it imports the whole kit

    for service in services.installed():
        if service.name not in current.databases:
            continue
        problem = asyncio.run(databases.migration_problem(current.databases[service.name], service))
        if problem:
            yield Finding("wrong", f"{service.name}: {problem}", "kintsugi migrate")
        else:
            yield Finding("ok", f"{service.name}: its database is at this release's revision")


def _broker(layout: Layout) -> Iterator[Finding]:
    current = state.read(layout.state)
    if current is None or not current.alive:
        return
    wanted = provision.declared(contracts_folder(Path(current.project)), current.country, also=current.services)
    found = asyncio.run(provision.compare(access.cluster(layout, access.ADMIN), layout, wanted))
    if found.none:
        yield Finding("ok", f"Kafka is as the contracts say: {provision.counted(wanted)}")
    else:
        count = sum(1 for _ in topic_commands.lines(wanted, found))
        yield Finding("wrong", f"Kafka is not as the contracts say, in {count} lines", "Read: kintsugi topics plan")
    for right in found.foreign:
        yield Finding(
            "note",
            f"Kafka: {right.user} {right}, and no file says so",
            "Whoever made that right knows why, or takes it away.",
        )
