"""What the official AsyncAPI parser says of documents."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kintsugi_contracts.node import NodeUnavailable, install, run


@dataclass(frozen=True)
class Remark:
    """One thing the parser found."""

    file: str
    line: int
    severity: str
    """`error`, `warning`, `information` or `hint`."""
    code: str
    message: str
    where: str
    """The path in the document, with dots."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.severity}: {self.message} ({self.code}, at {self.where or 'the top'})"


class Refused(Exception):
    """The parser found errors. The text has one line for each."""


def remarks(node: Path, documents: Iterable[Path]) -> list[Remark]:
    """Everything the parser has to say of the documents; references to files are followed.

    `node` is the folder whose lock names the parser. Raises NodeUnavailable where it cannot be run.
    """
    install(node)
    done = run(node, "validate.mjs", *(document.resolve() for document in documents))
    try:
        return [Remark(**found) for found in json.loads(done.stdout)]
    except json.JSONDecodeError as error:
        raise NodeUnavailable(f"the AsyncAPI parser in {node} did not answer:\n{done.stderr.strip()}") from error


def check(node: Path, documents: Iterable[Path]) -> list[Remark]:
    """The parser's remarks that are no errors. Raises Refused with those that are."""
    found = remarks(node, documents)
    errors = [remark for remark in found if remark.severity == "error"]
    if errors:
        raise Refused("\n".join(map(str, errors)))
    return found
