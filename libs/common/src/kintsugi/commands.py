"""Commands over HTTP: one request, one decision, one answer that a repetition gets again."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol

from fastapi import Depends, Header, Request, Response
from kintsugi_contracts.base import Event
from pydantic import BaseModel
from sqlalchemy import ColumnElement, RowMapping, Select, select

from kintsugi.auth import Caller
from kintsugi.envelope import MAX_ID
from kintsugi.http.problems import Problem
from kintsugi.http.seen import LOOK_SECONDS, WAIT_SECONDS, not_caught_up, parse_seen
from kintsugi.service import S
from kintsugi.telemetry.tracing import Span


@dataclass(frozen=True, slots=True)
class Done(Generic[S]):
    """What a command led to: the subject, its state after it, and the events that were emitted."""

    subject: str
    state: S
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """A command with everything its transaction needs to know of the request."""

    command: BaseModel
    caller: Caller | None
    actor: str
    path: str
    key: str
    body: bytes
    subject: str | None
    status: int
    if_match: int | None
    seen: str | None
    span: Span | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets, now and at every repetition: a status, a body without anything personal, headers."""

    status: int
    body: bytes
    etag: str = ""
    seen: str = ""


class Executor(Protocol[S]):
    """The part of the shell that runs commands and reads views."""

    async def execute(self, request: CommandRequest, answer: Callable[[Done[S]], BaseModel]) -> Answer: ...

    async def rows(self, query: Select[Any]) -> Sequence[RowMapping]: ...

    async def caught_up(self, subject: str, wanted: Mapping[str, int], until: float) -> None: ...


class Commands(Generic[S]):
    """What a route works with: run a command, find a subject, read rows of the service's views."""

    def __init__(self, executor: Executor[S], request: Request, key: str | None, seen: str | None, match: str | None):
        self._executor = executor
        self._request = request
        self._key = key
        self._seen = seen
        self._match = match

    async def execute(
        self,
        command: BaseModel,
        *,
        caller: Caller | None,
        answer: Callable[[Done[S]], BaseModel],
        subject: str | None = None,
        status: int = 200,
        key: str | None = None,
        etag: bool = False,
    ) -> Response:
        """Runs a command in one transaction with its idempotency row and answers.

        ``subject`` None only for commands that create one. ``key`` overrides the header ``Idempotency-Key``;
        without either the caller gets a 400. ``etag`` demands ``If-Match`` (428 without it, 412 when it is old).
        Raises Problem for everything that is refused; an answer once given is given again for the same key.
        """
        key = key or self._key
        if not key or len(key) > MAX_ID or not key.isascii() or not key.isprintable():
            raise Problem(
                400,
                "idempotency_key_missing",
                "Idempotency-Key is missing",
                "The request has no readable Idempotency-Key header (1 to 200 printable ASCII characters).",
                "Send a new random key with each new request, and the same key when you repeat one.",
            )
        expected = _version(self._match)
        if etag and expected is None:
            raise Problem(
                428,
                "if_match_required",
                "If-Match is required",
                "This request changes something that others may have changed meanwhile.",
                "Read the resource first and send its ETag in If-Match.",
            )
        answered = await self._executor.execute(
            CommandRequest(
                command=command,
                caller=caller,
                actor=caller.sub if caller else "",
                path=_scope(self._request),
                key=key,
                body=command.model_dump_json().encode(),
                subject=subject,
                status=status,
                if_match=expected if etag else None,
                seen=self._seen,
                span=self._request.scope.get("kintsugi.span"),
            ),
            answer,
        )
        headers = {"ETag": answered.etag, "Kintsugi-Seen": answered.seen} if answered.etag else {}
        return Response(answered.body, answered.status, headers, media_type="application/json")

    async def rows(self, query: Select[Any]) -> Sequence[RowMapping]:
        """The rows of a query on the service's views; read only."""
        return await self._executor.rows(query)

    async def subject(self, *where: ColumnElement[bool], what: str = "case") -> str:
        """The subject of the one view row that fits, as new as the request's ``Kintsugi-Seen``.

        Raises a 404 problem where there is none, and 503 ``not_caught_up`` where a caller that has seen something
        waited two seconds in vain.
        """
        subject = await self.caught_up(*where)
        if subject is None:
            if wanted := parse_seen(self._seen):
                raise not_caught_up(wanted)
            raise Problem(
                404,
                "not_found",
                f"No such {what}",
                f"This country's office has no {what} with that reference, or has not heard of it yet.",
                "Check the reference; right after a change in another service, repeat with its Kintsugi-Seen header.",
            )
        return subject

    async def caught_up(self, *where: ColumnElement[bool]) -> str | None:
        """Waits until the service has seen of this subject what the caller has, and returns it; None for none.

        For reads of one case, before them. Where no view row of the case comes in time, None: such a case may be
        unknown here, or have nothing to show. Without ``Kintsugi-Seen`` there is no wait. Raises Problem 503.
        """
        column = next(iter(where[0].get_children())).table.c.subject  # type: ignore[attr-defined]
        query = select(column).where(*where).limit(1)
        wanted, until = parse_seen(self._seen), time.monotonic() + WAIT_SECONDS
        while not (rows := await self._executor.rows(query)):
            if not wanted or time.monotonic() >= until:
                return None
            await asyncio.sleep(LOOK_SECONDS)
        subject = str(rows[0]["subject"])
        if wanted:
            await self._executor.caught_up(subject, wanted, until)
        return subject


def _scope(request: Request) -> str:
    """What an idempotency key belongs to: the route, and a digest of the path, which may hold a provider's token."""
    route = request.scope.get("route")
    digest = hashlib.blake2b(request.url.path.encode(), digest_size=12).hexdigest()
    return f"{request.method} {getattr(route, 'path', '')} {digest}"


def _version(header: str | None) -> int | None:
    text = (header or "").strip().removeprefix("W/").strip('"')
    return int(text) if text.isdigit() else None


def commands(
    request: Request,
    idempotency_key: Annotated[str | None, Header()] = None,
    kintsugi_seen: Annotated[str | None, Header()] = None,
    if_match: Annotated[str | None, Header()] = None,
) -> Commands[Any]:
    """The dependency of every route that changes or reads cases."""
    return Commands(request.app.state.executor, request, idempotency_key, kintsugi_seen, if_match)


AnyCommands = Annotated[Commands[Any], Depends(commands)]
