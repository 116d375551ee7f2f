"""``kintsugi sample-pack``: the fictional country's pack, for whoever begins without a checkout."""

import shutil
from pathlib import Path
from typing import Annotated

import typer
from kintsugi_office.options import explained

SAMPLE = "xa"


class CannotCopy(Exception):
    """The pack is not written as asked; the text says why and what to do."""


def countries() -> Path:
    """Where the sample packs are: in a wheel beside this file, in a checkout at its root."""
    shipped = Path(__file__).parent / "countries"
    return shipped if shipped.is_dir() else Path(__file__).parents[3] / "countries"


def copy(into: Path) -> Path:
    """Write ``countries/xa`` into a folder and return it. Raises CannotCopy where it is there already."""
    target = into / "countries" / SAMPLE
    if target.exists():
        raise CannotCopy(f"{target} is there already: name another folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copytree(countries() / SAMPLE, target))


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("sample-pack")
    @explained(CannotCopy)
    def sample_pack(into: Annotated[Path, typer.Argument(help="The folder of your office.")] = Path()) -> None:
        """Copy the fictional country's pack into a folder, to start an office there or to make your own of it."""
        typer.echo(f"The pack of the fictional country {SAMPLE} is in {copy(into)}.")
