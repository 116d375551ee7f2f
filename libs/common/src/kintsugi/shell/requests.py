"""Commands over HTTP: idempotency row first, the subject's lock, the decision and its answer in one commit."""

from __future__ import annotations

import asyncio
import hmac
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic

from pydantic import BaseModel
from sqlalchemy import RowMapping, Select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.clock import BusinessClock
from kintsugi.commands import Answer, CommandRequest, Done
from kintsugi.envelope import format_seen, is_subject
from kintsugi.failpoints import reach
from kintsugi.http.problems import Problem
from kintsugi.http.seen import LOOK_SECONDS, WAIT_SECONDS, behind, not_caught_up, parse_seen
from kintsugi.service import CASE_ON_HOLD, Handler, Rejected, S
from kintsugi.shell.core import Core
from kintsugi.shell.faults import Fault, classify
from kintsugi.shell.unit import Loaded, Unit
from kintsugi.store.rows import load_progress
from kintsugi.subject import Progress
from kintsugi.telemetry.context import parse_traceparent
from kintsugi.turn import Causation

_INSERT = text("""
INSERT INTO commands (caller, path, key, body) VALUES (:caller, :path, :key, :body)
ON CONFLICT DO NOTHING RETURNING 1
""")
_KNOWN = text("""
SELECT body, status, answer, etag, seen FROM commands WHERE caller = :caller AND path = :path AND key = :key
""")
_ANSWERED = text("""
UPDATE commands SET subject = :subject, status = :status, answer = :answer, etag = :etag, seen = :seen
WHERE caller = :caller AND path = :path AND key = :key
""")
_PROGRESS = text("SELECT progress, sequence FROM subjects WHERE subject = :subject")

_TRIES = 3


class Requests(Generic[S]):
    """Runs the commands of one service. ``secret`` keys the digests of request bodies, which may be personal."""

    def __init__(self, core: Core[S], clock: BusinessClock, secret: bytes) -> None:
        self._core = core
        self._clock = clock
        self._secret = secret

    async def execute(self, request: CommandRequest, answer: Callable[[Done[S]], BaseModel]) -> Answer:
        """One request, one transaction. Raises Problem for everything that is refused."""
        if request.seen and request.subject:
            await self.caught_up(request.subject, parse_seen(request.seen), time.monotonic() + WAIT_SECONDS)
        for attempt in range(_TRIES):
            try:
                return await self._attempt(request, answer)
            except Rejected as rejected:
                raise Problem(
                    rejected.status,
                    rejected.code,
                    "The request was not accepted",
                    rejected.detail,
                    rejected.next_step or None,
                ) from rejected
            except Problem:
                raise
            except Exception as error:
                fault = classify(error)
                if fault is Fault.refused:
                    raise Problem(
                        422,
                        "data_refused",
                        "The request holds a value that cannot be stored",
                        "The database refused the data of this request; nothing was changed.",
                        "Look for control characters or numbers out of range, and send it again.",
                    ) from error
                if fault is Fault.defect:
                    self._core.log_raised(error, type_=type(request.command).__name__)
                    raise
                if attempt == _TRIES - 1:
                    raise unavailable() from error
                await asyncio.sleep(0.05 * 2**attempt)
        raise unavailable()

    async def rows(self, query: Select[Any]) -> Sequence[RowMapping]:
        """Rows of the views, read only. Raises Problem 503 when the database is away."""
        try:
            async with self._core.reading.connect() as connection:
                found: Sequence[RowMapping] = (await connection.execute(query)).mappings().all()
                return found
        except Exception as error:
            if classify(error) is Fault.away:
                raise unavailable() from error
            raise

    async def _attempt(self, request: CommandRequest, answer: Callable[[Done[S]], BaseModel]) -> Answer:
        core = self._core
        handler = core.service.commands[type(request.command)]
        name = {"caller": request.actor, "path": request.path, "key": request.key}
        digest = hmac.digest(self._secret, request.body, "sha256")
        async with core.engine.begin() as connection:
            if (await connection.execute(_INSERT, {**name, "body": digest})).first() is None:
                return await self._again(connection, name, digest)
            reach("request.inserted")
            subject = request.subject
            if subject is None:
                if not handler.creates:
                    raise Problem(404, "not_found", "No such case", "This request needs an existing case.")
                subject = _created(handler, request.command)
            unit = Unit(core, connection, await self._clock.now(connection))
            await unit.load([subject], create=handler.creates and request.subject is None)
            loaded = unit.subjects.get(subject)
            if loaded is None:
                raise Problem(404, "not_found", "No such case", "This office has not heard of that case.")
            reach("request.locked")
            if request.if_match is not None and request.if_match != loaded.row.version:
                raise Problem(
                    412,
                    "version_changed",
                    "The resource has changed meanwhile",
                    "If-Match names an older version.",
                    "Read it again, apply your change to what you find, and send the new ETag.",
                )
            if loaded.blocked and not handler.tightens:
                raise Rejected(CASE_ON_HOLD, "The case is blocked until a supervisor lifts it.")
            await self._step(unit, loaded, request)
            done = Done(subject, loaded.subject.state, [own.event for own in unit.out.own])
            answered = Answer(
                request.status,
                answer(done).model_dump_json().encode(),
                etag=f'"{loaded.row.version + 1 if loaded.touched else loaded.row.version}"',
                seen=seen_of(core.name, loaded.subject.progress),
            )
            await unit.write()
            await connection.execute(
                _ANSWERED,
                {
                    **name,
                    "subject": subject,
                    "status": answered.status,
                    "answer": answered.body,
                    "etag": answered.etag,
                    "seen": answered.seen,
                },
            )
            reach("request.answered")
        reach("request.committed")
        unit.end_spans()
        core.metrics.command(type(request.command).__name__, "accepted")
        core.after_commit(emitted=bool(unit.out.own), owed=unit.owes)
        return answered

    async def _step(self, unit: Unit[S], loaded: Loaded[S], request: CommandRequest) -> None:
        progress = loaded.subject.progress
        link = parse_traceparent(progress.trace or None)
        if request.span is not None and link is not None:
            request.span.links = (*request.span.links, link)
        handler = self._core.service.commands[type(request.command)]
        if handler.creates:  # nothing has a key yet: all of them at once, not one after the other
            unit.vault.keys.update(
                await self._core.fetch_keys([], [(loaded.id, str(purpose)) for purpose in handler.seals])
            )
        causation = Causation(f"request/{uuid.uuid4()}", 0, unit.creator(request.span, None))
        step = await unit.stepped(
            lambda: unit.stepper.command(loaded.subject, request.command, unit.now, causation, request.caller)
        )
        if step[1]:
            unit.became(loaded, *step, request.span.traceparent if request.span else None)

    async def _again(self, connection: AsyncConnection, name: dict[str, str], digest: bytes) -> Answer:
        row = (await connection.execute(_KNOWN, name)).mappings().one()
        if not hmac.compare_digest(row["body"], digest):
            raise Problem(
                422,
                "idempotency_key_reused",
                "Idempotency-Key was used for another request",
                "The same key came before with a different body; nothing was changed.",
                "Use a new key for a new request. To repeat the old one, send exactly its body.",
            )
        return Answer(row["status"], row["answer"], etag=row["etag"], seen=row["seen"])

    async def caught_up(self, subject: str, wanted: Mapping[str, int], until: float) -> None:
        """Waits until this service has seen of a subject what the caller has, at most to ``until`` (monotonic clock).

        Sources that it does not read are passed over. Raises Problem 503 ``not_caught_up`` with Retry-After.
        """
        own = self._core.name
        read = {name: number for name, number in wanted.items() if name == own or name in self._core.sources}
        while missing := behind(read, await self._reached(subject)):
            if time.monotonic() >= until:
                raise not_caught_up(missing)
            await asyncio.sleep(LOOK_SECONDS)

    async def _reached(self, subject: str) -> dict[str, int]:
        try:
            async with self._core.reading.connect() as connection:
                row = (await connection.execute(_PROGRESS, {"subject": subject})).mappings().first()
        except Exception as error:
            if classify(error) is Fault.away:
                raise unavailable() from error
            raise
        progress = load_progress(row["progress"], row["sequence"], None, 0) if row else Progress()
        return {
            **{name: cursor.sequence for name, cursor in progress.cursors.items()},
            self._core.name: progress.sequence,
        }


def _created(handler: Handler, command: BaseModel) -> str:
    """The subject that a command creates. Raises Problem for a name that cannot stand in an envelope."""
    subject = f"{handler.subject}/{handler.named(command) if handler.named else uuid.uuid4()}"
    if not is_subject(subject):
        raise Problem(
            422,
            "subject_refused",
            "The request names something that cannot be a subject",
            "Its id must be 1 to 150 printable ASCII characters without spaces; nothing was changed.",
            "Name it by an opaque id of that form, never by anything personal.",
        )
    return subject


def seen_of(own: str, progress: Progress) -> str:
    """``Kintsugi-Seen``: this service's own counter and how far it has read the others."""
    reached = {name: cursor.sequence for name, cursor in progress.cursors.items()}
    return format_seen({**reached, own: progress.sequence})


def unavailable() -> Problem:
    """What a caller is told while nothing can be stored."""
    return Problem(
        503,
        "unavailable",
        "The service cannot store anything right now",
        "Its database or keyring did not answer; nothing was changed.",
        "Send the same request with the same Idempotency-Key again in a few seconds.",
        headers={"Retry-After": "2"},
    )
