"""A client of the public HTTP APIs: sends each request until it is answered, and writes every 2xx answer down.

The ledger is the client's own memory of what it was promised. It holds references and codes, never a personal value.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from kintsugi_office import tokens

from kintsugi_sandbox import loopback
from kintsugi_sandbox.clock import OfficeLike

_PATIENCE_SECONDS = 45.0
_PAUSE = 0.1


class Refused(RuntimeError):
    """A service refused a request; the text holds where, and the code it gave."""

    def __init__(self, where: str, status: int, code: str) -> None:
        super().__init__(f"{where} was refused: {status} {code}")
        self.status = status
        self.code = code


class Ledger:
    """One JSON line per 2xx answer, on the disk before the client goes on."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines = 0
        self._stream = file.open("w", encoding="utf-8")

    def write(self, line: Mapping[str, Any]) -> None:
        """Add a line."""
        self.lines += 1
        self._stream.write(json.dumps({"n": self.lines, **line}, sort_keys=True) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


class Desk:
    """Sends requests for one role. ``retries`` counts those that had to be sent again.

    ``subject`` is whom the token speaks for, where that matters: an integrator's name.
    """

    def __init__(self, office: OfficeLike, ledger: Ledger, role: str | None, subject: str | None = None) -> None:
        headers = {}
        if role is not None:
            token = tokens.issue(
                office.layout, role, subject=subject or f"demo-{role}", valid=timedelta(hours=2), country=office.country
            )
            headers["Authorization"] = f"Bearer {token}"
        self.retries = 0
        self._office = office
        self._ledger = ledger
        self._client = loopback.client(seconds=20, headers=headers, connections=12)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def read(self, service: str, path: str, **params: str | int | bool) -> httpx.Response:
        """A GET, repeated until the service answers. Raises Refused."""
        return await self._send("GET", service, f"{self._office.url(service)}{path}", {}, params=params)

    async def operate(self, service: str, path: str, **params: str) -> dict[str, Any]:
        """An operator's request, which promises nothing to a person and is not in the ledger. Raises Refused."""
        url = f"{self._office.url(service)}{path}"
        answer: dict[str, Any] = (await self._send("POST", service, url, {}, params=params)).json()
        return answer

    async def change(
        self,
        service: str,
        path: str,
        action: str,
        about: Mapping[str, Any],
        *,
        method: str = "POST",
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        url: str | None = None,
        key: str | None = None,
    ) -> httpx.Response:
        """A request that changes something, under one Idempotency-Key however often it is sent. Raises Refused.

        ``action`` and ``about`` say in the ledger what was asked, in codes. ``key`` is given where the service makes
        its own from the request.
        """
        key = key or str(uuid.uuid4())
        sent = {"Idempotency-Key": key, **(headers or {})}
        if content is not None:
            sent["Content-Type"] = "text/csv"
        asked_ms = time.time_ns() // 1_000_000
        answer = await self._send(
            method, service, url or f"{self._office.url(service)}{path}", sent, json=json, content=content
        )
        self._ledger.write(
            {
                "service": service,
                "method": method,
                "path": path,
                "key": key,
                "status": answer.status_code,
                "asked_ms": asked_ms,
                "answered_ms": time.time_ns() // 1_000_000,
                "action": action,
                "about": dict(about),
                "answer": answer.json() if answer.content else None,
            }
        )
        return answer

    async def _send(
        self, method: str, service: str, url: str, headers: Mapping[str, str], **parts: Any
    ) -> httpx.Response:
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                answer = await self._client.request(method, url, headers=headers, **parts)
            except httpx.TransportError as error:
                if time.monotonic() > end:
                    raise Refused(f"{method} {service}", 0, f"no answer ({type(error).__name__})") from error
            else:
                if answer.is_success:
                    return answer
                if answer.status_code not in (502, 503, 504, 429) or time.monotonic() > end:
                    raise Refused(f"{method} {service} {_route(url)}", answer.status_code, _code(answer))
            self.retries += 1
            await asyncio.sleep(_PAUSE)


def _route(url: str) -> str:
    """The path without what could be a link's token."""
    path = httpx.URL(url).path
    return "/provider/…" if path.startswith("/provider/") else path


def _code(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
    except ValueError:
        return "no problem document"
    code = str(problem.get("code") or problem.get("type", "")) if isinstance(problem, dict) else ""
    detail = str(problem.get("detail") or "") if isinstance(problem, dict) else ""
    return f"{code}: {detail}"[:300]
