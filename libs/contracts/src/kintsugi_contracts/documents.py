"""Reads YAML 1.2 and JSON so that every value can be traced back to its line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from kintsugi_contracts.findings import Finding

Path_ = tuple[int | str, ...]
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Document:
    """A file of the pack as plain data. `name` is relative to the pack's folder."""

    name: str
    text: str
    data: Any

    def where(self, path: Iterable[int | str]) -> tuple[int, int]:
        """Line and column (from 1) of the value at `path`, or of the deepest part of the path that exists."""
        node, place = self._root, (1, 1)
        for step in path:
            if isinstance(node, MappingNode):
                found = next(((k, v) for k, v in node.value if str(k.value) == str(step)), None)
                if found is None:
                    continue  # pydantic puts names of union members into a path: they have no line
                place, node = (found[0].start_mark.line + 1, found[0].start_mark.column + 1), found[1]
            elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                place = (node.start_mark.line + 1, node.start_mark.column + 1)
        return place

    @cached_property
    def _root(self) -> Node | None:
        # JSON is YAML 1.2, so one parser gives the lines of both; it is slow, and runs only when something is wrong.
        root: Node | None = YAML(typ="safe", pure=True).compose(self.text)
        return root

    def finding(self, path: Iterable[int | str], message: str, mend: str) -> Finding:
        """A finding at the line of `path`."""
        line, column = self.where(path)
        return Finding(self.name, line, column, message, mend)


def read(folder: Path, name: str, findings: list[Finding]) -> Document | None:
    """The document `name` of the pack, or None with the reason appended to `findings`."""
    try:
        text = (folder / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        findings.append(Finding(name, 1, 1, "the file is missing", "add it; countries/xa shows its shape"))
        return None
    except (OSError, UnicodeDecodeError) as error:
        findings.append(Finding(name, 1, 1, f"the file cannot be read ({type(error).__name__})", "save it as UTF-8"))
        return None
    try:
        if name.endswith(".json"):
            return Document(name, text, json.loads(text, object_pairs_hook=_unique))
        return Document(name, text, YAML(typ="safe", pure=True).load(text))
    except _RepeatedKey as error:
        findings.append(Finding(name, 1, 1, f"the key {error.key!r} stands twice in one object", "keep one of the two"))
    except json.JSONDecodeError as error:
        findings.append(Finding(name, error.lineno, error.colno, f"not JSON: {error.msg}", "correct the syntax there"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = str(error.problem or "unreadable").splitlines()[0]
        findings.append(Finding(name, line, column, f"not YAML: {problem}", "correct the syntax there"))
    except YAMLError as error:
        findings.append(Finding(name, 1, 1, f"not YAML: {type(error).__name__}", "correct the syntax"))
    return None


def validate(document: Document, model: type[M], data: Any, at: Path_, findings: list[Finding]) -> M | None:
    """`data`, found at `at` in the document, as a `model`; or None with every mistake appended to `findings`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=True):
            message, mend = _explain(detail, model)
            findings.append(document.finding((*at, *detail["loc"]), message, mend))
        return None


def failures(model: type[BaseModel], data: Any) -> frozenset[str]:
    """The names of the top-level fields of `data` that a `model` refuses."""
    try:
        model.model_validate(data)
    except ValidationError as error:
        return frozenset(str(detail["loc"][0]) for detail in error.errors(include_url=False) if detail["loc"])
    return frozenset()


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names the closest known word, or all of them when none is close."""
    options = sorted(known)
    close = get_close_matches(word, options, n=1)
    return f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(options)


class _RepeatedKey(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise _RepeatedKey(key)
        result[key] = value
    return result


def _explain(detail: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    name = ".".join(str(step) for step in detail["loc"]) or "the file"
    kind = detail["type"]
    if kind == "missing":
        return f"{name} is missing", f"add {detail['loc'][-1]!r} here"
    if kind == "extra_forbidden":
        fields = _fields(model, detail["loc"])
        return f"{name} is not a known field", nearest(str(detail["loc"][-1]), fields) if fields else "remove it"
    if kind in ("literal_error", "enum"):
        key = detail["loc"][-1] == "[key]"
        wrong = str(detail["loc"][-2] if key else detail["input"])
        where = ".".join(str(step) for step in detail["loc"][:-2]) if key else name
        return f"{where}: {wrong!r} is not known here", nearest(
            wrong, re.findall(r"'([^']+)'", detail["ctx"]["expected"])
        )
    if kind == "value_error":
        return f"{name}: {detail['ctx']['error']}", "correct the value"
    return f"{name}: {detail['msg'][0].lower()}{detail['msg'][1:]}", "correct the value"


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    return sorted(model.model_fields) if len(loc) == 1 else []
