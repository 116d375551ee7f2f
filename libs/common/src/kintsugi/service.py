"""How a service says what it does: one function per input, policies before it, and nothing of Kafka or SQL.

A service is a value: which state it keeps, how events change it (``evolve``), what is owed (``agenda``), and a
function for each event, command, deadline and send. The shell, the recovery and the tests all run this value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from functools import singledispatch
from typing import Any, Generic, Protocol, Self, TypeVar

import uuid_utils
from kintsugi_contracts.base import Event, Sealed, replaced
from kintsugi_contracts.catalog import EVERY, Catalog
from kintsugi_country import Pack
from pydantic import BaseModel, ConfigDict

from kintsugi.agenda import Agenda, Message, Outcome, Postpone, Refuse, Send, prefix
from kintsugi.auth import Caller
from kintsugi.sealing import Erased

M = TypeVar("M", bound=BaseModel)
F = TypeVar("F")


class State(BaseModel):
    """What a service remembers of one subject: frozen, every field with a default, changed only by ``evolve``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's; every change of a state goes through it, so without what a frozen value never needs."""
        return super().model_copy(update=update, deep=True) if deep else replaced(self, update or {})


S = TypeVar("S", bound=State)


@dataclass(frozen=True, slots=True)
class Allowed:
    """The policy has nothing against it."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """Not now: an outcome, not an error. ``reason`` is a code from a closed list."""

    reason: str


Judgement = Allowed | Withheld
Policy = Callable[[Any, Any, "Context"], Judgement]
CASE_ON_HOLD = "case_on_hold"


class Open(Protocol):
    """Opens a sealed purpose of the current subject."""

    def __call__(self, sealed: Sealed, model: type[M]) -> M | Erased: ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a decision may look at besides its input and state. Immutable; ``now`` is business time, aware, UTC.

    ``cause`` is the id of the event, command or deadline that is decided on.
    ``resources`` is what the service's composition root put there: an immutable snapshot of its own.
    """

    now: datetime
    country: str
    subject: str
    pack: Pack
    open: Open
    cause: str = ""
    on_hold: bool = False
    caller: Caller | None = None
    resources: Any = None
    ids: Callable[[], str] = field(default=lambda: str(uuid_utils.uuid4()))

    def new_id(self) -> str:
        """A new opaque identifier (uuid4)."""
        return self.ids()


class Rejected(Exception):
    """A command that cannot be accepted: the caller gets ``status`` and a problem with this code and detail.

    ``detail`` is shown to the caller and must hold nothing personal. ``next_step`` says what to do about it.
    """

    def __init__(self, code: str, detail: str, *, status: int = 409, next_step: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.status = status
        self.next_step = next_step


Decide = Callable[[Any, Any, Context], Sequence[Event]]
WithheldDecide = Callable[[Any, Withheld, Any, Context], Sequence[Event]]


@dataclass(slots=True, eq=False)
class Handler:
    """One registered function, the purposes it opens, and the policies that must all allow it."""

    name: str
    decide: Decide
    reads: frozenset[str]
    seals: frozenset[str]
    requires: tuple[Policy, ...] = ()
    creates: bool = False
    subject: str = "case"
    named: Callable[[Any], str] | None = None
    tightens: bool = False
    on_withheld: WithheldDecide | None = None

    def withheld(self, function: WithheldDecide) -> WithheldDecide:
        """Registers what follows when a policy withholds: ``(input, verdict, state, ctx) -> events``."""
        self.on_withheld = function
        return function

    def run(self, given: object, state: object, ctx: Context) -> Sequence[Event]:
        """Policies first, in order; then the function, or what it does when withheld.

        Raises :class:`Rejected` where a policy withholds and nothing is registered for that.
        """
        for policy in self.requires:
            judgement = policy(given, state, ctx)
            if isinstance(judgement, Withheld):
                if self.on_withheld is None:
                    raise Rejected(judgement.reason, f"'{self.name}' is withheld: {judgement.reason}.")
                return self.on_withheld(given, judgement, state, ctx)
        return self.decide(given, state, ctx)


Prepare = Callable[[Send, Any, Context], Message | Postpone | Refuse]


@dataclass(frozen=True, slots=True)
class Preparation:
    """How a kind of send becomes a message at the moment of sending."""

    prepare: Prepare
    reads: frozenset[str]


class Evolve(Protocol[S]):
    """A ``functools.singledispatch`` function; its registry says which types change the state."""

    @property
    def registry(self) -> Mapping[Any, Callable[..., Any]]: ...

    def __call__(self, event: Any, state: S, /) -> S: ...


class Service(Generic[S]):
    """The functional core of one service.

    ``fold_version`` is raised with every change of ``evolve`` or the state: a start then asks for a rebuild.
    ``subscribes`` are the short names of the services whose topics are read, beyond those of registered events.
    """

    def __init__(
        self,
        name: str,
        *,
        state: type[S],
        evolve: Evolve[S],
        agenda: Callable[[S], Agenda] = lambda _state: {},
        fold_version: int = 1,
        subscribes: Iterable[str] = (),
        tightening: Mapping[str, Policy] | None = None,
    ) -> None:
        self.name = name
        self.state = state
        self.evolve = evolve
        self.agenda = agenda
        self.fold_version = fold_version
        self.tightening = dict(tightening or {})
        self.events: dict[type[Event], Handler] = {}
        self.commands: dict[type[BaseModel], Handler] = {}
        self.deadlines: dict[str, Handler] = {}
        self.outcomes: dict[str, Handler] = {}
        self.preparations: dict[str, Preparation] = {}
        self._subscribes = frozenset(subscribes)
        self._sources: tuple[int, frozenset[str]] = (-1, frozenset())

    def with_facts(self, facts: Mapping[type[Event], tuple[Callable[[Any, S], S], Decide]]) -> Self:
        """The same service, which also takes these events: how each changes the state, and what follows from it."""
        made = copy(self)
        made.events = dict(self.events)
        evolve = singledispatch(self.evolve.registry[object])
        for known, function in self.evolve.registry.items():
            evolve.register(known, function)
        for event, (change, decide) in facts.items():
            evolve.register(event, change)
            made._register(made.events, event)(decide)
        made.evolve = evolve
        return made

    @property
    def subscribes(self) -> frozenset[str]:
        """Short names of the services whose topics this one reads; never its own."""
        registered = len(self.events) + len(self.evolve.registry)
        if self._sources[0] != registered:  # asked for every event, while what is registered only grows at import
            types = {*self.events, *(t for t in self.evolve.registry if t is not object)}
            names = (self._subscribes | {t.service for t in types if t.service != EVERY}) - {self.name}
            self._sources = registered, names
        return self._sources[1]

    def sources(self, catalog: Catalog) -> frozenset[str]:
        """Short names of the services whose topics are read here: ``subscribes``, and what is installed beside.

        Of an event that any service may emit, such as a task for staff, the topics of every other package that carry
        it are read too: this service need not have heard of the one that emits it.
        """
        open_ = {t for t in (*self.events, *self.evolve.registry) if t is not object and t.service == EVERY}
        beside = {name for event in open_ for name in catalog.beside(event)}
        return (self.subscribes | beside) - {self.name}

    def takes(self, event: type[Event], catalog: Catalog) -> bool:
        """Whether a type has a handler or changes the state, as it is or read as a newer version."""
        return self.reads_as(event, catalog) is not None

    def reads_as(self, event: type[Event], catalog: Catalog) -> type[Event] | None:
        """The version of a type that has a handler or changes the state; a type without any is ignored.

        While a new version is rolled out some services know it and some do not: each is given the one it knows.
        """
        return next((v for v in catalog.versions_up(event) if v in self.events or v in self.evolve.registry), None)

    def on(
        self,
        event: type[Event],
        *,
        reads: Iterable[str] = (),
        seals: Iterable[str] = (),
        requires: Sequence[Policy] = (),
    ) -> Callable[[Decide], Handler]:
        """Registers the decision that follows an event: ``(event, state after it, ctx) -> events``."""
        return self._register(self.events, event, reads=reads, seals=seals, requires=requires)

    def command(
        self,
        command: type[BaseModel],
        *,
        creates: bool = False,
        subject: str = "case",
        named: Callable[[Any], str] | None = None,
        tightens: bool = False,
        reads: Iterable[str] = (),
        seals: Iterable[str] = (),
        requires: Sequence[Policy] = (),
    ) -> Callable[[Decide], Handler]:
        """Registers the decision on a command. ``creates`` makes the subject; ``tightens`` is accepted on hold.

        A created subject is of the kind ``subject``, which the service's topic file must name. Its id is a new uuid4,
        or ``named(command)``: opaque, never anything personal. Where that subject is there already, the decision is
        taken on it as it stands.
        """
        options = {"creates": creates, "subject": subject, "named": named, "tightens": tightens}
        return self._register(self.commands, command, reads=reads, seals=seals, requires=requires, **options)

    def due(self, name: str, *, seals: Iterable[str] = ()) -> Callable[[Decide], Handler]:
        """Registers the decision on deadlines named ``name`` or ``name/…``: ``(entry name, state, ctx)``."""
        return self._register(self.deadlines, name, seals=seals)

    def outcome(self, name: str) -> Callable[[Decide], Handler]:
        """Registers the decision on the end of sends named ``name`` or ``name/…``: ``(outcome, state, ctx)``."""
        return self._register(self.outcomes, name)

    def prepare(self, name: str, *, reads: Iterable[str] = ()) -> Callable[[Prepare], Prepare]:
        """Registers how sends named ``name`` or ``name/…`` become a message: pure, at the moment of sending."""

        def register(function: Prepare) -> Prepare:
            if name in self.preparations:
                raise ValueError(f"service '{self.name}': sends '{name}' are prepared twice")
            self.preparations[name] = Preparation(function, frozenset(reads))
            return function

        return register

    def preparation(self, entry: str) -> Preparation:
        """The preparation of an agenda entry. Raises LookupError where none is registered."""
        return self._found(self.preparations, entry, "prepare")

    def deadline(self, entry: str) -> Handler:
        """The handler of a deadline entry. Raises LookupError where none is registered."""
        return self._found(self.deadlines, entry, "due")

    def outcome_of(self, outcome: Outcome) -> Handler:
        """The handler of a send's end. Raises LookupError where none is registered."""
        return self._found(self.outcomes, outcome.name, "outcome")

    def _found(self, table: Mapping[str, F], entry: str, verb: str) -> F:
        try:
            return table[prefix(entry)]
        except KeyError:
            raise LookupError(f"service '{self.name}' has no '{verb}' for agenda entries '{prefix(entry)}'") from None

    def _register(self, table: dict[Any, Handler], key: Any, **options: Any) -> Callable[[Decide], Handler]:
        def register(function: Decide) -> Handler:
            if key in table:
                raise ValueError(f"service '{self.name}': {getattr(key, '__name__', key)} is handled twice")
            reads = frozenset(options.pop("reads", ()))
            seals = frozenset(options.pop("seals", ()))
            requires = tuple(options.pop("requires", ()))
            name = getattr(function, "__name__", "handler")
            table[key] = Handler(name, function, reads=reads, seals=seals, requires=requires, **options)
            return table[key]

        return register
