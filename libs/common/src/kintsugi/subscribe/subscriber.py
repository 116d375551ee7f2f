"""``Subscriber``: typed events for programs of the office's own staff, at least once, in order, nothing lost."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import structlog
from kintsugi_contracts.base import Event
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.topic_file import topic_files

from kintsugi import logs
from kintsugi.kafka import Cluster
from kintsugi.settings import KafkaSettings, read
from kintsugi.subscribe.consumption import Consumption
from kintsugi.subscribe.handling import Handler, Handling, stem
from kintsugi.subscribe.joining import SubscribeError
from kintsugi.subscribe.operating import discard, release
from kintsugi.subscribe.record import Held, Outcome
from kintsugi.subscribe.store import Store, StoreError

log = structlog.get_logger("kintsugi.subscribe")

USER = "office"
"""The user of Kafka as whom the office's own tools read; its groups begin with ``{country}.office.``."""

_H = TypeVar("_H", bound=Handler)
_T = TypeVar("_T")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


class Subscriber:
    """A program that is called with every event of the types it names, from the first one ever.

    ``name`` is its own among the office's subscribers: it names the group on Kafka and the file ``<name>.sqlite`` in
    ``folder``, which holds how far each case was handled and the records that were kept back. Keep that file as long
    as the program lives; several processes of one subscriber on one machine share it.

    A handler is called at least once for each event, in the order of ``sequence`` within a case and source. It is
    called again only for the one event that was under way when the process died; an effect keyed by ``record.id``
    then happens once. Where a handler raises, the event is *held* with what follows of its case, and the others go
    on. Sealed values stay sealed: nobody but the services can open them.
    """

    def __init__(
        self,
        name: str,
        *,
        cluster: Cluster,
        country: str,
        contracts: Path,
        folder: Path | str = ".",
        session_timeout_ms: int = 30_000,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise SubscribeError(f"'{name}' is no name for a subscriber: small letters, digits and '-', 40 at most")
        self.name = name
        self.group = f"{country}.{USER}.{name}"
        self.file = Path(folder) / f"{name}.sqlite"
        self._cluster = cluster
        self._country = country
        self._contracts = contracts
        self._session_ms = session_timeout_ms
        self._handlers: dict[type[Event], Handler] = {}

    @classmethod
    def from_environment(cls, name: str, *, folder: Path | str = ".") -> Subscriber:
        """One whose country, contracts and login stand in the variables that ``kintsugi environment`` prints.

        Raises SettingsError naming every variable to mend.
        """
        settings = read(KafkaSettings, f"subscriber '{name}'")
        return cls(
            name, cluster=settings.cluster(), country=settings.country, contracts=settings.contracts, folder=folder
        )

    def on(self, *events: type[Event]) -> Callable[[_H], _H]:
        """Registers a handler for these events: ``(event, record) -> None``, plain or ``async``.

        Raises SubscribeError for an event that has one already: two effects would not be settled together.
        """

        def register(handler: _H) -> _H:
            for event in events:
                if event in self._handlers:
                    raise SubscribeError(f"{event.__name__} has a handler already: call both from one function")
                self._handlers[event] = handler
            return handler

        return register

    def run(self, *, until_end: bool = False) -> None:
        """Takes events until SIGINT or SIGTERM, then finishes the one under way, says how far it is, and returns.

        With ``until_end`` it also returns once everything that was on the topics is settled: for a report made by a
        timer. Log lines go to standard error unless the program has set up logging itself.

        What cannot work as it was set up ends the program with a text that says what to mend, and exit code 1.
        """
        if not logging.getLogger().handlers:
            logs.configure(self.name)
        try:
            asyncio.run(self._until_signalled(until_end))
        except (ContractError, StoreError, SubscribeError) as error:
            raise SystemExit(f"{self.name}: {error}") from error

    async def serve(self, stop: asyncio.Event, *, until_end: bool = False) -> Mapping[Outcome, int]:
        """The same inside a program that has a loop of its own. Returns how many records had which outcome.

        Raises SubscribeError, StoreError and ContractError, which say what to mend.
        """
        if not self._handlers:
            raise SubscribeError(f"subscriber '{self.name}' has no handler: register one with @subscriber.on(Event)")
        store = Store(self.file, self.group)
        try:
            if store.is_new:
                log.info("store_is_new", group=self.group)
            topics = self._topics()
            handling = Handling(self._handlers, store, Catalog.installed())
            consumption = Consumption(handling, store, self._cluster, self.group, topics, session_ms=self._session_ms)
            await consumption.run(stop, until_end=until_end)
        finally:
            store.close()
        return consumption.counts

    def held(self) -> list[Held]:
        """What was kept back, in the order of arrival, with its bytes as they lay on the topic."""
        return self._with_store(lambda store: store.held())

    def release(self, chosen: str | int | None = None) -> list[str]:
        """Lets a case (its name or a held record's number) or all be handled again; see ``operating.release``."""
        return self._with_store(lambda store: release(store, chosen))

    def discard(self, number: int, reason: str, *, although_protective: bool = False) -> Held:
        """Gives a held record up for good; see ``operating.discard``."""
        return self._with_store(lambda store: discard(store, number, reason, although_protective=although_protective))

    def _with_store(self, use: Callable[[Store], _T]) -> _T:
        store = Store(self.file, self.group)
        try:
            return use(store)
        finally:
            store.close()

    def _topics(self) -> list[str]:
        files = {**Catalog.installed().topics, **topic_files(self._contracts)}.values()
        wanted = {stem(event.type) for event in self._handlers}
        carried = {file.name(self._country): {stem(type_) for type_ in file.types()} for file in files}
        nowhere = wanted.difference(*carried.values())
        if nowhere:
            raise SubscribeError(f"no topic of {self._contracts} carries {', '.join(sorted(nowhere))}")
        return sorted(topic for topic, stems in carried.items() if stems & wanted)

    async def _until_signalled(self, until_end: bool) -> None:
        stop = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await self.serve(stop, until_end=until_end)
