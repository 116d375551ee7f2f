"""HTTP to this office's own services: plain, on this machine, past every proxy."""

import importlib.util
import ssl
import sys
from collections.abc import Mapping

import httpx

# Plain HTTP only: an empty context costs nothing, while reading the machine's certificates takes a tenth of a second.
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

# httpcore asks for this optional package with every lock it takes; a miss searches the whole path each time, which
# is a third of what a request costs. Known to be absent, it is not searched for again.
if importlib.util.find_spec("sniffio") is None:
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]


def client(
    *, seconds: float, headers: Mapping[str, str] | None = None, connections: int | None = None
) -> httpx.AsyncClient:
    """A client that waits at most ``seconds`` for each answer and opens at most so many connections."""
    limits = httpx.Limits(max_connections=connections)
    return httpx.AsyncClient(
        timeout=seconds, headers=dict(headers or {}), limits=limits, trust_env=False, verify=_NO_CERTIFICATES
    )
