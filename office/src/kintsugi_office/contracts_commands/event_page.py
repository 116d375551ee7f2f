"""One event on one page in a terminal: what it says, who writes and reads it, and how it looks."""

from __future__ import annotations

import json
from collections.abc import Iterator

from kintsugi_contracts.changes import whole
from kintsugi_contracts.documents import nearest
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.folder import Folder, Version
from kintsugi_contracts.shape import Kind, Shape
from rich.console import Console
from rich.json import JSON
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_STYLE = {"public": "green", "internal": "", "personal": "yellow", "special": "red"}
_WIDE = 100


def find(folder: Folder, name: str) -> Version:
    """The version a person means by `case.opened`, `case.opened.v1` or `kintsugi.case.opened.v1`; else the newest.

    Raises ContractError when there is none.
    """
    events = {str(key): event for key, event in folder.all_events().items()}
    bare = name.removeprefix("kintsugi.")
    event, _, major = bare.rpartition(".v")
    if event in events and major.isdecimal() and int(major) in events[event].versions:
        return events[event].versions[int(major)]
    if bare in events and events[bare].versions:
        return events[bare].newest
    raise ContractError(f"there is no event {name}; {nearest(bare, events)}")


def show(folder: Folder, version: Version, console: Console) -> None:
    """Print the page of an event."""
    console.print(Text(version.type, style="bold"))
    console.print(Text(version.schema["description"]))
    console.print()
    console.print(_about(folder, version))
    for purpose, document in version.schemas():
        console.print()
        said = f"Sealed: {purpose}. {document.data['description']}" if purpose else "In clear."
        title = f"{said} A ? marks what may be absent."
        console.print(Text(title, style="bold"))
        console.print(_fields(whole(folder, version, purpose), wide=console.width >= _WIDE))
        example = next((e for e in version.examples_of("accept", purpose) if e.label == "full"), None)
        example = example or next(iter(version.examples_of("accept", purpose)), None)
        if example:
            console.print(Text(f"Example: {example.document.name} (fictional)", style="dim"))
            console.print(Padding(JSON(json.dumps(_short(example.document.data), ensure_ascii=False)), (0, 0, 0, 2)))


def _about(folder: Folder, version: Version) -> Table:
    """Who writes it, who reads what of it, and where it stands."""
    table = Table.grid(padding=(0, 2))
    topics, readings = folder.topics_of(version.key), folder.readings(version.key)
    for topic in topics:
        late = "" if version.major in topic.spec.events[version.name].versions else ", but not yet this version"
        table.add_row(Text("written by", style="dim"), f"{topic.spec.producer}, on {topic.name}{late}")
    for consumer, reading in readings.items():
        late = "" if version.major in reading.versions else "; not yet this version"
        fields = ", ".join(reading.fields) or "that it happened"
        table.add_row(Text("read by", style="dim"), f"{consumer}: {fields}{late}")
    if not readings:
        table.add_row(Text("read by", style="dim"), "no other service")
    if any(t.spec.events[version.name].protective for t in topics):
        table.add_row(
            Text("protective", style="dim"), "it keeps someone safe: released later if need be, never discarded"
        )
    table.add_row(Text("schema", style="dim"), version.document.name)
    return table


def _fields(shape: Shape, *, wide: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("field", no_wrap=True)
    table.add_column("value", overflow="fold", max_width=44 if wide else 26)
    table.add_column("class", no_wrap=True)
    table.add_column("meaning", ratio=1)
    for name, part, required, level, told in _rows(shape, ""):
        label = Text(name + ("" if required else "?"))
        table.add_row(label, Text(part), Text(level, style=_STYLE[level]), told)
    return table


def _rows(holder: Shape, prefix: str) -> Iterator[tuple[str, str, bool, str, str]]:
    for name, raw in holder.properties.items():
        value = holder.inner("properties", name)
        if name != "sealed":
            yield f"{prefix}{name}", _value(value), name in holder.required, raw["x-sensitivity"], raw["description"]
        inside = value.inner("items") if value.kind is Kind.array else value
        if inside.kind is Kind.object and inside.place.path[-1:] != ("Sealed",):
            yield from _rows(inside, f"{prefix}{name}{'[]' if inside is not value else ''}.")


def _value(shape: Shape) -> str:
    """What a value may be, in a few words."""
    schema = shape.schema
    match shape.kind:
        case Kind.enum:
            return " | ".join(shape.codes)
        case Kind.array:
            return f"up to {schema['maxItems']} of: {_value(shape.inner('items'))}"
        case Kind.map:
            return f"map to: {_value(shape.inner('additionalProperties'))}"
        case Kind.integer | Kind.number:
            return f"{shape.kind.removeprefix('a ')}, {_range(schema.get('minimum'), schema.get('maximum'))}"
        case Kind.string:
            if title := schema.get("title"):
                return str(title)
            if "pattern" in schema:
                return str(schema["pattern"])
            return f"text, {_range(schema.get('minLength'), schema.get('maxLength'))} characters"
        case Kind.object:
            return "a sealed object" if schema.get("title") == "Sealed" else str(schema.get("title", "object"))
    return str(shape.kind)


def _range(least: float | None, most: float | None) -> str:
    if least is None and most is None:
        return "any"
    return f"{'' if least is None else least}…{'' if most is None else most}"


def _short(value: object) -> object:
    """An example with its ciphertexts cut: they say nothing and fill the page."""
    if isinstance(value, dict):
        return {k: f"{v[:24]}…" if k == "ct" and isinstance(v, str) else _short(v) for k, v in value.items()}
    return [_short(v) for v in value] if isinstance(value, list) else value
