"""``kintsugi trace``: the story of one case, read from the events and from each service, never from spans."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from kintsugi_office.operators import DEFAULT_STAFF, EXPECTED, CannotDo, Operators, ServiceSilent, operators
from kintsugi_office.options import Data, Json, explained
from kintsugi_office.project import Layout
from kintsugi_office.story import Story, build
from kintsugi_office.telling import Line, advice, as_json, event_json, node_line, show, tell, troubles

LOOK_AGAIN_SECONDS = 0.5


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(trace)


@explained(*EXPECTED)
def trace(
    case_ref: Annotated[str, typer.Argument(help="A case reference or subject, or the beginning of either.")],
    follow: Annotated[bool, typer.Option("--follow", help="Go on printing what happens, until Ctrl-C.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show what happened to a case and why, what it waits for, and the next command."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_trace(Layout.at(data), case_ref, follow=follow, programs=as_json))


async def read(services: Operators, subject: str) -> tuple[Story, datetime]:
    """The story of a subject as it is now, and the business time. Raises CannotDo when no service tells any."""
    names = list(services.urls)
    told, pulses = await asyncio.gather(
        services.everywhere(f"subjects/{subject}", names), services.everywhere("pulse", names)
    )
    silent = [name for name, said in told.items() if isinstance(said, ServiceSilent)]
    known = {name: said for name, said in told.items() if isinstance(said, dict)}
    if not known:
        raise CannotDo(f"No service knows {subject}." + (f" Silent: {', '.join(silent)}." if silent else ""))
    clocks = [said["business_now"] for said in pulses.values() if isinstance(said, dict) and said.get("business_now")]
    now = max((datetime.fromisoformat(each) for each in clocks), default=datetime.now(UTC))
    return build(subject, known, silent), now


async def _trace(layout: Layout, ref: str, *, follow: bool, programs: bool) -> None:
    async with operators(layout, DEFAULT_STAFF) as services:
        subject = await services.subject(ref)
        story, now = await read(services, subject)
        if programs and not follow:
            typer.echo(json.dumps(as_json(story), indent=1))
        elif not programs:
            show(tell(story, now))
        if follow:
            await _follow(services, subject, story, programs)


async def _follow(services: Operators, subject: str, story: Story, programs: bool) -> None:
    """Prints each event once, when it is first seen, and each change of where the case stands."""
    printed: set[str] = set()
    if programs:
        _print_new(story, printed, programs=True)
    printed |= {node.id for _, node in story.nodes()}
    stood = _standing(story)
    while True:
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
        story, _ = await read(services, subject)
        _print_new(story, printed, programs)
        stands = _standing(story)
        for service, said in stands.items():
            if said != stood.get(service):
                _print_standing(service, said, programs)
        if stands != stood and not programs:
            show([Line(f"Next: {each}", "heading") for each in advice(story)])
        stood = stands


def _print_new(story: Story, printed: set[str], programs: bool) -> None:
    fresh = [(depth, node) for depth, node in story.nodes() if node.id not in printed]
    for depth, node in sorted(fresh, key=lambda each: (each[1].at, each[0])):
        printed.add(node.id)
        if programs:
            typer.echo(json.dumps(event_json(node)))
        else:
            show([node_line(node, "  " * depth)])


def _standing(story: Story) -> dict[str, dict[str, Any]]:
    return {each.service: {"status": each.status, "why": troubles(each)} for each in story.standing}


def _print_standing(service: str, said: dict[str, Any], programs: bool) -> None:
    if programs:
        typer.echo(json.dumps({"kind": "standing", "service": service, **said}))
        return
    tone = "plain" if said["status"] == "ok" else "trouble"
    show([Line(f"{service} is now {said['status']}", tone), *(Line(f"  {why}", tone) for why in said["why"])])
