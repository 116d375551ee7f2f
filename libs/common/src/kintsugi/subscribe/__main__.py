"""``python -m kintsugi.subscribe held|release|discard --store F``: what was kept back, and what becomes of it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kintsugi.subscribe.operating import REASONS, CannotDo, discard, release
from kintsugi.subscribe.record import Held, State
from kintsugi.subscribe.store import Store, StoreError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code: 1 where it could not be done."""
    asked = _parser().parse_args(arguments)
    try:
        store = Store(asked.store)
        try:
            _COMMANDS[asked.command](store, asked)
        finally:
            store.close()
    except (CannotDo, StoreError) as error:
        print(f"kintsugi.subscribe: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kintsugi.subscribe", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    held = commands.add_parser("held", help="what is held or set aside, without its content")
    held.add_argument("--json", action="store_true", help="one JSON array for programs")
    freed = commands.add_parser("release", help="let the subscriber handle it again, in order")
    freed.add_argument("chosen", nargs="?", help="a record's number, or a case or its beginning")
    freed.add_argument("--all", action="store_true", help="everything that is held")
    given_up = commands.add_parser("discard", help="give one record up for good")
    given_up.add_argument("number", type=int)
    given_up.add_argument("--reason", required=True, choices=REASONS)
    given_up.add_argument("--although-protective", action="store_true", help="also an event that protects a person")
    for each in (held, freed, given_up):
        each.add_argument("--store", type=Path, required=True, help="the subscriber's file, <name>.sqlite")
    return parser


def _held(store: Store, asked: argparse.Namespace) -> None:
    kept = store.held()
    if asked.json:
        print(json.dumps([_as_json(each) for each in kept], indent=1))
        return
    if not kept:
        print("Nothing is held.")
        return
    for each in kept:
        print(_line(each))
    first = next((each for each in kept if each.state is State.held), None)
    if first is not None:
        print(
            f"\nNext: mend the cause, then\n  python -m kintsugi.subscribe release {first.number} --store {asked.store}"
        )


def _release(store: Store, asked: argparse.Namespace) -> None:
    if asked.all == bool(asked.chosen):
        raise CannotDo("Name a record's number or a case, or say --all")
    chosen = None if asked.all else int(asked.chosen) if asked.chosen.isdecimal() else asked.chosen
    released = release(store, chosen)
    for subject in released:
        print(f"Released {subject}")
    if released:
        print("The subscriber handles them in order: now if it runs, else when it starts.")
    else:
        print("Nothing is held.")


def _discard(store: Store, asked: argparse.Namespace) -> None:
    kept = discard(store, asked.number, asked.reason, although_protective=asked.although_protective)
    where = f"{kept.record.topic}/{kept.record.partition} at {kept.record.offset}"
    print(f"Discarded {kept.type or 'an unreadable record'} ({where}): {asked.reason}. It stays on its topic.")


_COMMANDS = {"held": _held, "release": _release, "discard": _discard}


def _line(kept: Held) -> str:
    what = (kept.type or "unreadable").removeprefix("kintsugi.")
    place = f"{kept.subject}  {kept.source}:{kept.sequence}" if kept.subject else "no case can be read from it"
    behind = f", {kept.behind} behind it" if kept.behind and kept.state is not State.aside else ""
    record = kept.record
    return (
        f"{kept.number:>5}  {kept.state}  {what}  {kept.since:%Y-%m-%d %H:%M} UTC\n"
        f"       {place}{behind}\n"
        f"       {kept.cause}{f': {kept.detail}' if kept.detail else ''}\n"
        f"       {record.topic}/{record.partition} at {record.offset}, {_size(record.value)}"
    )


def _size(value: bytes | None) -> str:
    return "no value" if value is None else f"{len(value)} bytes"


def _as_json(kept: Held) -> dict[str, Any]:
    """Without key, value and headers: ``Subscriber.held()`` has them."""
    record = kept.record
    return {
        "number": kept.number,
        "state": kept.state,
        "cause": kept.cause,
        "detail": kept.detail,
        "subject": kept.subject,
        "source": kept.source,
        "sequence": kept.sequence,
        "id": kept.id,
        "type": kept.type,
        "since": kept.since.isoformat(),
        "attempts": kept.attempts,
        "behind": kept.behind,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
    }


if __name__ == "__main__":
    sys.exit(main())
