"""The process: settings, logs, signals, services in order, and an exit code a supervisor understands."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from importlib.metadata import entry_points
from typing import Any

import structlog
from kintsugi_country import PackError

from kintsugi import failpoints, logs
from kintsugi.auth import AuthError
from kintsugi.collector import Wired
from kintsugi.http.liveness import LivenessServer, Watchdog, beat_event_loop
from kintsugi.kafka import Protocol
from kintsugi.keyring import KeyringError
from kintsugi.runtime.database import CannotStart
from kintsugi.runtime.process import STUCK_SECONDS, ServiceProcess
from kintsugi.secrets import KeyFileError
from kintsugi.settings import Profile, Settings, SettingsError, load
from kintsugi.shell.core import LostState

log = structlog.get_logger("kintsugi.runtime")

GROUP = "kintsugi.services"
REFUSED = 78
"""Exit code for what a restart cannot mend: settings, pack, revisions, lost state (EX_CONFIG)."""


_REFUSALS = (
    SettingsError,
    PackError,
    CannotStart,
    LostState,
    KeyringError,
    KeyFileError,
    AuthError,
    LookupError,
)


def main(*names: str) -> None:
    """Runs the named services until SIGTERM or SIGINT. Does not return.

    Exit codes: 0 stopped as asked, 78 may not start as things are (the last line says what to do), 70 stuck, 1 failed.
    """
    if not names or "--help" in names or "-h" in names:
        print("usage: python -m kintsugi.runtime SERVICE [SERVICE ...]\nSettings come from KINTSUGI_* variables.")
        sys.exit(0 if names else 2)
    try:
        sys.exit(asyncio.run(_run(names)))
    except _REFUSALS as error:
        print(f"kintsugi: {error}", file=sys.stderr, flush=True)
        sys.exit(REFUSED)


def _application(name: str) -> Wired:
    for point in entry_points(group=GROUP, name=name):
        found: Wired = point.load()
        return found
    known = sorted(point.name for point in entry_points(group=GROUP))
    raise LookupError(f"no service '{name}' is installed; installed are: {', '.join(known) or 'none'}")


async def _run(names: tuple[str, ...]) -> int:
    settings = {name: load(name) for name in names}
    first = settings[names[0]]
    logs.configure("+".join(names), file=first.log_file)
    for name in names:
        _refuse_weak(name, settings[name])
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    watchdog = Watchdog(STUCK_SECONDS)
    processes = [ServiceProcess(_application(name), settings[name], watchdog) for name in names]
    if first.profile is not Profile.production:
        print("kintsugi: fictional data only (not a production profile)", file=sys.stderr, flush=True)
    # What was imported lives as long as the process; batches are large, so collections must be rare.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    watchdog.start()
    probed = _liveness(first, watchdog)
    beating = asyncio.create_task(beat_event_loop(watchdog))
    stopped = asyncio.create_task(stop.wait())
    try:
        starting = asyncio.gather(*(process.start() for process in processes))
        waited: set[asyncio.Future[Any]] = {starting, stopped}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return 0
        await starting
        return await _until_stopped(stopped, processes)
    finally:
        await asyncio.gather(*(process.stop() for process in processes), return_exceptions=True)
        beating.cancel()
        watchdog.stop()
        if probed is not None:
            await asyncio.to_thread(probed.stop)


async def _until_stopped(stopped: asyncio.Task[Any], processes: list[ServiceProcess]) -> int:
    while not stopped.done():
        await asyncio.wait({stopped}, timeout=0.5)
        for process in processes:
            if (failure := process.failed) is not None:
                if isinstance(failure, CannotStart):
                    raise failure
                log.critical("part_ended", service=process.name, error=type(failure).__name__, exc_info=failure)
                return 1
    return 0


def _liveness(settings: Settings, watchdog: Watchdog) -> LivenessServer | None:
    """Starts the probe that does not depend on the event loop, where it is asked for."""
    if settings.liveness_port is None:
        return None
    try:
        server = LivenessServer(watchdog, settings.http_host, settings.liveness_port)
    except OSError as error:
        raise CannotStart(
            f"KINTSUGI_LIVENESS_PORT {settings.liveness_port} on {settings.http_host} cannot be listened on: "
            "is it taken? choose another"
        ) from error
    server.start()
    return server


def _refuse_weak(name: str, settings: Settings) -> None:
    """A production profile does not start with settings that could lose or leak."""
    if settings.profile is not Profile.production:
        return
    weak: list[str] = []
    if failpoints.armed():
        weak.append("KINTSUGI_FAILPOINT is set: unset it")
    weak += _weak_login(settings)
    if settings.replication_factor < 3:
        weak.append("KINTSUGI_REPLICATION_FACTOR is below 3: use three brokers")
    if settings.min_insync_replicas < 2:
        weak.append("KINTSUGI_MIN_INSYNC_REPLICAS is below 2: an acknowledged event could be lost")
    if settings.public_url is not None and not settings.public_url.startswith("https://"):
        weak.append("KINTSUGI_PUBLIC_URL is not https: a provider's link would travel readable")
    if weak:
        raise SettingsError(f"service '{name}' refuses to start in production:\n  " + "\n  ".join(weak))


def _weak_login(settings: Settings) -> list[str]:
    """What is wrong with how Kafka is spoken with. On one machine alone a network need not be kept from others."""
    cluster = settings.cluster()
    if cluster.username is None:
        return [
            "KINTSUGI_KAFKA_PROTOCOL is PLAINTEXT and no user is named: set KINTSUGI_KAFKA_USERNAME, "
            "KINTSUGI_KAFKA_PASSWORD_FILE and SASL_SSL, so that the broker knows who writes"
        ]
    if cluster.protocol is not Protocol.sasl_ssl and not cluster.on_this_machine:
        return [
            f"KINTSUGI_KAFKA_PROTOCOL is {cluster.protocol} and {cluster.bootstrap} is another machine: set SASL_SSL, "
            "or what is written and who writes it can be read on the way"
        ]
    return []
