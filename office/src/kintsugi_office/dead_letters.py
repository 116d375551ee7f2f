"""``kintsugi dead-letters``: records that belong to no case that could be read. Reading one is audited."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from kintsugi_office.holds import Reason
from kintsugi_office.operators import (
    DEFAULT_STAFF,
    EXPECTED,
    CannotDo,
    Operators,
    Service,
    ServiceSilent,
    Staff,
    Yes,
    confirm,
    operators,
    paper,
    since,
)
from kintsugi_office.options import Data, Json, explained
from kintsugi_office.project import Layout
from kintsugi_office.story import short
from kintsugi_office.telling import CAUSES

app = typer.Typer(name="dead-letters", help="See or give up records that no case could be read from.")

Place = Annotated[str, typer.Argument(metavar="TOPIC/PARTITION/OFFSET", help="As 'kintsugi dead-letters list' says.")]
_SHOWN_BYTES = 2048


@dataclass(frozen=True)
class DeadLetter:
    """One record in one consumer."""

    service: str
    place: str
    cause: str
    type: str
    arrived_at: str
    bytes: int | None


@app.command("list")
@explained(*EXPECTED)
def list_dead(service: Service = None, data: Data = None, as_json: Json = False) -> None:
    """List dead letters by service and cause, without their bytes."""
    asyncio.run(_list(Layout.at(data), service, as_json))


@app.command("show")
@explained(*EXPECTED)
def show_dead(
    place: Place, service: Service = None, staff: Staff = DEFAULT_STAFF, data: Data = None, as_json: Json = False
) -> None:
    """Show one record as it came. It may be personal: the reading is audited under your staff id."""
    asyncio.run(_show(Layout.at(data), place, service, staff, as_json))


@app.command("discard")
@explained(*EXPECTED)
def discard_dead(
    place: Place,
    reason: Annotated[Reason, typer.Option(help="Why the record is given up.")],
    service: Service = None,
    staff: Staff = DEFAULT_STAFF,
    yes: Yes = False,
    data: Data = None,
) -> None:
    """Give a record up in every service that keeps it: its account stays, its bytes go."""
    asyncio.run(_discard(Layout.at(data), place, reason, service, staff, yes))


async def find(services: Operators, names: list[str]) -> tuple[list[DeadLetter], list[str]]:
    """Every dead letter of these services, oldest first, and the services that did not answer."""
    answers = await services.everywhere("dead-letters", names)
    found = [
        DeadLetter(
            service=name,
            place=f"{row['topic']}/{row['partition']}/{row['offset']}",
            cause=row["cause"],
            type=short(row["type"] or "unreadable"),
            arrived_at=row["arrived_at"],
            bytes=row["bytes"],
        )
        for name, rows in answers.items()
        if isinstance(rows, list)
        for row in rows
    ]
    found.sort(key=lambda each: (each.arrived_at, each.place, each.service))
    return found, [name for name, rows in answers.items() if isinstance(rows, ServiceSilent)]


async def _list(layout: Layout, service: str | None, programs: bool) -> None:
    async with operators(layout, DEFAULT_STAFF) as services:
        found, silent = await find(services, services.only(service))
    if programs:
        typer.echo(json.dumps({"dead_letters": [vars(each) for each in found], "silent": silent}, indent=1))
        return
    console, now = paper(), datetime.now(UTC)
    for name in silent:
        console.print(f"{name} does not answer: its dead letters are not listed. Next: kintsugi doctor")
    if not found:
        console.print("There are no dead letters.")
        return
    for cause in dict.fromkeys(each.cause for each in found):
        meaning, mends = CAUSES.get(cause, CAUSES["unknown"])
        console.print(f"{cause}: {meaning}", style="bold")
        console.print(f"  to mend it: {mends}")
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2))
        for heading in ("record", "in", "type", "bytes", "came"):
            table.add_column(heading, no_wrap=True, justify="right" if heading == "bytes" else "left")
        for each in found:
            if each.cause == cause:
                size = "-" if each.bytes is None else str(each.bytes)
                table.add_row(each.place, each.service, each.type, size, f"{since(each.arrived_at, now)} ago")
        console.print(table)
        console.print()
    console.print("Next: kintsugi dead-letters show TOPIC/PARTITION/OFFSET", style="bold")


async def _show(layout: Layout, place: str, service: str | None, staff: str, programs: bool) -> None:
    async with operators(layout, staff) as services:
        keepers = await _keepers(services, place, service)
        said = await services.get(keepers[0].service, f"dead-letters/{place}")
    if said is None:
        raise CannotDo(f"{place} is no dead letter any more. List them: kintsugi dead-letters list")
    if programs:
        typer.echo(json.dumps({"in": [each.service for each in keepers], **said}, indent=1))
        return
    console = paper()
    console.print(f"{said['place']}, dead in {', '.join(each.service for each in keepers)}", style="bold")
    console.print(f"{said['cause']}: {CAUSES.get(said['cause'], CAUSES['unknown'])[0]}", soft_wrap=True)
    for line in record_lines(said):
        console.print(line, soft_wrap=True)
    console.print(f"\nThis may be personal. That '{staff}' read it is in the audit of {keepers[0].service}.")
    console.print(f"Next: kintsugi dead-letters discard {place} --reason producer_defect", style="bold")


def record_lines(record: dict[str, Any]) -> list[str]:
    """Key, headers and body of a record; whatever is not plain text is escaped, so that no terminal obeys it."""
    lines = [f"  key      {_text(record['key'])}"]
    for name, raw in record["headers"]:
        shown = name.encode("unicode_escape").decode()
        lines.append(f"  header   {shown}: {_text(raw)}")
    body = record["body"]
    lines.append(f"  body     {_text(body)}")
    if body is not None and len(body) // 2 > _SHOWN_BYTES:
        lines.append(f"           the first {_SHOWN_BYTES} of {len(body) // 2} bytes; all of them: --json")
    return lines


def _text(raw: str | None) -> str:
    if raw is None:
        return "(none)"
    kept = bytes.fromhex(raw)[:_SHOWN_BYTES]
    return "".join(
        character if character.isascii() and character.isprintable() else character.encode("unicode_escape").decode()
        for character in kept.decode("utf-8", "backslashreplace")
    )


async def _keepers(services: Operators, place: str, service: str | None) -> Sequence[DeadLetter]:
    found, silent = await find(services, services.only(service))
    keepers = [each for each in found if each.place == place]
    if not keepers:
        unasked = f" ({', '.join(silent)} did not answer)" if silent else ""
        raise CannotDo(f"{place} is no dead letter here{unasked}. List them: kintsugi dead-letters list")
    return keepers


async def _discard(layout: Layout, place: str, reason: Reason, service: str | None, staff: str, yes: bool) -> None:
    async with operators(layout, staff) as services:
        keepers = await _keepers(services, place, service)
        names = ", ".join(each.service for each in keepers)
        confirm(f"Give up {place} in {names}? Its bytes are removed.", yes)
        for each in keepers:
            await services.post(each.service, f"dead-letters/{place}/discard", {"reason": reason.value})
            paper().print(f"{each.service} gave up {place} ({reason.value}); its account stays.")
