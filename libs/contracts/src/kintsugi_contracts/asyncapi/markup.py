"""HTML from text: escaped, and with the little of Markdown that the documents use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from itertools import groupby

_CODE = re.compile(r"`([^`]+)`")


def tag(name: str, *inside: str, **attributes: str | bool) -> str:
    """An element. `inside` is HTML already; attributes are escaped, `class_` is `class`, and True stands alone."""
    said = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not False
    )
    return f"<{name}{said}>{''.join(inside)}</{name}>"


def inline(text: str) -> str:
    """A line of text with `code`."""
    return _CODE.sub(r"<code>\1</code>", escape(text, quote=False))


def code(text: str) -> str:
    """A name or a value."""
    return f"<code>{escape(text, quote=False)}</code>"


def prose(text: str) -> str:
    """Paragraphs, lists and tables."""
    return "".join(
        "".join(_block(kind, list(lines)))
        for kind, lines in groupby(text.strip().splitlines(), key=lambda line: line[:1])
    )


def table(head: Iterable[str], rows: Iterable[Iterable[str]], **attributes: str) -> str:
    """A table. Cells are HTML; each carries its column's name, which a narrow screen shows beside it."""
    names = list(head)
    body = (
        tag("tr", *(tag("td", cell, data_label=name) for name, cell in zip(names, cells, strict=True)))
        for cells in rows
    )
    return tag(
        "table",
        tag("thead", tag("tr", *(tag("th", escape(name), scope="col") for name in names))),
        tag("tbody", *body),
        **attributes,
    )


def _block(kind: str, lines: list[str]) -> Iterable[str]:
    if kind == "-":
        yield tag("ul", *(tag("li", inline(line[2:])) for line in lines))
    elif kind == "|":
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        yield table(cells[0], ([inline(cell) for cell in row] for row in cells[2:]))
    elif kind:
        yield tag("p", inline(" ".join(lines)))
