"""``kintsugi demo`` and ``kintsugi reconcile``."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from kintsugi_office.options import explained
from kintsugi_office.progress import say
from kintsugi_office.project import ProjectNotFound, project_folder

_Folder = Annotated[Path | None, typer.Option("--data", help="Where the run keeps everything (else build/demo).")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(demo)
    app.command()(reconcile)


@explained(ProjectNotFound)
def demo(data: _Folder = None) -> None:
    """Carry the sample cases through the whole flow, break something on the way, and check every effect."""
    from kintsugi_sandbox.demo import report, run
    from kintsugi_sandbox.demo.view import View

    project = project_folder()
    folder = (data or project / "build" / "demo").absolute()
    say("A country office of its own, on this machine. Fictional data only.")
    try:
        shown = asyncio.run(run.demonstrate(folder, project, View()))
    except Exception as error:
        report.broke_off(error, folder)
        raise typer.Exit(1) from None
    report.show(shown)
    run.write(shown, folder.parent / "demo.json")
    if not shown.holds:
        report.explain(shown)
        raise typer.Exit(1)


@explained(ProjectNotFound)
def reconcile(
    folder: Annotated[Path | None, typer.Argument(help="The folder of a finished run (else build/demo).")] = None,
) -> None:
    """Judge the evidence of a finished demo again, without running anything."""
    from kintsugi_sandbox.reconciler.evidence import EvidenceMissing
    from kintsugi_sandbox.reconciler.judge import judge

    try:
        verdict = judge((folder or project_folder() / "build" / "demo").absolute())
    except EvidenceMissing as error:
        say(f"kintsugi: {error}")
        raise typer.Exit(1) from None
    typer.echo(f"effects expected {sum(verdict.effects.values())}, found {sum(verdict.found.values())}, ", nl=False)
    typer.echo(f"lost {verdict.count('lost')}, doubled {verdict.count('doubled')}")
    for line in verdict.summary():
        typer.echo(line)
    if not verdict.holds:
        raise typer.Exit(1)
