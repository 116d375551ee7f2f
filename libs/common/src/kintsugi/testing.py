"""``given / when / then``: a behaviour is one line of test, without broker, database or mocks.

::

    scenario = Scenario(service, pack=load(folder))
    scenario.given(case_opened(), assessed(needs=["housing"])).when(choose("b")).then(ReferralChosen, ReferralWithheld)
    scenario.given(requested(answer_due=thursday)).owes("answer/…", at=thursday)

The steps are those of the shell: events are numbered, sealed with real keys, evolved as a consumer would read them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import uuid_utils
from kintsugi_contracts.base import Event, Plaintext, Sealed
from kintsugi_contracts.catalog import Catalog, EventPackage
from kintsugi_contracts.topic_file import CASE, EVENT_TYPE
from pydantic import BaseModel

from kintsugi.agenda import Agenda, Deadline, Message, Outcome, Postpone, Refuse, Send
from kintsugi.envelope import Envelope
from kintsugi.sealing import DataKey, Erased
from kintsugi.service import Rejected, S, Service
from kintsugi.subject import Progress
from kintsugi.turn import Causation, Office, Own, Stepper, Subject
from kintsugi.vault import Vault

E = TypeVar("E", bound=Event)
_SEALED_OR_NEWER = re.compile(r"sealed\.|v[0-9]+\.")
MONDAY_AT_TEN = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
SUBJECT = "case/00000000-0000-4000-8000-000000000001"


class Deadlines:
    """The country's part of a test that needs nothing of a country but deadlines: by name, of these lengths."""

    def __init__(self, **lengths: timedelta) -> None:
        self._lengths = lengths

    def due(self, name: str, start: datetime) -> datetime:
        """As a country pack's. Raises LookupError for a deadline that the test did not name."""
        if name not in self._lengths:
            raise LookupError(f"the test names no deadline {name!r}: Scenario(service, Deadlines({name}=...))")
        return start + self._lengths[name]

    def tightened(self, _service: str, _handler: str) -> tuple[str, ...]:
        """No policy is added."""
        return ()


class RandomKeys(Vault):
    """A keyring in memory: every (subject, purpose) has a key, until it is erased."""

    def _key(self, subject: str, purpose: str, *, create: bool) -> DataKey | Erased:  # noqa: ARG002
        return self.keys.setdefault((subject, str(purpose)), DataKey(f"k-{purpose}", os.urandom(32)))


class Match:
    """Expects an event of a type with these fields: ``Match(ReferralWithheld, reason="consent_missing")``."""

    def __init__(self, type_: type[Event], **fields: object) -> None:
        self.type = type_
        self.fields = fields

    def __eq__(self, other: object) -> bool:
        return isinstance(other, self.type) and all(getattr(other, k) == v for k, v in self.fields.items())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{self.type.__name__}({', '.join(f'{k}={v!r}' for k, v in self.fields.items())})"


Expected = type[Event] | Event | Match


class Scenario(Generic[S]):
    """The start of a test: a service, its reference data (a country pack, `Deadlines`, or none) and the hour."""

    def __init__(
        self,
        service: Service[S],
        pack: Any = None,
        *,
        country: str = "xa",
        now: datetime = MONDAY_AT_TEN,
        resources: Any = None,
        caller: Any = None,
    ) -> None:
        kinds = {handler.subject for handler in service.commands.values() if handler.creates} or set(CASE)
        self.kinds = tuple(sorted(kinds))
        self.stepper = Stepper(service, Office(country, pack or Deadlines(), resources, self.kinds), RandomKeys())
        self.now = now
        self.caller = caller

    def given(self, *events: Event) -> Given[S]:
        """A subject to which these happened, in this order. Events of other services carry their own counters.

        It is a case, or of the first kind that the service's commands create.
        """
        id_ = SUBJECT if "case" in self.kinds else SUBJECT.replace("case", self.kinds[0])
        given = Given(self, Subject(id_, Progress(), self.stepper.service.state()), self.now)
        for event in events:
            given = given.after(event)
        return given


@dataclass(frozen=True)
class Given(Generic[S]):
    """A subject with a past."""

    scenario: Scenario[S]
    subject: Subject[S]
    now: datetime
    emitted: tuple[Own, ...] = ()

    @property
    def state(self) -> S:
        """What the service remembers."""
        return self.subject.state

    def at(self, now: datetime) -> Given[S]:
        """The same at another business time."""
        return replace(self, now=now)

    def after(self, event: Event) -> Given[S]:
        """One more event happened: of this service (no decision follows) or of another (what follows is applied)."""
        stepper = self.scenario.stepper
        if event.service == stepper.service.name:
            subject, _ = stepper.emit(self.subject, [event], self.now, Causation("test", 0))
            return replace(self, subject=subject)
        envelope, read = self._consumed(event)
        subject, own = stepper.event(self.subject, envelope, read, self.now, _no_span)
        return replace(self, subject=subject, emitted=(*self.emitted, *own))

    def when(
        self, given: Event | BaseModel | Outcome | str, *, caller: Any = None, source: str | None = None
    ) -> Then[S]:
        """An input: an event, a command, an outcome, or the name of a deadline that came due.

        ``source`` is the service on whose topic an event stands that several may emit; intake where none is named.
        """
        stepper, causation = self.scenario.stepper, Causation("test", 0)
        try:
            if isinstance(given, str):
                owed = stepper.agenda(self.subject).get(given)
                due = owed.at if isinstance(owed, Deadline) else self.now
                subject, own = stepper.deadline(self.subject, given, due, causation)
            elif isinstance(given, Outcome):
                subject, own = stepper.outcome(self.subject, given, self.now, causation)
            elif isinstance(given, Event):
                envelope, read = self._consumed(given, source)
                subject, own = stepper.event(self.subject, envelope, read, self.now, _no_span)
            else:
                caller = caller or self.scenario.caller
                subject, own = stepper.command(self.subject, given, self.now, causation, caller)
        except Rejected as rejected:
            return Then(self, (), rejected)
        return Then(replace(self, subject=subject, emitted=(*self.emitted, *own)), tuple(own))

    def prepared(self, name: str) -> Message | Postpone | Refuse:
        """What the send ``name`` of the agenda becomes if it is claimed now."""
        stepper = self.scenario.stepper
        send = stepper.agenda(self.subject)[name]
        if not isinstance(send, Send):
            raise TypeError(f"agenda entry '{name}' is a deadline, not a send")
        return stepper.service.preparation(name).prepare(send, self.state, stepper.context(self.subject, self.now))

    def owes(self, name: str, *, at: datetime | None = None) -> Given[S]:
        """Asserts that an entry of this name (a trailing ``…`` matches any rest) is owed, at this time if given."""
        agenda: Agenda = self.scenario.stepper.agenda(self.subject)
        found = {n: e for n, e in agenda.items() if n == name or (name.endswith("…") and n.startswith(name[:-1]))}
        assert found, f"'{name}' is not owed; the agenda holds {sorted(agenda) or 'nothing'}"
        if at is not None:
            times = [entry.at for entry in found.values()]
            assert at in times, f"'{name}' is owed at {times}, not at {at}"
        return self

    def owes_nothing(self, name: str = "…") -> Given[S]:
        """Asserts that no entry of this name is owed."""
        agenda = self.scenario.stepper.agenda(self.subject)
        stem = name.removesuffix("…")
        assert not (left := [n for n in agenda if n.startswith(stem)]), f"still owed: {left}"
        return self

    def opened(self, sealed: Sealed, model: type[Plaintext]) -> Any:
        """The plaintext of a sealed value, as a reader with its key would have it."""
        return self.scenario.stepper.context(self.subject, self.now).open(sealed, model)

    def _consumed(self, event: Event, source: str | None = None) -> tuple[Envelope, Event]:
        source = event.service if event.service != "*" else source or "intake"
        envelope = Envelope(
            id=str(uuid_utils.uuid7()),
            source=f"/{self.scenario.stepper.office.country}/{source}",
            type=event.type,
            time=self.now,
            subject=self.subject.id,
            sequence=self.subject.progress.cursor(source) + 1,
            correlationid="flow",
        )
        vault = self.scenario.stepper.vault
        sealed: dict[str, Sealed] = {}
        for purpose, value in event.sealed.items():
            assert isinstance(value, Sealed | Plaintext)
            box = value if isinstance(value, Sealed) else vault.seal(value, purpose, envelope)
            assert isinstance(box, Sealed)
            sealed[purpose] = box
        return envelope, event.with_sealed(sealed) if sealed else event


@dataclass(frozen=True)
class Then(Generic[S]):
    """What followed from an input."""

    given: Given[S]
    own: tuple[Own, ...]
    rejected: Rejected | None = None

    @property
    def events(self) -> Sequence[Event]:
        """The events, as any consumer would read them."""
        return [own.event for own in self.own]

    def then(self, *expected: Expected) -> Given[S]:
        """Asserts that exactly these events followed, in this order; returns the subject after them."""
        assert self.rejected is None, f"refused: {self.rejected.code if self.rejected else ''}"
        events = self.events
        agrees = len(events) == len(expected) and all(
            isinstance(got, want) if isinstance(want, type) else want == got
            for got, want in zip(events, expected, strict=False)
        )
        assert agrees, f"expected {[_name(e) for e in expected]}, got {[_name(e) for e in events]}: {events!r}"
        return self.given

    def refused(self, code: str) -> Given[S]:
        """Asserts that the command was refused with this code and changed nothing."""
        assert self.rejected is not None, f"expected a refusal '{code}', got {[_name(e) for e in self.events]}"
        assert self.rejected.code == code, f"refused with '{self.rejected.code}', not '{code}'"
        return self.given


def _name(event: object) -> str:
    return (
        event.__name__ if isinstance(event, type) else type(event).__name__ if isinstance(event, Event) else repr(event)
    )


def _no_span(_topic: str, _id: str, _flow: str, _type: str) -> None:
    return None


def example(model: type[E], package: EventPackage | None = None) -> E:
    """The first accepted example of an event, from the contracts of its package (else of those installed).

    Raises LookupError where no package with contracts declares the event.
    """
    match = EVENT_TYPE.fullmatch(model.type)
    packages = (package,) if package else Catalog.installed().packages
    for each in packages:
        if match and each.contracts and model in each.events:
            prefix = "" if match[2] == "1" else f"v{match[2]}."
            folder = each.contracts / "events" / match[1] / "examples" / "accept"
            found = sorted(
                f for f in folder.glob(f"{prefix}*.json") if not _SEALED_OR_NEWER.match(f.name[len(prefix) :])
            )
            if found:
                return model.decode(found[0].read_bytes())
    raise LookupError(f"no installed package holds an example of {model.type}")
