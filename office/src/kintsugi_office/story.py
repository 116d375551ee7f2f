"""The story of one case, put together from what each service says of it: pure, no I/O, no clock.

Each service tells its own events with their causes, the inputs it took, what it owes and where it stands. Together
they are a tree: a request, a deadline or the end of a sending is a root, and every event hangs under its cause.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Told = Mapping[str, Any]
"""What one service answers to ``GET /operations/subjects/case/...``."""

_ROOTS = ("request", "deadline", "outcome")
_UNSETTLED = ("waiting", "held")
_FIRST_YEAR = 2000


@dataclass(frozen=True)
class Taken:
    """What became of an event in one consumer. ``after_s``: seconds from the event's commit to its effect there."""

    service: str
    status: str
    cause: str | None
    detail: str | None
    after_s: float | None


@dataclass
class Node:
    """An event, or what stands at the root of some: ``request``, ``deadline``, ``outcome``, ``unknown``.

    ``at`` is machine time, ``business_at`` the business clock's (they differ only in a demonstration). ``delay_s``
    is the time since the cause was committed. ``published`` is None where only a consumer knows the event.
    """

    id: str
    kind: str
    type: str
    service: str | None
    sequence: int | None
    at: datetime
    business_at: datetime
    delay_s: float | None = None
    trace_id: str | None = None
    published: bool | None = None
    seen: Mapping[str, int] = field(default_factory=dict)
    taken: list[Taken] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Node]]:
        """The node and everything that follows from it, each with its depth, causes first, in time order."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


@dataclass(frozen=True)
class Missing:
    """Events that a service has not got, from ``sequence`` to ``last`` of one source.

    ``whereabouts`` of the first: unsent, published or unknown, as its source says.
    """

    source: str
    sequence: int
    last: int
    whereabouts: str

    def __str__(self) -> str:
        several = f"-{self.last}" if self.last > self.sequence else ""
        return f"{self.source}:{self.sequence}{several}"


@dataclass(frozen=True)
class Standing:
    """Where the case stands in one service. ``detail`` is what the held input said of its failure: a code or class."""

    service: str
    status: str
    waiting: int
    cause: str | None
    at: str | None
    at_type: str | None
    detail: str | None
    since: datetime | None
    missing: Missing | None
    cursors: Mapping[str, int]
    emitted: int


@dataclass(frozen=True)
class Owed:
    """Something that is still to happen. ``due`` is business time; None means: at once, or when the case changes."""

    service: str
    name: str
    kind: str
    due: datetime | None
    state: str


@dataclass(frozen=True)
class Story:
    """Everything an operator needs to know of one case."""

    subject: str
    roots: tuple[Node, ...]
    standing: tuple[Standing, ...]
    owed: tuple[Owed, ...]
    silent: tuple[str, ...]

    def nodes(self) -> Iterator[tuple[int, Node]]:
        """Every node with its depth, roots in time order."""
        for root in self.roots:
            yield from root.walk()

    @property
    def stands_still(self) -> list[Standing]:
        """The services in which nothing of the case goes on."""
        return [each for each in self.standing if each.status in ("held", "blocked", "waiting")]


def build(subject: str, told: Mapping[str, Told], silent: Sequence[str] = ()) -> Story:
    """The story that these answers tell. ``silent`` names services that gave none: their part is missing."""
    events = _events(told)
    _add_effects(events, told)
    roots = _hang(events, told)
    standing = tuple(_standing(name, said, events) for name, said in told.items())
    owed = [_owed(name, entry) for name, said in told.items() for entry in said.get("agenda", [])]
    owed.sort(key=lambda each: (each.due is None, each.due.timestamp() if each.due else 0.0, each.service, each.name))
    return Story(subject, tuple(roots), standing, tuple(owed), tuple(silent))


def _events(told: Mapping[str, Told]) -> dict[str, Node]:
    """Every event by id: as its own service tells it, else as a consumer received it."""
    found: dict[str, Node] = {}
    for service, said in told.items():
        for each in said.get("own", []):
            at = _moment(each["created_at"])
            found[each["ce_id"]] = Node(
                id=each["ce_id"],
                kind="event",
                type=short(each["type"]),
                service=service,
                sequence=each["sequence"],
                at=at,
                business_at=_moment(each["ce_time"]) if each.get("ce_time") else at,
                trace_id=_trace_id(each.get("traceparent")),
                published=each.get("published_at") is not None,
                seen=_seen(each.get("ce_seen")),
            )
    for said in told.values():
        for each in said.get("inputs", []):
            if each["kind"] == "event" and each.get("id") and each["id"] not in found:
                at = _moment(each.get("appended_at") or each["arrived_at"])
                found[each["id"]] = Node(
                    id=each["id"],
                    kind="event",
                    type=short(each.get("type") or "unreadable"),
                    service=_service(each.get("source")),
                    sequence=each.get("sequence"),
                    at=at,
                    business_at=at,
                )
    return found


def _add_effects(events: Mapping[str, Node], told: Mapping[str, Told]) -> None:
    for service, said in told.items():
        for each in said.get("inputs", []):
            node = events.get(each.get("id") or "")
            if node is None or each["kind"] != "event":
                continue
            settled = each.get("settled_at") or (None if each["status"] in _UNSETTLED else each.get("arrived_at"))
            after = max((_moment(settled) - node.at).total_seconds(), 0.0) if settled else None
            node.taken.append(Taken(service, each["status"], each.get("cause"), each.get("detail"), after))


def _hang(events: dict[str, Node], told: Mapping[str, Told]) -> list[Node]:
    """Puts each event under its cause, and makes a root for each cause that is no event."""
    causes = {each["ce_id"]: each.get("ce_causationid") for said in told.values() for each in said.get("own", [])}
    roots: dict[str, Node] = {}
    for node in events.values():
        cause = causes.get(node.id)
        parent = events.get(cause or "")
        if parent is not None and cause != node.id and not _below(node, parent):
            node.delay_s = max((node.at - parent.at).total_seconds(), 0.0)
            parent.children.append(node)
        elif cause and cause.partition("/")[0] in _ROOTS:
            kind = cause.partition("/")[0]
            root = roots.setdefault(cause, Node(cause, kind, kind, node.service, None, node.at, node.business_at))
            root.at, root.business_at = min(root.at, node.at), min(root.business_at, node.business_at)
            root.trace_id = root.trace_id or node.trace_id
            root.children.append(node)
        else:
            roots[node.id] = node
    for node in [*events.values(), *roots.values()]:
        node.children.sort(key=_in_time)
    return sorted(roots.values(), key=_in_time)


def _below(top: Node, node: Node) -> bool:
    """Whether ``node`` hangs under ``top`` already: a false cause must not turn the tree into a ring."""
    return any(each is node for _, each in top.walk())


def _standing(service: str, said: Told, events: Mapping[str, Node]) -> Standing:
    hold = said.get("hold") or {}
    cursors: dict[str, int] = dict(said.get("cursors", {}))
    status = said["status"]
    detail = None
    for each in said.get("inputs", []):
        if hold and each["status"] == "held" and each.get("sequence") == hold.get("sequence"):
            detail = each.get("detail")
    return Standing(
        service=service,
        status=status,
        waiting=said.get("waiting", 0),
        cause=hold.get("cause"),
        at=(f"{hold['source']}:{hold['sequence']}" if hold["sequence"] else hold["source"]) if hold else None,
        at_type=short(hold["type"]) if hold.get("type") else None,
        detail=detail,
        since=_moment(since) if (since := said.get("held_since") or said.get("waiting_since")) else None,
        missing=_missing(said, events) if said.get("waiting") else None,
        cursors=cursors,
        emitted=said.get("sequence", 0),
    )


def _missing(said: Told, events: Mapping[str, Node]) -> Missing | None:
    """The event that the first of the waiting ones waits for: its predecessor, or one it had seen."""
    if (said.get("hold") or {}).get("cause") not in (None, "gap", "cause_missing"):
        return None
    cursors: dict[str, int] = said.get("cursors", {})
    waiting = [each for each in said.get("inputs", []) if each["status"] in _UNSETTLED and each.get("sequence")]
    arrived = {(_service(each.get("source")), each["sequence"]) for each in waiting}
    for each in sorted(waiting, key=lambda one: (one["sequence"], str(one.get("source")))):
        source = _service(each.get("source")) or "?"
        expected = cursors.get(source, 0) + 1
        wanted = {source: (expected, each["sequence"] - 1)} if each["sequence"] > expected else {}
        node = events.get(each.get("id") or "")
        if not wanted and node is not None:
            wanted = {
                name: (cursors.get(name, 0) + 1, sequence)
                for name, sequence in sorted(node.seen.items())
                if sequence > cursors.get(name, 0) and name != source
            }
        for name, (first, last) in wanted.items():
            if (name, first) not in arrived:
                until = next((number - 1 for number in range(first, last + 1) if (name, number) in arrived), last)
                return Missing(name, first, until, _whereabouts(name, first, events))
    return None


def _whereabouts(source: str, sequence: int, events: Mapping[str, Node]) -> str:
    for node in events.values():
        if node.service == source and node.sequence == sequence and node.published is not None:
            return "published" if node.published else "unsent"
    return "unknown"


def _owed(service: str, entry: Mapping[str, Any]) -> Owed:
    postponed, retry, attempt = entry.get("postponed"), entry.get("retry_at"), entry.get("attempt") or 0
    due = entry.get("due_at")
    if entry["kind"] == "deadline":
        state = "due"
    elif entry.get("claimed"):
        state = f"being sent, attempt {attempt}"
    elif postponed:
        state = f"postponed: {postponed}"
        due = retry if retry else due
    else:
        state = f"to be sent again after attempt {attempt}" if attempt else "to be sent"
    moment = None if due is None or due == "infinity" else _moment(due)
    at_once = moment is not None and moment.year < _FIRST_YEAR
    return Owed(service, entry["name"], entry["kind"], None if at_once else moment, state)


def short(type_: str) -> str:
    """``kintsugi.case.opened.v1`` as people say it: ``case.opened``."""
    plain = type_.removeprefix("kintsugi.")
    name, dot, version = plain.rpartition(".")
    return name if dot and version == "v1" else plain


def _service(source: str | None) -> str | None:
    """The short name in a ``ce_source`` such as ``/xa/intake``; short names stay as they are."""
    return source.rpartition("/")[2] if source else None


def _seen(text: str | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in (text or "").split():
        name, _, sequence = part.partition(":")
        if sequence.isdigit():
            found[name] = int(sequence)
    return found


def _trace_id(traceparent: str | None) -> str | None:
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) == 4 else None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _in_time(node: Node) -> tuple[datetime, str, int]:
    return node.at, node.service or "", node.sequence or 0
