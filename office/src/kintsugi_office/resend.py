"""``kintsugi resend``: a service repeats its own events on its topic, unchanged."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from kintsugi_office.operators import DEFAULT_STAFF, EXPECTED, CannotDo, Staff, operators
from kintsugi_office.options import Data, explained
from kintsugi_office.project import Layout

_AGO = re.compile(r"(\d{1,6})\s*(s|min|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days"}
_SECONDS = 600.0


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(resend)


@explained(*EXPECTED)
def resend(
    service: Annotated[str, typer.Argument(help="The service that repeats its events, such as intake.")],
    since: Annotated[str, typer.Option(help="From when: 2h, 30min, 3d, or a time such as 2026-11-22T02:00Z.")],
    staff: Staff = DEFAULT_STAFF,
    data: Data = None,
) -> None:
    """Repeat a service's own events since a time, unchanged. Consumers drop those they have; nothing is done twice."""
    moment = moment_of(since, datetime.now(UTC))
    count = asyncio.run(_resend(Layout.at(data), service, moment, staff))
    events = "event" if count == 1 else "events"
    typer.echo(f"{service} repeated {count} {events} published since {moment:%Y-%m-%d %H:%M:%S} UTC.")
    typer.echo("Consumers drop those they know. Next: kintsugi held list" if count else "Nothing was published since.")


def moment_of(text: str, now: datetime) -> datetime:
    """The moment that an operator means: a span back from ``now``, or an ISO time with its zone. Raises CannotDo."""
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CannotDo(f"'{text}' is no time. Say 2h, 30min, 3d, or 2026-11-22T02:00Z.") from None
    if moment.tzinfo is None:
        raise CannotDo(f"'{text}' has no time zone. Write {text}Z for UTC, or {text}+02:00.")
    if moment > now:
        raise CannotDo(f"'{text}' lies ahead: the machine's clock says {now:%Y-%m-%dT%H:%MZ}.")
    return moment


async def _resend(layout: Layout, service: str, moment: datetime, staff: str) -> int:
    async with operators(layout, staff, seconds=_SECONDS) as services:
        services.only(service)
        said = await services.post(service, "resend", since=moment.isoformat())
        return int(said["resent"])
