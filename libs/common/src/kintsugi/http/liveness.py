"""A watchdog in a thread of its own: it sees the event loop and the consumers stop, says so, and ends the process.

Work that fails and is retried beats on; work that waits for another service or on a held subject beats on. Only a
heart that has stopped, one past its deadline, ends the process, so that its supervisor starts it again.
"""

import asyncio
import faulthandler
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EXIT_CODE = 70
"""The process's exit code when a heart has stopped."""


class Watchdog:
    """Hearts that must beat at least every `deadline_s` seconds.

    `beat` registers a heart at its first call and costs a dictionary write; it may be called from any thread.
    `on_stuck` replaces what happens when one stops: by default the stacks of all threads (code places, no values)
    go to standard error and, after `grace_s` seconds in which `/livez` says 503, the process exits with code 70.
    """

    def __init__(
        self, deadline_s: float = 30.0, *, grace_s: float = 2.0, on_stuck: Callable[[str], None] | None = None
    ) -> None:
        self._deadline = deadline_s
        self._grace = grace_s
        self._on_stuck = on_stuck or self._exit
        self._beats: dict[str, float] = {}
        self._deadlines: dict[str, float] = {}
        self._stuck: str | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def beat(self, name: str, deadline_s: float | None = None) -> None:
        """The heart `name` is alive. `deadline_s` gives it a deadline of its own."""
        if deadline_s is not None:
            self._deadlines[name] = deadline_s
        self._beats[name] = time.monotonic()

    def rest(self, name: str) -> None:
        """The heart `name` has ended on purpose and is watched no more."""
        self._beats.pop(name, None)

    @property
    def stuck(self) -> str | None:
        """The name of the heart that has stopped, else None. It stays once it is set."""
        return self._stuck

    def ages(self) -> dict[str, float]:
        """Seconds since each heart's last beat."""
        now = time.monotonic()
        return {name: round(now - at, 3) for name, at in list(self._beats.items())}

    def start(self) -> None:
        """Start to watch."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="kintsugi-watchdog", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop to watch, at the end of an orderly shutdown."""
        self._stop.set()

    def _watch(self) -> None:
        seen = time.monotonic()
        while True:
            tick = min([self._deadline, *self._deadlines.values()]) / 8
            if self._stop.wait(tick):
                return
            now = time.monotonic()
            if now - seen > 4 * tick:
                # The whole process was stopped or starved, this thread too: every heart gets a full deadline again.
                self._beats.update((name, now) for name in list(self._beats))
            seen = now
            for name, at in list(self._beats.items()):
                if now - at > self._deadlines.get(name, self._deadline):
                    self._stuck = name
                    self._on_stuck(name)
                    return

    def _exit(self, name: str) -> None:
        line = {"event": "heart_stopped", "heart": name, "age_s": self.ages().get(name), "exit_code": EXIT_CODE}
        print(json.dumps(line), file=sys.stderr, flush=True)
        faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
        # An orderly shutdown may be what is stuck: do not wait for it.
        time.sleep(self._grace)
        os._exit(EXIT_CODE)


async def beat_event_loop(watchdog: Watchdog, every_s: float = 1.0) -> None:
    """Beat the heart `event_loop` until cancelled: it stops when something blocks the loop."""
    try:
        while True:
            watchdog.beat("event_loop")
            await asyncio.sleep(every_s)
    finally:
        watchdog.rest("event_loop")


def liveness_document(watchdog: Watchdog) -> tuple[int, bytes]:
    """Status and JSON body of `/livez`."""
    stuck = watchdog.stuck
    body = {"status": "alive" if stuck is None else "stuck", "stuck": stuck, "hearts": watchdog.ages()}
    return (200 if stuck is None else 503), json.dumps(body).encode()


class LivenessServer:
    """Answers `/livez` from a thread, on a port of its own, also while the event loop is blocked."""

    def __init__(self, watchdog: Watchdog, host: str = "127.0.0.1", port: int = 0) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                status, body = liveness_document(watchdog) if self.path == "/livez" else (404, b"{}")
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Probes are not logged."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="kintsugi-livez", daemon=True)

    def start(self) -> None:
        """Start to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop to answer and free the port."""
        self._server.shutdown()
        self._server.server_close()
