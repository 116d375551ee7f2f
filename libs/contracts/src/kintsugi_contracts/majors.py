"""A new major version beside an old one: taken by every consumer, and reached from old facts by upcasters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from kintsugi_contracts import schema_changes
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.changes import Change, unsealed, whole
from kintsugi_contracts.findings import Finding
from kintsugi_contracts.folder import Event, Example, Folder, Version
from kintsugi_contracts.rules.models import unreadable
from kintsugi_contracts.schema_changes import Verdict


def findings(folder: Folder, releases: dict[str, Folder], catalog: Catalog) -> Iterator[Finding]:
    """What keeps new majors from being accepted, and what released examples today's consumers cannot read."""
    yield from _upcasters(folder, catalog)
    for release, old in releases.items():
        for event in old.events.values():
            for version in event.versions.values():
                yield from _for_ever(f"released/{release}/", old, version, folder, catalog)
        for stream in old.streams:
            for version in stream.event.versions.values():
                yield from _stream(f"released/{release}/", old, version, folder)
    for event in folder.events.values():
        for version in list(event.versions.values()):
            if version.major < max(event.versions):
                yield from _lifted("", version, folder, catalog)


def changes(folder: Folder, releases: dict[str, Folder]) -> Iterator[Change]:
    """The new majors, each told once; and sensitivity lowered on the way, which no major excuses."""
    for key, event in folder.own_events().items():
        released = {m for f in releases.values() if key in f.all_events() for m in f.all_events()[key].versions}
        for newer, older in zip(sorted(event.versions)[1:], sorted(event.versions), strict=False):
            after, before = event.versions[newer], event.versions[older]
            yield from _lowered(folder, before, after)
            if newer not in released and key.country is None:
                yield _new(folder, event, older, newer)


def _new(folder: Folder, event: Event, older: int, newer: int) -> Change:
    after = event.versions[newer]
    readings = folder.readings(event.key)
    waiting = [c for c, r in readings.items() if newer not in r.versions]
    written = any(newer in t.spec.events[event.name].versions for t in folder.topics_of(event.key))
    subject = f"{event.name} v{newer}"
    if written:
        said = f"version {newer} may be written; version {older} stays readable by an upcaster"
        order = "The producer may switch: every consumer takes both."
    elif waiting:
        said = f"version {newer} is prepared beside version {older}, and nobody may write it yet"
        order = (
            f"Next: {', '.join(waiting)} take{'s' * (len(waiting) == 1)} it; then the topic file lists both versions."
        )
    else:
        said = f"version {newer} is prepared beside version {older}, and every consumer takes it"
        order = "Next: the topic file lists both versions; then the producer switches."
    return Change(Verdict.fine, "major-added", after.document.name, 1, subject, said, order, tuple(readings))


def _lowered(folder: Folder, before: Version, after: Version) -> Iterator[Change]:
    deltas = [*unsealed(folder, before, folder, after)]
    for purpose in (None, *(p for p in before.sealed if p in after.sealed)):
        found = schema_changes.compare(whole(folder, before, purpose), whole(folder, after, purpose))
        deltas += [d for d in found if d.rule == "sensitivity"]
    for delta in deltas:
        if delta.verdict is Verdict.forbidden:
            document = folder.schemas[delta.place.id]
            field = f"`{'.'.join(delta.field)}`"
            said = delta.said.replace("{field}", field)
            order = "Keep it as it was: no new major version lowers what a person was promised."
            line = document.where(delta.place.path)[0]
            subject = f"{after.key} v{after.major}"
            yield Change(Verdict.forbidden, delta.rule, document.name, line, subject, said, order)


def _upcasters(folder: Folder, catalog: Catalog) -> Iterator[Finding]:
    """Each version but the newest needs a way up, as soon as a consumer takes the newer one."""
    for event in folder.events.values():
        for version in event.versions.values():
            newest = event.newest
            example = next(iter(version.examples_of("accept")), None)
            if version.major == newest.major or catalog.by_type(version.type) is None or example is None:
                continue
            if unreadable(version, example, catalog):
                continue
            try:
                reached = _lift(version, example, catalog)
            except Exception:  # noqa: S112 - told with the example it fails on
                continue
            if reached is None or reached[0] != newest.type:
                yield newest.document.finding(
                    [],
                    f"{version.type} cannot be read as {newest.type}: there is no upcaster",
                    "write one and list it in the `upcasters` of the event's package",
                )


def _for_ever(prefix: str, old: Folder, version: Version, folder: Folder, catalog: Catalog) -> Iterator[Finding]:
    """Every example of a release is valid by its own schema, and today's consumers read it."""
    for purpose, document in version.schemas():
        validator = old.validator(document)
        for example in version.examples_of("accept", purpose):
            name = prefix + example.document.name
            if not validator.is_valid(example.document.data):
                yield Finding(name, 1, 1, "a released example that its own schema refuses", "put the release back")
            elif why := unreadable(version, example, catalog):
                said = f"today's consumers cannot read this released example: {why}"
                yield Finding(name, 1, 1, said, "take the change back: records like it stand")
    yield from _lifted(prefix, version, folder, catalog)


def _stream(prefix: str, old: Folder, version: Version, folder: Folder) -> Iterator[Finding]:
    """A partner's released examples are valid by their own schema and by today's."""
    event = folder.all_events().get(version.key)
    today = event.versions.get(version.major) if event else None
    for purpose, document in version.schemas():
        schemas = [old.validator(document)]
        if today and purpose is None:
            schemas.append(folder.validator(today.document))
        for example in version.examples_of("accept", purpose):
            if not all(v.is_valid(example.document.data) for v in schemas):
                said = "a released example that the schema refuses"
                yield Finding(prefix + example.document.name, 1, 1, said, "put the schema back as it was released")


def _lift(version: Version, example: Example, catalog: Catalog) -> tuple[str, bytes] | None:
    """The type a value reaches by upcasters, and the value it then is; None when an upcaster fails."""
    model = catalog.by_type(version.type)
    if model is None:
        return None
    event = catalog.lifted(model.decode(example.document.text))
    return event.type, event.encode()


def _dropped(old: dict[str, Any], new: dict[str, Any], target: Version) -> Iterator[str]:
    """Fields and sealed purposes that the old value has, the new schema knows, and the lifted value lacks."""
    properties = target.schema["properties"]
    yield from (n for n, v in old.items() if n != "sealed" and v is not None and n in properties and n not in new)
    purposes = properties.get("sealed", {}).get("properties", {})
    kept = new.get("sealed", {})
    yield from (f"sealed.{p}" for p in old.get("sealed") or {} if p in purposes and p not in kept)


def _lifted(prefix: str, version: Version, folder: Folder, catalog: Catalog) -> Iterator[Finding]:
    """Old examples, lifted, are valid by the schema of the version they reach."""
    event = folder.events.get(version.name)
    if event is None or not event.versions or version.major == event.newest.major:
        return
    targets = {v.type: v for v in event.versions.values()}
    for example in version.examples_of("accept"):
        name = prefix + example.document.name
        if unreadable(version, example, catalog):
            continue
        try:
            reached = _lift(version, example, catalog)
        except Exception as error:  # whatever an upcaster raises is the finding
            said = f"the upcaster fails on this example: {type(error).__name__}: {error}"
            yield Finding(name, 1, 1, said, "fix the one listed in the event's package")
            continue
        target = targets.get(reached[0]) if reached else None
        if reached and target and target is not version:
            for field in _dropped(example.document.data, json.loads(reached[1]), target):
                said = f"lifted to version {target.major} this example loses `{field}`, which that version has"
                yield Finding(name, 1, 1, said, "copy it in the upcaster listed in the event's package")
            for breach in folder.validator(target.document).iter_errors(json.loads(reached[1])):
                said = f"lifted to version {target.major} this example breaks its schema: {breach.message[:160]}"
                yield Finding(name, 1, 1, said, "fix the upcaster listed in the event's package")
    for purpose, document in event.newest.sealed.items():
        validator = folder.validator(document)
        for example in version.examples_of("accept", purpose):
            if not validator.is_valid(example.document.data):
                said = f"version {event.newest.major} cannot open what was sealed as version {version.major}"
                mend = "let its schema take the old plaintext: an upcaster copies sealed values as they are"
                yield Finding(prefix + example.document.name, 1, 1, said, mend)
