"""What changed between two contracts folders, one entry a reviewer can judge, with who reads it and what goes first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from kintsugi_contracts import schema_changes, seals, topic_changes
from kintsugi_contracts.folder import Event, Folder, Topic, Version
from kintsugi_contracts.schema_changes import Delta, Verdict
from kintsugi_contracts.shape import Place, Shape, shape

OTHER_NAME = "Something else takes another name."
"""The way out when a field in clear only happens to be called like a sealed one."""


@dataclass(frozen=True)
class Change:
    """One change with its verdict."""

    verdict: Verdict
    rule: str
    file: str
    """Relative to the contracts folder."""
    line: int
    subject: str
    """What it is about: an event and its version, a topic, a release."""
    said: str
    """What changed, in one sentence."""
    order: str
    """What to do, and who goes first."""
    readers: tuple[str, ...] = ()
    """Consumers whose topic files say that they read it."""
    since: tuple[str, ...] = ()
    """The releases that did not have it."""


@dataclass(frozen=True)
class _Seen:
    """A change of a schema as one event meets it."""

    delta: Delta
    version: Version
    purpose: str | None

    @property
    def field(self) -> str:
        prefix = (f"sealed.{self.purpose}",) if self.purpose else ()
        return ".".join((*prefix, *self.delta.field)).replace(".[]", "[]")

    @property
    def declared(self) -> str:
        """How a topic file names what a consumer reads of it."""
        if self.purpose:
            return f"sealed.{self.purpose}"
        return ".".join(self.delta.field[:2]) if self.delta.field[:1] == ("sealed",) else "".join(self.delta.field[:1])


def between(old: Folder, new: Folder) -> list[Change]:
    """Every change from one folder to another, the worst first."""
    found = [*_topics(old, new), *_events(old, new), *_schemas(old, new)]
    return sorted(found, key=lambda c: (-c.verdict, c.file, c.line, c.said))


def merged(by_release: dict[str, list[Change]]) -> list[Change]:
    """The changes against several releases, each once, with the releases that did not have it."""
    since: dict[Change, list[str]] = {}
    for release, changes in by_release.items():
        for change in changes:
            since.setdefault(change, []).append(release)
    found = [replace(change, since=tuple(releases)) for change, releases in since.items()]
    return sorted(found, key=lambda c: (-c.verdict, c.file, c.line, c.said))


def whole(folder: Folder, version: Version, purpose: str | None = None) -> Shape:
    """The shape of a record's value, or of a sealed purpose's plaintext."""
    document = version.sealed[purpose] if purpose else version.document
    return shape(document.data, Place(document.data["$id"], ()), folder.resolve)


def _topics(old: Folder, new: Folder) -> Iterator[Change]:
    standing = {t.spec.service: t for t in new.topics.values()}
    for service, topic in old.topics.items():
        yield from _topic(topic, standing.pop(service, None))
    for service, topic in standing.items():
        said = f"{service} has a topic now"
        yield Change(
            Verdict.fine, "topic-added", topic.document.name, 1, topic.name, said, "Make it before its writer."
        )
    before = {t.name: t for s in old.streams for t in s.topics}
    after = {t.name: (s, t) for s in new.streams for t in s.topics}
    for name, topic in before.items():
        yield from _topic(topic, after[name][1] if name in after else None)
    known = {s.folder for s in old.streams}
    for name, (stream, topic) in after.items():
        if name in before:
            continue
        if stream.folder in known:
            said = f"{stream.integrator} has {stream.purpose} as a parallel major"
            order = "Both run until the partner has moved; the old one ends with notice, and its files stay."
        else:
            said = f"{stream.integrator} receives {stream.purpose}: data of people leaves for a new partner"
            order = "Make the topic and the partner's login before the service shares; look at every field."
        yield Change(Verdict.fine, "stream-added", topic.document.name, 1, name, said, order)


def _topic(old: Topic, new: Topic | None) -> Iterator[Change]:
    if new is None:
        said = "the topic was removed, and its records stand"
        order = "Put the file back: a topic that is no longer written stays, so that its records can be read."
        yield Change(Verdict.forbidden, "topic-removed", old.document.name, 1, old.name, said, order)
        return
    for rule, verdict, path, said in topic_changes.compare(old.spec, new.spec):
        line = new.document.where(path)[0]
        order = _ORDER[rule] if verdict is Verdict.fine and rule in _ORDER else _TOPIC_ORDER[verdict]
        yield Change(verdict, rule, new.document.name, line, new.name, said, order)


_TOPIC_ORDER = {
    Verdict.fine: "Change it on the broker; services need nothing.",
    Verdict.major: "Put it back; what it is for takes a new topic.",
    Verdict.forbidden: "Put it back.",
}
_ORDER = {
    "event-added": "Consumers first, where one must act on it; the others need nothing.",
    "version-added": "The producer switches after this is merged: every consumer takes it, as the rules check.",
    "protective": "Any order.",
    "keys-added": "Grant the keys, then release the service; look whether it needs them.",
    "keys-removed": "Release the service, then take the keys away.",
    "reader-added": "Grant it on the broker, then release the reader; look whether it needs them all.",
    "reader-removed": "Release the reader, then take the grant away.",
    "opens-added": "Look whether it needs it, and grant the key; then release the reader.",
    "reads-added": "Merge this, then release the reader: from now on the field cannot go unseen.",
    "reads-removed": "Release the reader first: from now on nobody asks it before the field goes.",
    "purpose": "Nothing is rolled out; look whether people were told of this purpose.",
    "owner": "Nothing is rolled out.",
}


def _events(old: Folder, new: Folder) -> Iterator[Change]:
    """Events and versions that went. What came is told by topics, and by the majors' own rules."""
    standing = new.all_events()
    for key, event in old.all_events().items():
        name = str(key)
        if key not in standing:
            twin = _renamed(old, event, new)
            said = f"`{name}` was renamed to `{twin}`" if twin else f"`{name}` was removed"
            order = "Put the folder back: records of it stand, and are read again in every rebuild."
            if twin:
                order += f" `{twin}` may be a new event beside it."
            yield Change(Verdict.forbidden, "event-removed", event.folder, 1, name, said, order)
            continue
        for major in sorted(event.versions.keys() - standing[key].versions.keys()):
            file, said = event.versions[major].document.name, f"version {major} was removed"
            order = "Put the file back: records of it stand, and are read again in every rebuild."
            yield Change(Verdict.forbidden, "version-removed", file, 1, f"{name} v{major}", said, order)


def _renamed(old: Folder, event: Event, new: Folder) -> str | None:
    """The event that came as this one went, and looks the same."""
    known = old.all_events()
    for key, other in new.all_events().items():
        if key in known or key.country != event.country or not other.versions or not event.versions:
            continue
        deltas = schema_changes.compare(whole(old, event.newest), whole(new, other.newest))
        if not [d for d in deltas if d.verdict is not Verdict.fine]:
            return str(key)
    return None


def _schemas(old: Folder, new: Folder) -> Iterator[Change]:
    """Changes of schemas; one in a shared definition is told once, for all that use it."""
    seen = [s for v in old.versions() for s in _version(old, v, new)]
    by_place = sorted(seen, key=lambda s: (s.delta.place.id, s.delta.place.path, s.delta.rule, s.delta.said))
    for _, group in groupby(by_place, key=lambda s: (s.delta.place, s.delta.rule, s.delta.said)):
        yield _told(list(group), new)


def _version(old: Folder, before: Version, new: Folder) -> Iterator[_Seen]:
    event = new.all_events().get(before.key)
    after = event.versions.get(before.major) if event else None
    if after is None:
        return
    opened = {d.field: d for d in unsealed(old, before, new, after)}
    for purpose in (None, *before.sealed):
        if purpose is None or purpose in after.sealed:
            for delta in schema_changes.compare(whole(old, before, purpose), whole(new, after, purpose)):
                if purpose:
                    yield _Seen(seals.resealed(delta, purpose, before.sealed), after, purpose)
                elif delta.field not in opened:
                    yield _Seen(delta, after, None)
    yield from (_Seen(d, after, None) for d in opened.values())


def unsealed(old: Folder, before: Version, new: Folder, after: Version) -> Iterator[Delta]:
    """Fields that were sealed and now stand in clear."""
    sealed = {purpose: whole(old, before, purpose) for purpose in before.sealed}
    return seals.unsealed(sealed, whole(old, before), whole(new, after))


def _told(group: list[_Seen], new: Folder) -> Change:
    first = group[0]
    document = new.schemas[first.delta.place.id]
    names = dict.fromkeys(f"{s.version.key} v{s.version.major}" for s in group)
    fields = list(dict.fromkeys(s.field for s in group))
    readers = tuple(
        dict.fromkeys(
            consumer
            for s in group
            for consumer, reading in new.readings(s.version.key).items()
            if s.declared in reading.fields or not s.declared
        )
    )
    subject = next(iter(names)) if len(names) == 1 else f"{len(names)} events"
    if not first.delta.field and len(names) == 1:
        field = f"the plaintext `{fields[0]}`" if first.purpose else "the event"
    else:
        field = f"`{fields[0]}`" if len(fields) == 1 else f"`{_definition(first.delta)}`"
    said = first.delta.said.replace("{field}", field)
    if len(names) > 1:
        said += f" (used by {_few(list(names))})"
    line = document.where(first.delta.place.path)[0]
    return Change(
        first.delta.verdict,
        first.delta.rule,
        document.name,
        line,
        subject,
        said,
        _order(group, readers, new),
        readers,
    )


def _definition(delta: Delta) -> str:
    """The name of the shared definition, where several fields meet one change."""
    path = delta.place.path
    inner = delta.field[-1] if delta.rule in ("removed", "renamed", "added", "required", "sensitivity") else ""
    name = path[1] if path[:1] == ("$defs",) else "the event"
    return f"{name}.{inner}" if inner else name


def _order(group: list[_Seen], readers: tuple[str, ...], new: Folder) -> str:
    delta, version = group[0].delta, group[0].version
    who = ", ".join(readers)
    if delta.verdict is Verdict.forbidden:
        return "Put it back." if delta.rule != "unsealed" else f"Put it back. {OTHER_NAME}"
    if delta.verdict is Verdict.fine:
        match delta.rule:
            case "code-added" if who:
                return f"Consumers first: until {who} {_are(readers)} released, they take it for `unknown`."
            case "code-added":
                return "Any order: no consumer declares to read it."
            case "resealed":
                return f"Look who holds keys for it{f': {who}' if who else ''}; then any order."
            case "described":
                return "Nothing is rolled out."
            case "sensitivity":
                return f"Any order; look who still may read it{f': {who}' if who else ''}."
        return "Any order."
    still = f"{who} still read{'s' * (len(readers) == 1)} it." if who else "No consumer declares to read it."
    if delta.place.id == new.common.data["$id"] and len({(s.version.key, s.version.major) for s in group}) > 1:
        return (
            f"Put `{delta.place.path[1]}` back, and add a definition of another name, for a new major of each event "
            f"that needs it. {still}"
        )
    if version.country:
        return f"Put v{version.major} back, and give the partner v{version.major + 1} as a topic in parallel. {still}"
    consumers = list(dict.fromkeys(c for s in group for c in new.readings(s.version.key)))
    writers = list(dict.fromkeys(t.spec.producer for s in group for t in new.topics_of(s.version.key)))
    first = f"First {', '.join(consumers)}; then" if consumers else "No other service reads it: first"
    return (
        f"Put v{version.major} back and write v{version.major + 1}.schema.json beside it. {first} the topic file; then "
        f"{_few(writers)}. {still}"
    )


def _few(names: list[str]) -> str:
    """Names, cut where there are many."""
    return ", ".join(names) if len(names) <= 5 else f"{', '.join(names[:4])} and {len(names) - 4} more"


def _are(names: tuple[str, ...]) -> str:
    return "is" if len(names) == 1 else "are"
