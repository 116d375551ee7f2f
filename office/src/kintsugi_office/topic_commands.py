"""``kintsugi topics``: what differs between the contracts and the broker, and making it equal."""

import asyncio
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Self

import typer
from kintsugi.kafka import Cluster, Protocol, read_password
from kintsugi.secrets import KeyFileError

from kintsugi_office import access, confirming, key_files, provision, rights, services, state
from kintsugi_office.broker import BrokerRefused
from kintsugi_office.options import Data, Json, explained
from kintsugi_office.project import Layout, ProjectNotFound, contracts_folder, project_folder
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
    *(confirming.NotConfirmed, KeyFileError),
)
_SHOWN = ("cleanup.policy", "retention.ms")

Country = Annotated[str | None, typer.Option(help="The country (else the running office's, else xa).")]
Bootstrap = Annotated[str | None, typer.Option(help="host:port of a broker elsewhere (else the running office's).")]
Username = Annotated[str, typer.Option(help="The administrator of a broker elsewhere.")]
PasswordFile = Annotated[Path | None, typer.Option(help="The file with that administrator's password, mode 0600.")]
Transport = Annotated[Protocol, typer.Option("--protocol", help="How a broker elsewhere is spoken with.")]
CaFile = Annotated[Path | None, typer.Option(help="The certificates to trust (else the system's).")]
NewPasswords = Annotated[
    bool,
    typer.Option("--new-passwords", help="On a broker elsewhere: set passwords of users whose own is not kept here."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Grant new rights without asking.")]
Replication = Annotated[int, typer.Option(min=1, help="Copies of a topic that is made now.")]


@app.command("plan")
@explained(*_EXPECTED)
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
    found = asyncio.run(provision.compare(admin, layout, wanted))
    widened = Widened.of(layout, wanted, found)
    _show(admin, wanted, found, widened, as_json=as_json)
    done = found.none and not widened.purposes
    if not done and not as_json:
        for line in widened.lines:
            typer.echo(f"To confirm: {line}")
        typer.echo(f"Next: {_next(found, elsewhere=bootstrap is not None)}")
    sys.exit(0 if done else 1)


@dataclass(frozen=True)
class Widened:
    """What would let a service see more than it does: a person confirms it."""

    reads: list[str]
    purposes: list[str]

    @classmethod
    def of(cls, layout: Layout, wanted: Declared, found: Difference) -> Self:
        """What is new for a broker and a data folder."""
        return cls(provision.new_reads(wanted, found), provision.new_purposes(layout, wanted.held))

    @property
    def lines(self) -> list[str]:
        """For a person, a line each."""
        return [*self.reads, *self.purposes]


def _next(found: Difference, *, elsewhere: bool) -> str:
    if found.topics.refused:
        return "mend what is marked !"
    anew = " --new-passwords    if this folder is to hold the passwords" if elsewhere and found.locked_out else ""
    return f"kintsugi topics apply{anew}"


@app.command("apply")
@explained(*_EXPECTED)
def apply_command(
    data: Data = None,
    country: Country = None,
    bootstrap: Bootstrap = None,
    username: Username = access.ADMIN,
    password_file: PasswordFile = None,
    protocol: Transport = Protocol.sasl_ssl,
    ca_file: CaFile = None,
    replication: Replication = 1,
    new_passwords: NewPasswords = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Make topics, users and rights as the contracts say. Safe to run again; a topic never keeps less than before.

    Asks before a service may read more, or hold keys of another sealed purpose, than before.
    """
    layout = Layout.at(data)
    admin, wanted = _where(layout, country, bootstrap, username, password_file, protocol, ca_file)
    anew = new_passwords or bootstrap is None
    widened = Widened.of(layout, wanted, asyncio.run(provision.compare(admin, layout, wanted)))
    if widened.lines:
        confirming.ask(widened.lines, yes=yes)
    done = asyncio.run(provision.apply(admin, layout, wanted, replication=replication, new_passwords=anew))
    if widened.purposes:
        key_files.hand_out(layout, wanted.held)
    _show(admin, wanted, done, widened, as_json=as_json)
    if not as_json and not done.none:
        made = " Passwords are in " + str(layout.kafka_password(access.OFFICE).parent) + "." if done.new_users else ""
        typer.echo(f"Done.{made}")


@dataclass(frozen=True)
class Line:
    """One thing that differs: ``+`` is added, ``~`` changed, ``-`` taken away, ``!`` must not be done."""

    sign: str
    kind: str
    name: str
    said: str


def lines(wanted: Declared, found: Difference) -> Iterator[Line]:
    """What differs."""
    for why in found.topics.refused:
        name, _, said = why.partition(" ")
        yield Line("!", "topic", name.rstrip(":"), said)
    for plan in found.topics.absent:
        config = ", ".join(f"{name}={plan.config[name]}" for name in _SHOWN if name in plan.config)
        yield Line("+", "topic", plan.name, f"{plan.partitions} partitions, {config}")
    for name, settings in sorted(found.topics.changed.items()):
        for setting, (there, here) in sorted(settings.items()):
            said = f"is {there}, its file says {here}" if here else f"is {there}, its file does not name it"
            yield Line("~", "topic", name, f"{setting} {said}")
    for user in found.new_users:
        yield Line("+", "user", access.username(wanted.country, user), "a login with a password of its own")
    for user in found.locked_out:
        said = "its password is not the one kept here: a running office sets it again, elsewhere --new-passwords does"
        yield Line("~", "user", access.username(wanted.country, user), said)
    for name in found.old_users:
        yield Line("-", "user", name, "no file names it")
    yield from _rights("+", found.new_rights)
    yield from _rights("-", found.old_rights)


def left_alone(wanted: Declared, found: Difference) -> Iterator[Line]:
    """What is on the broker, is not as declared, and is not ours to take away."""
    own = f"{wanted.country}."
    for name in found.topics.others:
        if name.startswith(own):
            yield Line(" ", "topic", name, "no file names it; topics are never removed here")
    unknown = {right for right in found.foreign if rights.ours(wanted.country, right.principal)}
    yield from _rights(" ", unknown, " (unknown to this client: take it away with Kafka's own kafka-acls.sh)")
    yield from _rights(" ", set(found.foreign) - unknown, " (not a user of this country)")
    others = [name for name in found.topics.others if not name.startswith(own)]
    if others:
        yield Line(" ", "topic", f"{len(others)} of others", ", ".join(others))


def _rights(sign: str, listed: Iterable[Right], note: str = "") -> Iterator[Line]:
    def same(right: Right) -> tuple[str, ...]:
        return right.user, right.permission, right.operation, right.resource, right.host

    for (user, *_), group in groupby(sorted(listed, key=same), key=same):
        first, *others = sorted(group, key=lambda right: (right.name, right.pattern))
        yield Line(sign, "right", user, ", ".join([str(first), *(right.on for right in others)]) + note)


def _told(told: list[Line]) -> Iterator[str]:
    """As text: names in a column that fits them, what is said beside it or, behind a long name, below it."""
    width = min(120, shutil.get_terminal_size((80, 24)).columns)
    column = min(max(len(line.name) for line in told), width // 3)
    indent = " " * (len("~ topic  ") + column + 2)
    for line in told:
        head = f"{line.sign} {line.kind:<5}  {line.name}"
        if len(line.name) > column:
            yield head
            head = ""
        yield from textwrap.wrap(
            line.said,
            width,
            initial_indent=head.ljust(len(indent)),
            subsequent_indent=indent,
            break_on_hyphens=False,
            break_long_words=False,
        )


def _show(admin: Cluster, wanted: Declared, found: Difference, widened: Widened, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_plain(found) | {"widened": asdict(widened)}, indent=1))
        return
    typer.echo(f"Kafka at {admin.bootstrap}, country {wanted.country}")
    differs, rest = list(lines(wanted, found)), list(left_alone(wanted, found))
    for text in _told(differs) if differs else ():
        typer.echo(text)
    if rest:
        typer.echo("Left alone:")
        for text in _told(rest):
            typer.echo(text)
    if found.none:
        beside = ", beside the rights left alone" if found.foreign else ""
        typer.echo(f"As the contracts say{beside}: {provision.counted(wanted)}.")


def _plain(found: Difference) -> dict[str, object]:
    def plain(listed: list[Right]) -> list[dict[str, str]]:
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
            "absent": plain(found.new_rights),
            "undeclared": plain(found.old_rights),
            "foreign": plain(found.foreign),
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
    return admin, provision.declared(contracts_folder(project), country, also=also)
