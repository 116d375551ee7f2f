"""Answers /readyz and /operations/status; ``PRETEND_BROKEN`` makes it end at once."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit


class Answers(BaseHTTPRequestHandler):
    """Tells which database it was given, so that a test sees its environment."""

    def do_GET(self) -> None:
        """Answer every path with the same status report."""
        report = {
            "service": "pretend",
            "profile": os.environ["KINTSUGI_PROFILE"],
            "lag": {"xa.intake.v1": 3},
            "outbox": {"unsent": 2, "oldest_age_s": 0.5},
            "subjects": {"ok": 7, "waiting": 1, "held": 4},
            "dead_letters": 5,
            "database": urlsplit(os.environ["KINTSUGI_DATABASE_URL"]).path,
            "authorized": self.headers.get("Authorization", "").startswith("Bearer "),
            "keys": sorted(file.stem for file in Path(os.environ["KINTSUGI_KEYS"]).glob("*.key")),
        }
        body = json.dumps(report).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if os.environ.get("PRETEND_BROKEN"):
    sys.exit("this service was told to be broken")
HTTPServer(("127.0.0.1", int(os.environ["KINTSUGI_HTTP_PORT"])), Answers).serve_forever()
