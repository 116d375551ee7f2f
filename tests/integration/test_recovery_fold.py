"""Random histories, run by the kit's own steps and folded again: the same state and order, whatever had survived."""

import random
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from kintsugi.decoding import decode_event
from kintsugi.envelope import Envelope, Parsed, encode
from kintsugi.recovery.fold import Fold, Standing
from kintsugi.recovery.ledger import Ledger
from kintsugi.recovery.log import Entry, History, LogIncomplete
from kintsugi.service import Service, State
from kintsugi.store.rows import Record
from kintsugi.subject import Hold, Progress, advance, hold, missing, release, skip
from kintsugi.turn import Causation, Office, Own, Stepper, Subject
from kintsugi.vault import Vault
from kintsugi_contracts.base import Event
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.causes import Cause
from kintsugi_events import (
    AssessmentOverdue,
    ConsentRecorded,
    InputDiscarded,
    InputHeld,
    InputReleased,
    RiskRaised,
)
from kintsugi_events.common import DiscardReason, InputKind, Position

from tests.integration.recovered.desk import Desk, desk
from tests.integration.recovered.office import case, example

CATALOG = Catalog.installed()

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PACK: Any = SimpleNamespace(tightened=lambda _service, _handler: ())
TYPES = {
    "intake": ("case.opened", "risk.raised", "consent.recorded", "case.closed"),
    "assessment": ("assessment.overdue", "assessment.declined"),
}
FOLDED = {"intake": ("risk.raised", "consent.recorded"), "assessment": ("assessment.overdue",)}
Moment = tuple[Subject[Desk], int]


class Life:
    """One subject in one service: events of two sources that see each other, holds, discards, releases."""

    def __init__(self, seed: int, *, kinds: Mapping[str, tuple[str, ...]] = TYPES, trouble: bool = True) -> None:
        self._kinds = kinds
        self._trouble = trouble
        self.random = random.Random(seed)
        self.stepper: Stepper[Desk] = Stepper(desk, Office("xx", PACK), Vault())
        self.subject: Subject[Desk] = Subject(case(), Progress(), Desk())
        self.sources: dict[str, dict[int, Entry]] = {"intake": {}, "assessment": {}}
        self.own: list[Entry] = []
        self.moments: list[Moment] = []
        self._make()
        while self._step():
            self.moments.append((self.subject, len(self.own)))

    def _make(self) -> None:
        """The sources' events, each of which may have seen what the other had said before."""
        counters = {"intake": 0, "assessment": 0}
        for _ in range(self.random.randrange(4, 14)):
            source = self.random.choice(list(counters))
            other = next(name for name in counters if name != source)
            counters[source] += 1
            seen = {other: counters[other]} if counters[other] and self.random.random() < 0.5 else {}
            kind = self.random.choice(self._kinds[source])
            self.sources[source][counters[source]] = self._entry(source, counters[source], kind, seen)

    def _entry(self, source: str, sequence: int, kind: str, seen: Mapping[str, int]) -> Entry:
        id_ = str(uuid.uuid4())
        value = example(kind)
        envelope = Envelope(id_, f"/xx/{source}", f"kintsugi.{kind}.v1", NOW, self.subject.id, sequence, seen)
        return _logged(envelope, value, f"xx.{source}.v1", sequence - 1)

    def _step(self) -> bool:
        progress = self.subject.progress
        heads = [
            entry
            for source, entries in self.sources.items()
            if (entry := entries.get(progress.cursor(source) + 1)) is not None
            and missing(entry.envelope, progress, subscribed=self.sources) is None
        ]
        if not heads:
            return False
        entry = self.random.choice(heads)
        chance = self.random.random() if self._trouble else 1.0
        if chance < 0.1:
            self._discard(entry)
        elif chance < 0.2:
            self._give_up(entry)
        else:
            decoded = decode_event(CATALOG, desk, entry.envelope, entry.record.value)
            self._take(self.stepper.event(self.subject, entry.envelope, decoded.event, NOW, lambda *_: None))
        return True

    def _hold(self, entry: Entry) -> None:
        envelope, cause = entry.envelope, Cause.handler_raised
        self._announce(
            InputHeld(
                source=envelope.service,
                input_id=envelope.id,
                input_kind=InputKind.event,
                input_type=envelope.type,
                cause=cause,
                held_at=NOW,
                sequence=envelope.sequence,
            )
        )
        at = Hold(cause, "event", envelope.service, envelope.sequence, envelope.id, envelope.type, NOW.isoformat())
        self.subject = replace(self.subject, progress=hold(self.subject.progress, at))
        self.moments.append((self.subject, len(self.own)))

    def _discard(self, entry: Entry) -> None:
        self._hold(entry)
        envelope = entry.envelope
        self.subject = replace(self.subject, progress=advance(release(self.subject.progress), envelope))
        self._announce(
            InputDiscarded(
                source=envelope.service,
                input_id=envelope.id,
                reason=DiscardReason.consumer_defect,
                discarded_by="operator",
                sequence=envelope.sequence,
            )
        )

    def _give_up(self, entry: Entry) -> None:
        """As after ``release --without``: the input may come later and is then nobody's."""
        self._hold(entry)
        envelope = entry.envelope
        progress = release(skip(self.subject.progress, envelope.service, envelope.sequence))
        self.subject = replace(self.subject, progress=progress)
        self._announce(
            InputReleased(
                source=envelope.service,
                input_id=envelope.id,
                released_by="operator",
                sequence=envelope.sequence,
                without=(Position(source=envelope.service, sequence=envelope.sequence),),
            )
        )

    def _announce(self, event: Event) -> None:
        self._take(self.stepper.emit(self.subject, [event], NOW, Causation("cause", 0)))

    def _take(self, step: tuple[Subject[Desk], list[Own]]) -> None:
        self.subject, own = step
        for each in own:
            self.own.append(_logged(each.envelope, each.value, "xx.notify.v1", len(self.own)))


def _logged(envelope: Envelope, value: bytes, topic: str, offset: int) -> Entry:
    record = Record(topic, 0, offset, envelope.subject.encode(), value, encode(envelope), offset)
    return Entry(record, Parsed(envelope))


@pytest.mark.parametrize("seed", range(120))
def test_the_fold_of_a_log_is_what_the_service_had(seed: int) -> None:
    life = Life(seed)
    for subject, count in life.moments:
        standing = Standing(subject.progress, "ok", 1)
        folded = Fold(desk, CATALOG).run(subject.id, life.own[:count], life.sources, standing)
        assert folded.subject == subject


@pytest.mark.parametrize("seed", range(60))
def test_an_older_row_and_the_whole_log_give_the_latest_state_that_events_prove(seed: int) -> None:
    life = Life(seed)
    latest = next((s for s, count in life.moments if count == len(life.own)), life.subject)
    for survived, _ in life.moments:
        standing = Standing(survived.progress, "ok", 1)
        folded = Fold(desk, CATALOG).run(life.subject.id, life.own, life.sources, standing)
        assert folded.subject.progress.sequence == life.subject.progress.sequence
        for source in life.sources:
            proven = max(latest.progress.cursor(source), survived.progress.cursor(source))
            assert folded.subject.progress.cursor(source) == proven


@pytest.mark.parametrize("seed", range(60))
def test_every_record_is_accounted_for_once_or_left_to_be_read(seed: int) -> None:
    life = Life(seed)
    folded = Fold(desk, CATALOG).run(life.subject.id, life.own, life.sources)
    history = History({entry.envelope.sequence: entry for entry in life.own}, life.sources)
    ledger = Ledger(desk, {life.subject.id: history}, {life.subject.id: folded}, {}, CATALOG, ("case",))
    topics = {f"xx.{name}.v1": (list(entries.values()), len(entries)) for name, entries in life.sources.items()}

    account = ledger.account(topics)

    for topic, (entries, end) in topics.items():
        position = account.again[topic]
        assert [row.record.offset for row in account.rows if row.record.topic == topic] == list(range(position))
        if position < end:
            envelope = entries[position].envelope
            assert envelope.sequence == folded.subject.progress.cursor(envelope.service) + 1
            assert not folded.stands


class Told(State):
    """Remembers the order in which it was told: (source, sequence)."""

    order: tuple[tuple[str, int], ...] = ()


class Order:
    """A fold that depends on order."""

    registry: Mapping[Any, Any] = dict.fromkeys((RiskRaised, ConsentRecorded, AssessmentOverdue))

    def __call__(self, event: Event, state: Told, /) -> Told:
        """Counts per source; the service's own events are left out."""
        if event.service not in TYPES:
            return state
        number = 1 + sum(1 for source, _ in state.order if source == event.service)
        return state.model_copy(update={"order": (*state.order, (event.service, number))})


@pytest.mark.parametrize("seed", range(60))
def test_causes_are_folded_before_their_effects(seed: int) -> None:
    life = Life(seed, kinds=FOLDED, trouble=False)
    listening = Service("notify", state=Told, evolve=Order())
    standing = Standing(life.subject.progress, "ok", 1)

    folded = Fold(listening, CATALOG).run(life.subject.id, [], life.sources, standing)

    order = folded.subject.state.order
    assert len(order) == sum(len(entries) for entries in life.sources.values())
    for place, (source, sequence) in enumerate(order):
        for cause, number in life.sources[source][sequence].envelope.seen.items():
            assert order.index((cause, number)) < place


def test_a_gap_among_own_events_is_refused() -> None:
    life = next(each for each in map(Life, range(50)) if len(each.own) > 2)
    with pytest.raises(LogIncomplete, match=r"event 3 .* and not 2"):
        Fold(desk, CATALOG).run(life.subject.id, [life.own[0], *life.own[2:]], life.sources)
