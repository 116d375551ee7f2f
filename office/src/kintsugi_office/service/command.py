"""``kintsugi service``: a country's own service, from its first file to its last."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.errors import ContractError

from kintsugi_office import access, state
from kintsugi_office.broker import BrokerRefused
from kintsugi_office.options import Data, explained
from kintsugi_office.project import Layout
from kintsugi_office.service import checking, making, removing
from kintsugi_office.service.making import CannotMake
from kintsugi_office.service.removing import CannotRemove, Part, Remains

app = typer.Typer(
    name="service",
    help="A service of your own: write its skeleton, check it, and see what it would leave behind.",
    no_args_is_help=True,
)

Folder = Annotated[Path, typer.Argument(help="The folder that 'kintsugi service new' made.")]


@app.command()
@explained(CannotMake, ContractError)
def new(
    name: Annotated[str, typer.Argument(help="Its short name, such as housing.")],
    emits: Annotated[str, typer.Option(help="The event it will write: a noun and what happened, room.offered.")],
    consumes: Annotated[
        str, typer.Option(help="Events it reads, by commas. The first is what it acts on.")
    ] = "case.opened",
    country: Annotated[str, typer.Option(envvar="KINTSUGI_COUNTRY", help="The country it is for.")] = "xa",
    into: Annotated[Path, typer.Option(help="Where to make the folder NAME.")] = Path(),
) -> None:
    """Write a service that runs: its events and contracts, its code, and tests that pass uninstalled."""
    read = [each.strip() for each in consumes.split(",") if each.strip()]
    made = making.new(name, read, emits, country=country, into=into, catalog=Catalog.installed())
    for file in made.files:
        typer.echo(f"  {file}")
    typer.echo(
        f"{len(made.files)} files in {made.folder}. Next: cd {made.folder} && pytest && kintsugi service check ."
    )


@app.command("models")
@explained(CannotMake, ContractError)
def write_models(folder: Folder = Path()) -> None:
    """Write the models of its contracts anew, after a change of a schema or of its topic file."""
    written = making.models(folder, Catalog.installed())
    typer.echo("\n".join([*(f"  {file}" for file in written), f"{len(written)} files written."]))


@app.command()
@explained(CannotMake, ContractError)
def check(folder: Folder = Path()) -> None:
    """Check style, types, import rules and contracts. Exit 1 where one does not hold."""
    failed = 0
    for step in checking.check(folder, Catalog.installed()):
        failed += not step.passed
        typer.echo(f"  {'holds' if step.passed else 'FAILS'}  {step.name}")
        if not step.passed:
            typer.echo("\n".join(f"         {line}" for line in step.said.splitlines()))
    typer.echo("Everything holds." if not failed else f"{failed} of its checks fail.")
    sys.exit(1 if failed else 0)


@app.command()
@explained(CannotRemove, ContractError, state.OfficeNotRunning, access.NoLogin, BrokerRefused)
def remove(
    name: Annotated[str, typer.Argument(help="The service's short name.")],
    erase: Annotated[list[Part] | None, typer.Option(help="A part to erase for good; may be given again.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Erase without asking.")] = False,
    data: Data = None,
) -> None:
    """Say what a service leaves behind: topic, rights, database, keys, open obligations. Nothing is erased unasked."""
    layout = Layout.at(data)
    found = asyncio.run(removing.remains(layout, name, Catalog.installed()))
    if found.nothing:
        raise CannotRemove(f"this office has no service '{name}' and nothing of one")
    typer.echo("\n".join(lines(found)))
    if not erase:
        typer.echo("Nothing was erased." + (f" {_next(found)}" if _next(found) else ""))
        return
    if not yes and not _agreed(found, erase):
        typer.echo("Nothing was erased.")
        sys.exit(1)
    asyncio.run(removing.erase(layout, found, erase, say=typer.echo))


def lines(found: Remains) -> list[str]:
    """What a service leaves, a line each."""
    standing = f"installed, version {found.installed}" if found.installed else "not installed"
    said = [f"{found.service}: {standing}{', running' if found.running else ''}"]
    if found.records is None:
        said.append(f"  topic        {found.topic} is not there")
    else:
        readers = f"; read by {', '.join(found.readers)}" if found.readers else ""
        said.append(f"  topic        {found.topic}, {found.records} records{readers}")
    said.append(f"  rights       {len(found.rights)}{'' if found.login else '; it has no login'}")
    said += [f"               {right}" for right in found.rights]
    if found.database is None:
        said.append("  database     none")
    else:
        said.append(f"  database     {found.database}, {found.megabytes:.0f} MB, {found.subjects} cases")
    said += [f"  keys         {purpose}: {count} data keys" for purpose, count in found.keys.items()]
    if found.shared_keys:
        said.append(f"  keys         may open {', '.join(found.shared_keys)}, which is not its own and stays")
    said += [f"  obligations  {count} open: {kind} '{name}'" for kind, name, count in found.owed]
    said += [f"  obligations  {count} cases are {status}" for status, count in found.unsettled]
    if found.unsent:
        said.append(f"  obligations  {found.unsent} events are not sent yet")
    if not (found.owed or found.unsettled or found.unsent):
        said.append("  obligations  none open")
    return said


def _next(found: Remains) -> str:
    if found.installed:
        return (
            "To take the service away: uninstall its packages, then kintsugi down and kintsugi up, which withdraws its "
            "login and rights. Then erase what is not needed: --erase database, --erase topic, --erase keys."
        )
    return "To erase what is not needed: --erase database, --erase topic, --erase keys."


def _agreed(found: Remains, parts: list[Part]) -> bool:
    if not sys.stdin.isatty():
        raise CannotRemove("erasing asks a person: run it in a terminal, or say --yes")
    wanted = ", ".join(dict.fromkeys(part.value for part in parts))
    said: str = typer.prompt(f"This erases the {wanted} of '{found.service}' for good. Its name, to go on")
    return said == found.service
