"""The one-shot jobs of an office whose PostgreSQL and Kafka run elsewhere: ``python -m kintsugi_office.jobs``.

In containers they run in this order: ``secrets``, then ``migrate`` and ``topics``, then the services. Each may be run
again at any time. They use the functions the embedded office uses, so that both prepare the same thing.
"""

import asyncio
import json
import shlex
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import asyncpg
import typer
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError
from kintsugi.auth import generate_keypair
from kintsugi.kafka import Protocol, make_password_file, read_password
from kintsugi.keyring_admin import KeyringSetupError
from kintsugi.secrets import KeyFileError, make_key_file

from kintsugi_office import (
    access,
    broker_settings,
    confirming,
    databases,
    environment,
    key_files,
    provision,
    services,
    tokens,
    topics,
)
from kintsugi_office.broker import BrokerAway, BrokerRefused
from kintsugi_office.options import Data, explained
from kintsugi_office.progress import say
from kintsugi_office.project import Layout, ProjectNotFound, contracts_folder, project_folder
from kintsugi_office.roles import SUPERUSER, PostgresRoles
from kintsugi_office.topics import TopicRefused

T = TypeVar("T")

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Country = Annotated[str, typer.Option(envvar="KINTSUGI_COUNTRY", help="The country of the office.")]
Server = Annotated[str, typer.Option(envvar="KINTSUGI_POSTGRES", help="host:port of PostgreSQL.")]

Yes = Annotated[bool, typer.Option("--yes", help="Grant new rights without asking.")]

SEEN_AS = Path("/run/kintsugi")
PROMETHEUS = "prometheus"
SERVICES_FILE = "services.json"
# Where every service's image listens.
HTTP_PORT = 8080
WAIT_SECONDS = 60.0
_AWAY = (
    OSError,
    asyncpg.CannotConnectNowError,
    KafkaConnectionError,
    KafkaTimeoutError,
    NodeNotReadyError,
    BrokerAway,
)


class ServerAway(RuntimeError):
    """PostgreSQL or Kafka did not answer in time."""


@app.command("secrets")
@explained(ProjectNotFound, TopicRefused, services.NotInstalled, confirming.NotConfirmed, KeyFileError)
def make_secrets(
    into: Annotated[Path, typer.Option(help="Where to put one folder of settings and keys per service.")],
    seen_as: Annotated[Path, typer.Option(help="Where a service's container sees its own folder.")] = SEEN_AS,
    server: Server = "postgres:5432",
    country: Country = "xa",
    data: Data = None,
    yes: Yes = False,
) -> None:
    """Make the office's keys and passwords, and hand each service its own and no other's.

    ``INTO/<service>`` gets ``settings.env``, key files and the password of its user of Kafka. ``INTO/postgres`` and
    ``INTO/kafka`` get their administrators'; ``INTO/prometheus`` gets the list of services. What is there already is
    kept: a lost key is lost data. A service that would hold keys of another sealed purpose than before needs a person's
    word: ``--yes``.
    """
    layout = Layout.at(data)
    layout.make()
    layout.postgres.mkdir(mode=0o700, exist_ok=True)
    roles = _roles(layout, server)
    purposes = _purposes(country)
    generate_keypair(layout.secrets)
    for path in {path for name in purposes for path in environment.keys(layout, name).values()}:
        make_key_file(path)
    if new := provision.new_purposes(layout, purposes):
        confirming.ask(new, yes=yes)
    key_files.hand_out(layout, purposes)
    _write(into / SUPERUSER / "password", roles.keep_password(SUPERUSER))
    for user in (access.ADMIN, *_declared(country).users):
        make_password_file(layout.kafka_password(user))
    _hand_to_kafka(into / "kafka", read_password(layout.kafka_password(access.ADMIN)).reveal())
    for name in ["keyring", *purposes]:
        roles.keep_password(databases.name_of(country, name))
    reachable = databases.urls(roles, country, purposes)
    for name, held in purposes.items():
        folder = into / name
        keys = {"JWT_PUBLIC_KEY": layout.jwt_public_key}
        keys |= environment.keys(layout, name) | {"KAFKA_PASSWORD_FILE": layout.kafka_password(name)}
        for path in keys.values():
            _write(folder / path.name, path.read_text(encoding="utf-8"))
        settings = {"DATABASE_URL": reachable.own[name], "KEYRING_URL": reachable.keyring[name]}
        settings |= {"KAFKA_USERNAME": access.username(country, name)}
        settings |= {key: str(seen_as / path.name) for key, path in keys.items()} | {"KEYS": str(seen_as / "keys")}
        settings |= _hand_keys(layout, folder, seen_as, held)
        lines = [f"KINTSUGI_{key}={shlex.quote(value)}\n" for key, value in settings.items()]
        _write(folder / "settings.env", "".join(lines))
    _list_for_prometheus(into / PROMETHEUS, sorted(purposes))
    say(f"Keys and passwords are in {layout.data}, each service's own in {into}.")


@app.command()
@explained(ProjectNotFound, TopicRefused, ServerAway, KeyringSetupError, services.NotInstalled)
def migrate(server: Server = "postgres:5432", country: Country = "xa", data: Data = None) -> None:
    """Make the databases, their roles and the keyring, and bring them to the revision of this release."""
    roles = _roles(Layout.at(data), server)
    purposes = _purposes(country)

    async def work() -> None:
        ready = await _answered("PostgreSQL", server, lambda: databases.ensure(roles, country, purposes))
        for service in services.installed():
            await databases.migrate(ready.own[service.name], service)

    asyncio.run(work())
    say(f"The databases of {', '.join(purposes)} and the keyring are ready.")


@app.command("topics")
@explained(
    *(ProjectNotFound, TopicRefused, ServerAway, BrokerRefused, access.NoLogin, services.NotInstalled),
    *(confirming.NotConfirmed,),
)
def make_topics(
    bootstrap: Annotated[str, typer.Option(envvar="KINTSUGI_BOOTSTRAP", help="host:port of Kafka.")] = "kafka:9092",
    replication: Annotated[int, typer.Option(min=1, envvar="KINTSUGI_REPLICATION_FACTOR")] = 1,
    protocol: Annotated[Protocol, typer.Option(envvar="KINTSUGI_KAFKA_PROTOCOL")] = Protocol.sasl_plaintext,
    ca_file: Annotated[Path | None, typer.Option(envvar="KINTSUGI_KAFKA_CA_FILE")] = None,
    country: Country = "xa",
    data: Data = None,
    yes: Yes = False,
) -> None:
    """Make topics, users and their rights as ``contracts/`` describes them, as Kafka's administrator.

    On a broker that has rights of this country already, a new reader of a topic needs a person's word: ``--yes``.
    """
    layout, wanted = Layout.at(data), _declared(country)
    login = access.login(layout, bootstrap, country, access.ADMIN)
    admin = replace(login, protocol=protocol, ca_file=ca_file)

    async def work() -> provision.Difference:
        await provision.confirm(admin, layout, wanted, partial(confirming.ask, yes=yes))
        return await provision.apply(admin, layout, wanted, replication=replication)

    done = asyncio.run(_answered("Kafka", bootstrap, work))
    if made := [plan.name for plan in done.topics.absent]:
        say(f"Made {', '.join(made)}.")
    for line in provision.taken_away(done):
        say(line)
    say(f"Kafka is as the contracts say: {provision.counted(wanted)}.")


@app.command()
@explained(tokens.NoSigningKey)
def token(
    role: Annotated[tokens.Role, typer.Option(help="What the bearer may do.")],
    subject: Annotated[str, typer.Option(help="An opaque staff id.")] = "staff-1",
    hours: Annotated[float, typer.Option(min=0.01, max=24)] = 8,
    country: Country = "xa",
    data: Data = None,
) -> None:
    """Print a staff token signed with the office's key."""
    layout = Layout.at(data)
    typer.echo(tokens.issue(layout, role.value, subject=subject, valid=timedelta(hours=hours), country=country))


def _roles(layout: Layout, server: str) -> PostgresRoles:
    host, _, port = server.rpartition(":")
    if not host or not port.isdigit():
        raise typer.BadParameter(f"{server!r} is not host:port, such as postgres:5432", param_hint="--server")
    return PostgresRoles(layout.postgres, host=host, port=int(port))


def _declared(country: str) -> provision.Declared:
    also = (service.name for service in services.installed())
    return provision.declared(contracts_folder(project_folder()), country, also=also)


def _purposes(country: str) -> dict[str, tuple[str, ...]]:
    """The sealed purposes of each installed service, from its topic file."""
    held = {plan.service: plan.purposes for plan in topics.planned(contracts_folder(project_folder()), country)}
    return {service.name: held.get(service.name, ()) for service in services.installed()}


def _hand_keys(layout: Layout, folder: Path, seen_as: Path, held: Sequence[str]) -> dict[str, str]:
    """Write the keys of a service's purposes into its folder; the settings of an earlier release that has them too.

    A service of an earlier release, upgraded after the others, is still told of the files it was given.
    """
    for purpose in held:
        _write(folder / "keys" / f"{purpose}.key", layout.key(purpose).read_text(encoding="utf-8"))
    for file in (folder / "keys").glob("*.key"):
        if file.stem not in held:
            file.unlink()
    former = {purpose: f"kek-{purpose}.key" for purpose in held if (folder / f"kek-{purpose}.key").exists()}
    return {f"KEK_{purpose.upper()}": str(seen_as / name) for purpose, name in former.items()}


def _hand_to_kafka(folder: Path, password: str) -> None:
    """What ``infra/container/kafka`` reads, as another account of the same group."""
    for name, content in (
        ("security.properties", broker_settings.lines(broker_settings.security(password))),
        ("first-login", broker_settings.first_login(password)),
        ("client.properties", broker_settings.lines(broker_settings.client(password))),
    ):
        _write(folder / name, content, mode=0o640)


def _write(path: Path, content: str, *, mode: int = 0o600) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.touch(mode=0o600)
    draft.write_text(content, encoding="utf-8")
    draft.chmod(mode)
    draft.replace(path)


def _list_for_prometheus(folder: Path, names: list[str]) -> None:
    """What Prometheus asks: each installed service by its name on the network. No secret: any account may read it."""
    targets = [{"targets": [f"{name}:{HTTP_PORT}"], "labels": {"service": name}} for name in names]
    _write(folder / SERVICES_FILE, json.dumps(targets), mode=0o644)
    folder.chmod(0o755)


async def _answered(what: str, where: str, work: Callable[[], Awaitable[T]]) -> T:
    """The result of work, tried again while the server is away. Raises ServerAway after a minute."""
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return await work()
        except _AWAY as error:
            if time.monotonic() > until:
                raise ServerAway(
                    f"{what} at {where} did not answer within {WAIT_SECONDS:.0f} s ({type(error).__name__}). "
                    "Is it started, and is the address right?"
                ) from error
            await asyncio.sleep(1)


if __name__ == "__main__":
    app()
