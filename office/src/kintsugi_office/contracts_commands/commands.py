"""``kintsugi contracts``: check, release, compare and show the contracts."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from kintsugi_contracts import gate
from kintsugi_contracts.asyncapi.__main__ import bring, write_installed
from kintsugi_contracts.catalog import PLATFORM, Catalog
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.folder import load
from kintsugi_contracts.schema_changes import Verdict
from rich.console import Console

from kintsugi_office.contracts_commands import event_page, report

app = typer.Typer(
    name="contracts",
    help="Check, release, compare and show the contracts.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class Format(StrEnum):
    """How a result is told."""

    text = "text"
    markdown = "markdown"
    json = "json"


Contracts = Annotated[
    Path | None,
    typer.Option("--contracts", help="The contracts folder (else the project's: contracts/ here or above)."),
]
How = Annotated[
    Format, typer.Option("--format", help="text for a person, markdown for a pull request, json for programs.")
]


@app.command("check")
def check(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Contracts folders: each is checked by itself, and all with each other.")
    ] = None,
    contracts: Contracts = None,
    how: How = Format.text,
    against: Annotated[
        str | None,
        typer.Option("--against", help="A git reference, such as origin/main: releases must stand as they do there."),
    ] = None,
) -> None:
    """Hold the contracts to their rules, and compare them with every release.

    Without a folder: the project's, and that of every other installed package. Each is compared with its own
    releases. Exit code: 0 may be merged, 1 may not, 2 the check could not run.
    """
    try:
        catalog = Catalog.installed()
        several = folders or ([contracts] if contracts is not None else _all(catalog))
        reports = gate.check_all(several, against, catalog)
    except (ContractError, OSError) as error:
        _cannot(error)
    for found in reports if how is Format.text else ():
        if len(reports) > 1:
            _console().print(f"{_owner(found.path, catalog)}:", highlight=False)
        report.text(found, _console())
    if how is Format.markdown:
        typer.echo("\n".join(map(report.markdown, reports)), nl=False)
    elif how is Format.json:
        typer.echo(report.as_json(reports[0]) if len(reports) == 1 else report.several_as_json(reports))
    raise typer.Exit(0 if all(found.passes for found in reports) else 1)


@app.command("release")
def release(
    version: Annotated[str, typer.Argument(help="The new version, such as 1.2.0; above the last one.")],
    contracts: Contracts = None,
) -> None:
    """Freeze the contracts as they stand. What is released is compared with for ever, and never changes."""
    try:
        made = gate.release(folder(contracts), version)
    except ContractError as error:
        _cannot(error)
    console = _console()
    console.print(f"{version} is released: {len(made.manifest['files'])} files", style="green", highlight=False)
    console.print(f"  folder    {report.shown(made.path)}", highlight=False, soft_wrap=True)
    console.print(f"  manifest  sha256 {made.digest}", highlight=False, soft_wrap=True)
    if made.manifest["previous"]:
        console.print(f"  after     {made.manifest['previous']['version']}", highlight=False)
    console.print("Commit the folder; from now on every check compares with it.")


@app.command("diff")
def diff(
    old: Annotated[str, typer.Argument(help="A released version.")],
    new: Annotated[str, typer.Argument(help="A released version, or `working` for the folder as it stands.")] = (
        gate.WORKING
    ),
    contracts: Contracts = None,
    how: How = Format.text,
) -> None:
    """Show what changed between two versions, with a verdict for each change.

    Exit code: 0 also when changes are not fine; `check` is the one that judges.
    """
    try:
        path = folder(contracts)
        changes = gate.diff(path, old, new)
    except ContractError as error:
        _cannot(error)
    if how is Format.json:
        typer.echo(json.dumps([report.json_of(c) for c in changes], indent=2, ensure_ascii=False))
    elif how is Format.markdown:
        typer.echo(report.markdown_of(changes, f"Contracts: {old} to {new}"), nl=False)
    else:
        console = _console()
        report.told(changes, path, console)
        fine = sum(c.verdict is Verdict.fine for c in changes)
        many = f"{len(changes)} change{'' if len(changes) == 1 else 's'}"
        said = f"{old} to {new}: {many}, {fine} of them fine." if changes else "Nothing changed."
        console.print(said, highlight=False)


@app.command("show")
def show(
    event: Annotated[str, typer.Argument(help="An event, such as case.opened or case.opened.v1.")],
    contracts: Contracts = None,
) -> None:
    """Show an event on one page: its fields, how sensitive they are, who writes and who reads it, and an example."""
    try:
        contents = load(folder(contracts))
        version = event_page.find(contents, event)
    except ContractError as error:
        _cannot(error)
    event_page.show(contents, version, _console())


@app.command("asyncapi")
def asyncapi(
    contracts: Contracts = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail where a document is stale.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="A folder for the documents of everything that is installed.")
    ] = None,
) -> None:
    """Write contracts/asyncapi.yaml and one document per service and partner from the topic files and schemas."""
    if out is not None:
        raise typer.Exit(write_installed(out))
    try:
        path = folder(contracts)
    except ContractError as error:
        _cannot(error)
    raise typer.Exit(bring(path, check=check))


def _all(catalog: Catalog) -> list[Path]:
    """The project's folder, else the platform's as it is installed; then those of the other packages."""
    try:
        first = folder(None)
    except ContractError:
        return list(catalog.folders)
    others = (package.contracts for package in catalog.packages if package.name != PLATFORM)
    return [first, *(path for path in others if path is not None and path.resolve() != first.resolve())]


def _owner(path: Path, catalog: Catalog) -> str:
    """The package whose contracts lie here; the project's where none does."""
    return next((each.name for each in catalog.packages if each.contracts == path), "this project")


def folder(given: Path | None) -> Path:
    """The contracts folder a person means.

    Raises ContractError when there is none.
    """
    if given is not None:
        return given
    project = os.environ.get("KINTSUGI_PROJECT")
    here = Path.cwd()
    for candidate in [Path(project)] if project else [here, *here.parents]:
        if (candidate / "contracts" / "topics").is_dir():
            return candidate / "contracts"
    raise ContractError(f"no contracts/ in {project or here} or above it; name the folder with --contracts")


def _console() -> Console:
    return Console(highlight=False)


def _cannot(error: ContractError | OSError) -> NoReturn:
    typer.echo(f"kintsugi contracts: {error}", err=True)
    sys.exit(2)
