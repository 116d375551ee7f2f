"""Two versions of one topic file: what a topic promises for its whole life, and what may move."""

from __future__ import annotations

from collections.abc import Iterator

from kintsugi_contracts.schema_changes import Verdict
from kintsugi_contracts.topic_file import TopicFile

Said = tuple[str, Verdict, tuple[str, ...], str]
"""The rule, its verdict, the place in the topic file, and what changed."""

CLASSES = ("public", "internal", "confidential", "restricted")

_FOR_LIFE = {
    "topic": "a topic keeps its name: records, positions and grants are bound to it",
    "service": "a topic keeps its writer: sequences are counted by it",
    "producer": "a topic keeps its writer: sequences are counted by it",
    "key": "the key decides the partition, and with it the order of one subject's records",
    "partitions": "the number of partitions decides where a key goes; more is a new major topic",
}
_FOR_EVER = 1 << 62
_GONE = "records would go that readers may still need to rebuild from"
_MISSED = "a reader that was away could miss what it must forget"
_STAYS = "what was withdrawn would stay readable for longer"
_LATE = "records could arrive later than a withdrawal allows"
_NUMBERS: dict[str, tuple[str, tuple[Verdict, str], tuple[Verdict, str]]] = {
    name: (unset, (Verdict.fine if less is None else Verdict.forbidden, less or "stricter than before"), more)
    for name, unset, less, more in (
        ("retention.ms", "604800000", _GONE, (Verdict.fine, "records stay longer")),
        ("retention.bytes", "-1", _GONE, (Verdict.fine, "records stay longer")),
        ("delete.retention.ms", "86400000", _MISSED, (Verdict.fine, "readers have longer to learn what went")),
        ("min.compaction.lag.ms", "0", _GONE, (Verdict.forbidden, _STAYS)),
        ("max.compaction.lag.ms", "-1", None, (Verdict.forbidden, _STAYS)),
        ("message.timestamp.before.max.ms", "-1", None, (Verdict.forbidden, _LATE)),
        ("message.timestamp.after.max.ms", "-1", None, (Verdict.forbidden, _LATE)),
    )
}
"""Settings that are numbers: what holds when one is not set, the verdict on less, and the verdict on more."""
_HARMLESS = ("segment.", "compression.", "flush.", "min.insync.", "preallocate", "index.", "min.cleanable.")


def compare(old: TopicFile, new: TopicFile) -> list[Said]:
    """Every change from one topic file to another."""
    return [
        *_life(old, new),
        *_config(old, new),
        *_sensitivity(old, new),
        *_events(old, new),
        *_subjects(old, new),
        *_access(old, new),
    ]


def _life(old: TopicFile, new: TopicFile) -> Iterator[Said]:
    for name, why in _FOR_LIFE.items():
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield name, Verdict.forbidden, (name,), f"`{name}` was {before} and is {after}: {why}"


def _config(old: TopicFile, new: TopicFile) -> Iterator[Said]:
    for name in sorted(old.config.keys() | new.config.keys()):
        before, after = old.config.get(name), new.config.get(name)
        if before == after:
            continue
        verdict, why = _setting(name, before, after)
        said = f"`{name}` was {before or 'not set'} and is {after or 'not set'}: {why}"
        yield name, verdict, ("config", name), said


def _setting(name: str, before: str | None, after: str | None) -> tuple[Verdict, str]:
    if name in _NUMBERS:
        unset, less, more = _NUMBERS[name]
        return less if _number(after or unset) < _number(before or unset) else more
    if name == "max.message.bytes" and before and after:
        if _number(after) < _number(before):
            return Verdict.major, "records that producers may write today would be refused"
        return Verdict.fine, "records may be larger, and every reader must be able to hold one"
    if name.startswith(_HARMLESS):
        return Verdict.fine, "how the broker stores it is no part of the contract"
    return Verdict.forbidden, "what readers may count on would change under them"


def _number(value: str) -> int:
    """A setting as a number; -1 is for ever."""
    number = int(value)
    return _FOR_EVER if number == -1 else number


def _sensitivity(old: TopicFile, new: TopicFile) -> Iterator[Said]:
    before, after = CLASSES.index(old.sensitivity), CLASSES.index(new.sensitivity)
    if before != after:
        lowered = after < before
        said = f"`sensitivity` was {old.sensitivity} and is {new.sensitivity}"
        verdict = Verdict.forbidden if lowered else Verdict.fine
        why = ": what stands on the topic is no less sensitive than it was" if lowered else ""
        yield "sensitivity", verdict, ("sensitivity",), said + why


def _events(old: TopicFile, new: TopicFile) -> Iterator[Said]:
    for name, entry in old.events.items():
        place = ("events", name)
        after = new.events.get(name)
        if after is None:
            yield (
                "event-removed",
                Verdict.forbidden,
                ("events",),
                f"`{name}` left the topic, where records of it stand; keep the entry, and stop writing it",
            )
            continue
        if gone := sorted(set(entry.versions) - set(after.versions)):
            said = f"version {', '.join(map(str, gone))} of `{name}` left the topic, where records of it stand"
            yield "version-removed", Verdict.forbidden, place, said
        if added := sorted(set(after.versions) - set(entry.versions)):
            said = f"version {', '.join(map(str, added))} of `{name}` may now be written"
            yield "version-added", Verdict.fine, place, said
        if entry.protective and not after.protective:
            said = f"`{name}` is no longer protective: it keeps someone safe, and could then be discarded"
            yield "protective", Verdict.forbidden, place, said
        if after.protective and not entry.protective:
            yield "protective", Verdict.fine, place, f"`{name}` is now protective: it can no longer be discarded"
    for name in new.events:
        if name not in old.events:
            said = f"`{name}` is new on the topic; services that do not read it ignore it"
            yield "event-added", Verdict.fine, ("events", name), said


def _reads(old: TopicFile, new: TopicFile) -> Iterator[Said]:
    """What a consumer that stays relies on, and opens, now and no longer."""
    for who in (c for c in new.consumers if c in old.consumers):
        before, after = old.consumers[who], new.consumers[who]
        for event in dict.fromkeys((*before, *after)):
            place = ("consumers", who, event)
            if event not in after:
                yield "reads-removed", Verdict.fine, place[:2], f"{who} no longer reads `{event}`"
                continue
            had = before[event].fields if event in before else ()
            added = [f for f in after[event].fields if f not in had]
            if opened := [f.removeprefix("sealed.") for f in added if f.startswith("sealed.")]:
                said = f"{who} now opens {', '.join(opened)} of `{event}`: more people's work touches sealed values"
                yield "opens-added", Verdict.fine, place, said
            if fields := [f for f in added if not f.startswith("sealed.")]:
                yield "reads-added", Verdict.fine, place, f"{who} now reads {_names(fields)} of `{event}`"
            elif event not in before:
                yield "reads-added", Verdict.fine, place, f"{who} now reads `{event}`"
            if gone := [f for f in had if f not in after[event].fields]:
                yield "reads-removed", Verdict.fine, place, f"{who} no longer reads {_names(gone)} of `{event}`"


def _names(fields: list[str]) -> str:
    return ", ".join(f"`{f}`" for f in fields)


def _subjects(old: TopicFile, new: TopicFile) -> Iterator[Said]:
    if gone := sorted(set(old.subjects) - set(new.subjects)):
        said = f"records about {', '.join(gone)} would be dead letters, also those that stand on the topic already"
        yield "subjects-removed", Verdict.forbidden, ("subjects",), said
    if added := sorted(set(new.subjects) - set(old.subjects)):
        said = f"records may be about {', '.join(added)}, which readers of the release before take for dead letters"
        yield "subjects-added", Verdict.major, ("subjects",), said


def _access(old: TopicFile, new: TopicFile) -> Iterator[Said]:
    """Who may open and who reads: no question of compatibility, but one for the reviewer."""
    if added := sorted(set(new.purposes) - set(old.purposes)):
        said = f"{new.service} may now hold keys for {', '.join(added)}: more people's work touches sealed values"
        yield "keys-added", Verdict.fine, ("purposes",), said
    if gone := sorted(set(old.purposes) - set(new.purposes)):
        yield "keys-removed", Verdict.fine, ("purposes",), f"{new.service} gives up its keys for {', '.join(gone)}"
    for who in sorted((set(new.consumers) | set(new.readers)) - (set(old.consumers) | set(old.readers))):
        yield "reader-added", Verdict.fine, ("consumers",), f"{who} now reads the topic"
    for who in sorted((set(old.consumers) | set(old.readers)) - (set(new.consumers) | set(new.readers))):
        yield "reader-removed", Verdict.fine, ("consumers",), f"{who} no longer reads the topic"
    yield from _reads(old, new)
    if old.purpose != new.purpose:
        said = f"`purpose` was `{old.purpose}` and is `{new.purpose}`: whose data it is for may have changed"
        yield "purpose", Verdict.fine, ("purpose",), said
    if old.owner != new.owner:
        yield "owner", Verdict.fine, ("owner",), f"`owner` was {old.owner or 'nobody'} and is {new.owner or 'nobody'}"
