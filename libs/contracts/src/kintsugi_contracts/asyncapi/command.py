"""The command that writes the documents, or says which of them are stale."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kintsugi_contracts.asyncapi import files
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.folder import load


def register(app: typer.Typer) -> None:
    """Adds the command ``asyncapi`` to an application."""
    app.command("asyncapi")(asyncapi)


def asyncapi(
    contracts: Annotated[Path, typer.Option(help="The contracts folder.")] = Path("contracts"),
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail where a document is stale.")] = False,
) -> None:
    """Write contracts/asyncapi.yaml and one document per service and partner from the topic files and schemas."""
    try:
        folder = load(contracts)
        wanted = files.texts(folder)
    except ContractError as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from error
    if check:
        found = files.stale(folder, wanted)
        for name in found:
            typer.echo(f"{contracts / name} is stale: run `python -m kintsugi_contracts.asyncapi`", err=True)
        raise typer.Exit(1 if found else 0)
    changed = files.write(folder, wanted)
    typer.echo(f"{len(changed)} of {len(wanted)} documents written")
