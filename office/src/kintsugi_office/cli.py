"""The ``kintsugi`` command: only the list of its parts. Each part is a module that knows its own business."""

import typer

from kintsugi_office import (
    country,
    dead_letters,
    doctor,
    held,
    integrators,
    parts,
    recover,
    resend,
    status,
    tokens,
    topic_commands,
    trace,
)
from kintsugi_office.contracts_commands import commands as contracts
from kintsugi_office.listening import command as listening
from kintsugi_office.service import command as service

app = typer.Typer(
    cls=parts.Commands,
    help="One country office. The people in it are fictional: never enter real personal data here.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# One line per part: `register` adds commands, an `app` becomes a group of commands.
for register in (
    *parts.commands(),
    status.register,
    doctor.register,
    tokens.register,
    trace.register,
    listening.register,
    resend.register,
    recover.register,
):
    register(app)
for group in (country.app, contracts.app, held.app, dead_letters.app, topic_commands.app, integrators.app, service.app):
    app.add_typer(group)
