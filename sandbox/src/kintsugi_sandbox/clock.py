"""Moving the business clock of a whole office, in order: never before everything that was under way has ended.

Only an office of the demo profile allows it; every other one answers 409. ``advance_to`` goes from one moment at
which something falls due to the next, so that six months pass in seconds and nothing overtakes anything.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import httpx
from kintsugi_office import tokens
from kintsugi_office.project import Layout
from kintsugi_office.services import InstalledService

from kintsugi_sandbox import loopback

QUIET_WITHIN_SECONDS = 60.0
_BUSY = ("lag", "outbox", "sends", "attempts", "requests", "waiting", "deadlines")
_PAUSE = 0.03


class NotQuiet(RuntimeError):
    """The office did not come to rest; the text names each service and what it still does."""


class ClockNotMoved(RuntimeError):
    """A service refused to move its clock; the text holds its reason."""


class OfficeLike(Protocol):
    """What is needed of an office: its services, where they answer, and where its keys are."""

    layout: Layout
    country: str
    services: list[InstalledService]

    def url(self, service: str) -> str: ...


@dataclass
class Advance:
    """What moving the clock took: the moments it stopped at, and cases that stand still, by service."""

    stops: list[datetime] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)


Pulse = Mapping[str, Any]


async def set_clock(office: OfficeLike, moment: datetime) -> None:
    """Set every service's clock. Raises ClockNotMoved, outside the demo profile too."""
    async with _operator(office) as client:
        await _move(client, office, moment)


async def quiet(office: OfficeLike, *, within: float = QUIET_WITHIN_SECONDS) -> dict[str, Pulse]:
    """Wait until nothing is under way, and return each service's last reading. Raises NotQuiet after ``within`` s."""
    async with _operator(office) as client:
        return await _quiet(client, office, within)


async def advance_to(office: OfficeLike, moment: datetime, *, within: float = QUIET_WITHIN_SECONDS) -> Advance:
    """Let business time pass until ``moment``, stopping wherever something falls due, and end quiet.

    Held cases are skipped and reported. Raises NotQuiet when one stop takes longer than ``within`` seconds.
    """
    advance = Advance()
    async with _operator(office) as client:
        while True:
            pulses = await _quiet(client, office, within)
            advance.held = {name: pulse["held"] for name, pulse in pulses.items() if pulse["held"]}
            if all(_moment(pulse["business_now"]) >= moment for pulse in pulses.values()):
                return advance
            ahead = [_moment(pulse["next_due"]) for pulse in pulses.values() if pulse["next_due"]]
            stop = min([moment, *ahead])
            await _move(client, office, stop)
            advance.stops.append(stop)


async def _move(client: httpx.AsyncClient, office: OfficeLike, moment: datetime) -> None:
    answers = await asyncio.gather(
        *(
            client.post(f"{office.url(service.name)}/operations/clock", json={"instant": moment.isoformat()})
            for service in office.services
        )
    )
    for service, answer in zip(office.services, answers, strict=True):
        if answer.status_code != 204:
            raise ClockNotMoved(f"{service.name} did not move its clock ({answer.status_code}): {answer.text[:300]}")


async def _quiet(client: httpx.AsyncClient, office: OfficeLike, within: float) -> dict[str, Pulse]:
    end = time.monotonic() + within
    before: dict[str, Pulse] | None = None
    while True:
        pulses = await _pulses(client, office)
        busy = _under_way(pulses)
        if not busy and pulses == before:
            return pulses
        if time.monotonic() > end:
            raise NotQuiet(
                f"The office was not quiet after {within:.0f} s. Still under way: {busy or 'readings that differ'}. "
                f"Look at: kintsugi status, and {office.layout.logs}"
            )
        before = None if busy else pulses
        await asyncio.sleep(_PAUSE)


async def _pulses(client: httpx.AsyncClient, office: OfficeLike) -> dict[str, Pulse]:
    async def one(name: str) -> Pulse:
        try:
            answer = await client.get(f"{office.url(name)}/operations/pulse")
        except httpx.HTTPError as error:
            return {"absent": type(error).__name__}
        return dict(answer.json()) if answer.status_code == 200 else {"absent": f"HTTP {answer.status_code}"}

    found = await asyncio.gather(*(one(service.name) for service in office.services))
    return {service.name: pulse for service, pulse in zip(office.services, found, strict=True)}


def _under_way(pulses: Mapping[str, Pulse]) -> str:
    parts = []
    for name, pulse in pulses.items():
        if "absent" in pulse:
            parts.append(f"{name} does not answer ({pulse['absent']})")
            continue
        parts += [f"{name} {what} {pulse[what]}" for what in _BUSY if pulse[what]]
        if pulse["next_due"] and _moment(pulse["next_due"]) <= _moment(pulse["business_now"]):
            parts.append(f"{name} has something due since {pulse['next_due']}")
    return ", ".join(parts)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _operator(office: OfficeLike) -> httpx.AsyncClient:
    token = tokens.issue(
        office.layout, "operator", subject="office-clock", valid=timedelta(hours=1), country=office.country
    )
    return loopback.client(seconds=10, headers={"Authorization": f"Bearer {token}"})
