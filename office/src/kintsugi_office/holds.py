"""Cases that stand still: finding them over all services, and releasing them one by one with a canary first."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from kintsugi_office.operators import CannotDo, Operators, ServiceSilent

_WITHOUT = re.compile(r"([a-z][a-z_]{0,30}):([1-9]\d{0,14})(?:-([1-9]\d{0,14}))?")
_MOST_WITHOUT = 100
_LOG_BYTES = 4_000_000
_RATE = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)(?:/s)?")


class Reason(StrEnum):
    """Why an input is given up: the contract's list."""

    producer_defect = "producer_defect"
    consumer_defect = "consumer_defect"
    superseded = "superseded"
    duplicate_fact = "duplicate_fact"
    test_record = "test_record"
    recorded_elsewhere = "recorded_elsewhere"
    supervisor_decision = "supervisor_decision"


@dataclass(frozen=True)
class Held:
    """A case that stands still in one service. ``at`` is the input: ``intake:7``, or a deadline's or sending's name."""

    service: str
    subject: str
    status: str
    cause: str
    kind: str | None
    at: str
    type: str
    since: str | None
    waiting: int

    @property
    def behind(self) -> int:
        """How many events line up behind the one it is held at."""
        return max(self.waiting - (1 if self.kind == "event" else 0), 0)


@dataclass(frozen=True)
class Found:
    """What all services answered: holds, oldest first; open circuits by service; services that did not answer."""

    held: tuple[Held, ...]
    circuits: dict[str, str]
    silent: tuple[str, ...]

    def by_cause(self) -> dict[tuple[str, str], list[Held]]:
        """The holds by service and cause, the most numerous first."""
        groups: dict[tuple[str, str], list[Held]] = {}
        for each in self.held:
            groups.setdefault((each.service, each.cause), []).append(each)
        return dict(sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])))


async def find(services: Operators, names: list[str]) -> Found:
    """Every case that stands still in these services."""
    answers, said = await asyncio.gather(services.everywhere("held", names), services.everywhere("status", names))
    held = [
        Held(
            service=name,
            subject=row["subject"],
            status=row["status"],
            cause=row["cause"],
            kind=row["kind"],
            at=f"{row['source']}:{row['sequence']}" if row["sequence"] else row["source"] or "-",
            type=row["type"] or "",
            since=row["since"],
            waiting=row["waiting"],
        )
        for name, rows in answers.items()
        if isinstance(rows, list)
        for row in rows
    ]
    held.sort(key=lambda each: (each.since or "", each.service, each.subject))
    circuits = {name: each["circuit"] for name, each in said.items() if isinstance(each, dict) and each.get("circuit")}
    silent = tuple(name for name, rows in answers.items() if isinstance(rows, ServiceSilent))
    return Found(tuple(held), circuits, silent)


async def chosen(
    services: Operators, refs: Sequence[str], cause: str | None, service: str | None, status: str = "held"
) -> list[Held]:
    """The holds that an operator means: of these cases, or all of one cause. Raises CannotDo where there are none."""
    if bool(refs) == bool(cause):
        raise CannotDo("Name cases, or a cause with --cause. See them: kintsugi held list")
    found = await find(services, services.only(service))
    where = f" in {service}" if service else ""
    if cause:
        of_cause = [each for each in found.held if each.cause == cause and each.status == status]
        if not of_cause:
            raise CannotDo(f"No case is {status} for {cause}{where}. See which are: kintsugi held list")
        return of_cause
    held: list[Held] = []
    for ref in refs:
        subject = await services.subject(ref)
        of_case = [each for each in found.held if each.subject == subject and each.status == status]
        if not of_case:
            raise CannotDo(f"{subject} is not {status}{where}. Where it stands: kintsugi trace {subject}")
        held += [each for each in of_case if each not in held]
    return held


@dataclass(frozen=True)
class Released:
    """How one release ended. ``held_again`` is the new cause where the same case was held again."""

    held: Held
    status: str
    held_again: str | None
    waiting: int


async def release(
    services: Operators,
    held: Sequence[Held],
    *,
    without: Sequence[tuple[str, int]] = (),
    rate: float,
    keep_going: bool = False,
) -> AsyncIterator[Released]:
    """Releases one after another, ``rate`` a second, the first alone; ends after one that is held again.

    ``keep_going`` passes over those that are held again. A case that goes on by itself meanwhile is passed over.
    """
    for place, each in enumerate(held):
        if place:
            await asyncio.sleep(1 / rate)
        said = await services.post(each.service, f"subjects/{each.subject}/release", {"without": list(without)})
        if said is None:
            raise CannotDo(f"{each.service} has not heard of {each.subject}. Look: kintsugi trace {each.subject}")
        yield Released(each, said["status"], said.get("held_again"), said.get("waiting", 0))
        if said.get("held_again") and not keep_going:
            return


async def discard(services: Operators, held: Held, reason: Reason) -> dict[str, Any]:
    """Gives up the input of a hold. Raises CannotDo where the service refuses, or where others would be passed over."""
    if held.cause in ("gap", "cause_missing"):
        raise CannotDo(
            f"{held.at} is held for an event before it that has not come; giving it up would pass over that one too. "
            f"Go on without the missing one: kintsugi held show {held.subject} names it, for release --without."
        )
    said = await services.post(
        held.service, f"subjects/{held.subject}/discard", {"reason": reason.value, "at": held.at}
    )
    if said is None:
        raise CannotDo(f"{held.service} has not heard of {held.subject}. Look: kintsugi trace {held.subject}")
    return dict(said)


def without_of(text: str) -> list[tuple[str, int]]:
    """``intake:8``, or ``intake:4-8`` for several, as sources and sequences. Raises CannotDo."""
    found = _WITHOUT.fullmatch(text.strip())
    if found is None:
        raise CannotDo(f"'{text}' names no input. Write the source and its number: --without intake:8, or intake:4-8")
    first, last = int(found[2]), int(found[3] or found[2])
    if not first <= last < first + _MOST_WITHOUT:
        raise CannotDo(f"'{text}' is no range of 1 to {_MOST_WITHOUT} inputs: a longer gap is mended by the source.")
    return [(found[1], number) for number in range(first, last + 1)]


def rate_of(text: str) -> float:
    """``5/s`` or ``5`` as releases a second. Raises CannotDo."""
    found = _RATE.fullmatch(text.strip())
    if found is None or not 0 < float(found[1]) <= 1000:
        raise CannotDo(f"'{text}' is no rate. Write how many a second: --rate 5/s (0.1 to 1000)")
    return float(found[1])


def history(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The service's own events about inputs of this case: held, released, discarded, in their order."""
    return [each for each in told.get("own", []) if each["type"].startswith("kintsugi.input.")]


def last_failure(log: Path, subject: str) -> str | None:
    """Where the service's code last failed on this case, as its log says: ``answering.py:41``. None if it does not."""
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - _LOG_BYTES, 0))
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        if subject.encode() in line and b"handler_raised" in line:
            try:
                said = json.loads(line)
            except ValueError:
                continue
            return str(said["location"]) if said.get("location") else None
    return None
