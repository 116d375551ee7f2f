"""Values a strict producer may write, and a tolerant reader, straight from a schema. Shares no code with the gate."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Schema = dict[str, Any]
FAR = 2**40
"""Stands for a bound that is not set."""


@dataclass
class Reader:
    """Reads values as the kit's consumers do: fields it does not know are ignored, unknown codes become `unknown`."""

    schema: Schema
    common: Schema
    lost: list[str] = field(default_factory=list)
    """What the last value held that was not taken over."""

    def takes(self, value: Any) -> bool:
        """Whether the value is read at all; what it lost on the way stands in `lost`."""
        self.lost = []
        return self._fits(self.schema, value)

    def keeps(self, value: Any) -> bool:
        """Whether the value is read, and nothing of it is lost."""
        return self.takes(value) and not self.lost

    def at(self, ref: str) -> Schema:
        """What a reference points at."""
        part = self.common if ref.startswith("../common.schema.json#") else self.schema
        for step in ref.split("#/")[1].split("/"):
            part = part[step]
        return part

    def _fits(self, node: Schema, value: Any) -> bool:
        if "$ref" in node:
            return self._fits(self.at(node["$ref"]), value)
        if "anyOf" in node:
            return any(self._fits(option, value) for option in node["anyOf"])
        kinds = node["type"] if isinstance(node["type"], list) else [node["type"]]
        return any(getattr(self, f"_{kind}")(node, value) for kind in kinds)

    def _null(self, node: Schema, value: Any) -> bool:
        return value is None

    def _boolean(self, node: Schema, value: Any) -> bool:
        return isinstance(value, bool)

    def _integer(self, node: Schema, value: Any) -> bool:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and node.get("minimum", -FAR) <= value <= node.get("maximum", FAR)

    def _number(self, node: Schema, value: Any) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and node.get("minimum", -FAR) <= value <= node.get("maximum", FAR)

    def _string(self, node: Schema, value: Any) -> bool:
        if not isinstance(value, str):
            return False
        if "enum" in node:
            if value not in node["enum"]:
                self.lost.append(f"the code {value}")
            return True
        if node.get("format") == "date-time":
            try:
                datetime.fromisoformat(value)
            except ValueError:
                return False
        return (
            node.get("minLength", 0) <= len(value) <= node.get("maxLength", FAR)
            and re.search(node.get("pattern", ""), value) is not None
        )

    def _array(self, node: Schema, value: Any) -> bool:
        return (
            isinstance(value, list)
            and node.get("minItems", 0) <= len(value) <= node.get("maxItems", FAR)
            and all(self._fits(node["items"], entry) for entry in value)
        )

    def _object(self, node: Schema, value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        if "properties" not in node:
            names = {"type": "string", **node["propertyNames"]} if "$ref" not in node["propertyNames"] else None
            return len(value) <= node.get("maxProperties", FAR) and all(
                self._fits(names or node["propertyNames"], name) and self._fits(node["additionalProperties"], part)
                for name, part in value.items()
            )
        self.lost += [f"the field {name}" for name in value if name not in node["properties"]]
        return all(name in value for name in node["required"]) and all(
            self._fits(part, value[name]) for name, part in node["properties"].items() if name in value
        )


@dataclass
class Writer:
    """Makes values that a schema allows, at every edge of what it allows."""

    schema: Schema
    common: Schema

    def values(self) -> list[Any]:
        """A full value, the least one, and one for each edge of each part."""
        return self._values(self.schema)

    def _values(self, node: Schema) -> list[Any]:
        if "$ref" in node:
            return self._values(Reader(self.schema, self.common).at(node["$ref"]))
        if "anyOf" in node:
            return [
                v for option in sorted(node["anyOf"], key=lambda o: o == {"type": "null"}) for v in self._values(option)
            ]
        kinds = node["type"] if isinstance(node["type"], list) else [node["type"]]
        return [v for kind in kinds for v in getattr(self, f"_{kind}")(node)]

    def _null(self, node: Schema) -> list[Any]:
        return [None]

    def _boolean(self, node: Schema) -> list[Any]:
        return [True, False]

    def _integer(self, node: Schema) -> list[Any]:
        low, high = node.get("minimum", -FAR), node.get("maximum", FAR)
        return list(dict.fromkeys((low, high, low + 1)))

    def _number(self, node: Schema) -> list[Any]:
        low, high = node.get("minimum", -FAR), node.get("maximum", FAR)
        return [low, high, low + 0.5] if low < high else [low]

    def _string(self, node: Schema) -> list[Any]:
        if "enum" in node:
            return list(node["enum"])
        if node.get("format") == "date-time" or "T" in node.get("pattern", ""):
            made = ["2026-03-02T09:12:00Z", "2026-03-02T09:12:00.123456Z"]
            return made if "format" in node else [*made, "2026-02-31T09:12:00Z"]
        low, high = node.get("minLength", 0), node.get("maxLength", 40)
        letters = "aZ5 é"
        if match := re.fullmatch(r"\^(\[.+\])\{(\d+),(\d+)\}\$", node.get("pattern", "")):
            low, high = max(low, int(match[2])), min(high, int(match[3]))
            letters = "".join(c for c in "abZ5" if re.fullmatch(match[1], c))
        edges = dict.fromkeys((low, high))
        return [c * n for n in edges for c in letters] if letters and low <= high else []

    def _array(self, node: Schema) -> list[Any]:
        inner = self._values(node["items"])
        low, high = node.get("minItems", 0), node["maxItems"]
        made = [[v] * max(low, 1) for v in inner] if high else []
        return [*made, inner[:1] * low, inner[:1] * high]

    def _object(self, node: Schema) -> list[Any]:
        if "properties" not in node:
            return self._map(node)
        inner = {name: self._values(part) for name, part in node["properties"].items()}
        full = {name: values[0] for name, values in inner.items()}
        made = [full, {name: full[name] for name in node["required"]}]
        for name, values in inner.items():
            made += [{**full, name: value} for value in values[1:]]
        return made

    def _map(self, node: Schema) -> list[Any]:
        names = (
            node["propertyNames"] if "$ref" in node["propertyNames"] else {"type": "string", **node["propertyNames"]}
        )
        keys, inner = self._values(names), self._values(node["additionalProperties"])
        made: list[Any] = [{}]
        if node["maxProperties"]:
            made += [{key: inner[0]} for key in keys] + [{keys[0]: value} for value in inner]
        most = list(dict.fromkeys(k[:-1] + c for k in reversed(keys) for c in "abcdeZYXW56789" if re.match("^", k)))
        fit = [k for k in most if Reader(self.schema, self.common)._fits(names, k)][: node["maxProperties"]]
        if len(fit) == node["maxProperties"]:
            made.append(dict.fromkeys(fit, inner[0]))
        return made
