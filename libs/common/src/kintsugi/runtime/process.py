"""One service, running: its parts, the order in which they start, and the reverse in which they stop."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
from collections.abc import Awaitable
from datetime import datetime
from typing import Any

import kintsugi_country as packs
import structlog
from fastapi import FastAPI
from kintsugi_contracts.catalog import Catalog
from starlette.types import ASGIApp, Receive, Scope
from starlette.types import Send as AsgiSend

from kintsugi.auth import Verifier, issuer_of
from kintsugi.channels import close
from kintsugi.clock import BusinessClock
from kintsugi.collector import Collector, Wired
from kintsugi.http.factory import create_app
from kintsugi.http.health import Health
from kintsugi.http.liveness import Watchdog
from kintsugi.http.problems import starting
from kintsugi.http.server import Server, server
from kintsugi.keyring import Keyring, KeyringError, KeyringUnavailable
from kintsugi.operations.api import Live, Operations
from kintsugi.operations.repair import Repair
from kintsugi.relay import Brokers, Relay
from kintsugi.runtime.database import CannotStart, compare_with_own_topic, engine_of, ready
from kintsugi.runtime.declared import reads_declared
from kintsugi.runtime.figures import FIGURES_SECONDS, Figures
from kintsugi.runtime.loops import GAP_SECONDS, Beat, Loop, Owed, wind_down
from kintsugi.runtime.redeployed import RELEASE_EVERY_SECONDS, Redeployed, release_of
from kintsugi.runtime.wake import RelayBell
from kintsugi.secrets import read_key_file
from kintsugi.settings import Profile, Settings
from kintsugi.shell.batches import Batches
from kintsugi.shell.catching_up import LOOK_SECONDS, CatchUp
from kintsugi.shell.collecting import Collecting
from kintsugi.shell.core import Core
from kintsugi.shell.deadlines import Deadlines
from kintsugi.shell.gaps import Gaps
from kintsugi.shell.requests import Requests
from kintsugi.shell.sends import Sends
from kintsugi.store.housekeeping import tidy
from kintsugi.telemetry.metrics import Metrics
from kintsugi.telemetry.otlp_metrics import MetricsExport
from kintsugi.telemetry.tracing import Tracing
from kintsugi.transport import Consumption
from kintsugi.turn import Office

log = structlog.get_logger("kintsugi.runtime")

DRAIN_SECONDS = 10
LOOP_SECONDS = 5.0
SENDING_SECONDS = 20.0
RELAY_SECONDS = 10.0
STUCK_SECONDS = 60.0
TIDY_SECONDS = 3600.0
FOLLOW_SECONDS = 1.0
"""How often a collector looks whether a rebuild moved its positions."""
OWED_SECONDS = 0.5
_UNWATCHED = frozenset({"housekeeping", "figures", "redeployed"})
"""Loops that nobody waits for: where they hang, nothing is lost, so they do not end the process."""


class ServiceProcess:
    """Everything of one service in this process. Several may share a process; each has its own of everything."""

    def __init__(
        self, application: Wired, settings: Settings, watchdog: Watchdog, catalog: Catalog | None = None
    ) -> None:
        """``catalog`` is that of the installed packages where none is given."""
        catalog = catalog or Catalog.installed()
        self.name = application.name
        self._application = application = application.within(catalog)
        self._settings = settings
        self._watchdog = watchdog
        self._version = importlib.metadata.version("kintsugi-common")
        self._collects = isinstance(application, Collector)
        pack = packs.load(settings.countries / settings.country, catalog.declared)
        _known_policies(application, pack)
        _known_subjects(application, catalog)
        reads_declared(application.service, catalog)
        self._metrics = Metrics(self.name, self._version)
        self._tracing = Tracing.from_environment(
            self.name, settings.trace_ratio, settings.span_file, version=self._version
        )
        self._engine = engine_of(settings.database_url.get_secret_value(), self.name, views=application.views)
        topic = catalog.topics.get(self.name)
        files = settings.key_files(self.name, topic.purposes if topic else ())
        keks = {purpose: read_key_file(path) for purpose, path in files.items()}
        self._keyring = Keyring(settings.keyring_url.get_secret_value(), keks)
        self._core: Core[Any] = Core(
            service=application.service,
            views=application.views,
            office=Office(settings.country, pack, application.resources(settings, pack), catalog.kinds(self.name)),
            engine=self._engine,
            keyring=self._keyring,
            tracing=self._tracing,
            metrics=self._metrics,
            catalog=catalog,
        )
        self._clock = BusinessClock(movable=settings.profile is Profile.demo)
        self._cluster = settings.cluster()
        dsn = settings.database_url.get_secret_value().replace("+asyncpg", "")
        self._relay = Relay(dsn, Brokers(self._cluster, self._core.group), self._tracing, self._metrics)
        self._bell = RelayBell(self._relay, self._engine)
        self._consumption: Consumption[Any] = Consumption(
            self._core,
            self._clock,
            self._batches(settings.batch_size),
            self._cluster,
            batch_size=settings.batch_size,
            session_timeout_ms=settings.session_timeout_ms,
        )
        self._channels = application.channels(settings)
        self._owed: Owed[Any] = Owed(
            Deadlines(self._core, self._clock),
            Sends(self._core, self._clock, self._channels),
            Gaps(self._core, self._clock),
        )
        self._catch_up: CatchUp[Any] = CatchUp(self._core)
        release = release_of(self.name, application.service.fold_version)
        redeployed = Redeployed(self._core, Repair(self._core, self._clock), release)
        self._wakened = [
            Loop("deadlines", self._owed.fire, OWED_SECONDS),
            Loop("sends", self._owed.send, OWED_SECONDS),
        ]
        self._loops = [
            Loop("housekeeping", self._tidy, TIDY_SECONDS),
            Loop("figures", Figures(self._core, self._consumption.lag).set, FIGURES_SECONDS),
        ]
        if self._collects:
            self._loops.append(Loop("positions", self._follow, FOLLOW_SECONDS))
        else:
            self._loops += [
                *self._wakened,
                Loop("gaps", self._owed.look_for_gaps, GAP_SECONDS),
                Loop("views", self._catch_up.step, LOOK_SECONDS),
                Loop("redeployed", redeployed.step, RELEASE_EVERY_SECONDS),
            ]
        self._health = Health()
        self._in_flight = 0
        self._started = False
        self._server: Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._exports = MetricsExport.from_environment(self._metrics)
        self._core.committed.append(self._committed)
        self._core.clock_moved.append(lambda: self._committed(emitted=False, owed=True))

    async def start(self) -> None:
        """HTTP first, so that probes have an answer; then the database, the relay, the consumer and the timers.

        Requests are answered by "starting" until the views have the rows of every subject.

        Raises CannotStart, LostState and KeyringError, whose texts say what to do.
        """
        app = self._app()
        self._server = server(app, self._settings.http_host, self._settings.http_port, drain_s=DRAIN_SECONDS)
        self._tasks.append(asyncio.create_task(self._serve(self._server), name=f"{self.name}-http"))
        secret = await ready(self._engine, self._application, self._beat("start"))
        await self._keyring_ready()
        if not self._collects:
            await self._own_topic_ready()
        self._started = True
        if not self._collects:
            self._relay.beat = self._beat("relay")
            self._spawn(self._relay.run(), "relay")
        self._consumption.beat = self._beat("consumer")
        await self._consumption.start()
        for loop in self._loops:
            if loop.name not in _UNWATCHED:
                loop.beat = self._beat(loop.name)
            self._spawn(loop.run(), loop.name)
        if not self._collects:
            await self._views_filled()
        app.state.executor = Requests(self._core, self._clock, secret)
        self._watchdog.rest(f"{self.name}-start")
        if self._exports is not None:
            self._exports.start()
        self._health.check("circuit", self._circuit)
        self._health.check("topics", self._movement)
        self._health.check("database", self._database)
        self._health.open()
        log.info("service_started", service=self.name, version=self._version)

    async def stop(self) -> None:
        """HTTP, timers and sends, consumer, relay, pools, spans: what is accepted is finished, bounded in time."""
        self._health.close("draining")
        if self._server is not None:
            self._server.should_exit = True
            await self._ended(f"{self.name}-http", DRAIN_SECONDS + 2)
        names = {f"{self.name}-{loop.name}" for loop in self._loops}
        running = [task for task in self._tasks if task.get_name() in names]
        await wind_down(self._loops, running, self._owed, ending_s=LOOP_SECONDS, sending_s=SENDING_SECONDS)
        await close(self._channels.values())
        await self._consumption.stop()
        self._relay.stop()
        await self._ended(f"{self.name}-relay", RELAY_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._exports is not None:
            await asyncio.to_thread(self._exports.stop)
        await self._keyring.aclose()
        await self._engine.dispose()
        await asyncio.to_thread(self._tracing.shutdown)
        log.info("service_stopped", service=self.name)

    def _batches(self, size: int) -> Batches[Any]:
        if isinstance(self._application, Collector):
            return Collecting(self._core, self._clock, size, self._application)
        return Batches(self._core, self._clock, size)

    def _app(self) -> FastAPI:
        live = Live(
            self._version,
            str(self._settings.profile),
            self._consumption.lag,
            lambda: self._in_flight,
            self._resend,
            lambda: self._started,
        )
        operations = Operations(self._core, self._clock, live)
        app = create_app(
            self.name,
            self._version,
            None,
            [*self._application.routers, operations.router()],
            self._health,
            self._metrics,
            tracing=self._tracing,
            watchdog=self._watchdog,
            development=self._settings.profile is not Profile.production,
            body_rules=self._application.body_rules,
        )
        public = self._settings.jwt_public_key.read_bytes()
        country = self._settings.country
        app.state.verifier = Verifier(public, issuer_of(country), country=country)
        app.state.executor = _NotYet()
        app.state.office = self._core.office
        app.add_middleware(_InFlight, count=self._count)
        return app

    def _count(self, change: int) -> None:
        self._in_flight += change

    async def _serve(self, http: Server) -> None:
        # uvicorn leaves by SystemExit where it cannot bind; as a task's end that would be silent.
        try:
            await http.serve()
        except SystemExit as error:
            address = f"{self._settings.http_host}:{self._settings.http_port}"
            raise CannotStart(
                f"service '{self.name}' cannot listen on {address}: is it taken? choose another"
            ) from error

    async def _keyring_ready(self) -> None:
        while True:
            self._beat("start")()
            try:
                await self._keyring.check()
                return
            except KeyringUnavailable:
                log.warning("waiting_for_keyring", service=self.name)
                await asyncio.sleep(1.0)
            except KeyringError as error:
                raise CannotStart(f"service '{self.name}': {error}") from error

    async def _own_topic_ready(self) -> None:
        wait = 0.2
        while True:
            self._beat("start")()
            try:
                await compare_with_own_topic(self._core, self._cluster)
                return
            except (OSError, TimeoutError) as error:
                log.warning("waiting_for_kafka", service=self.name, error=type(error).__name__)
            except Exception as error:
                if not type(error).__module__.startswith("aiokafka"):
                    raise
                log.warning("waiting_for_kafka", service=self.name, error=type(error).__name__)
            await asyncio.sleep(wait)
            wait = min(wait * 2, 5.0)

    async def _views_filled(self) -> None:
        """What is queried before would lack rows; events, timers and messages do not wait for it."""
        while not self._catch_up.filled.is_set():
            self._beat("start")()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._catch_up.filled.wait()

    def _committed(self, emitted: bool, owed: bool) -> None:
        if emitted:
            self._bell.ring()
        if owed:
            for loop in self._wakened:
                loop.wake()

    async def _resend(self, since: datetime) -> int:
        return await self._relay.resend(since)

    async def _tidy(self, _beat: Beat) -> bool:
        for name in await tidy(self._engine):
            log.info("part_made_or_dropped", name=name)
        return False

    async def _follow(self, _beat: Beat) -> bool:
        await self._consumption.follow_positions()
        return False

    async def _circuit(self) -> str | None:
        return f"circuit_open_{self._consumption.stopped_for}" if self._consumption.stopped_for else None

    async def _movement(self) -> str | None:
        return "partition_does_not_move" if self._consumption.unreadable else None

    async def _database(self) -> str | None:
        async with self._engine.connect():
            return None

    def _beat(self, part: str) -> Any:
        name = f"{self.name}-{part}"

        def beat() -> None:
            self._watchdog.beat(name, STUCK_SECONDS)

        return beat

    def _spawn(self, work: Awaitable[None], part: str) -> None:
        async def run() -> None:
            await work

        self._tasks.append(asyncio.create_task(run(), name=f"{self.name}-{part}"))

    async def _ended(self, name: str, seconds: float) -> None:
        for task in self._tasks:
            if task.get_name() == name:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(asyncio.shield(task), seconds)

    @property
    def failed(self) -> BaseException | None:
        """What ended a part that should run for ever, if anything did."""
        for task in self._tasks:
            if task.done() and not task.cancelled() and task.exception() is not None:
                return task.exception()
        return None


def _known_policies(application: Wired, pack: packs.Pack) -> None:
    """Raises CannotStart where the country tightens by a policy that the service does not have."""
    for handler, names in pack.country.policies.get(application.name, {}).items():
        if unknown := set(names) - set(application.service.tightening):
            known = ", ".join(sorted(application.service.tightening)) or "none"
            raise CannotStart(
                f"service '{application.name}': country.yaml tightens '{handler}' by {', '.join(sorted(unknown))}, "
                f"which this service does not have; it has: {known}"
            )


def _known_subjects(application: Wired, catalog: Catalog) -> None:
    """Raises CannotStart where a command makes subjects that the service's own topic may not carry."""
    carried = catalog.kinds(application.name)
    for handler in application.service.commands.values():
        if handler.creates and handler.subject not in carried:
            raise CannotStart(
                f"service '{application.name}': '{handler.name}' creates subjects '{handler.subject}/…', and its topic "
                f"carries {', '.join(carried)}: name '{handler.subject}' under 'subjects' in its topic file"
            )


class _NotYet:
    """Answers while the database, the keyring, the topic or the views are still waited for."""

    def __getattr__(self, name: str) -> Any:
        raise starting()


class _InFlight:
    """Counts requests under way, for whoever waits for quiet."""

    def __init__(self, app: ASGIApp, count: Any) -> None:
        self._app = app
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: AsgiSend) -> None:
        watched = scope["type"] == "http" and not scope["path"].startswith("/operations")
        if not watched:
            await self._app(scope, receive, send)
            return
        self._count(+1)
        try:
            await self._app(scope, receive, send)
        finally:
            self._count(-1)
