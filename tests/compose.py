"""Compose files as Compose reads them: what they include and extend, and the files laid over another."""

from pathlib import Path
from typing import Any

import yaml

Model = dict[str, Any]


def load(file: Path) -> Model:
    """The services and volumes of a file and of those it includes. Raises ValueError where two files name one service.

    Folders and files that a container mounts are given as absolute paths, each from the file that names it.
    """
    text = yaml.safe_load(file.read_text(encoding="utf-8"))
    services = {name: _extended(file, service) for name, service in text.get("services", {}).items()}
    volumes = dict(text.get("volumes") or {})
    for included in text.get("include", ()):
        inner = load(file.parent / included)
        if both := services.keys() & inner["services"].keys():
            raise ValueError(f"{file} and {included} both name {', '.join(sorted(both))}")
        services |= inner["services"]
        volumes |= inner["volumes"]
    return {"services": services, "volumes": volumes}


def merged(*files: Path) -> Model:
    """These files, each laid over those before it: ``docker compose -f A -f B``."""
    whole: Model = {"services": {}, "volumes": {}}
    for file in files:
        model = load(file)
        for name, service in model["services"].items():
            whole["services"][name] = _over(whole["services"].get(name, {}), service)
        whole["volumes"] |= model["volumes"]
    return whole


def mounts(service: Model) -> list[Model]:
    """A container's mounts in Compose's long form."""
    return list(service.get("volumes", ()))


def _extended(file: Path, service: Model) -> Model:
    own = service | {"volumes": [_long(file, volume) for volume in service.get("volumes", ())]}
    if "build" in own:
        own["build"] = own["build"] | {"context": str((file.parent / own["build"]["context"]).resolve())}
    base = own.pop("extends", None)
    if base is None:
        return own
    other = file.parent / base["file"]
    return _over(load(other)["services"][base["service"]], own)


def _over(below: Model, above: Model) -> Model:
    both = below | above
    both["environment"] = below.get("environment", {}) | above.get("environment", {})
    both["volumes"] = [*below.get("volumes", ()), *above.get("volumes", ())]
    return both


def _long(file: Path, volume: str | Model) -> Model:
    if not isinstance(volume, str):
        return volume
    source, target, *mode = volume.split(":")
    bind = source.startswith(".")
    return {
        "type": "bind" if bind else "volume",
        "source": str((file.parent / source).resolve()) if bind else source,
        "target": target,
        "read_only": mode == ["ro"],
    }
