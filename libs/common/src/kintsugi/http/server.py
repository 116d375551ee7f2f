"""The HTTP server of a process: uvicorn with the limits a public port needs, under the runtime's own signals."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0
"""How long a connection may take to send a request's headers."""

_LARGEST_HEAD = 32 * 1024


class PromptHeaders(H11Protocol):
    """Closes a connection whose request headers do not arrive in time: uvicorn alone would wait for ever."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        if self._head_timer is None and self._between_requests():
            self._expect_head()
        super().data_received(data)
        if not self._between_requests():
            self._head_arrived()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        super().connection_lost(exc)

    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self._between_requests():
            self.transport.close()


class Server(uvicorn.Server):
    """Serves until `should_exit` is set. It takes no signal: the runtime decides the order of the shutdown."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def server(app: Any, host: str, port: int, *, drain_s: int = 10) -> Server:
    """Make the server; `await it.serve()` runs it.

    Request lines are not logged: a path may hold a token. At a stop, requests under way get `drain_s` seconds.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=PromptHeaders,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        limit_concurrency=512,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=drain_s,
        h11_max_incomplete_event_size=_LARGEST_HEAD,
    )
    return Server(config)
