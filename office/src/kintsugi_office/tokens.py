"""``kintsugi token``: a staff token for the development office."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer

from kintsugi_office.options import Data, explained
from kintsugi_office.project import Layout


class Role(StrEnum):
    """The roles a token can carry."""

    caseworker = "caseworker"
    supervisor = "supervisor"
    operator = "operator"


class NoSigningKey(RuntimeError):
    """The office has no key yet."""


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(token)


@explained(NoSigningKey)
def token(
    role: Annotated[Role, typer.Option(help="What the bearer may do.")],
    subject: Annotated[str, typer.Option(help="An opaque staff id.")] = "staff-1",
    hours: Annotated[float, typer.Option(min=0.01, max=24 * 30, help="How long it is valid.")] = 8,
    country: Annotated[str, typer.Option(help="The country of the office.")] = "xa",
    data: Data = None,
) -> None:
    """Print a signed staff token, to be sent as `Authorization: Bearer TOKEN`."""
    typer.echo(issue(Layout.at(data), role.value, subject=subject, valid=timedelta(hours=hours), country=country))


def issue(layout: Layout, role: str, *, subject: str, valid: timedelta, country: str) -> str:
    """A staff token signed with the office's key. Raises NoSigningKey before the office's first start."""
    from kintsugi import auth

    try:
        private = layout.jwt_private_key.read_bytes()
    except FileNotFoundError:
        raise NoSigningKey(
            f"{layout.jwt_private_key} does not exist: it is made at the first start. Run: kintsugi up"
        ) from None
    return auth.issue(private, role, subject, valid, country)
