"""Whatever survivors, staff, a partner, Kafka and the clock do, in any order: a stream ends as the consents say."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import kintsugi_events as e
from hypothesis import given, settings
from hypothesis import strategies as st
from kintsugi.agenda import Deadline, Message, Outcome, Refuse, Result, Send
from kintsugi.testing import Given
from kintsugi_share.commands import AcknowledgePurge
from kintsugi_share.state import CaseFile
from kintsugi_share.views import rows

from services.share.tests.share_examples import (
    AWARDS,
    FUND,
    MINISTRY,
    NOW,
    WAGES,
    agreed,
    assessed,
    closed,
    opened,
    scenario,
    withdrawn,
)

AGENCY = {WAGES: MINISTRY, AWARDS: FUND}
YES, NO = e.ConsentDecision.granted, e.ConsentDecision.refused


@dataclass
class Flight:
    """A claim under way: what was prepared, for which entry, at which attempt."""

    name: str
    message: Message
    attempt: int


@dataclass
class World:
    """One case, the partners' streams, and who allows what: a second account of consent, kept by other means."""

    case: Given[CaseFile] = field(default_factory=lambda: scenario().given(opened()))
    streams: dict[str, list[Message]] = field(default_factory=lambda: {WAGES: [], AWARDS: []})
    flights: dict[str, Flight] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    until: dict[str, datetime | None] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    casework: bool = True
    latest: datetime = NOW
    given: int = 0

    def allows(self, agency: str) -> bool:
        if not self.casework or agency not in self.until:
            return False
        until = self.until[agency]
        return until is None or until > max(self.latest, self.case.now)

    def happens(self, what: Any) -> None:
        then = self.case.when(what)
        assert then.rejected is None, then.rejected
        self.case = then.given

    @property
    def agenda(self) -> dict[str, Any]:
        return dict(self.case.scenario.stepper.agenda(self.case.subject))

    # --- what may happen ------------------------------------------------------------------------------------------

    def grants(self, agency: str, days: int | None) -> None:
        self.given += 1
        until = self.case.now + timedelta(days=days) if days is not None else None
        self.until[agency] = until
        self.newest[agency] = self.given
        self.happens(agreed(agency, id_=f"consent-{self.given}", valid_until=until))

    def refuses(self, agency: str) -> None:
        self.until.pop(agency, None)
        self.newest.pop(agency, None)
        self.happens(agreed(agency, id_="no", decision=NO))

    def withdraws(self, agency: str | None) -> None:
        for each in [agency] if agency else list(AGENCY.values()):
            self.until.pop(each, None)
        self.happens(withdrawn(agency, id_=f"of-{agency}"))

    def withdraws_one(self, number: int) -> None:
        """By the consent's id alone: its own recipient, or all of them where it is not the last word of any."""
        if number > self.given:
            return
        agency = next((each for each, known in self.newest.items() if known == number), None)
        for each in [agency] if agency else list(AGENCY.values()):
            self.until.pop(each, None)
        self.happens(withdrawn(None, id_=f"consent-{number}"))

    def of_casework(self, decision: Any) -> None:
        self.casework = decision is YES
        if not self.casework:
            self.until.clear()
        if decision is None:
            self.happens(withdrawn(None, purpose=e.ConsentPurpose.casework, id_="c"))
        else:
            self.happens(agreed(None, purpose=e.ConsentPurpose.casework, decision=decision, id_="c"))

    def changes(self, need: str) -> None:
        self.happens(assessed(need))

    def closes(self) -> None:
        self.happens(closed())

    def passes(self, hours: int) -> None:
        """Time goes on, or a clock is set back by up to two hours; what came due fires."""
        self.case = self.case.at(self.case.now + timedelta(hours=hours))
        for name, owed in sorted(self.agenda.items()):
            if isinstance(owed, Deadline) and owed.at <= self.case.now and name in self.agenda:
                self.happens(name)
                # An expired consent stays so, whatever the clock says next.
                self.latest = max(self.latest, owed.at if name.startswith("expiry/") else NOW)
        for agency, until in list(self.until.items()):
            if until is not None and until <= self.latest:
                self.until.pop(agency)

    def claims(self, key: str) -> None:
        """As the kit: one at a time for a recipient, and what is owed first goes first."""
        if key in self.flights:
            return
        owed = [n for n, each in self.agenda.items() if isinstance(each, Send) and n.split("/")[1] == key]
        assert len(owed) <= 1, f"a record is owed beside a tombstone: {owed}"
        for name in owed:
            attempt = self.attempts.get(name, 0)
            if self.case.now >= self.agenda[name].expires:
                self.happens(Outcome(name=name, result=Result.expired, reason="expired", attempt=attempt))
                continue
            prepared = self.case.prepared(name)
            if isinstance(prepared, Refuse):
                self.happens(Outcome(name=name, result=Result.refused, reason=prepared.reason, attempt=attempt))
                continue
            assert isinstance(prepared, Message)
            if not prepared.tombstone:
                until = self.until.get(AGENCY[key])
                assert self.allows(AGENCY[key]), f"{name} would leave without a consent"
                assert until is None or until > self.case.now, f"{name} would leave after its consent"
            self.attempts[name] = attempt + 1
            self.flights[key] = Flight(name, prepared, attempt + 1)

    def ends(self, key: str, arrived: bool, answered: bool) -> None:
        """The attempt is over: it stands there or not, and the office knows, or the answer was lost."""
        flight = self.flights.pop(key, None)
        if flight is None:
            return
        if arrived:
            self.streams[key].append(flight.message)
        if arrived and answered:
            self.happens(Outcome(name=flight.name, result=Result.sent, attempt=flight.attempt))

    def acknowledges(self, key: str) -> None:
        for message in self.streams[key]:
            if message.tombstone:
                purge_id = message.headers["ce_purgeid"]
                self.happens(AcknowledgePurge(purge_id=purge_id, integrator=key.partition(".")[0]))

    def rests(self) -> None:
        """Everything that is owed leaves, and every answer comes."""
        for _ in range(12):
            for key in AGENCY:
                self.ends(key, True, True)
                self.claims(key)
        assert not [name for name, each in self.agenda.items() if isinstance(each, Send)], "it never comes to rest"


KEYS = st.sampled_from([WAGES, AWARDS])
AGENCIES = st.sampled_from([MINISTRY, FUND])
STEPS = st.one_of(
    st.tuples(st.just("grants"), AGENCIES, st.sampled_from([None, 1, 3])),
    st.tuples(st.just("refuses"), AGENCIES),
    st.tuples(st.just("withdraws"), st.one_of(AGENCIES, st.none())),
    st.tuples(st.just("withdraws_one"), st.integers(1, 3)),
    st.tuples(st.just("of_casework"), st.sampled_from([YES, NO, None])),
    st.tuples(st.just("changes"), st.sampled_from(["legal_aid", "employment", "housing"])),
    st.tuples(st.just("closes")),
    st.tuples(st.just("passes"), st.sampled_from([-2, -1, 1, 23, 24, 49, 72])),
    st.tuples(st.just("claims"), KEYS),
    st.tuples(st.just("claims"), KEYS),
    st.tuples(st.just("ends"), KEYS, st.booleans(), st.booleans()),
    st.tuples(st.just("acknowledges"), KEYS),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(STEPS, min_size=4, max_size=30))
def test_every_order_ends_with_what_the_consents_say(steps: list[tuple[Any, ...]]) -> None:
    world = World()
    for name, *arguments in steps:
        getattr(world, name)(*arguments)
    world.passes(0)
    world.rests()
    told = rows("case/1", world.case.state)["disclosures"]
    for key, stream in world.streams.items():
        last = stream[-1] if stream else None
        if not world.allows(AGENCY[key]):
            assert last is None or last.tombstone, "the consent ended, and the partner still holds the case"
        elif not world.case.state.facts.closed:
            assert last is not None
            assert not last.tombstone, "the consent holds, and the partner holds nothing"
        integrator = key.partition(".")[0]
        known = {each["revision"] for each in told if each["integrator"] == integrator}
        ids: dict[str, str] = {}
        for message in stream:
            assert ids.setdefault(message.headers["ce_id"], message.headers["ce_time"]) == message.headers["ce_time"]
        if any(not message.tombstone for message in stream):
            assert known, "something left, and no disclosure says so"
