"""``kintsugi country``: check a country's pack, and see what a change of it does, without running anything."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from kintsugi_contracts.catalog import Catalog
from kintsugi_country import TEMPLATES, Pack, PackError, check, load
from kintsugi_country.samples import CASES, SCRIPT, load_script

from kintsugi_office.options import explained
from kintsugi_office.project import ProjectNotFound, project_folder

app = typer.Typer(name="country", help="Check a country's pack and see what it does.", no_args_is_help=True)

Country = Annotated[str, typer.Argument(help="The country's code, or the folder of its pack.")]

_EXAMPLE = {
    "link": "https://office.example/answer/…",
    "task": "T-0000",
    "code_word": "marigold",
}


@app.command("check")
@explained(ProjectNotFound)
def check_pack(country: Country) -> None:
    """Explain every mistake of a pack with file and line; a broken pack refuses to start."""
    folder = _folder(country)
    declared = Catalog.installed().declared
    findings = check(folder, declared)
    for finding in findings:
        typer.echo(f"{_shown(folder)}/{finding}")
    if findings:
        typer.echo(f"\n{len(findings)} mistake(s). No service starts with this pack; mend them and check again.")
        raise typer.Exit(1)
    _summarise(load(folder, declared), folder)


@app.command("due")
@explained(ProjectNotFound, PackError, ValueError)
def due(
    country: Country,
    deadline: Annotated[str, typer.Argument(help="The deadline's name, such as provider_answer.")],
    begin: Annotated[str, typer.Option("--from", help="When it begins, such as 2026-11-20T16:00, in local time.")],
) -> None:
    """Show when a deadline ends that began at some time."""
    pack = load(_folder(country), Catalog.installed().declared)
    if deadline not in pack.country.deadlines:
        raise ValueError(f"{deadline} is not a deadline. Known: {', '.join(pack.country.deadlines)}.")
    start = datetime.fromisoformat(begin)
    start = start if start.tzinfo else start.replace(tzinfo=pack.zone)
    end = pack.due(deadline, start)
    rule = pack.country.deadlines[deadline]
    typer.echo(f"{deadline}: {rule.amount} {rule.unit.replace('_', ' ')}")
    for name, moment in (("begins", start), ("ends", end)):
        typer.echo(f"  {name:<6}  {moment.astimezone(pack.zone):%a %d %b %Y %H:%M} {pack.country.zone}")


@app.command("message")
@explained(ProjectNotFound, PackError, LookupError)
def message(
    country: Country,
    template: Annotated[str, typer.Argument(help="The message, such as provider_request.")],
    language: Annotated[str, typer.Option("--language", help="The language; nothing falls back to another one.")],
) -> None:
    """Show a message as its reader sees it, with example values."""
    pack = load(_folder(country), Catalog.installed().declared)
    if template not in TEMPLATES:
        raise LookupError(f"{template} is not a message. Known: {', '.join(sorted(TEMPLATES))}.")
    known = TEMPLATES[template]
    now = datetime.now(UTC)
    arguments = {
        name: pack.due("provider_answer", now) if name in ("answer_due", "due") else _EXAMPLE[name]
        for name in known.arguments
    }
    text = pack.message(template, language, known.audience, **arguments)
    if text is None:
        typer.echo(f"There is no {template} in {language}: it would be withheld, and staff would get a task instead.")
        raise typer.Exit(1)
    typer.echo(f"For: {known.audience}\nSubject: {text.subject}\n\n{text.body}", nl=False)


def _folder(country: str) -> Path:
    return Path(country) if "/" in country else project_folder() / "countries" / country


def _shown(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _summarise(pack: Pack, folder: Path) -> None:
    directory = pack.directory
    active = sum(service.active for service in directory.services)
    typer.echo(f"{pack.country.name} ({pack.code}) is in order.")
    lines = {
        "languages": ", ".join(pack.languages),
        "time zone": pack.country.zone,
        "offices": ", ".join(sorted(pack.country.offices)),
        "deadlines": str(len(pack.country.deadlines)),
        "messages": f"{len(TEMPLATES)} in each language",
        "instruments": ", ".join(f"{i.id} {i.version} ({len(i.items)} items)" for i in pack.instruments),
        "directory": f"{len(directory.services)} services ({active} active) of {len(directory.agencies)} agencies",
    }
    if pack.integrators:
        lines["integrators"] = ", ".join(f"{each.name} ({', '.join(each.purposes)})" for each in pack.integrators)
    if (folder / SCRIPT).is_file():
        script = load_script(folder, directory, pack.baseline_instrument)
        lines["samples"] = f"{len(script.people)} scripted people for {CASES}"
    for name, value in lines.items():
        typer.echo(f"  {name:<12}{value}")
