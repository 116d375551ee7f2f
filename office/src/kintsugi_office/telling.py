"""A case's story as lines of at most 80 columns: the tree in time order, where it stands, what it waits for, next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kintsugi_office.operators import length, paper
from kintsugi_office.story import Node, Owed, Standing, Story, Taken

_TREE_WIDTH = 38
_BRIEF = len("case/01234567")
_TONES = {"heading": "bold", "faint": "dim", "trouble": "red"}
_QUIET = ("applied", "ignored", "duplicate")

CAUSES: dict[str, tuple[str, str]] = {
    # code: (what it means, what mends it)
    "id_unreadable": ("the record has no readable id", "mend the producer"),
    "subject_unreadable": ("no case can be read from the record", "mend the producer"),
    "sequence_unreadable": ("the record has no readable sequence", "mend the producer"),
    "source_mismatch": ("the record names another source than its topic's", "mend the producer"),
    "key_mismatch": ("the record's key is not its case", "mend the producer"),
    "sequence_reused": ("another event already came under this number", "find out which of the two is true"),
    "header_unreadable": ("a header cannot be read", "mend the producer, then discard the event"),
    "content_type": ("the content type is not JSON", "mend the producer, then discard the event"),
    "oversize": ("the event is larger than the contract allows", "mend the producer, then discard the event"),
    "unreadable_body": ("the body is not one JSON object", "mend the producer, then discard the event"),
    "contract_violation": ("the body breaks its contract", "mend the producer, then discard the event"),
    "unknown_major": ("this release does not know that major version", "upgrade this service, then release the case"),
    "unknown_schema": ("this release does not know that schema", "upgrade this service, then release the case"),
    "handler_raised": ("the service's code failed on it", "deploy a mended version, then release the case"),
    "agenda_stuck": ("it was handled and is still owed: a defect", "deploy a mended version, then release the case"),
    "depth_exceeded": ("the chain of causes is too long: a loop", "deploy a mended version, then release the case"),
    "database_refused": ("the database refuses this data", "deploy a mended version, then release the case"),
    "gap": ("the event before it never came", "have its source send it again"),
    "cause_missing": ("an event that it follows from never came", "have its source send it again"),
    "lost_state": ("this database is older than its own topic", "recover this service"),
    "blocked": ("a protective event could not be read", "a supervisor decides"),
    "unknown": ("this release does not know the cause", "upgrade kintsugi"),
}


@dataclass(frozen=True)
class Line:
    """One line, and how it is meant: ``heading``, ``plain``, ``faint`` or ``trouble``."""

    text: str
    tone: str = "plain"


def show(lines: list[Line]) -> None:
    """Prints lines for a person; what is longer than the terminal wraps."""
    console = paper()
    for line in lines:
        console.print(line.text, style=_TONES.get(line.tone), soft_wrap=True)


def tell(story: Story, now: datetime) -> list[Line]:
    """All of it. ``now`` is the business clock's time, against which what is due is said."""
    lines = [Line(story.subject, "heading"), *_tree(story), Line(""), *_stands(story), *_waits(story, now)]
    if story.silent:
        lines.append(Line(f"Not asked: {', '.join(story.silent)}, silent. Their part is missing.", "trouble"))
    lines.append(Line(""))
    lines += [Line(f"Next: {each}", "heading") for each in advice(story)]
    return lines


def _tree(story: Story) -> Iterator[Line]:
    day = None
    yield Line(f"{'UTC':<9}{'what happened':<{_TREE_WIDTH}}{'event':<15}{'after':>8}  trace", "faint")
    for root in story.roots:
        if root.business_at.astimezone(UTC).date() != day:
            day = root.business_at.astimezone(UTC).date()
            yield Line(f"{day:%a %d %b %Y}", "faint")
        for prefix, below, node in _guided(root, "", ""):
            yield node_line(node, prefix)
            for taken in node.taken:
                if taken.status not in _QUIET:
                    yield Line(f"{'':<9}{below}! {_effect(taken)}", "trouble")


def _guided(node: Node, here: str, below: str) -> Iterator[tuple[str, str, Node]]:
    """The node and its descendants, each with the guide that leads to it and the guide of what stands below it."""
    yield here, below + ("│ " if node.children else "  "), node
    for place, child in enumerate(node.children):
        last = place == len(node.children) - 1
        yield from _guided(child, below + ("└ " if last else "├ "), below + ("  " if last else "│ "))


def node_line(node: Node, prefix: str = "") -> Line:
    """One node: time, type, place in its source's sequence, delay after its cause, beginning of the trace id."""
    time = f"{node.business_at.astimezone(UTC):%H:%M:%S}"
    what = f"{prefix}{node.type}"
    place = f"{node.service}:{node.sequence}" if node.sequence else (node.service or "")
    delay = "" if node.delay_s is None else f"+{length(node.delay_s)}"
    trace = (node.trace_id or "")[:8]
    unsent = "  unsent" if node.published is False else ""
    text = f"{time:<9}{what:<{_TREE_WIDTH}}{place:<15}{delay:>8}  {trace}".rstrip() + unsent
    return Line(text, "plain" if node.kind == "event" else "faint")


def _effect(taken: Taken) -> str:
    why = f" ({taken.cause}{f', {taken.detail}' if taken.detail else ''})" if taken.cause else ""
    return f"{taken.status} in {taken.service}{why}"


def _stands(story: Story) -> Iterator[Line]:
    for each in story.standing:
        seen = " ".join(f"{name}:{sequence}" for name, sequence in sorted(each.cursors.items()))
        fine = each.status in ("ok", "new")
        text = (
            f"{each.service:<12}{each.status:<9}emitted {each.emitted:<4}{f'has seen {seen}' if seen else ''}".rstrip()
        )
        yield Line(text, "plain" if fine else "trouble")
        yield from (Line(f"{'':<12}{text}", "trouble") for text in troubles(each))


def troubles(standing: Standing) -> list[str]:
    """Why the case stands still in a service, in one sentence a line; empty where it goes on."""
    lines = []
    if standing.cause:
        meaning = CAUSES.get(standing.cause, CAUSES["unknown"])[0]
        lines.append(f"held at {standing.at} {standing.at_type or ''}".rstrip())
        lines.append(f"{standing.cause}: {meaning}" + (f" ({standing.detail})" if standing.detail else ""))
    elif standing.status == "blocked":
        lines.append(f"blocked: {CAUSES['blocked'][0]}")
    if standing.missing:
        where = {
            "published": "its source did send it",
            "unsent": "its source has not sent it yet",
            "unknown": "its source does not know it",
        }[standing.missing.whereabouts]
        lines.append(f"waits for {standing.missing}; {where}")
    behind = standing.waiting - (1 if standing.cause and ":" in (standing.at or "") else 0)
    if behind > 0:
        lines.append(f"{behind} {'event lines' if behind == 1 else 'events line'} up behind it")
    return lines


def _waits(story: Story, now: datetime) -> Iterator[Line]:
    if not story.owed:
        yield Line("Nothing is owed.")
        return
    yield Line("Owed")
    for owed in story.owed:
        yield Line(f"  {_shortened(owed.name, 36):<37}{owed.service:<12}{_due(owed, now)}".rstrip())


def _due(owed: Owed, now: datetime) -> str:
    if owed.due is None:
        return owed.state
    ahead = (owed.due - now).total_seconds()
    when = f"in {length(ahead)}" if ahead > 0 else "now"
    return f"{owed.state} {when}" if owed.kind == "deadline" else f"{owed.state}, {when}"


def _shortened(name: str, width: int) -> str:
    return name if len(name) <= width else name[: width - 1] + "…"


def advice(story: Story) -> list[str]:
    """The next commands, most urgent first: one per service in which the case stands still, else how to go on."""
    ref = briefly(story.subject)
    found: list[str] = []
    for each in story.stands_still:
        found += advice_for(each, ref)
    if any(node.published is False for _, node in story.nodes()):
        found.append("kintsugi status   (events are not yet sent: is 'oldest s' growing?)")
    if story.silent:
        found.append("kintsugi doctor")
    if not found:
        found.append(f"kintsugi trace {ref} --follow" if story.owed else "none; this case needs no operator")
    return list(dict.fromkeys(found))


def briefly(subject: str) -> str:
    """The beginning of a subject that commands take for it; where several begin so, they say which."""
    return subject[:_BRIEF]


def advice_for(standing: Standing, ref: str) -> list[str]:
    """What to run for a case that stands still in one service."""
    service, missing = standing.service, standing.missing
    if standing.status == "blocked":
        return [f"kintsugi held lift {ref} --service {service}   (a supervisor)"]
    if standing.cause == "lost_state":
        return [f"kintsugi recover {service}"]
    if missing and missing.whereabouts == "unknown" and standing.cause:
        return [f"kintsugi held release {ref} --service {service} --without {missing}"]
    if missing and missing.whereabouts == "published" and standing.cause:
        return [f"kintsugi resend {missing.source} --since 2h"]
    if standing.cause:
        return [f"kintsugi held show {ref} --service {service}"]
    return [f"kintsugi trace {ref} --follow   (it ends by itself, or becomes a hold)"]


def as_json(story: Story) -> dict[str, Any]:
    """The same for programs: ``tree`` holds the roots, each event with its ``children``."""
    return {
        "subject": story.subject,
        "tree": [_node_json(root) for root in story.roots],
        "services": [
            {
                "service": each.service,
                "status": each.status,
                "emitted": each.emitted,
                "cursors": dict(each.cursors),
                "waiting": each.waiting,
                "cause": each.cause,
                "at": each.at,
                "at_type": each.at_type,
                "detail": each.detail,
                "since": _iso(each.since),
                "missing": vars(each.missing) if each.missing else None,
            }
            for each in story.standing
        ],
        "owed": [vars(each) | {"due": _iso(each.due)} for each in story.owed],
        "silent": list(story.silent),
        "next": advice(story),
    }


def event_json(node: Node) -> dict[str, Any]:
    """One node without its children."""
    return {
        "id": node.id,
        "kind": node.kind,
        "type": node.type,
        "service": node.service,
        "sequence": node.sequence,
        "at": _iso(node.at),
        "business_at": _iso(node.business_at),
        "delay_s": node.delay_s,
        "trace_id": node.trace_id,
        "published": node.published,
        "effects": [vars(each) for each in node.taken],
    }


def _node_json(node: Node) -> dict[str, Any]:
    return event_json(node) | {"children": [_node_json(child) for child in node.children]}


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
