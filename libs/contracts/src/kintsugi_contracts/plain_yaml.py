"""YAML 1.2 as plain data, read and written by the one YAML library that this package needs."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError as YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

WIDTH = 116
_HEAD = "%YAML 1.1\n---\n"
_TEXT = "tag:yaml.org,2002:str"


def read(path: Path) -> Any:
    """A file's data. Raises YAMLError when it is not YAML, OSError when it cannot be read."""
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def write(data: Any) -> str:
    """Data as text: no anchors, lists set in, several lines as they read, keys in the order they have."""
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.version = "1.1"  # many readers still take 22:00 for a number and `on` for a boolean: quote what they would
    yaml.Representer = _Representer
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = WIDTH
    yaml.sort_base_mapping_type_on_output = False
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = StringIO()
    yaml.dump(data, out)
    return out.getvalue().removeprefix(_HEAD)


class _Representer(SafeRepresenter):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's name
        return True


def _text(representer: SafeRepresenter, text: str) -> ScalarNode:
    node: ScalarNode = representer.represent_scalar(_TEXT, text, style="|" if "\n" in text else None)
    return node


_Representer.add_representer(str, _text)
