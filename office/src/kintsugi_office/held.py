"""``kintsugi held``: cases that stand still, why, and what a person does about it. Every change is audited."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from kintsugi_office import holds
from kintsugi_office.holds import Found, Held, Reason
from kintsugi_office.operators import (
    DEFAULT_STAFF,
    EXPECTED,
    CannotDo,
    Operators,
    Service,
    Staff,
    Yes,
    confirm,
    log_of,
    operators,
    paper,
    since,
)
from kintsugi_office.options import Data, Json, explained
from kintsugi_office.project import Layout
from kintsugi_office.story import build, short
from kintsugi_office.telling import CAUSES, Line, advice_for, briefly, show, troubles

app = typer.Typer(name="held", help="See, release or give up what holds a case.", no_args_is_help=True)

Refs = Annotated[list[str] | None, typer.Argument(metavar="[CASE_REF]...", help="Cases, or the beginning of each.")]
Cause = Annotated[str | None, typer.Option("--cause", help="All cases held for this cause, instead of naming them.")]
_LISTED = 10


@app.command("list")
@explained(*EXPECTED)
def list_held(service: Service = None, data: Data = None, as_json: Json = False) -> None:
    """List the cases that stand still, by service and cause."""
    asyncio.run(_list(Layout.at(data), service, as_json))


@app.command("show")
@explained(*EXPECTED)
def show_held(
    refs: Refs = None, cause: Cause = None, service: Service = None, data: Data = None, as_json: Json = False
) -> None:
    """Show why cases stand still, what lines up behind, what was tried before, and the next command."""
    asyncio.run(_show(Layout.at(data), refs or [], cause, service, as_json))


@app.command("release")
@explained(*EXPECTED)
def release_held(
    refs: Refs = None,
    cause: Cause = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE:N", help="Go on without this input (or SOURCE:4-8): it will never come."),
    ] = None,
    rate: Annotated[str, typer.Option(help="How many a second, after the first.")] = "5/s",
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Pass over cases that are held again.")] = False,
    service: Service = None,
    staff: Staff = DEFAULT_STAFF,
    yes: Yes = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Let cases go on: the first alone, then the rest; stop when one is held again. Nothing is lost either way."""
    passed = [one for each in without or [] for one in holds.without_of(each)]
    speed = holds.rate_of(rate)
    work = _release(Layout.at(data), refs or [], cause, service, passed, speed, keep_going, staff, yes, as_json)
    if not asyncio.run(work):
        raise typer.Exit(1)


@app.command("discard")
@explained(*EXPECTED)
def discard_held(
    ref: Annotated[str, typer.Argument(metavar="CASE_REF", help="The case, or the beginning of its reference.")],
    reason: Annotated[Reason, typer.Option(help="Why the input is given up.")],
    service: Service = None,
    staff: Staff = DEFAULT_STAFF,
    yes: Yes = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Give up the input at which a case is held, for ever. What protects a survivor cannot be given up."""
    asyncio.run(_discard(Layout.at(data), ref, reason, service, staff, yes, as_json))


@app.command("lift")
@explained(*EXPECTED)
def lift_block(
    ref: Annotated[str, typer.Argument(metavar="CASE_REF", help="The case, or the beginning of its reference.")],
    service: Service = None,
    staff: Annotated[str, typer.Option("--staff", envvar="KINTSUGI_STAFF", help="The supervisor's opaque id.")] = "",
    yes: Yes = False,
    data: Data = None,
) -> None:
    """A supervisor lets a blocked case go on, knowing that something which protects could not be read."""
    if not staff:
        raise typer.BadParameter("a supervisor answers for this: name them, --staff ID")
    asyncio.run(_lift(Layout.at(data), ref, service, staff, yes))


async def _list(layout: Layout, service: str | None, programs: bool) -> None:
    async with operators(layout, DEFAULT_STAFF) as services:
        found = await holds.find(services, services.only(service))
    if programs:
        typer.echo(json.dumps({"held": [vars(each) for each in found.held]} | _beside(found), indent=1))
    else:
        _print_list(found, datetime.now(UTC))


def _beside(found: Found) -> dict[str, Any]:
    return {"circuits": found.circuits, "silent": list(found.silent)}


def _print_list(found: Found, now: datetime) -> None:
    console = paper()
    for name, cause in found.circuits.items():
        console.print(
            f"{name} has stopped consuming: its circuit is open for {cause}. docs/operate.md says what to do."
        )
    for name in found.silent:
        console.print(f"{name} does not answer: its cases are not listed. Next: kintsugi doctor")
    if not found.held:
        console.print("No case is held.")
        return
    for (service, cause), group in found.by_cause().items():
        meaning, mends = CAUSES.get(cause, CAUSES["unknown"])
        cases = "1 case" if len(group) == 1 else f"{len(group)} cases"
        console.print(f"{service}: {cases} {group[0].status} for {cause}", style="bold")
        console.print(f"  {meaning}")
        console.print(f"  to mend it: {mends}")
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 2))
        for heading in ("case", "held for", "at", "behind"):
            table.add_column(heading, no_wrap=True, justify="right" if heading == "behind" else "left")
        for each in group[:_LISTED]:
            at = f"{each.at} {short(each.type)}".strip()
            table.add_row(briefly(each.subject), since(each.since, now), at, str(each.behind))
        console.print(table)
        if len(group) > _LISTED:
            console.print(f"  and {len(group) - _LISTED} more: kintsugi held list --json")
        console.print()
    console.print("Nothing of these cases goes outward. Next: kintsugi held show CASE", style="bold")


async def _show(layout: Layout, refs: Sequence[str], cause: str | None, service: str | None, programs: bool) -> None:
    async with operators(layout, DEFAULT_STAFF) as services:
        found = await _chosen_of_any_status(services, refs, cause, service)
        shown = [await _one(services, each, layout) for each in found[:_LISTED]]
    if programs:
        typer.echo(json.dumps([each for each, _ in shown], indent=1))
        return
    for place, (_, lines) in enumerate(shown):
        show([*([Line("")] if place else []), *lines])
    if len(found) > len(shown):
        show([Line(f"\n{len(found) - len(shown)} more are {found[0].status} for {cause}, not shown.")])


async def _chosen_of_any_status(
    services: Operators, refs: Sequence[str], cause: str | None, service: str | None
) -> list[Held]:
    try:
        return await holds.chosen(services, refs, cause, service)
    except CannotDo as not_held:
        try:
            return await holds.chosen(services, refs, cause, service, status="blocked")
        except CannotDo:
            raise not_held from None


async def _one(services: Operators, held: Held, layout: Layout) -> tuple[dict[str, Any], list[Line]]:
    told = await services.everywhere(f"subjects/{held.subject}", list(services.urls))
    known = {name: said for name, said in told.items() if isinstance(said, dict)}
    story = build(held.subject, known)
    standing = next(each for each in story.standing if each.service == held.service)
    here = known[held.service]
    lined_up = [each for each in here["inputs"] if each["status"] == "waiting"]
    behind = [each for each in lined_up if f"{each['source']}:{each['sequence']}" != held.at]
    tried = holds.history(here)
    following = advice_for(standing, briefly(held.subject))
    if standing.cause and standing.cause != "lost_state" and not standing.missing:
        following = [f"kintsugi held release {briefly(held.subject)} --service {held.service}   (after the mend)"]
    by_code = held.cause in ("handler_raised", "agenda_stuck")
    failed = holds.last_failure(log_of(layout, held.service), held.subject) if by_code else None
    as_json = vars(held) | {
        "detail": standing.detail,
        "failed_at": failed,
        "behind": behind,
        "history": tried,
        "next": following,
    }
    now = datetime.now(UTC)
    lines = [Line(f"{held.subject} in {held.service}, {held.status} for {since(held.since, now)}", "heading")]
    lines += [Line(f"  {text}", "trouble") for text in troubles(standing)]
    if failed:
        lines.append(Line(f"  it failed at {failed}", "trouble"))
    lines.append(Line(f"  to mend it: {CAUSES.get(held.cause, CAUSES['unknown'])[1]}"))
    if behind:
        lines.append(Line("  behind it, in the order of their arrival"))
    for each in behind[:_LISTED]:
        at = f"{each['source']}:{each['sequence']}"
        came = f"came {since(each['arrived_at'], now)} ago"
        lines.append(Line(f"    {at:<16}{short(each['type'] or 'unreadable'):<28}{came}"))
    if len(behind) > _LISTED:
        lines.append(Line(f"    and {len(behind) - _LISTED} more"))
    if len(tried) > 1:
        lines.append(Line("  before"))
        lines += [Line(f"    {each['created_at'][:19]}Z  {short(each['type'])}") for each in tried[-_LISTED:]]
    if by_code:
        lines.append(Line("  Try one first: what fails again stays held, and nothing of the attempt is kept.", "faint"))
    lines += [Line(f"Next: {each}", "heading") for each in following]
    return as_json, lines


async def _release(
    layout: Layout,
    refs: Sequence[str],
    cause: str | None,
    service: str | None,
    without: Sequence[tuple[str, int]],
    rate: float,
    keep_going: bool,
    staff: str,
    yes: bool,
    programs: bool,
) -> bool:
    async with operators(layout, staff) as services:
        found = await _releasable(services, refs, cause, service, without)
        if len(found) > 1:
            confirm(f"Release {len(found)} holds, the first alone, then {rate:g} a second?", yes)
        ended: list[holds.Released] = []
        releases = holds.release(services, found, without=without, rate=rate, keep_going=keep_going)
        async for each in releases:
            ended.append(each)
            if not programs:
                _print_released(each)
    again = [each for each in ended if each.held_again]
    if programs:
        typer.echo(
            json.dumps(
                {
                    "released": [_released_json(each) for each in ended if not each.held_again],
                    "held_again": [_released_json(each) for each in again],
                    "not_tried": [vars(each) for each in found[len(ended) :]],
                },
                indent=1,
            )
        )
    else:
        _print_summary(ended, again, len(found))
    return not again


async def _releasable(
    services: Operators,
    refs: Sequence[str],
    cause: str | None,
    service: str | None,
    without: Sequence[tuple[str, int]],
) -> list[Held]:
    found = await holds.chosen(services, refs, cause, service)
    if without and len(found) > 1:
        places = ", ".join(f"{each.subject[:13]} in {each.service}" for each in found[:5])
        raise CannotDo(
            f"--without is said of one case in one service; meant are {len(found)}: {places}. "
            "Name one case, and its service with --service."
        )
    return found


def _released_json(each: holds.Released) -> dict[str, Any]:
    return {
        "service": each.held.service,
        "subject": each.held.subject,
        "status": each.status,
        "held_again": each.held_again,
        "waiting": each.waiting,
    }


def _print_released(each: holds.Released) -> None:
    where = f"{each.held.subject} in {each.held.service}"
    if each.held_again:
        show([Line(f"held again  {where}: {each.held_again}", "trouble")])
    else:
        show([Line(f"released    {where}: {each.status}")])
        if each.status == "waiting":
            show([Line("            It waits for an event; if that does not come, it is held again in seconds.")])


def _print_summary(ended: Sequence[holds.Released], again: Sequence[holds.Released], meant: int) -> None:
    left = meant - len(ended)
    if again:
        first = again[0].held
        text = f"{len(ended) - len(again)} released, {len(again)} held again, {left} not tried. "
        text += "What is held again kept its place and its bytes."
        show([Line(text, "trouble")])
        show([Line(f"Next: kintsugi held show {briefly(first.subject)} --service {first.service}", "heading")])
    elif meant > 1:
        show([Line(f"{len(ended)} released, none held again.", "heading")])


async def _discard(
    layout: Layout, ref: str, reason: Reason, service: str | None, staff: str, yes: bool, programs: bool
) -> None:
    async with operators(layout, staff) as services:
        held = _the_one(await holds.chosen(services, [ref], None, service))
        what = f"{held.at} {short(held.type)}".strip()
        confirm(f"Give up {what} for {held.subject} in {held.service}, for ever?", yes)
        said = await holds.discard(services, held, reason)
    if programs:
        typer.echo(json.dumps({"service": held.service, "discarded": what, **said}, indent=1))
        return
    show([Line(f"Gave up {what} ({reason.value}). {held.subject} in {held.service} is now {said['status']}.")])
    following = f"kintsugi trace {briefly(held.subject)}"
    if said["status"] == "blocked":
        following = f"kintsugi held lift {briefly(held.subject)} --service {held.service}   (a supervisor)"
    show([Line(f"Next: {following}", "heading")])


async def _lift(layout: Layout, ref: str, service: str | None, staff: str, yes: bool) -> None:
    async with operators(layout, staff, role="operator") as services:
        held = _the_one(await holds.chosen(services, [ref], None, service, status="blocked"))
    confirm(f"Let {held.subject} go on in {held.service} without the protective event that could not be read?", yes)
    async with operators(layout, staff, role="supervisor") as services:
        said = await services.post(held.service, f"subjects/{held.subject}/lift")
    if said is None:
        raise CannotDo(f"{held.service} has not heard of {held.subject}.")
    show([Line(f"Lifted. {held.subject} in {held.service} is now {said['status']}.")])
    show([Line(f"Next: kintsugi trace {briefly(held.subject)}", "heading")])


def _the_one(found: Sequence[Held]) -> Held:
    if len(found) > 1:
        names = ", ".join(each.service for each in found)
        raise CannotDo(f"{found[0].subject} stands still in {names}. Name one: --service {found[0].service}")
    return found[0]
