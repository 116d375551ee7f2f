"""What is in the folder is what the kit reads: each event has its model, and the model reads every example."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.findings import Finding
from kintsugi_contracts.folder import Example, Folder, Version

_MEND = "run `python -m kintsugi_contracts.generate`, and release the kit with it"


def findings(folder: Folder, catalog: Catalog) -> Iterator[Finding]:
    """Events without a model, and examples their model cannot read. Partners' streams have no models."""
    for event in folder.events.values():
        for version in event.versions.values():
            if catalog.by_type(version.type) is None:
                yield version.document.finding([], f"{version.type} has no Python model", _MEND)
                continue
            for example in version.examples:
                if example.kind == "accept" and (why := unreadable(version, example, catalog)):
                    yield example.document.finding([], f"the model cannot read this example: {why}", _MEND)


def unreadable(version: Version, example: Example, catalog: Catalog) -> str | None:
    """Why today's consumers cannot read an example of a version; None when they can."""
    model = catalog.by_type(version.type)
    if model is None:
        return f"no model of {version.type}"
    try:
        if example.purpose is None:
            model.decode(example.document.text)
        elif example.purpose in model.purposes:
            model.purposes[example.purpose].model_validate_json(example.document.text, extra="ignore")
        else:
            return f"{version.type} no longer seals {example.purpose}"
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return None
