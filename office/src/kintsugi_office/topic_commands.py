"""``kintsugi topics``: what differs between the contracts and the broker, and making it equal."""

import asyncio
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Coroutine, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError, SaslAuthenticationFailed
from kintsugi.kafka import Cluster, Protocol, read_password

from kintsugi_office import access, provision, services, state
from kintsugi_office.broker import BrokerRefused
from kintsugi_office.options import Data, Json, explained
from kintsugi_office.project import Layout, ProjectNotFound, project_folder
from kintsugi_office.provision import Declared, Difference
from kintsugi_office.rights import Right
from kintsugi_office.topics import TopicRefused

app = typer.Typer(
    name="topics",
    help="Topics, users and rights on Kafka: what the contracts say against what the broker has.",
    no_args_is_help=True,
)

_EXPECTED = (
    *(ProjectNotFound, TopicRefused, BrokerRefused, state.OfficeNotRunning, access.NoLogin, services.NotInstalled),
)
_NAME = 24

Country = Annotated[str | None, typer.Option(help="The country (else the running office's, else xa).")]
Bootstrap = Annotated[str | None, typer.Option(help="host:port of a broker elsewhere (else the running office's).")]
Username = Annotated[str, typer.Option(help="The administrator of a broker elsewhere.")]
PasswordFile = Annotated[Path | None, typer.Option(help="The file with that administrator's password, mode 0600.")]
Transport = Annotated[Protocol, typer.Option("--protocol", help="How a broker elsewhere is spoken with.")]
CaFile = Annotated[Path | None, typer.Option(help="The certificates to trust (else the system's).")]
Replication = Annotated[int, typer.Option(min=1, help="Copies of a topic that is made now.")]


class NoAnswer(RuntimeError):
    """No broker answers, or it does not let its administrator in; the text says where."""


@app.command("plan")
@explained(NoAnswer, *_EXPECTED)
def plan_command(
    data: Data = None,
    country: Country = None,
    bootstrap: Bootstrap = None,
    username: Username = access.ADMIN,
    password_file: PasswordFile = None,
    protocol: Transport = Protocol.sasl_ssl,
    ca_file: CaFile = None,
    as_json: Json = False,
) -> None:
    """Show what apply would do, and do nothing. Exit 1 when the broker is not as the contracts say."""
    layout = Layout.at(data)
    admin, wanted = _where(layout, country, bootstrap, username, password_file, protocol, ca_file)
    found = _answered(admin, lambda: provision.compare(admin, layout, wanted))
    _show(admin, wanted, found, as_json=as_json)
    if not found.none and not as_json:
        typer.echo("Next: mend what is marked !" if found.topics.refused else "Next: kintsugi topics apply")
    sys.exit(0 if found.none else 1)


@app.command("apply")
@explained(NoAnswer, *_EXPECTED)
def apply_command(
    data: Data = None,
    country: Country = None,
    bootstrap: Bootstrap = None,
    username: Username = access.ADMIN,
    password_file: PasswordFile = None,
    protocol: Transport = Protocol.sasl_ssl,
    ca_file: CaFile = None,
    replication: Replication = 1,
    as_json: Json = False,
) -> None:
    """Make topics, users and rights as the contracts say. Safe to run again; a topic never keeps less than before."""
    layout = Layout.at(data)
    admin, wanted = _where(layout, country, bootstrap, username, password_file, protocol, ca_file)
    done = _answered(admin, lambda: provision.apply(admin, layout, wanted, replication=replication))
    _show(admin, wanted, done, as_json=as_json)
    if not as_json and not done.none:
        made = " Passwords are in " + str(layout.kafka_password(access.OFFICE).parent) + "." if done.new_users else ""
        typer.echo(f"Done.{made}")


def lines(wanted: Declared, found: Difference) -> Iterator[str]:
    """What differs, a line each: ``+`` is added, ``~`` changed, ``-`` taken away, ``!`` must not be done."""
    for plan in found.topics.absent:
        config = ", ".join(f"{name}={value}" for name, value in sorted(plan.config.items()))
        yield from _line("+ topic", plan.name, f"{plan.partitions} partitions; {config}")
    for name, settings in sorted(found.topics.changed.items()):
        for setting, (there, here) in sorted(settings.items()):
            said = f"{setting} is {there}, its file says {here}" if here else f"{setting}={there} is not in its file"
            yield from _line("~ topic", name, said)
    for why in found.topics.refused:
        yield from _line("! topic", *why.split(" ", 1))
    for user in found.new_users:
        yield from _line("+ user", access.username(wanted.country, user), "a login, with a password of its own")
    for user in found.locked_out:
        yield from _line(
            "~ user", access.username(wanted.country, user), "the password kept here is not the broker's: set again"
        )
    for name in found.old_users:
        yield from _line("- user", name, "no file names it")
    yield from _rights("+ right", found.new_rights)
    yield from _rights("- right", found.old_rights)


def left_alone(wanted: Declared, found: Difference) -> Iterator[str]:
    """What is on the broker, is not as declared, and is not ours to take away."""
    for name in found.topics.others:
        if name.startswith(f"{wanted.country}."):
            yield from _line("  topic", name, "no file names it; a topic is never removed by this command")
    for right in found.foreign:
        yield from _line("  right", right.user, f"{right}; not one of this country's users")
    if others := [name for name in found.topics.others if not name.startswith(f"{wanted.country}.")]:
        yield from _line("  topics", f"{len(others)} of others", ", ".join(others))


def _rights(sign: str, rights: Iterable[Right]) -> Iterator[str]:
    def same(right: Right) -> tuple[str, ...]:
        return right.user, right.permission, right.operation, right.resource, right.host

    for (user, *_), group in groupby(sorted(rights, key=same), key=same):
        alike = list(group)
        first, *others = sorted(alike, key=lambda right: (right.name, right.pattern))
        more = [right.name + ("*" if right.pattern == "prefixed" else "") for right in others]
        yield from _line(sign, user, ", ".join([str(first), *more]))


def _line(sign: str, name: str, said: str) -> Iterator[str]:
    width = min(120, shutil.get_terminal_size((80, 24)).columns)
    begin = f"{sign:<8} {name:<{_NAME}} "
    yield from textwrap.wrap(
        said, width, initial_indent=begin, subsequent_indent=" " * (9 + _NAME + 1), break_on_hyphens=False
    )


def _show(admin: Cluster, wanted: Declared, found: Difference, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_plain(found), indent=1))
        return
    typer.echo(f"Kafka at {admin.bootstrap}, country {wanted.country}")
    for line in lines(wanted, found):
        typer.echo(line)
    if rest := list(left_alone(wanted, found)):
        typer.echo("Left alone:")
        for line in rest:
            typer.echo(line)
    if found.none:
        typer.echo(f"As the contracts say: {provision.counted(wanted)}.")


def _plain(found: Difference) -> dict[str, object]:
    def rights(listed: list[Right]) -> list[dict[str, str]]:
        return [vars(right) for right in listed]

    return {
        "topics": {
            "absent": [plan.name for plan in found.topics.absent],
            "changed": found.topics.changed,
            "refused": found.topics.refused,
            "others": found.topics.others,
        },
        "users": {"absent": found.new_users, "locked_out": found.locked_out, "undeclared": found.old_users},
        "rights": {
            "absent": rights(found.new_rights),
            "undeclared": rights(found.old_rights),
            "foreign": rights(found.foreign),
        },
    }


def _where(
    layout: Layout,
    country: str | None,
    bootstrap: str | None,
    username: str,
    password_file: Path | None,
    protocol: Protocol,
    ca_file: Path | None,
) -> tuple[Cluster, Declared]:
    """The broker, as its administrator, and what the contracts say of it."""
    if bootstrap is None:
        current = state.running(layout.state)
        admin, country, project = access.cluster(layout, access.ADMIN), current.country, Path(current.project)
    else:
        project = project_folder()
        country = country or os.environ.get("KINTSUGI_COUNTRY", "xa")
        if password_file is None:
            raise typer.BadParameter("is needed for a broker elsewhere", param_hint="--password-file")
        layout.make()
        try:
            admin = Cluster(bootstrap, username, read_password(password_file), protocol, ca_file)
        except (OSError, ValueError) as error:
            raise typer.BadParameter(str(error), param_hint="--password-file") from error
    also = (service.name for service in services.installed())
    return admin, provision.declared(project / "contracts", country, also=also)


def _answered(admin: Cluster, work: Callable[[], Coroutine[None, None, Difference]]) -> Difference:
    try:
        return asyncio.run(work())
    except (AuthenticationFailedError, SaslAuthenticationFailed) as error:
        raise NoAnswer(f"Kafka at {admin.bootstrap} does not take the password of {admin.username}.") from error
    except KafkaConnectionError as error:
        raise NoAnswer(f"Kafka at {admin.bootstrap} does not answer by {admin.protocol}: {error}") from error
