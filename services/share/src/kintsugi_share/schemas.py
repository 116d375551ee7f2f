"""Writes partners' contracts from the country packs: ``python -m kintsugi_share.schemas [--check]``.

``contracts/share/<country>/<integrator>/<purpose>/`` holds the topic, the schemas and examples. A major version that
is no longer declared keeps its files: whoever still reads it needs them.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
from collections.abc import Iterator, Mapping
from hashlib import shake_256
from pathlib import Path
from typing import Any

from kintsugi_contracts.catalog import Catalog
from kintsugi_country import Integrator, PackError, SharePurpose, load

from kintsugi_share.contract import (
    EventSchemas,
    Schema,
    fields_of,
    file_name,
    record_schema,
    sealed_schema,
    topic_config,
)
from kintsugi_share.domain import stream_key, topic

Files = dict[str, str]
PARTITIONS = 3


def files(country: str, integrator: Integrator, name: str, purpose: SharePurpose, events: EventSchemas) -> Files:
    """The files of one stream's folder by name."""
    record = record_schema(country, integrator.name, name, purpose, events)
    out = {file_name(purpose.version): _json(record), _topic_name(purpose): _topic(country, integrator, name, purpose)}
    full = _full(record, purpose, events)
    examples = {
        "accept/minimal": _minimal(full),
        "accept/full": full,
        "accept/closed": {**full, "revision": 7, "status": "closed"},
        **{f"reject/{key}": value for key, value in _spoiled(full, purpose).items()},
    }
    for group in purpose.sealed:
        schema = sealed_schema(country, integrator.name, name, purpose, group, events)
        out[file_name(purpose.version, group)] = _json(schema)
        for key, value in _sealed_examples(schema).items():
            kind, _, label = key.partition("/")
            examples[f"{kind}/sealed.{group}.{label}"] = value
    mark = "" if purpose.version == 1 else f"v{purpose.version}."
    for key, value in examples.items():
        kind, _, label = key.partition("/")
        out[f"examples/{kind}/{mark}{label}.json"] = _json(value)
    return out


def wanted(countries: Path, contracts: Path, catalog: Catalog) -> Files:
    """Every generated file below ``contracts/share``. Raises PackError for a pack with mistakes."""
    events = EventSchemas(contracts, catalog.declared.shareable, catalog.folders)
    out: Files = {}
    for folder in sorted(path for path in countries.iterdir() if (path / "country.yaml").exists()):
        pack = load(folder, catalog.declared)
        for integrator in pack.integrators:
            for name, purpose in integrator.purposes.items():
                place = f"{pack.code}/{integrator.name}/{name}"
                made = files(pack.code, integrator, name, purpose, events)
                out |= {f"{place}/{file}": text for file, text in made.items()}
    return out


def stale(wanted: Files, share: Path) -> Iterator[tuple[str, str | None]]:
    """The files that are not as they should be, each with its text; None for one that has no place there."""
    standing = {
        str(path.relative_to(share)): path.read_text(encoding="utf-8") for path in share.rglob("*") if path.is_file()
    }
    for name in sorted(wanted.keys() | standing.keys()):
        text = wanted.get(name)
        if text != standing.get(name) and (text is not None or not _of_an_earlier_version(name, wanted)):
            yield name, text


def main(argv: list[str] | None = None) -> int:
    """Write the contracts, or with ``--check`` say which are stale and answer 1."""
    parser = argparse.ArgumentParser(description="Write partners' contracts from the country packs.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")
    parser.add_argument("--contracts", type=Path, default=Path("contracts"), help="the contracts folder")
    parser.add_argument("--countries", type=Path, default=Path("countries"), help="the country packs")
    args = parser.parse_args(argv)
    try:
        made = wanted(args.countries, args.contracts, Catalog.installed())
    except (PackError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    share = args.contracts / "share"
    changes = list(stale(made, share))
    if args.check:
        for name, _ in changes:
            print(f"{share / name} is stale; run `python -m kintsugi_share.schemas`", file=sys.stderr)
        return 1 if changes else 0
    for name, text in changes:
        path = share / name
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    print(f"{len(changes)} of {len(made)} files written")
    return 0


def _of_an_earlier_version(name: str, wanted: Files) -> bool:
    place, _, file = name.replace("/examples/accept/", "/").replace("/examples/reject/", "/").rpartition("/")
    match = re.search(r"(?:^|\.)v([0-9]+)\.", file)
    version = int(match[1]) if match else 1
    current = [
        int(m[1]) for each in wanted if (m := re.fullmatch(rf"{re.escape(place)}/v([0-9]+)\.schema\.json", each))
    ]
    return bool(current) and version < max(current)


def _topic_name(purpose: SharePurpose) -> str:
    return "topic.yaml" if purpose.version == 1 else f"topic.v{purpose.version}.yaml"


def _topic(country: str, integrator: Integrator, name: str, purpose: SharePurpose) -> str:
    """As ``contracts/topics/*.yaml``, with the full name of the topic."""
    event = f"share.{integrator.name}.{name}"
    config = "".join(
        f"  {key}: {json.dumps(value) if value[0].isdigit() else value}\n" for key, value in topic_config().items()
    )
    return (
        f"# Generated from countries/{country}/integrators/{integrator.name}.yaml; edit that file, then run\n"
        "# `python -m kintsugi_share.schemas`.\n"
        f"topic: {topic(country, stream_key(integrator.name, name, purpose.version))}\n"
        "service: share\n"
        f"owner: {json.dumps(f'{integrator.title}, by {integrator.contact}', ensure_ascii=False)}\n"
        f"purpose: {json.dumps(f'{purpose.title}. {purpose.why}', ensure_ascii=False)}\n"
        "producer: share\n"
        "key: ce_subject\n"
        f"partitions: {PARTITIONS}\n"
        f"sensitivity: {'confidential' if purpose.sealed else 'internal'}\n"
        f"config:\n{config}"
        f"purposes: [{', '.join(purpose.sealed)}]\n"
        f"readers: [office]\n"
        f"events:\n  {event}: {{versions: [{purpose.version}], protective: false}}\n"
        f"consumers:\n  {integrator.name}:\n"
        f"    {event}: {{fields: [{', '.join(fields_of(purpose))}], versions: [{purpose.version}]}}\n"
    )


_SAMPLES: Mapping[str, Any] = {
    "opened_month": "2026-11",
    "casework_type": "forced_labour",
    "age_band": "from_25_to_39",
    "languages": ["ar", "fr"],
    "area": "XA-HB",
}
_PERSON: Mapping[str, Any] = {
    "preferred_name": "Amara",
    "real_name": "Amara Deniz Korhan",
    "gender": "feminine",
    "birthdate": "1994-05-17",
    "nationalities": ["XB"],
}
_REF = "k5xq3mzt7bdyh2waf4rnc6ejpu"


def _full(record: Schema, purpose: SharePurpose, events: EventSchemas) -> dict[str, Any]:
    """A record with every field of the purpose; its fictional person cannot be opened by anybody."""
    said: dict[str, Any] = {"needs": [{"need": need, "band": "high"} for need in purpose.needs[:2]]}
    said["requests"] = [{"need": need, "status": "accepted"} for need in purpose.needs[:1]]
    full: dict[str, Any] = {"case": _REF, "revision": 3, "status": "open"}
    said |= {field: events.example(field) for field in purpose.fields if field in events.shareable}
    full |= {field: {**_SAMPLES, **said}[field] for field in purpose.fields}
    if "sealed" in record["properties"]:
        full["sealed"] = {group: _unopenable(group) for group in purpose.sealed}
    return full


def _minimal(full: Mapping[str, Any]) -> dict[str, Any]:
    return {"case": full["case"], "revision": 1, "status": "open"}


def _spoiled(full: Mapping[str, Any], purpose: SharePurpose) -> dict[str, Any]:
    spoiled: dict[str, Any] = {
        "required-case": {key: value for key, value in full.items() if key != "case"},
        "pattern-case_of_the_office": {**full, "case": "case/00000000-0000-4000-8000-000000000001"},
        "minimum-revision_zero": {**full, "revision": 0},
        "additionalProperties-preferred_name_in_clear": {**full, "preferred_name": "Amara"},
    }
    if purpose.sealed:
        clear = dict.fromkeys(purpose.sealed, "Amara Deniz Korhan")
        spoiled["pattern-sealed_in_clear"] = {**full, "sealed": clear}
    return spoiled


def _sealed_examples(schema: Schema) -> dict[str, Any]:
    names = [name for name in schema["properties"] if name != "case"]
    full = {"case": _REF, **{name: _PERSON[name] for name in names}}
    minimal = {name: full[name] for name in schema["required"]}
    return {
        "accept/full": full,
        "accept/minimal": minimal,
        "reject/required-case": {key: value for key, value in full.items() if key != "case"},
        "reject/pattern-case_of_the_office": {**full, "case": "XA-7F3K2M9Q"},
        "reject/additionalProperties-phone": {**full, "phone": "+999 70 100 000"},
    }


def _unopenable(group: str) -> str:
    """In the form of a JWE; the bytes are nobody's."""
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": "an-example-that-nobody-can-open"}
    sizes = {"iv": 12, "text": 256, "tag": 16}
    parts = {name: _text(shake_256(f"{group}/{name}".encode()).digest(size)) for name, size in sizes.items()}
    return f"{_text(json.dumps(header).encode())}..{parts['iv']}.{parts['text']}.{parts['tag']}"


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
