"""A random simulation of the protocol of one subject's order, running the kit's own ``kintsugi.subject``.

    python -m tests.model --histories 10000 --seed 7      runs histories from a seed
    python -m tests.model --replay 7/123                  runs one again and prints its journals and faults
    python -m tests.model --bugs                          shows which history catches each seeded bug

A history is four services in a ring with some more subscriptions across it, two processes each, one to three
subjects, append-only topics of two partitions, one database per service. Processes take turns at random. The kit's
``judge``, ``missing``, ``advance``, ``skip``, ``emitted``, ``hold``, ``release``, ``gap_cause`` and
``ends_by_itself`` decide; the shell around them is written again here, in the steps of ``kintsugi.shell``, without
I/O. In the first part everything may go wrong; then faults stop, everybody does what is left to do, and the checker
reads topics, journals and accounts. It shares no code with the kit.

What goes wrong: crashes between any two steps of a unit or a relay (begin, work, commit, answer; read, send, mark);
the server ending a session in the middle; relays that overlap, fail half way, or repeat what was published; copies
of records in any order; records that the broker acknowledged and lost, filled in late or never; handlers that raise
until they are mended; operators who decide on a hold that is another one by the time they act, or give up on an
event that still comes; somebody who writes another event under a number that is taken; clients that repeat a request
under its key, in either process.

What is assumed
- A commit is atomic and durable, and reads after a lock see what was committed before. Outbox ids are drawn before
  the commit and become visible with it, so a lower id may appear later than a higher one.
- In four of ten histories nothing is locked: the check of versions and positions alone has to prevent damage.
- Rebalancing at its worst: both processes believe, all the time, that every partition is theirs.
- Locks of one unit are granted together. That key order prevents deadlock is not shown here.
- A topic keeps the order of what reaches it. What a broker may lose is a single record, never a whole range.
- Deadlines and outcomes take the path of commands and are not told apart. Time is only patience: a wait becomes a
  hold once the awaited topic was read to its end.
- Who knew what is followed by a set of events in the state, beside ``ce_seen``, never computed from it.
- An operator's command names the hold, or the input, it was decided on, and is refused when that is no longer so.
- Left out: bodies, sealing, sends, protective types, other unreadable records, the recovery of a lost database (so
  ``lost_state`` must never be said here).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.model.bugs import BUGS
from tests.model.history import Result, history, run
from tests.model.world import World

PIECE = 250


def main() -> int:
    """Exit 0 where every history went well, and every bug was caught."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.model", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--histories", type=int, default=10_000, help="how many (10000)")
    parser.add_argument("--seed", type=int, default=7, help="where they start from (7)")
    parser.add_argument("--replay", metavar="SEED/NUMBER", help="one history again, in full")
    parser.add_argument("--bugs", action="store_true", help="the seeded bugs instead of the protocol")
    given = parser.parse_args()
    if given.replay:
        return _replay(given.replay)
    return _bugs(given.seed) if given.bugs else _histories(given.seed, given.histories)


def _histories(seed: int, histories: int) -> int:
    started = time.perf_counter()
    total: Counter[str] = Counter()
    done = 0
    result = Result()
    while done < histories and not result.faults:
        result = run(seed, min(PIECE, histories - done), first=done)
        done += result.histories
        total.update(result.seen)
        _progress(f"{done} of {histories} histories, {time.perf_counter() - started:.0f} s")
    _progress("")
    print(f"{done} histories from seed {seed} in {time.perf_counter() - started:.1f} s")
    for name, count in sorted(total.items()):
        print(f"  {name:24} {count:>10}")
    if not result.faults:
        print("none lost, doubled, reordered or stuck")
        return 0
    print(f"history {result.seed} has faults; 'python -m tests.model --replay {result.seed}' shows it:")
    print(*(f"  {fault}" for fault in result.faults), sep="\n")
    return 1


def _bugs(seed: int) -> int:
    missed = 0
    for bug in BUGS:
        result = run(seed, bug.within, bug.shell, bug.relay)
        missed += not result.faults
        found = f"history {result.histories:>4}: {result.faults[0]}" if result.faults else "NOT CAUGHT"
        print(f"{bug.name:40} {found}"[:160], flush=True)
    print(f"{len(BUGS) - missed} of {len(BUGS)} caught")
    return 1 if missed else 0


def _replay(seed: str) -> int:
    world, found = history(seed)
    print(*_journals(world), sep="\n")
    print(*(found or ["no faults"]), sep="\n")
    return 1 if found else 0


def _journals(world: World) -> list[str]:
    lines: list[str] = []
    for name, shell in world.shells.items():
        for subject, row in sorted(shell.database.rows.items()):
            lines.append(f"{name} {subject}, listens to {', '.join(sorted(shell.subscribed))}")
            for entry in row.journal:
                event = entry.event
                said = f"event {event.number} {event.envelope.type} seen {dict(event.envelope.seen)}" if event else ""
                lines.append(f"  {entry.status:10} {entry.source} {entry.sequence} {said}")
    return lines


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{line:60}", end="" if line else "\r", file=sys.stderr, flush=True)
    elif line:
        print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
