"""Writes the models of a contracts folder: `python -m kintsugi_contracts.generate [--check]`.

It knows the small part of JSON Schema that the contracts use and refuses the rest, so that what it writes means
exactly what the schema says. A file that carries the marker below is never edited by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from typing import Any

from kintsugi_contracts import plain_yaml

MARK = "# Generated from contracts/ by `python -m kintsugi_contracts.generate`; edit the schemas, not this file."
CLASSES = {"public": "public", "internal": "internal", "personal": "confidential", "special": "restricted"}
_ORDER = list(CLASSES)
_BASE = "kintsugi_contracts.base"
_ALIASES = {"Instant", "Day"}

Schema = dict[str, Any]


COMMON = "events/common.schema.json"
PLATFORM_PACKAGE = "kintsugi_events"
"""Where the codes and parts that events share are, for a package that has none of its own."""


class SchemaError(Exception):
    """A schema uses what the generator does not know. The text says which file, where, and what to do."""


@dataclass
class _Module:
    """The classes of one generated file, and the names they need."""

    name: str
    package: str
    """Where the shared codes and parts are: the package itself, or the platform's."""
    doc: str
    needs: set[str] = field(default_factory=set)
    defined: list[str] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)

    def render(self, common: set[str]) -> str:
        base = sorted(n for n in self.needs if n in _BASE_NAMES)
        shared = sorted(n for n in self.needs if n in common and n not in self.defined)
        lines = [MARK, f'"""{self.doc}"""', "", "from __future__ import annotations", ""]
        if "Annotated" in self.needs or "ClassVar" in self.needs:
            lines.append(f"from typing import {', '.join(sorted(self.needs & {'Annotated', 'ClassVar'}))}")
            lines.append("")
        pyd = sorted(self.needs & {"ConfigDict", "Field", "JsonValue", "StringConstraints"})
        if pyd:
            lines.append(f"from pydantic import {', '.join(pyd)}")
        if "TypedDict" in self.needs:
            lines.append("from typing_extensions import TypedDict")
        lines.append("")
        if base:
            lines.append(f"from {_BASE} import {', '.join(base)}")
        if shared:
            lines.append(f"from {self.package}.common import {', '.join(shared)}")
        return "\n".join([*lines, *self.imports, "", *self.body, ""])


_BASE_NAMES = {"Day", "Event", "Instant", "OpenEnum", "Part", "Plaintext", "SealedOr", "Purposes"}


@dataclass
class _Writer:
    """Turns schemas into the source of classes in one module."""

    module: _Module
    file: Path
    common: Schema

    def fail(self, where: str, what: str) -> SchemaError:
        return SchemaError(f"{self.file}: {where}: {what}")

    def need(self, *names: str) -> None:
        self.module.needs.update(names)

    def annotation(self, schema: Schema, where: str) -> str:
        """The Python type of a schema."""
        if "$ref" in schema:
            name = str(schema["$ref"]).rsplit("/", 1)[1]
            self.need(name)
            return name
        if "anyOf" in schema:
            inner = [s for s in schema["anyOf"] if s != {"type": "null"}]
            if len(inner) != 1 or len(schema["anyOf"]) != 2:
                raise self.fail(where, "anyOf may only say `this or null`")
            return f"{self.annotation(inner[0], where)} | None"
        kind = schema.get("type")
        if isinstance(kind, list):
            rest = [k for k in kind if k != "null"]
            if len(rest) != 1:
                raise self.fail(where, "a type list may only be [type, null]")
            return f"{self.annotation({**schema, 'type': rest[0]}, where)} | None"
        match kind:
            case "string":
                return self._string(schema)
            case "boolean":
                return "bool"
            case "integer" | "number":
                return self._number("int" if kind == "integer" else "float", schema)
            case "array":
                inner_type = f"tuple[{self.annotation(schema['items'], where)}, ...]"
                return self._bounded(inner_type, max_length=schema["maxItems"], min_length=schema.get("minItems"))
            case "object" if "additionalProperties" in schema:
                return self._mapping(schema, where)
        raise self.fail(where, f"type {kind!r} is not known to the generator; use one that is, or teach it")

    def _string(self, schema: Schema) -> str:
        rules = {
            "pattern": schema.get("pattern"),
            "min_length": schema.get("minLength"),
            "max_length": schema.get("maxLength"),
        }
        said = ", ".join(f"{k}={_literal(v)}" for k, v in rules.items() if v is not None)
        if not said:
            return "str"
        self.need("Annotated", "StringConstraints")
        return f"Annotated[str, StringConstraints({said})]"

    def _number(self, python: str, schema: Schema) -> str:
        return self._bounded(python, ge=schema.get("minimum"), le=schema.get("maximum"))

    def _bounded(self, python: str, **bounds: int | float | None) -> str:
        said = ", ".join(f"{k}={v}" for k, v in bounds.items() if v is not None)
        if not said:
            return python
        self.need("Annotated", "Field")
        return f"Annotated[{python}, Field({said})]"

    def _mapping(self, schema: Schema, where: str) -> str:
        names = schema.get("propertyNames", {})
        key = self.annotation({"type": "string", **names} if "$ref" not in names else names, where)
        values = schema["additionalProperties"]
        if values == {"type": "object"}:
            self.need("JsonValue")
            value = "dict[str, JsonValue]"
        else:
            value = self.annotation(values, where)
        return self._bounded(f"dict[{key}, {value}]", max_length=schema.get("maxProperties"))

    def enum(self, schema: Schema) -> None:
        name, codes = schema["title"], schema["enum"]
        if "x-python" in schema:
            self.module.imports.append(f"from {schema['x-python']} import {name} as {name}")
            self.module.defined.append(name)
            return
        if "unknown" not in codes:
            raise self.fail(name, "an enum needs the code `unknown`, which is what a consumer reads a new code as")
        self.need("OpenEnum")
        self.module.defined.append(name)
        self.module.body += [f"class {name}(OpenEnum):", *_doc(schema), ""]
        self.module.body += [f"    {_identifier(code)} = {_literal(code)}" for code in codes] + ["", ""]

    def alias(self, schema: Schema) -> None:
        name = schema["title"]
        self.module.defined.append(name)
        self.module.body += [f"{name} = {self._string(schema)}", *_doc(schema, indent=""), ""]

    def model(self, schema: Schema, base: str, head: list[str] | None = None) -> None:
        """A class with a field per property; those that are not required have a default."""
        name = schema["title"]
        if schema.get("additionalProperties") is not False:
            raise self.fail(name, "an object must say additionalProperties: false")
        self.need(base)
        self.module.defined.append(name)
        lines = [f"class {name}({base}):", *_doc(schema), "", *(head or [])]
        required = schema.get("required", [])
        properties = {k: v for k, v in schema["properties"].items() if k != "sealed"}
        for key, sub in sorted(properties.items(), key=lambda kv: kv[0] not in required):
            where = f"{name}.{key}"
            if iskeyword(key) or not key.isidentifier():
                raise self.fail(where, "a property's name must be a Python name that is no keyword")
            lines.append(f"    {key}: {self.annotation(sub, where)}{self._default(sub, key in required, where)}")
            lines += _doc(sub)
        self.module.body += [*lines, *(_sealed_field(self, schema) if base == "Event" else []), "", ""]

    def _default(self, schema: Schema, required: bool, where: str) -> str:
        if required:
            return ""
        if schema.get("type") == "array":
            return " = ()"
        if schema.get("type") == "object":
            self.need("Field")
            return " = Field(default_factory=dict)"
        if "null" in schema.get("type", []) or {"type": "null"} in schema.get("anyOf", []):
            return " = None"
        raise self.fail(where, "a property that is not required must allow null, or be an array or a map")


def _sealed_field(writer: _Writer, schema: Schema) -> list[str]:
    if "sealed" not in schema["properties"]:
        return []
    writer.need("Field")
    return [f"    sealed: {schema['title']}Sealed = Field(default_factory={schema['title']}Sealed)"]


def _identifier(code: str) -> str:
    name = code.replace("-", "_")
    return f"{name}_" if iskeyword(name) else name


def _literal(value: object) -> str:
    if isinstance(value, str) and "\\" in value:
        return f'r"{value}"'
    return json.dumps(value, ensure_ascii=False)


def _doc(schema: Schema, indent: str = "    ") -> list[str]:
    text = schema["description"].rstrip()
    if len(text) + len(indent) + 6 <= 118:
        return [f'{indent}"""{text}"""']
    wrapped = textwrap.wrap(text, 110)
    return [f'{indent}"""{wrapped[0]}', *(f"{indent}{line}" for line in wrapped[1:]), f'{indent}"""']


def _highest(schema: object) -> str:
    """The highest x-sensitivity found anywhere inside."""
    return max(_sensitivities(schema), key=_ORDER.index, default="internal")


def _sensitivities(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("x-sensitivity"), str):
            yield schema["x-sensitivity"]
        for value in schema.values():
            yield from _sensitivities(value)


def _load(path: Path) -> Schema:
    loaded: Schema = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def _common(path: Path, schema: Schema, package: str) -> _Module:
    module = _Module("common", package, "Codes, identifiers and objects that several events share.")
    writer = _Writer(module, path, schema)
    defs = [d for n, d in schema["$defs"].items() if n not in _ALIASES | {"Sealed"}]
    for d in defs:
        if d["type"] == "string" and "enum" not in d:
            writer.alias(d)
    module.body += [""]
    for d in defs:
        if "enum" in d:
            writer.enum(d)
    for d in defs:
        if d["type"] == "object":
            writer.model(d, "Part")
    return module


def _event(module: _Module, folder: Path, version: int, service: str, protective: bool, common: Schema) -> None:
    path = folder / f"v{version}.schema.json"
    schema = _load(path)
    title = schema["title"]
    writer = _Writer(module, path, common)
    for local in schema.get("$defs", {}).values():
        writer.enum(local) if "enum" in local else writer.model(local, "Part")
    purposes: dict[str, str] = {}
    highest = [_highest(schema)]
    for purpose in schema["properties"].get("sealed", {}).get("properties", {}):
        plain_path = folder / f"v{version}.sealed.{purpose}.schema.json"
        plain = _load(plain_path)
        highest.append(_highest(plain))
        inner = _Writer(module, plain_path, common)
        for local in plain.get("$defs", {}).values():
            inner.enum(local) if "enum" in local else inner.model(local, "Part")
        inner.model(plain, "Plaintext")
        purposes[purpose] = plain["title"]
    if purposes:
        writer.need("ConfigDict", "SealedOr", "TypedDict")
        module.defined.append(f"{title}Sealed")
        module.body += [
            f"class {title}Sealed(TypedDict, total=False):",
            f'    """The sealed purposes of {title}."""',
            "",
            '    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]',
            "",
            *(f"    {purpose}: SealedOr[{name}]" for purpose, name in purposes.items()),
            "",
            "",
        ]
    writer.need("ClassVar")
    classification = CLASSES[max(highest, key=_ORDER.index)]
    head = [
        f"    type: ClassVar[str] = {_literal(schema['x-type'])}",
        f"    service: ClassVar[str] = {_literal(service)}",
        *(["    protective: ClassVar[bool] = True"] if protective else []),
        f"    dataclassification: ClassVar[str] = {_literal(classification)}",
        f"    dataschema: ClassVar[str] = {_literal(schema['$id'])}",
    ]
    if purposes:
        writer.need("Purposes")
        listed = ", ".join(f"{_literal(p)}: {n}" for p, n in purposes.items())
        head.append(f"    purposes: ClassVar[Purposes] = {{{listed}}}")
    writer.model(schema, "Event", [*head, ""])


def modules(contracts: Path, out_folder: Path, platform: Path | None = None) -> dict[str, str]:
    """The source of every generated file by name.

    A folder without codes of its own (`events/common.schema.json`) refers to those of the `platform`'s folder, and its
    topics may carry events whose schemas stand there. Raises SchemaError when a schema says what a model cannot.
    """
    own_common = (contracts / COMMON).is_file()
    if not own_common and platform is None:
        raise SchemaError(f"{contracts / COMMON} is missing, and no folder of the platform is given: name one")
    common_schema = _load((contracts if own_common or platform is None else platform) / COMMON)
    package = out_folder.name if own_common else PLATFORM_PACKAGE
    common = _common(contracts / COMMON, common_schema, package)
    out: list[_Module] = []
    topics = [plain_yaml.read(path) for path in sorted((contracts / "topics").glob("*.yaml"))]
    emitters = Counter(name for topic in topics for name in topic["events"])
    several = {
        True: _Module("inputs", package, "Events that every service emits about inputs it could not apply."),
        False: _Module("several", package, "Events that more than one service emits."),
    }
    done: set[str] = set()
    for topic in topics:
        module = _Module(topic["service"], package, f"Events of {topic['service']}.")
        for name, entry in topic["events"].items():
            alone = emitters[name] == 1 and not name.startswith("input.")
            if name in done or not (own_common or (contracts / "events" / name).is_dir()):
                continue
            done.add(name)
            for version in _versions(contracts / "events" / name, entry["versions"]):
                _event(
                    module if alone else several[name.startswith("input.")],
                    contracts / "events" / name,
                    version,
                    topic["service"] if alone else "*",
                    entry["protective"],
                    common_schema,
                )
        out.append(module)
    out = [*([common] if own_common else []), *out, *(module for module in several.values() if module.defined)]
    names = [n for m in out for n in m.defined]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise SchemaError(f"contracts/events: {', '.join(twice)} defined twice; titles are class names, rename one")
    files = {f"{m.name}.py": m.render(set(common.defined)) for m in out}
    index = [MARK, '"""Every event of the contracts, and the codes and parts they are made of."""', ""]
    index += [f"from {out_folder.name}.{m.name} import {', '.join(sorted(m.defined))}" for m in out if m.defined]
    index += ["", f"__all__ = {json.dumps(sorted(names))}", ""]
    files["__init__.py"] = "\n".join(index)
    return {name: _formatted(text, out_folder / name) for name, text in files.items()}


def _versions(folder: Path, listed: list[int]) -> list[int]:
    """The versions that may be written, and those that consumers prepare for: they need the model first."""
    standing = (re.fullmatch(r"v([1-9][0-9]*)\.schema\.json", file.name) for file in folder.glob("v*.schema.json"))
    return sorted({*listed, *(int(match[1]) for match in standing if match)})


def _formatted(text: str, path: Path) -> str:
    ruff = _ruff()
    where = ["--quiet", "--stdin-filename", str(path), "-"]
    # Told which package is ours: otherwise the order of imports depends on whether its folder stands there already.
    ours = ["--config", f'lint.isort.known-first-party=["{path.parent.name}"]']
    for command in ([*ruff, "check", "--fix", "--select", "I,RUF022", *ours, *where], [*ruff, "format", *where]):
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout  # noqa: S603
    return text


def _ruff() -> list[str]:
    """The formatter of generated code, of this environment or else of the machine.

    Raises SchemaError when there is none: unformatted code could not be compared with what stands.
    """
    if find_spec("ruff"):
        return [sys.executable, "-m", "ruff"]
    if found := shutil.which("ruff"):
        return [found]
    raise SchemaError("generated code is formatted by ruff, which is not installed: run `pip install ruff`, then again")


def main(argv: list[str] | None = None) -> int:
    """Write the models, or with `--check` say which are stale and answer 1."""
    parser = argparse.ArgumentParser(description="Write the models of a contracts folder.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")
    parser.add_argument("--contracts", type=Path, default=Path("contracts"), help="the contracts folder")
    parser.add_argument("--out", type=Path, default=Path("libs/events/src/kintsugi_events"), help="the package")
    parser.add_argument(
        "--platform", type=Path, help="the platform's contracts folder, for one without codes of its own"
    )
    args = parser.parse_args(argv)
    try:
        wanted = modules(args.contracts, args.out, args.platform)
    except SchemaError as error:
        print(error, file=sys.stderr)
        return 2
    args.out.mkdir(exist_ok=True)
    standing = {p.name: text for p in args.out.glob("*.py") if (text := p.read_text(encoding="utf-8")).startswith(MARK)}
    stale = sorted(n for n in wanted.keys() | standing.keys() if wanted.get(n) != standing.get(n))
    if args.check:
        for name in stale:
            print(f"{args.out / name} is stale; run `python -m kintsugi_contracts.generate`", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        if name in wanted:
            (args.out / name).write_text(wanted[name], encoding="utf-8")
        else:
            (args.out / name).unlink()
    print(f"{len(stale)} of {len(wanted)} files written")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
