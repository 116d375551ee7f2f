"""A record for a person: a line with when, what, by whom and which case, and below it what the event says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import chain
from typing import Any

from rich.console import Console
from rich.segment import Segments
from rich.text import Text

from kintsugi_office.listening.heard import Heard, Problem, brief
from kintsugi_office.telling import CAUSES

_INDENT = 10
_NAME = 26
_SOURCE = 15
_MOST_LINES = 4
_BETWEEN = "  "
_MOST_ITEMS = 3
_COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "bright_red")
_FIRST_SERVICES = ("intake", "assessment", "referral", "notify", "share")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INSTANT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}):[0-9.]+Z")
_SHOWN_ABOVE = frozenset({"case_ref", "country"})
_MEANINGS = {
    "tombstone": "it has no value",
    "unknown_type": "this release does not know the type",
    "unread": "this client cannot read on here: a header's name is no text, or the log is damaged",
}


class Pretty:
    """Prints records on a console, with a heading for each day. Remembers which case has which reference."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._day: date | None = None
        self._refs: dict[str, str] = {}
        self._colours = {name: _COLOURS[place] for place, name in enumerate(_FIRST_SERVICES)}

    def learn(self, heard: Heard) -> None:
        """Notes the reference of a case, also from a record that is not shown."""
        ref = heard.data.get("case_ref") if heard.data else None
        if heard.subject and isinstance(ref, str):
            self._refs[heard.subject] = ref

    def show(self, heard: Heard) -> None:
        """Prints one record."""
        # Rendered here: the lines fit already, and the console would join, wrap and split them once more.
        lines = self.lines(heard, self._console.width)
        segments = chain.from_iterable(line.render(self._console, "\n") for line in lines)
        self._console.print(Segments(segments), end="", soft_wrap=True)

    def lines(self, heard: Heard, width: int) -> Iterator[Text]:
        """The lines of one record, none wider than ``width`` where the names allow it."""
        at = (heard.envelope.time if heard.envelope else heard.appended).astimezone(UTC)
        if at.date() != self._day:
            self._day = at.date()
            yield Text(f"{at:%A %d %B %Y}, UTC", style="bold dim")
        yield self._head(heard, f"{at:%H:%M:%S}")
        if heard.problem is not None:
            yield from _trouble(heard, heard.problem, width)
        elif heard.data is not None:
            yield from _said(heard.data, heard.sealed, at, width)

    def unread(self, topic: str, partition: int, first: int, last: int) -> None:
        """Prints that records were passed over which the client cannot read."""
        several = f"{first} to {last}" if last > first else str(first)
        text = f"! unread: {_MEANINGS['unread']}; passed over {topic}/{partition} at {several}"
        self._console.print(Text(" " * _INDENT + text, style="red"), soft_wrap=True)

    def _head(self, heard: Heard, time: str) -> Text:
        colour = self._colours.setdefault(heard.service, _COLOURS[len(self._colours) % len(_COLOURS)])
        source = f"{heard.service}:{heard.envelope.sequence}" if heard.envelope else heard.service
        case = self._refs.get(heard.subject or "") or (_shortened(heard.subject) if heard.subject else "-")
        line = Text().append(f"{time:<{_INDENT}}", style="dim")
        alarming = heard.problem is not None or heard.name == "input.held"
        line.append(f"{heard.name:<{_NAME}}", style="bold red" if alarming else f"bold {colour}")
        line.append(f"{source:<{_SOURCE}}", style=colour)
        line.append(case, style="bold" if case in self._refs.values() else "none")
        return line


def _trouble(heard: Heard, problem: Problem, width: int) -> Iterator[Text]:
    meaning = _MEANINGS.get(problem.code) or CAUSES.get(problem.code, CAUSES["unknown"])[0]
    where = f" ({', '.join(problem.where)})" if problem.where else ""
    size = "" if heard.size is None else f", {heard.size} bytes, not shown"
    parts = [Text(f"! {problem.code}: {meaning}{where}", style="red"), Text(f"{heard.place}{size}", style="dim")]
    yield from _flowing(parts, width, _BETWEEN)


def _said(data: Mapping[str, Any], sealed: Sequence[str], at: datetime, width: int) -> Iterator[Text]:
    parts = []
    # Opaque ids last: they are the first to be left out.
    for name, value in sorted(data.items(), key=lambda pair: _opaque(pair[1])):
        text = _value(value)
        if text and name not in _SHOWN_ABOVE and not _is(value, at):
            parts.append(Text.assemble((f"{name} ", "dim"), text))
    hidden = Text(f"sealed: {', '.join(sealed)} (not shown)", style="magenta dim") if sealed else None
    lines = list(_flowing([*parts, hidden] if hidden else parts, width, _BETWEEN))
    if len(lines) > _MOST_LINES:
        last = Text("… more in --format json", style="dim")
        lines = list(_flowing(parts, width, _BETWEEN))[: _MOST_LINES - 1]
        lines += _flowing([Text.assemble(("… more in json", "dim"), _BETWEEN, hidden)] if hidden else [last], width, "")
    yield from lines


def _flowing(parts: Sequence[Text], width: int, between: str) -> Iterator[Text]:
    """The parts one after the other, on as many lines as they need; a part is shortened, never broken."""
    room = max(width - _INDENT, 20)
    line, taken = Text(" " * _INDENT), 0
    for part in parts:
        length = part.cell_len
        if length > room:
            part.truncate(room, overflow="ellipsis")
            length = part.cell_len
        if taken and taken + len(between) + length > room:
            yield line
            line, taken = Text(" " * _INDENT), 0
        if taken:
            line.append(between)
            taken += len(between)
        line.append_text(part)
        taken += length
    if taken:
        yield line


def _value(value: Any, inside: bool = False) -> str:
    """A value in as few characters as a person needs; empty where there is nothing to say."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        told = {name: _value(each, inside=True) for name, each in value.items() if not _opaque(each)}
        inner = [f"{name} {said}" for name, said in told.items() if said]
        return f"({', '.join(inner)})" if inner else ""
    if isinstance(value, list):
        return _list(value, inside)
    return "" if value is None else str(value)


def _list(values: list[Any], inside: bool) -> str:
    if inside and len(values) > 1:
        return f"[{', '.join(filter(None, (_value(each, inside=True) for each in values)))}]"
    told = [_brief(each) if isinstance(each, Mapping) else _value(each, inside=True) for each in values]
    more = f" +{len(told) - _MOST_ITEMS}" if len(told) > _MOST_ITEMS else ""
    return ", ".join(filter(None, told[:_MOST_ITEMS])) + more


def _brief(item: Mapping[str, Any]) -> str:
    """One of several objects: its values without names and without opaque ids."""
    said = [_value(each) for each in item.values() if isinstance(each, str | int | float) and not _opaque(each)]
    return f"({' '.join(filter(None, said))})" if said else ""


def _opaque(value: Any) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def _is(value: Any, at: datetime) -> bool:
    """Whether a value says once more when the event happened."""
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        return False
    return abs((datetime.fromisoformat(value) - at).total_seconds()) < 1


def _text(text: str) -> str:
    if instant := _INSTANT.fullmatch(text):
        return f"{instant[1]} {instant[2]}"
    if _opaque(text):
        return f"{text[:8]}…"
    if text.startswith("kintsugi."):
        return brief(text)
    # What a terminal would obey, or what would turn the direction of writing, is not printed.
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _shortened(subject: str) -> str:
    kind, _, rest = subject.partition("/")
    return f"{kind}/{rest[:8]}"
