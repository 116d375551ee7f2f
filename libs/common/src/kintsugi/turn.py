"""One input to one subject, as a pure step: decide, number and seal what follows, evolve.

The shell runs it under the subject's lock, the tests without any. Opening or sealing needs keys; where one has
not been fetched yet, :class:`kintsugi.vault.KeysMissing` leaves the step and the caller fetches and repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic

import uuid_utils
from kintsugi_contracts.base import Event, Plaintext, Sealed
from kintsugi_contracts.catalog import EVERY
from kintsugi_contracts.topic_file import CASE
from kintsugi_events import StaffTaskRequested
from pydantic import BaseModel

from kintsugi.agenda import Agenda, Outcome
from kintsugi.envelope import MAX_VALUE_BYTES, Envelope, kind_of, source_of
from kintsugi.sealing import Erased
from kintsugi.service import CASE_ON_HOLD, Context, Handler, Rejected, S, Service, Withheld
from kintsugi.subject import Progress, advance, emitted
from kintsugi.vault import Vault


class AgendaStuck(Exception):
    """A deadline or outcome was handled and its entry is still owed as before: it would fire for ever."""


Create = Callable[[str, str, str, str], str | None]


@dataclass(frozen=True, slots=True)
class Causation:
    """What stands behind the events of a step: the causing id and its depth, and how a span is made for each.

    ``create(topic, message id, correlation id, type)`` returns the traceparent to send with the event.
    """

    id: str
    depth: int
    create: Create = lambda _topic, _id, _flow, _type: None


@dataclass(slots=True)
class Subject(Generic[S]):
    """A subject as this service knows it at one moment. A value: never changed in place."""

    id: str
    progress: Progress
    state: S


@dataclass(slots=True)
class Own:
    """An event this service emitted: its envelope, and the event as any consumer would read it (sealed)."""

    envelope: Envelope
    event: Event
    value: bytes


class ForeignCode(Exception):
    """A service asked staff for a task under a code of another service; refused where it is made."""


class OversizeEvent(Exception):
    """An event this service would emit is larger than the contract allows; it is refused where it is made."""


@dataclass(frozen=True, slots=True)
class Office:
    """Where a service runs: country, reference data, and how its events are named on Kafka.

    ``kinds`` are those of subject that the service's own topic carries.
    """

    country: str
    pack: Any
    resources: Any = None
    kinds: tuple[str, ...] = CASE

    def topic(self, service: str) -> str:
        """The topic that ``service`` alone writes."""
        return f"{self.country}.{service}.v1"


class Stepper(Generic[S]):
    """Runs a service's functions on a subject."""

    def __init__(self, service: Service[S], office: Office, vault: Vault) -> None:
        self.service = service
        self.office = office
        self.vault = vault

    def context(
        self, subject: Subject[S], now: datetime, caller: Any = None, *, cause: str = "", catching_up: bool = False
    ) -> Context:
        """What a decision on ``subject`` may look at. ``catching_up``: what waits is just now being applied."""

        def open_(sealed: Sealed, model: type[Any]) -> Any:
            opened = self.vault.open(sealed, subject.id)
            return opened if isinstance(opened, Erased) else model.model_validate_json(opened, extra="ignore")

        return Context(
            now=now,
            country=self.office.country,
            subject=subject.id,
            pack=self.office.pack,
            open=open_,
            on_hold=subject.progress.hold is not None or (subject.progress.waiting > 0 and not catching_up),
            caller=caller,
            cause=cause,
            resources=self.office.resources,
        )

    def event(
        self, subject: Subject[S], envelope: Envelope, event: Event | None, now: datetime, create: Create
    ) -> tuple[Subject[S], list[Own]]:
        """A consumed event: it changes the state, then the decision it leads to is taken on the new state.

        ``event`` None means that the type is none of ours: only the cursor moves.
        """
        progress = advance(subject.progress, envelope)
        if event is None:
            return Subject(subject.id, progress, subject.state), []
        moved = Subject(subject.id, progress, self.service.evolve(event, subject.state))
        handler = self.service.events.get(type(event))
        if handler is None:
            return moved, []
        ctx = self.context(moved, now, cause=envelope.id, catching_up=True)
        events = self._decide(handler, event, moved, ctx)
        return self.emit(moved, events, now, Causation(envelope.id, envelope.depth + 1, create))

    def command(
        self, subject: Subject[S], command: BaseModel, now: datetime, causation: Causation, caller: Any
    ) -> tuple[Subject[S], list[Own]]:
        """A command over HTTP. Raises :class:`Rejected` where it cannot be accepted."""
        handler = self.service.commands[type(command)]
        ctx = self.context(subject, now, caller, cause=causation.id)
        if ctx.on_hold and subject.progress.hold is not None and not handler.tightens:
            raise Rejected(
                CASE_ON_HOLD,
                f"The case is held in '{self.service.name}' ({subject.progress.hold.cause}).",
                next_step="An operator releases it with 'kintsugi held release'; then send the request again.",
            )
        return self.emit(subject, self._decide(handler, command, subject, ctx), now, causation)

    def deadline(
        self, subject: Subject[S], name: str, due: datetime, causation: Causation
    ) -> tuple[Subject[S], list[Own]]:
        """A deadline came due. Raises :class:`AgendaStuck` where what it led to leaves it owed."""
        handler = self.service.deadline(name)
        events = self._decide(handler, name, subject, self.context(subject, due, cause=causation.id))
        return self._settled(name, subject, events, due, causation)

    def outcome(
        self, subject: Subject[S], outcome: Outcome, now: datetime, causation: Causation
    ) -> tuple[Subject[S], list[Own]]:
        """A send ended. Raises :class:`AgendaStuck` where what it led to leaves it owed."""
        handler = self.service.outcome_of(outcome)
        events = self._decide(handler, outcome, subject, self.context(subject, now, cause=causation.id))
        return self._settled(outcome.name, subject, events, now, causation)

    def emit(
        self, subject: Subject[S], events: Sequence[Event], now: datetime, causation: Causation
    ) -> tuple[Subject[S], list[Own]]:
        """Numbers, seals and evolves events of this service's own, in their order."""
        own: list[Own] = []
        for event in events:
            self._own_words(event)
            envelope = self._envelope(subject, event, now, causation)
            sealed = self._seal(event, envelope, subject)
            value = sealed.encode()
            if len(value) > MAX_VALUE_BYTES:
                raise OversizeEvent(event.type)
            own.append(Own(envelope, sealed, value))
            state = self.service.evolve(sealed, subject.state)
            subject = Subject(subject.id, emitted(subject.progress, envelope), state)
        return subject, own

    def _own_words(self, event: Event) -> None:
        """A task for staff is asked for in the service's own words: what another's code means is not its to say."""
        if isinstance(event, StaffTaskRequested) and event.code.partition(".")[0] != self.service.name:
            raise ForeignCode(f"'{self.service.name}' asked for the task '{event.code}': its codes begin with its name")

    def agenda(self, subject: Subject[S]) -> Agenda:
        """What the subject is owed now."""
        return self.service.agenda(subject.state)

    def _decide(self, handler: Handler, given: object, subject: Subject[S], ctx: Context) -> Sequence[Event]:
        for name in self.office.pack.tightened(self.service.name, handler.name):
            judgement = self.service.tightening[name](given, subject.state, ctx)
            if isinstance(judgement, Withheld):
                if handler.on_withheld is None:
                    raise Rejected(judgement.reason, f"'{handler.name}' is withheld: {judgement.reason}.")
                return handler.on_withheld(given, judgement, subject.state, ctx)
        return handler.run(given, subject.state, ctx)

    def _settled(
        self, name: str, subject: Subject[S], events: Sequence[Event], now: datetime, causation: Causation
    ) -> tuple[Subject[S], list[Own]]:
        before = self.agenda(subject).get(name)
        after, own = self.emit(subject, events, now, causation)
        if before is not None and self.agenda(after).get(name) == before:
            raise AgendaStuck(name)
        return after, own

    def _envelope(self, subject: Subject[S], event: Event, now: datetime, causation: Causation) -> Envelope:
        if event.service not in (EVERY, self.service.name):
            raise TypeError(f"service '{self.service.name}' may not emit {event.type}")
        if kind_of(subject.id) not in self.office.kinds:
            raise TypeError(
                f"service '{self.service.name}' may not emit {event.type} about {subject.id}: its topic carries "
                f"{', '.join(self.office.kinds)}; name the kind under 'subjects' in its topic file"
            )
        topic = self.office.topic(self.service.name)
        id_ = str(uuid_utils.uuid7())
        flow = subject.progress.flow or id_
        return Envelope(
            id=id_,
            source=source_of(topic),
            type=event.type,
            time=now,
            subject=subject.id,
            sequence=subject.progress.sequence + 1,
            seen=subject.progress.emitted_seen(self.service.name),
            depth=causation.depth,
            correlationid=flow,
            causationid=causation.id,
            dataschema=event.dataschema,
            dataclassification=event.dataclassification,
            traceparent=causation.create(topic, id_, flow, event.type),
        )

    def _seal(self, event: Event, envelope: Envelope, subject: Subject[S]) -> Event:
        if not event.sealed:
            return event
        sealed: dict[str, Sealed] = {}
        for purpose, value in event.sealed.items():
            plain = self._plain(event, purpose, value, subject)
            box = None if isinstance(plain, Erased) else self.vault.seal(plain, purpose, envelope)
            if isinstance(box, Sealed):
                sealed[purpose] = box
        return event.with_sealed(sealed)

    def _plain(self, event: Event, purpose: str, value: object, subject: Subject[S]) -> Plaintext | Erased:
        if isinstance(value, Plaintext):
            return value
        if not isinstance(value, Sealed):
            raise TypeError(f"{event.type}: purpose '{purpose}' holds neither a plaintext nor a sealed value")
        opened = self.vault.open(value, subject.id)
        if isinstance(opened, Erased):
            return opened
        # As a consumer reads: fields of a later release are not copied on.
        return event.purposes[purpose].model_validate_json(opened, extra="ignore")
