"""``kintsugi recover SERVICE``: a service's database from the topics, or what differs from them."""

import asyncio
import contextlib
import fcntl
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from kintsugi.kafka import Cluster

from kintsugi_office import access, parts, provision, services, state, topics
from kintsugi_office.broker import BrokerRefused
from kintsugi_office.options import Data, Json, explained
from kintsugi_office.progress import console, say
from kintsugi_office.project import Layout, ProjectNotFound, contracts_folder, project_folder
from kintsugi_office.state import OfficeAlreadyRuns

if TYPE_CHECKING:  # it imports the whole kit, which takes seconds
    from kintsugi.recovery import Report
    from kintsugi.settings import Settings

_SHOWN = 20


class RecoveryFailed(RuntimeError):
    """The recovery refused or could not go on; nothing was changed."""


@dataclass(frozen=True)
class _Place:
    """Where one service's data are."""

    country: str
    profile: str
    kafka: Cluster
    database: str


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(recover)


@explained(
    *(RecoveryFailed, services.NotInstalled, OfficeAlreadyRuns, ProjectNotFound, parts.ServersUnavailable),
    *(state.OfficeNotRunning, access.NoLogin, BrokerRefused, topics.TopicRefused),
)
def recover(
    service: Annotated[str, typer.Argument(help="The service to rebuild, such as assessment.")],
    compare: Annotated[
        bool, typer.Option("--compare", help="Only report what differs; exit code 1 when something does.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Rebuild a stopped service's state, views and agenda, or a collector's rows, from the topics, which stay."""
    (found,) = services.installed([service])
    layout = Layout.at(data)
    if not layout.data.exists():
        raise state.OfficeNotRunning(f"There is no office in {layout.data}. Name its folder: --data.")
    report = asyncio.run(_run(layout, found.name, compare=compare))
    if as_json:
        import json

        print(json.dumps({**asdict(report), "rate": round(report.rate)}, indent=1))
    else:
        _show(report)
    if report.differences:
        sys.exit(1)


async def _run(layout: Layout, service: str, *, compare: bool) -> "Report":
    from kintsugi.recovery import CannotFold, LogIncomplete, RecoveryRefused
    from kintsugi.recovery import recover as run

    application = services.load(service)
    async with _place(layout, service) as place:
        settings = _settings(layout, service, place)
        try:
            with _progress(f"{'Comparing' if compare else 'Recovering'} {service}") as advance:
                return await run(application, settings, compare=compare, progress=advance)
        except (CannotFold, LogIncomplete, RecoveryRefused) as error:
            raise RecoveryFailed(str(error)) from error


async def compared(layout: Layout, service: str) -> "Report":
    """What differs between a service's database and the fold of its topics, in the running office of this folder."""
    from kintsugi.recovery import recover as run

    async with _place(layout, service) as place:
        return await run(services.load(service), _settings(layout, service, place), compare=True)


@contextlib.asynccontextmanager
async def _place(layout: Layout, service: str) -> AsyncIterator[_Place]:
    """The running office's servers, or those of a stopped one, started for this command alone."""
    current = state.read(layout.state)
    if current is not None and current.alive:
        if service not in current.databases:
            raise RecoveryFailed(f"The office in {layout.data} has no database for '{service}': is it part of it?")
        own = access.cluster(layout, service)
        yield _Place(current.country, current.profile, own, current.databases[service])
        return
    from kintsugi_office import databases

    country = os.environ.get("KINTSUGI_COUNTRY", "xa")
    with _alone(layout):
        async with parts.servers(layout) as servers:
            name = databases.name_of(country, service)
            await servers.postgres.create_role(name)
            await servers.postgres.create_database(name, owner=name)
            url = servers.postgres.url(name, name)
            await databases.migrate(url, services.installed([service])[0])
            wanted = provision.declared(contracts_folder(project_folder()), country)
            await provision.apply(servers.kafka, layout, wanted)
            own = access.login(layout, servers.kafka.bootstrap, country, service)
            yield _Place(country, os.environ.get("KINTSUGI_PROFILE", "development"), own, url)


@contextlib.contextmanager
def _alone(layout: Layout) -> Any:
    with layout.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OfficeAlreadyRuns(
                f"An office is starting or stopping in {layout.data}. Run this again when it has: kintsugi status"
            ) from None
        yield


def _settings(layout: Layout, service: str, place: _Place) -> "Settings":
    from kintsugi.settings import Profile, Settings
    from pydantic import SecretStr

    project = project_folder()
    # A rebuild opens no sealed value and serves no request: keyring, port and keys are never used.
    return Settings(
        country=place.country,
        countries=project / "countries",
        contracts=contracts_folder(project),
        bootstrap=place.kafka.bootstrap,
        kafka_username=place.kafka.username,
        kafka_password_file=layout.kafka_password(service),
        kafka_protocol=place.kafka.protocol,
        database_url=SecretStr(place.database),
        keyring_url=SecretStr(place.database),
        http_port=0,
        jwt_public_key=layout.jwt_public_key,
        profile=Profile(place.profile),
    )


@contextlib.contextmanager
def _progress(what: str) -> Any:
    """Yields ``advance(done, of, records)``."""
    if console().is_terminal:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(30), TextColumn("{task.fields[records]:,} records"))
        with Progress(*columns, TimeRemainingColumn(), console=console(), transient=True) as bar:
            task = bar.add_task(what, total=None, records=0)
            yield lambda done, of, records: bar.update(task, completed=done, total=of, records=records)
        return
    say(what)
    yield _quarters()


def _quarters() -> Callable[[int, int, int], None]:
    shown = 0

    def advance(done: int, of: int, records: int) -> None:
        nonlocal shown
        if done * 4 // of > shown:
            shown = done * 4 // of
            say(f"  {done} of {of} partitions, {records:,} records")

    return advance


def _show(report: "Report") -> None:
    if report.collector:
        print(
            f"{report.service}: emptied. It reads its topics again from the first record, at once or when it starts.\n"
            "How far it is: kintsugi status"
        )
        return
    took = f"{report.records:,} records in {report.seconds:.1f} s ({report.rate:,.0f} a second)"
    if report.compared:
        print(f"{report.service}: {report.subjects:,} cases compared with the fold of their log; {took}")
        if not report.differences:
            print("No difference.")
            return
        kinds = Counter(each.kind for each in report.differences)
        print(f"{len(report.differences)} differences: " + ", ".join(f"{n} {kind}" for kind, n in kinds.most_common()))
        for each in report.differences[:_SHOWN]:
            print(f"  {each.subject}  {each.kind}\n    {each.detail}")
        if len(report.differences) > _SHOWN:
            print(f"  ... and {len(report.differences) - _SHOWN} more: --json")
        print(
            "Work under way shows as a difference: compare again when the office is quiet.\n"
            f"To rebuild: kintsugi down, then: kintsugi recover {report.service}"
        )
        return
    print(f"{report.service}: {report.subjects:,} cases rebuilt; {took}")
    for number, meaning in (
        (report.published, "own events that the database had lost"),
        (report.left, "inputs that the service reads and decides when it starts"),
        (report.unknown, "messages to survivors that may have left: staff tasks, never sent again"),
        (report.overtaken, "unsent events that another had overtaken: see the audit table"),
        (report.absent, "inputs that were seen once and are not on their topic"),
    ):
        if number:
            print(f"  {number:>8,}  {meaning}")
    print(f"Next: kintsugi up    then: kintsugi recover {report.service} --compare")
