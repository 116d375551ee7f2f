"""``kintsugi up``, ``down``, ``migrate`` and ``empty``: starting and stopping one office."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import psutil
import typer
from kintsugi.secrets import KeyFileError
from kintsugi_office import confirming, services, state
from kintsugi_office.access import NoLogin
from kintsugi_office.broker import BrokerRefused
from kintsugi_office.options import Data, explained
from kintsugi_office.progress import say
from kintsugi_office.project import Layout, ProjectNotFound
from kintsugi_office.state import OfficeAlreadyRuns
from kintsugi_office.topics import TopicRefused

from kintsugi_sandbox.child import ChildFailed
from kintsugi_sandbox.embedded import EmbeddedPostgres, ServerDidNotStart, places
from kintsugi_sandbox.embedded.jars import JarUnavailable
from kintsugi_sandbox.embedded.servers import tail

if TYPE_CHECKING:  # it imports the whole kit, which takes seconds: only `up` and `migrate` pay for it
    from kintsugi_sandbox.supervisor import Office

_EXPECTED = (
    *(ChildFailed, JarUnavailable, OfficeAlreadyRuns, ProjectNotFound),
    *(ServerDidNotStart, services.NotInstalled, TopicRefused, BrokerRefused, NoLogin),
    *(confirming.NotConfirmed, KeyFileError),
)


class RunProfile(StrEnum):
    """How the services are spread over processes."""

    processes = "processes"
    all_in_one = "all-in-one"


class OfficeDidNotStart(RuntimeError):
    """An office in the background ended or stayed silent before it was ready."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(up)
    app.command()(down)
    app.command()(migrate)
    app.command("empty")(empty_command)


@explained(OfficeDidNotStart, *_EXPECTED)
def up(
    profile: Annotated[RunProfile, typer.Option(help="One process per service, or all in one.")] = RunProfile.processes,
    detach: Annotated[bool, typer.Option("--detach", help="Start in the background and return when ready.")] = False,
    data: Data = None,
    country: Annotated[str, typer.Option(help="The country pack, a folder of countries/.")] = "xa",
    only: Annotated[list[str] | None, typer.Option(help="Run this service alone (may be repeated).")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Grant new rights without asking.")] = False,
) -> None:
    """Start the office: PostgreSQL, Kafka, the mail server and every service. Ctrl-C stops all of it."""
    layout = Layout.at(data)
    if detach:
        options = [f"--profile={profile.value}", f"--country={country}", *(f"--only={n}" for n in only or ())]
        _in_background(layout, [*options, *(["--yes"] if yes else [])])
    else:
        from kintsugi_sandbox.supervisor import Office

        ask = partial(confirming.ask, yes=yes)
        office = Office(layout, shape=profile.value, country=country, found=services.installed(only), ask=ask)
        asyncio.run(_in_foreground(office))


@explained(OfficeDidNotStart)
def down(data: Data = None) -> None:
    """Stop the office that runs in this data folder. Its data stays."""
    layout = Layout.at(data)
    current = state.read(layout.state)
    if current is None or not current.alive:
        layout.state.unlink(missing_ok=True)
        say(f"No office runs in {layout.data}.")
        return
    process = psutil.Process(current.pid)
    process.send_signal(signal.SIGTERM)
    say("Stopping the office")
    try:
        process.wait(90)
    except psutil.TimeoutExpired:
        process.kill()  # everything it started dies with it
        say("It did not stop within 90 s and was killed. Nothing acknowledged is lost; logs are in " + str(layout.logs))
    say("Stopped")


@explained(*_EXPECTED)
def migrate(data: Data = None) -> None:
    """Bring the databases of all services to the revision of the installed release. Safe to run again."""
    asyncio.run(_migrate(Layout.at(data)))
    say("Every service's database is at the revision of this release.")


@explained(OfficeAlreadyRuns)
def empty_command(
    data: Data = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove everything the office kept: databases, topics, mail, keys and logs. It cannot be undone."""
    layout = Layout.at(data)
    if not layout.data.exists():
        say(f"There is nothing in {layout.data}.")
        return
    if not yes:
        typer.confirm(f"Remove everything in {layout.data}?", abort=True, err=True)
    empty(layout)
    say(f"Removed {layout.data}")


def empty(layout: Layout) -> None:
    """Remove everything an office kept in its data folder. Raises OfficeAlreadyRuns while one runs there."""
    current = state.read(layout.state)
    if current is not None and current.alive:
        raise OfficeAlreadyRuns(f"An office runs in {layout.data}. Stop it first: kintsugi down.")
    for server in (layout.postgres, layout.kafka):
        places.remove_data(server / "data")
    shutil.rmtree(layout.data, ignore_errors=True)


async def _in_foreground(office: "Office") -> None:
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    starting = asyncio.create_task(office.start())
    asked_to_stop = asyncio.create_task(stop.wait())
    await asyncio.wait([starting, asked_to_stop], return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
        _announce(office)
    else:
        starting.cancel()
    await asked_to_stop
    say("Stopping")
    with contextlib.suppress(asyncio.CancelledError):
        await starting
    await office.stop()
    say("Stopped. Nothing runs any more.")


def _announce(office: "Office") -> None:
    say("")
    for service in office.services:
        say(f"  {service.name:<12} {office.url(service.name)}/docs")
    say(f"  {'mail':<12} {office.layout.mail}")
    say(f"  {'logs':<12} {office.layout.logs}")
    say("")
    say("The office is open. Fictional data only: nothing here is protected enough for a real person.")
    say("Next: kintsugi status    kintsugi token --role caseworker    Ctrl-C stops all of it")


def _in_background(layout: Layout, options: list[str]) -> None:
    layout.make()
    current = state.read(layout.state)
    if current is not None and current.alive:
        raise OfficeAlreadyRuns(f"An office already runs in {layout.data} (pid {current.pid}). See: kintsugi status")
    output = layout.logs / "office.out"
    with output.open("wb") as log:
        supervisor = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "kintsugi_office", "up", "--data", str(layout.data), *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    seen = 0
    while True:
        lines = output.read_text(errors="replace").splitlines()
        for line in lines[seen:]:
            say(line)
        seen = len(lines)
        current = state.read(layout.state)
        if current is not None and current.pid == supervisor.pid and current.phase == "ready":
            say(f"The office runs in the background (pid {supervisor.pid}). Stop it: kintsugi down")
            return
        if supervisor.poll() is not None:
            raise OfficeDidNotStart(f"The office ended while starting.\n{tail(output)}\nFull output: {output}")
        time.sleep(0.1)


async def _migrate(layout: Layout) -> None:
    from kintsugi_office import databases

    found = services.installed()
    current = state.read(layout.state)
    if current is not None and current.alive:
        for service in found:
            if service.name in current.databases:
                await databases.migrate(current.databases[service.name], service)
        return
    layout.make()
    async with EmbeddedPostgres(layout.postgres) as server:
        for service in found:
            role = databases.name_of(os.environ.get("KINTSUGI_COUNTRY", "xa"), service.name)
            await server.create_role(role)
            await server.create_database(role, owner=role)
            await databases.migrate(server.url(role, role), service)
