"""``kintsugi doctor``: what is wrong with this machine or this office, and how to mend it."""

import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import psutil
import typer

from kintsugi_office import access, provision, services, state, status, topic_commands, topics
from kintsugi_office.embedded import jars, kafka, places, postgres, servers
from kintsugi_office.options import Data, Json
from kintsugi_office.project import Layout, ProjectNotFound, contracts_folder, project_folder
from kintsugi_office.state import OfficeState
from kintsugi_office.tokens import NoSigningKey

_ROOM_NEEDED = 2_000_000_000
_MEMORY_NEEDED = 1_500_000_000
_OLDEST_GLIBC = (2, 28)
_PLATFORMS = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")}


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
    checks: list[Callable[[Layout], Iterator[Finding]]] = [
        _python,
        _machine,
        _room,
        _java,
        _jars,
        _postgres,
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


def _machine(_: Layout) -> Iterator[Finding]:
    system, machine = platform.system(), platform.machine()
    if (system, machine) not in _PLATFORMS:
        yield Finding(
            "wrong",
            f"{system} on {machine}: the embedded servers have no binaries for it",
            "Use docker-compose.yml, or Linux (x86-64, arm64) or macOS (arm64).",
        )
        return
    library, version = platform.libc_ver()
    if system == "Linux" and library != "glibc":
        yield Finding("wrong", "This Linux has no glibc (musl?)", "Use docker-compose.yml, or a glibc distribution.")
    elif system == "Linux" and tuple(int(part) for part in version.split(".")[:2]) < _OLDEST_GLIBC:
        yield Finding("wrong", f"glibc {version} is older than 2.28", "Upgrade the system, or use docker-compose.yml.")
    else:
        yield Finding("ok", f"{system} on {machine} {library} {version}".rstrip())


def _room(layout: Layout) -> Iterator[Finding]:
    for label, folder in (("data", layout.data), ("cache", places.cache_folder())):
        there = next(parent for parent in [folder, *folder.parents] if parent.exists())
        free = shutil.disk_usage(there).free
        text = f"{free / 1e9:.1f} GB free for the {label} folder {folder}"
        if free < _ROOM_NEEDED:
            yield Finding("wrong", text, f"Free {_ROOM_NEEDED / 1e9:.0f} GB there, or choose another folder.")
        else:
            yield Finding("ok", text)
    memory = psutil.virtual_memory().available
    if memory < _MEMORY_NEEDED:
        yield Finding("note", f"{memory / 1e9:.1f} GB of memory available; an office takes about 1 GB", "Close others.")


def _java(_: Layout) -> Iterator[Finding]:
    try:
        java = kafka.java_program()
    except RuntimeError as error:
        yield Finding("wrong", str(error), "Run: make")
        return
    asked = subprocess.run([str(java), "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    if asked.returncode:
        yield Finding("wrong", f"{java} does not run: {asked.stderr.strip()}", "Remove .venv and run: make")
    else:
        yield Finding("ok", f"Java: {asked.stderr.splitlines()[0]}")


def _jars(_: Layout) -> Iterator[Finding]:
    absent = jars.missing()
    if not absent:
        yield Finding("ok", f"Apache Kafka {jars.KAFKA[2]}: all {len(jars.locked())} jars have the locked hashes")
        return
    damaged = [jar for jar in absent if (jars.jars_folder() / jar.name).exists()]
    if damaged:
        yield Finding(
            "wrong",
            f"{len(damaged)} jars in {jars.jars_folder()} do not have the locked hash, first {damaged[0].name}",
            "Run kintsugi up: it fetches them again. If it returns, find out who writes to that folder.",
        )
    else:
        size = sum(jar.size for jar in absent) / 1e6
        yield Finding("note", f"{len(absent)} jars of Kafka are not here yet", f"kintsugi up fetches {size:.0f} MB.")


def _postgres(_: Layout) -> Iterator[Finding]:
    program = postgres.binaries() / "postgres"
    asked = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    if asked.returncode:
        yield Finding("wrong", f"{program} does not run: {asked.stderr.strip()}", "Remove .venv and run: make")
    else:
        yield Finding("ok", asked.stdout.strip())


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
        yield from _left_over(current)
    elif current is None:
        yield Finding("ok", f"No office runs in {layout.data}")


def _left_over(current: OfficeState) -> Iterator[Finding]:
    for name, process in current.processes.items():
        for port in process.ports.values():
            if not servers.port_is_free(port):
                yield Finding(
                    "note", f"Something listens on port {port}, which was {name}'s", "kintsugi up takes another port."
                )


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
