"""The events of an installation: those of every installed package of contracts, as one value built at wiring.

A package of contracts names itself in the entry point group `kintsugi.contracts`; its value is an `EventPackage`.
Nothing is found or registered by importing a module: whoever wires a process asks `Catalog.installed()` once and hands
the value on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from kintsugi_contracts.base import Event
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.topic_file import CASE, EVENT_TYPE, Declarations, TopicFile, topic_files

GROUP = "kintsugi.contracts"
PLATFORM = "kintsugi-events"
"""The package of the platform's own services. Its names have no prefix; every other package's have."""
EVERY = "*"
"""What an event that several services may emit says as its service."""


@dataclass(frozen=True, slots=True)
class Upcaster:
    """How a fact of an older major version is read as a newer one.

    `function` is pure. Sealed values keep the origin they were sealed under, so it copies them as they are.
    """

    old: type[Event]
    new: type[Event]
    function: Callable[[Any], Event]


@dataclass(frozen=True)
class EventPackage:
    """What one distribution adds: the models of its events, how older ones are read, and the folder of its contracts.

    `name` is the distribution's. `contracts` holds `topics/` and `events/`; None in tests that need only models.
    """

    name: str
    events: tuple[type[Event], ...]
    contracts: Path | None = None
    upcasters: tuple[Upcaster, ...] = ()

    @cached_property
    def topics(self) -> dict[str, TopicFile]:
        """Its topic files by service. Raises ContractError for a file that cannot be used."""
        return topic_files(self.contracts) if self.contracts is not None else {}

    @property
    def services(self) -> frozenset[str]:
        """The services whose events it declares."""
        return frozenset({*self.topics, *(model.service for model in self.events if model.service != EVERY)})


class Catalog:
    """Every event type that is known here. A value: nothing is added to it later.

    Raises ContractError for packages that cannot stand side by side: two that declare one type or one service, one
    that declares a type of another's service, and a purpose without its owner's prefix.
    """

    def __init__(self, packages: Iterable[EventPackage]) -> None:
        self.packages = tuple(packages)
        self._by_type: dict[str, type[Event]] = {}
        self._upcasters: dict[str, Upcaster] = {}
        self._owners: dict[str, EventPackage] = {}
        for package in self.packages:
            self._own(package)
        for package in self.packages:
            self._take(package)
        for package in self.packages:
            self._lift(package)
        self._names = frozenset(match[1] for match in map(EVENT_TYPE.fullmatch, self._by_type) if match)

    @classmethod
    def installed(cls) -> Catalog:
        """Of every package that is installed here, the platform's first. Raises ContractError where none is."""
        found: list[EventPackage] = [point.load() for point in entry_points(group=GROUP)]
        if not found:
            raise ContractError(f"no package of contracts is installed (entry points '{GROUP}'): install {PLATFORM}")
        return cls(sorted(found, key=lambda package: (package.name != PLATFORM, package.name)))

    @cached_property
    def folders(self) -> tuple[Path, ...]:
        """The contracts folders of the packages, the platform's first."""
        return tuple(package.contracts for package in self.packages if package.contracts is not None)

    @cached_property
    def topics(self) -> dict[str, TopicFile]:
        """Every topic file by service."""
        return {name: topic for package in self.packages for name, topic in package.topics.items()}

    def kinds(self, service: str) -> tuple[str, ...]:
        """The kinds of subject that the topic of a service carries; `case` alone where its file is not installed."""
        topic = self.topics.get(service)
        return topic.subjects if topic else CASE

    @cached_property
    def platform(self) -> frozenset[str]:
        """The platform's own services."""
        return frozenset(name for each in self.packages if each.name == PLATFORM for name in each.topics)

    def beside(self, event: type[Event]) -> frozenset[str]:
        """The services of packages other than the platform's whose topic carries an event."""
        match = EVENT_TYPE.fullmatch(event.type)
        packages = (package for package in self.packages if package.name != PLATFORM)
        return frozenset(
            name for package in packages for name, topic in package.topics.items() if match and match[1] in topic.events
        )

    @cached_property
    def declared(self) -> Declarations:
        """The deadlines and shareable fields that the services declare."""
        return Declarations.of(self.topics.values())

    def by_type(self, ce_type: str) -> type[Event] | None:
        """The model of a `ce_type`; None when no installed package has it."""
        return self._by_type.get(ce_type)

    def is_known_name(self, ce_type: str) -> bool:
        """Whether some version of this event is known: without a model, that tells an unknown major from a type."""
        match = EVENT_TYPE.fullmatch(ce_type)
        return match is not None and match[1] in self._names

    def event_types(self) -> tuple[type[Event], ...]:
        """Every event model, in the order of `ce_type`."""
        return tuple(model for _, model in sorted(self._by_type.items()))

    def versions_up(self, model: type[Event]) -> Iterator[type[Event]]:
        """The version itself, then each newer one that its facts can be read as."""
        yield model
        while (step := self._upcasters.get(model.type)) is not None:
            model = step.new
            yield model

    def decode(
        self, model: type[Event], raw: bytes | str, *, source: str, id: str, to: type[Event] | None = None
    ) -> Event:
        """Reads a record's value as a consumer does and lifts it to `to`, or to the newest version there is a way to.

        Raises pydantic.ValidationError when the value breaks the contract of its own version.
        """
        return self.lifted(model.decode(raw, source=source, id=id), to)

    def lifted(self, event: Event, to: type[Event] | None = None) -> Event:
        """The same fact in a newer version: `to`, or the newest one there is a way to."""
        while type(event) is not to and (step := self._upcasters.get(event.type)) is not None:
            event = step.function(event)
        return event

    def _own(self, package: EventPackage) -> None:
        for service in sorted(package.services):
            other = self._owners.setdefault(service, package)
            if other is not package:
                raise ContractError(
                    f"{package.name} declares events of '{service}', which is a service of {other.name}: "
                    "give its service another name, or install one of the two"
                )
        if package.name == PLATFORM:
            return
        for service, topic in package.topics.items():
            for purpose in topic.purposes:
                if not _prefixed(str(purpose), service) and str(purpose) not in self._platform_purposes:
                    raise ContractError(
                        f"{package.name}: '{service}' claims the purpose '{purpose}', which does not begin with its "
                        f"own name: call it '{service}' or '{service}_{purpose}'"
                    )

    @cached_property
    def _platform_purposes(self) -> frozenset[str]:
        """Those of the platform, which another service may hold keys of: its country grants them one by one."""
        platform = (package for package in self.packages if package.name == PLATFORM)
        return frozenset(str(p) for package in platform for topic in package.topics.values() for p in topic.purposes)

    def _take(self, package: EventPackage) -> None:
        for model in package.events:
            if EVENT_TYPE.fullmatch(model.type) is None:
                raise ContractError(
                    f"{package.name}: {model.__name__} has the type {model.type!r}; it reads "
                    "kintsugi.<subject>.<fact>.v<major>"
                )
            if self._by_type.setdefault(model.type, model) is not model:
                owner = next(each.name for each in self.packages if self._by_type[model.type] in each.events)
                raise ContractError(
                    f"{package.name} and {owner} both declare {model.type}: a type has one package; rename one"
                )

    def _lift(self, package: EventPackage) -> None:
        for each in package.upcasters:
            said = f"{package.name}: upcaster {each.old.type} -> {each.new.type}"
            for model in (each.old, each.new):
                if self._by_type.get(model.type) is not model:
                    raise ContractError(f"{said}: {model.type} is no model of the package; list it in its events")
            if each.old not in package.events:
                raise ContractError(f"{said}: {each.old.type} is of another package, which says how it is read")
            if each.old.type in self._upcasters:
                raise ContractError(f"{said}: {each.old.type} has an upcaster already; a fact is read in one way")
            if _version(each.new) <= _version(each.old):
                raise ContractError(f"{said}: an upcaster goes to a higher version")
            self._upcasters[each.old.type] = each


def models(module: object) -> tuple[type[Event], ...]:
    """The event models that a generated module holds, in the order of `ce_type`."""
    found = {
        model.type: model
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, Event) and model is not Event
    }
    return tuple(model for _, model in sorted(found.items()))


def _prefixed(name: str, service: str) -> bool:
    return name == service or name.startswith(f"{service}_")


def _version(model: type[Event]) -> int:
    match = EVENT_TYPE.fullmatch(model.type)
    return int(match[2]) if match else 0
