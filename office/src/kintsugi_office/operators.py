"""How an operator's command speaks with the services of a running office: one client, one kind of error."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console

from kintsugi_office import state, tokens
from kintsugi_office.progress import say
from kintsugi_office.project import Layout

Staff = Annotated[
    str, typer.Option("--staff", envvar="KINTSUGI_STAFF", help="Your opaque staff id: it is written to the audit.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Service = Annotated[str | None, typer.Option("--service", help="Only this service.")]
DEFAULT_STAFF = "console"

_SESSION = timedelta(hours=8)
_SHOWN = 20


class CannotDo(RuntimeError):
    """What was asked for cannot be done; the text says why and what to do next."""


class ServiceSilent(CannotDo):
    """A service does not answer."""


@dataclass(frozen=True)
class Operators:
    """The operations API of every service, with one token. Names are short: ``referral``."""

    client: httpx.AsyncClient
    urls: Mapping[str, str]

    def only(self, service: str | None) -> list[str]:
        """The services meant: all, or the one named. Raises CannotDo for a name that does not run here."""
        if service is None:
            return list(self.urls)
        if service not in self.urls:
            raise CannotDo(f"No service '{service}' runs here. Running: {', '.join(self.urls)}.")
        return [service]

    async def get(self, service: str, path: str, **query: str) -> Any:
        """The answer of ``GET /operations/...`` as JSON; None for 404. Raises CannotDo and ServiceSilent."""
        return await self._ask("GET", service, path, params=query)

    async def post(self, service: str, path: str, body: Mapping[str, Any] | None = None, **query: str) -> Any:
        """The answer of ``POST /operations/...`` as JSON; None for 404 and 204. Raises CannotDo and ServiceSilent."""
        return await self._ask("POST", service, path, params=query, json=body)

    async def everywhere(self, path: str, services: list[str], **query: str) -> dict[str, Any]:
        """The same question to several services. One that is silent has the ServiceSilent as its answer."""

        async def one(service: str) -> Any:
            try:
                return await self.get(service, path, **query)
            except ServiceSilent as silent:
                return silent

        return dict(zip(services, await asyncio.gather(*map(one, services)), strict=True))

    async def subject(self, ref: str) -> str:
        """The one subject that a reference or its beginning means. Raises CannotDo: none, or several (named)."""
        answers = await self.everywhere("find", list(self.urls), ref=ref)
        found = sorted({str(subject) for said in answers.values() if isinstance(said, list) for subject in said})
        silent = [name for name, said in answers.items() if isinstance(said, ServiceSilent)]
        if len(found) == 1:
            return found[0]
        if not found:
            unasked = f" ({', '.join(silent)} did not answer: kintsugi doctor)" if silent else ""
            raise CannotDo(
                f"No case begins with '{ref}'{unasked}. Give a case reference such as XA-7K3M2P9Q, or the beginning "
                "of one or of a subject: 'case/...', 'service/...'."
            )
        lines = await asyncio.gather(*(self._candidate(subject) for subject in found[:_SHOWN]))
        more = "\n  and more" if len(found) >= _SHOWN else ""
        raise CannotDo(f"'{ref}' is the beginning of several cases. Give more of it:\n" + "\n".join(lines) + more)

    async def _candidate(self, subject: str) -> str:
        stories = await self.everywhere(f"subjects/{subject}", list(self.urls))
        moments = [
            str(each["ce_time"])
            for said in stories.values()
            if isinstance(said, dict)
            for each in said.get("own", [])
            if each.get("ce_time")
        ]
        return f"  {subject}  since {min(moments)[:16].replace('T', ' ')} UTC" if moments else f"  {subject}"

    async def _ask(self, method: str, service: str, path: str, **what: Any) -> Any:
        url = f"{self.urls[service]}/operations/{path}"
        try:
            answer = await self.client.request(method, url, **what)
        except httpx.TimeoutException:
            raise ServiceSilent(
                f"{service} did not answer in time. Look at: kintsugi status, kintsugi doctor"
            ) from None
        except httpx.HTTPError as error:
            raise ServiceSilent(
                f"{service} does not answer ({type(error).__name__}). Look at: kintsugi status, kintsugi doctor"
            ) from None
        if answer.status_code == 404:
            return None
        if answer.status_code >= 400:
            raise CannotDo(_explained(service, answer))
        return answer.json() if answer.content else None


@asynccontextmanager
async def operators(data: Layout, staff: str, role: str = "operator", seconds: float = 20) -> AsyncIterator[Operators]:
    """The services of the office that runs in ``data``. Raises OfficeNotRunning and NoSigningKey."""
    current = state.running(data.state)
    token = tokens.issue(data, role, subject=staff, valid=_SESSION, country=current.country)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(timeout=seconds, trust_env=False, headers=headers) as client:
        yield Operators(client, current.services)


def log_of(data: Layout, service: str) -> Path:
    """The log of the process that runs this service. Raises OfficeNotRunning."""
    for name, process in state.running(data.state).processes.items():
        if service in process.ports:
            return data.logs / f"{name}.log"
    return data.logs / f"{service}.log"


EXPECTED = (CannotDo, state.OfficeNotRunning, tokens.NoSigningKey)
"""The errors that end an operator's command with their text."""


def paper() -> Console:
    """Where a command prints its answer: 80 columns without a terminal, no colour under NO_COLOR."""
    console = Console(highlight=False, markup=False, no_color="NO_COLOR" in os.environ)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=80, no_color=True)


def confirm(question: str, yes: bool) -> None:
    """Asks before something that cannot be taken back, or that touches many. Raises CannotDo without a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CannotDo(f"{question} Nobody is there to ask: add --yes.")
    if not typer.confirm(question, err=True):
        say("Nothing was changed.")
        raise typer.Exit(1)


def since(moment: str | None, now: datetime) -> str:
    """How long ago an ISO moment was, in its two greatest units at most: ``3 d 4 h``, ``12 min``, ``8 s``."""
    if not moment:
        return "-"
    return length((now - datetime.fromisoformat(moment)).total_seconds())


def length(seconds: float) -> str:
    """A span of time for people: ``412 ms``, ``8 s``, ``12 min``, ``4 h 10 min``, ``3 d 4 h``."""
    seconds = max(seconds, 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours and days < 10 else f"{days} d"


def _explained(service: str, answer: httpx.Response) -> str:
    try:
        said = answer.json()
    except ValueError:
        said = {}
    title = said.get("title") or f"HTTP {answer.status_code}"
    parts = [f"{service}: {title}.", said.get("detail"), said.get("what_next")]
    parts += [f"At {each.get('place', '?')}: {each.get('rule', each)}." for each in said.get("errors", [])]
    return " ".join(str(part) for part in parts if part)
