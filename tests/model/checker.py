"""What must be true after a history. It reads topics, journals and ledgers, and shares no code with the kit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from tests.model.settings import TYPES
from tests.model.storage import Event
from tests.model.world import World

AT_REST = frozenset({"applied", "ignored", "duplicate", "discarded", "late"})
FORGED = frozenset({"dead", "late"})
Firsts = dict[tuple[str, str], dict[int, Event]]


def faults(world: World, rested: bool, most: int = 5) -> list[str]:
    """What is wrong, at most ``most`` sentences; an empty list for a history that went well."""
    return list(islice(_faults(world, rested), most))


def _faults(world: World, rested: bool) -> Iterator[str]:
    if not rested:
        yield "stuck: " + "; ".join(_left(world))
    firsts: Firsts = {}
    yield from _topics(world, firsts)
    for name in world.shells:
        for subject in world.subjects:
            yield from _inputs(world, firsts, name, subject)
            yield from _causes(world, firsts, name, subject)
            yield from _holds(world, name, subject)
    yield from _accounts(world)
    yield from _promises(world, firsts)


def _left(world: World) -> Iterator[str]:
    for name, shell in world.shells.items():
        database = shell.database
        for subject, row in database.rows.items():
            if row.progress.hold is not None:
                yield f"{name} {subject} is held for {row.progress.hold.cause}"
        for subject, line in database.lines.items():
            if line:
                yield f"{name} {subject} has {len(line)} waiting"
        if database.outbox:
            yield f"{name} has {len(database.outbox)} unsent"
        for queue in shell.queues:
            if (unread := len(world.topics.logs[queue]) - database.positions[queue]) > 0:
                yield f"{name} has {unread} of {queue[0]} unread"


def _topics(world: World, firsts: Firsts) -> Iterator[str]:
    """Every own event of a state is on the topic, first occurrences in order, and no event is without state."""
    for (source, _), log in world.topics.logs.items():
        newest: dict[str, int] = {}
        for event in log:
            if event.number in world.forged:
                continue
            subject, sequence = event.envelope.subject, event.envelope.sequence
            known = firsts.setdefault((source, subject), {})
            first = known.get(sequence)
            if first is None:
                known[sequence] = event
                if event.number in world.topics.lost:
                    continue
                if sequence < newest.get(subject, 0):
                    yield f"reordered on topic: {source} {subject} {sequence} comes first after {newest[subject]}"
                newest[subject] = sequence
            elif first.number != event.number:
                yield f"reused: {source} {subject} {sequence} is event {first.number} and event {event.number}"
    for name, shell in world.shells.items():
        for subject in world.subjects:
            row = shell.database.rows.get(subject)
            own = [entry for entry in row.journal if entry.status == "own"] if row else []
            counter = row.progress.sequence if row else 0
            if [entry.sequence for entry in own] != list(range(1, counter + 1)):
                yield f"counter: {name} {subject} counts {counter} and has {[entry.sequence for entry in own]}"
            sent = {sequence: event.number for sequence, event in firsts.get((name, subject), {}).items()}
            for entry in own:
                assert entry.event is not None
                number = sent.pop(entry.sequence, None)
                if number is None and entry.event.number not in world.topics.lost:
                    yield f"lost: {name} {subject} {entry.sequence} never reached its topic"
                elif number is not None and number != entry.event.number:
                    yield f"no state: {name} {subject} {entry.sequence} on the topic is not the event of the state"
            if sent:
                yield f"no state: {name} {subject} {sorted(sent)} are on the topic and in no state"


def _given_up(world: World, firsts: Firsts, name: str, subject: str) -> set[tuple[str, int]]:
    """What this service's own topic says that it did without."""
    return {
        (event.about.source, event.about.sequence)
        for event in firsts.get((name, subject), {}).values()
        if event.about is not None and _gives_up(event)
    }


def _gives_up(event: Event) -> bool:
    return event.about is not None and (event.envelope.type == "input.discarded" or event.about.cause == "without")


def _inputs(world: World, firsts: Firsts, name: str, subject: str) -> Iterator[str]:
    """Per source, the journal is the topic: every event once, in order, but those the service's topic gives up."""
    row = world.shells[name].database.rows.get(subject)
    journal = row.journal if row else ()
    marked = _given_up(world, firsts, name, subject)
    for source in world.setting.subscribes[name]:
        sent = firsts.get((source, subject), {})
        mine = [entry for entry in journal if entry.source == source and entry.status != "own"]
        sequences = [entry.sequence for entry in mine]
        where = f"{name} {subject} of {source}"
        if sequences != list(range(1, len(sequences) + 1)):
            yield f"lost, doubled or reordered: {where} took {sequences}"
        last = max(sent, default=0)
        if last > max(sequences, default=0):
            yield f"lost: {where} took {sequences} of {last}"
        if row and row.progress.cursor(source) != max(sequences, default=0):
            yield f"no state: {where} has its cursor at {row.progress.cursor(source)} and took {sequences}"
        for entry in mine:
            given_up = (source, entry.sequence) in marked
            if given_up != (entry.status in ("discarded", "skipped")):
                yield f"unmarked: {where} {entry.sequence} is {entry.status}, its topic says discarded: {given_up}"
            if entry.event is None:
                continue
            if entry.sequence not in sent or sent[entry.sequence].number != entry.event.number:
                yield f"another event: {where} {entry.sequence} is not what is on the topic"
            known = entry.event.envelope.type in world.setting.ignores[name]
            if entry.status != "discarded" and known != (entry.status == "ignored"):
                yield f"wrong effect: {where} {entry.sequence} is {entry.status}"


def _causes(world: World, firsts: Firsts, name: str, subject: str) -> Iterator[str]:
    """Nothing was taken before what its emitter had known, and every own event says what was taken before it."""
    row = world.shells[name].database.rows.get(subject)
    if row is None:
        return
    heard = 0
    for source in world.setting.subscribes[name]:
        for event in firsts.get((source, subject), {}).values():
            heard |= 1 << event.number
    taken = 0
    reached = dict.fromkeys(world.setting.subscribes[name], 0)
    for entry in row.journal:
        if entry.status == "own":
            assert entry.event is not None
            seen = {source: entry.event.envelope.seen.get(source, 0) for source in reached}
            if seen != reached or name in entry.event.envelope.seen:
                said = dict(entry.event.envelope.seen)
                yield f"ce_seen: {name} {subject} {entry.sequence} says {said} and had taken {reached}"
            continue
        reached[entry.source] = entry.sequence
        if entry.event is None:
            given_up = firsts.get((entry.source, subject), {}).get(entry.sequence)
            taken |= 1 << given_up.number if given_up else 0
            continue
        before = world.past[entry.event.number] & heard & ~taken
        if before:
            early = [number for number in range(before.bit_length()) if before >> number & 1]
            yield f"effect before cause: {name} {subject} took event {entry.event.number} before {early}"
        taken |= 1 << entry.event.number


def _holds(world: World, name: str, subject: str) -> Iterator[str]:
    """Between a hold for a raising handler and its end nothing of the subject was applied."""
    row = world.shells[name].database.rows.get(subject)
    held = False
    for entry in row.journal if row else ():
        if entry.status == "own":
            assert entry.event is not None
            about = entry.event.about
            if entry.event.envelope.type == "input.held" and about is not None:
                held = held or about.cause == "handler_raised"
            elif entry.event.envelope.type not in TYPES:
                held = False
        elif held and entry.status in ("applied", "ignored"):
            yield f"held and going on: {name} {subject} took {entry.source} {entry.sequence}"


def _accounts(world: World) -> Iterator[str]:
    """Every record has one account; every event at most one that is not a copy's."""
    for name, shell in world.shells.items():
        accounts = shell.database.accounts
        effects: Counter[tuple[str, str, int]] = Counter()
        received = 0
        for queue in shell.queues:
            log = world.topics.logs[queue]
            received += len(log)
            for offset, event in enumerate(log):
                status = accounts.get((*queue, offset))
                if status not in (FORGED if event.number in world.forged else AT_REST):
                    yield f"account: {name} has {status} for {queue[0]} {event.envelope.subject} at {offset}"
                elif status not in ("duplicate", "late", "dead"):
                    effects[queue[0], event.envelope.subject, event.envelope.sequence] += 1
        if received != len(accounts):
            yield f"account: {name} received {received} and accounts for {len(accounts)}"
        taken = Counter(
            (entry.source, subject, entry.sequence)
            for subject, row in shell.database.rows.items()
            for entry in row.journal
            if entry.status in ("applied", "ignored", "discarded")
        )
        for effect in {*effects, *taken}:
            if effects[effect] != taken[effect]:
                yield f"account: {name} took {effect} {taken[effect]} times and accounts {effects[effect]} times for it"


def _promises(world: World, firsts: Firsts) -> Iterator[str]:
    """What clients and operators were told is on the topics, once."""
    yield from world.contradicted
    requested: Counter[str] = Counter()
    for known in firsts.values():
        for event in known.values():
            requested[event.envelope.causationid] += event.envelope.causationid.startswith("request/")
    for key, numbers in world.answered.items():
        lost = sum(1 for number in numbers if number in world.topics.lost and not world.on_log(number))
        if requested[f"request/{key}"] != len(numbers) - lost:
            yield f"request {key}: answered with {len(numbers)} events, the topic has {requested[f'request/{key}']}"
    for name, subject, source, sequence in world.given_up:
        marks = [
            event
            for event in firsts.get((name, subject), {}).values()
            if event.about is not None
            and _gives_up(event)
            and (event.about.source, event.about.sequence) == (source, sequence)
        ]
        if len(marks) != 1:
            yield f"unmarked: {name} {subject} gave up {source} {sequence}; its topic says so {len(marks)} times"
