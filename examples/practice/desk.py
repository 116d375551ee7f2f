"""The door at which a partner acknowledges that it forgot a case, as the office's share service has it."""

import json
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_ASKED = re.compile(r"/integrators/(?P<partner>[a-z-]+)/purges/(?P<purge>[^/]*)/acknowledgement")


class Desk:
    """Knows which purges are open and which were acknowledged. ``failures`` many requests are answered with 503."""

    def __init__(self, partner: str, token: str, open_purges: Iterable[str], failures: int = 0) -> None:
        self.partner, self.token, self.open, self.failures = partner, token, frozenset(open_purges), failures
        self.acknowledged: list[str] = []

    def answer(self, path: str, authorization: str) -> int:
        """The status of a request to acknowledge: 200 as often as it is asked, 404 for what is not this partner's."""
        asked = _ASKED.fullmatch(path)
        if authorization != f"Bearer {self.token}":
            return 401
        if asked is None or asked["partner"] != self.partner or asked["purge"] not in self.open:
            return 404
        if self.failures:
            self.failures -= 1
            return 503
        self.acknowledged.append(asked["purge"])
        return 200

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serves on a free port of 127.0.0.1; the value is the address."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _handler(desk: Desk) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = desk.answer(self.path, self.headers.get("Authorization", ""))
            body = json.dumps({"status": status}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: the subscriber tells."""

    return Handler
