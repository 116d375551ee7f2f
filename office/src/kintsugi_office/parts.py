"""What other installed packages add to the ``kintsugi`` command: found by entry point, never by name."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import typer
import typer.core

from kintsugi_office.progress import say

if TYPE_CHECKING:  # only for what the parts promise
    from kintsugi.kafka import Cluster

    from kintsugi_office.doctor import Finding
    from kintsugi_office.project import Layout
    from kintsugi_office.roles import PostgresRoles

COMMANDS = "kintsugi.commands"
"""Each value is a function ``register(app)`` that adds commands to the Typer application."""
CHECKS = "kintsugi.checks"
"""Each value is one more check of ``kintsugi doctor``: a function of the layout that yields findings."""
SERVERS = "kintsugi.servers"
"""Its one value starts the servers of a stopped office for the length of a block: a function of the layout."""

_SANDBOX = frozenset({"demo", "reconcile", "up", "down", "migrate", "empty"})
_INSTALL = "pip install kintsugi-sandbox"


@dataclass(frozen=True)
class Servers:
    """The running servers of an office: PostgreSQL as its superuser, Kafka as its administrator."""

    postgres: "PostgresRoles"
    kafka: "Cluster"


class ServersUnavailable(RuntimeError):
    """The servers of a stopped office could not be started; the text says why."""


def commands() -> Iterator[Callable[[typer.Typer], None]]:
    """What registers the commands of other packages."""
    for point in entry_points(group=COMMANDS):
        yield point.load()


def checks() -> "Iterator[Callable[[Layout], Iterable[Finding]]]":
    """The checks that other packages add to ``kintsugi doctor``."""
    for point in entry_points(group=CHECKS):
        yield point.load()


def servers(layout: "Layout") -> AbstractAsyncContextManager[Servers]:
    """The servers of the stopped office in this folder, for the length of an ``async with``.

    Raises ServersUnavailable when no installed package starts servers.
    """
    for point in entry_points(group=SERVERS):
        started: AbstractAsyncContextManager[Servers] = point.load()(layout)
        return started
    raise ServersUnavailable(
        f"No office runs in {layout.data}, and the package that starts the servers of a stopped one is not installed: "
        f"{_INSTALL}"
    )


class Commands(typer.core.TyperGroup):
    """The commands at hand; says of those that another package gives, which, where that one is not installed."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As Click does, except for a command of a package that is absent."""
        name = args[0]
        if name in _SANDBOX and self.get_command(ctx, name) is None:
            say(f"kintsugi: '{name}' is a command of the package kintsugi-sandbox: {_INSTALL}")
            ctx.exit(2)
        return super().resolve_command(ctx, args)
