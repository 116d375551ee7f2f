"""``kintsugi listen`` and ``kintsugi environment``: their options, and the errors that end them."""

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from kintsugi_office import access, state
from kintsugi_office.listening.session import Format
from kintsugi_office.options import Data, explained
from kintsugi_office.project import Layout, contracts_folder

_EXPECTED = (access.NoLogin, state.OfficeNotRunning)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(listen)
    app.command()(environment)


def listen(
    country: Annotated[str | None, typer.Option(help="Another country than the office's own, such as xa.")] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Only these events, such as 'referral.*' (may be repeated).")
    ] = None,
    case: Annotated[str | None, typer.Option(help="One case: its reference, its subject, or their beginning.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", help="earliest, now, 2026-01-01, 2026-01-01T10:30 (UTC), or 90m, 2h, 7d ago. [now]"),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="For a person, or one object a line.")] = Format.pretty,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="End where the topics end now; --from is earliest then.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
    data: Data = None,
) -> None:
    """Hear every event of the office as it happens, or from any moment on. Shows nothing that is sealed.

    Joins no consumer group and so disturbs nobody. --from means the log's time, which is the machine's clock.
    """
    from kintsugi_contracts.errors import ContractError

    from kintsugi_office.listening.choosing import Unclear
    from kintsugi_office.listening.reading import CannotListen
    from kintsugi_office.listening.session import Asked, run
    from kintsugi_office.operators import EXPECTED

    asked = Asked(
        country=country,
        types=tuple(types or ()),
        case=case,
        since=since or ("earliest" if until_end else "now"),
        form=form,
        until_end=until_end,
        limit=limit,
    )
    explained(*_EXPECTED, *EXPECTED, CannotListen, ContractError, Unclear)(run)(
        Layout.at(data), asked, datetime.now(UTC)
    )


@explained(*_EXPECTED)
def environment(data: Data = None) -> None:
    """Print the variables with which a program of the office's own subscribes: eval "$(kintsugi environment)"."""
    layout = Layout.at(data)
    current = state.running(layout.state)
    cluster = access.cluster(layout)
    told = {
        "COUNTRY": current.country,
        "CONTRACTS": str(contracts_folder(Path(current.project))),
        "BOOTSTRAP": cluster.bootstrap,
        "KAFKA_PROTOCOL": cluster.protocol.value,
    }
    if cluster.username is not None:
        told |= {
            "KAFKA_USERNAME": cluster.username,
            "KAFKA_PASSWORD_FILE": str(layout.kafka_password(access.OFFICE)),
        }
    for name, value in told.items():
        typer.echo(f"export KINTSUGI_{name}={shlex.quote(value)}")
