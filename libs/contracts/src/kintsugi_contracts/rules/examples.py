"""Every schema has examples of what it takes and of what it refuses, and each does what its folder says."""

from __future__ import annotations

from collections.abc import Iterator

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from kintsugi_contracts.documents import Document
from kintsugi_contracts.findings import Finding
from kintsugi_contracts.folder import Example, Folder, Kind, Version

LEAST: dict[tuple[Kind, bool], int] = {
    ("accept", False): 2,
    ("reject", False): 3,
    ("accept", True): 1,
    ("reject", True): 1,
}
"""How many examples a schema needs, by kind and by whether it is a sealed purpose."""


def findings(folder: Folder) -> Iterator[Finding]:
    """Examples that are missing or that do not do what they say."""
    for version in folder.versions():
        for purpose, document in version.schemas():
            yield from _enough(version, purpose, document)
            validator = folder.validator(document)
            broken = [f for e in version.examples_of("accept", purpose) for f in _accepted(e, validator, document)]
            yield from broken
            if not broken:  # a schema that refuses what it should take refuses everything else as well
                for example in version.examples_of("reject", purpose):
                    yield from _refused(example, validator)


def _accepted(example: Example, validator: Draft202012Validator, schema: Document) -> Iterator[Finding]:
    error = best_match(validator.iter_errors(example.document.data))
    if error is not None:
        said = f"the schema refuses this example: {error.message[:160]}"
        yield example.document.finding(error.absolute_path, said, f"mend it, or the schema {schema.name}")


def _refused(example: Example, validator: Draft202012Validator) -> Iterator[Finding]:
    refused = sorted({str(e.validator) for e in validator.iter_errors(example.document.data)})
    if refused != [example.keyword]:
        by = f"refused by {', '.join(refused)}" if refused else "not refused at all"
        said = f"named after the keyword `{example.keyword}`, and {by}"
        mend = "break one rule only, and begin the file's name with the keyword that refuses it"
        yield example.document.finding([], said, mend)


def _enough(version: Version, purpose: str | None, document: Document) -> Iterator[Finding]:
    folder = document.name.rpartition("/")[0]
    for kind in ("accept", "reject"):
        have, need = len(version.examples_of(kind, purpose)), LEAST[kind, purpose is not None]
        if have < need:
            prefix = (f"v{version.major}." if version.major > 1 else "") + (f"sealed.{purpose}." if purpose else "")
            name = "<keyword>-<what>" if kind == "reject" else "<what>"
            said = f"{have} example{'s' * (have != 1)} in examples/{kind}, and it needs {need}"
            yield document.finding([], said, f"add {folder}/examples/{kind}/{prefix}{name}.json; fictional people only")
