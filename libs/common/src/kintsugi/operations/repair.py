"""Release, discard, lift: what a person may do to a subject that stands still. Each is audited, none loses anything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic

from kintsugi_events import InputDiscarded
from kintsugi_events.common import DiscardReason, Position
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from kintsugi.clock import BusinessClock
from kintsugi.decoding import decode_event
from kintsugi.http.problems import Problem
from kintsugi.service import S
from kintsugi.shell.consuming import Consuming
from kintsugi.shell.core import Core
from kintsugi.shell.lines import Queued
from kintsugi.shell.unit import Loaded
from kintsugi.subject import advance, ends_by_itself, missing, release, skip

_AUDIT = text("INSERT INTO audit (actor, action, subject, detail) VALUES (:actor, :action, :subject, :detail)")
_DISCARD_DEAD = text("""
UPDATE inputs SET status = 'discarded', detail = :reason, settled_at = now(), key = NULL, headers = NULL, body = NULL
WHERE topic = :topic AND partition = :partition AND "offset" = :offset AND status = 'dead'
RETURNING cause
""")


class Repair(Generic[S]):
    """The operators' hand on the subjects of one service."""

    def __init__(self, core: Core[S], clock: BusinessClock) -> None:
        self._core = core
        self._clock = clock

    async def release(self, subject: str, by: str, without: Sequence[tuple[str, int]] = ()) -> dict[str, Any]:
        """Ends a hold and applies what lined up, in order. ``without`` names inputs that will never come.

        Raises Problem: 404 for a subject unknown, 409 where nothing stands still or the named input is not the next.
        """
        async with self._core.engine.begin() as connection:
            unit, loaded = await self._loaded(connection, subject)
            if loaded.held is None and not (without and loaded.subject.progress.waiting):
                raise Problem(
                    409,
                    "not_held",
                    "The case is not held here",
                    f"It is '{loaded.status}' in '{self._core.name}'.",
                    "See what it waits for with 'kintsugi trace'.",
                )
            for source, sequence in without:
                expected = loaded.subject.progress.cursor(source) + 1
                if source not in self._core.sources or sequence != expected:
                    raise Problem(
                        409,
                        "not_the_next",
                        "That input is not the next one",
                        f"From '{source}' this case next expects {expected}.",
                        f"Name it as '--without {source}:{expected}'.",
                    )
                if await unit.lines_of(loaded).at(connection, source, sequence):
                    raise Problem(
                        409,
                        "it_has_come",
                        "That input has come: it is not left out",
                        f"{source}:{sequence} is stored and in its line.",
                        "Release the case; what cannot be applied is given up with 'kintsugi held discard'.",
                    )
                loaded.subject = replace(loaded.subject, progress=skip(loaded.subject.progress, source, sequence))
                loaded.touched = True
            positions = [Position(source=source, sequence=sequence) for source, sequence in without]
            unit.release(loaded, by, positions)
            await unit.drain(loaded)
            await unit.write()
            await self._audit(connection, by, "release", subject, {"without": [list(each) for each in without]})
        unit.end_spans()
        self._core.after_commit(emitted=True, owed=True)
        return self._result(loaded)

    async def discard(self, subject: str, by: str, reason: DiscardReason, at_: str | None = None) -> dict[str, Any]:
        """Gives up the input at which a subject is held; folds skip it from then on.

        ``at_`` (``intake:7``) is the input the operator decided on; another one is not given up in its place.

        A protective input is released, never discarded; one that cannot be read may be, and then the subject stays
        blocked until a supervisor lifts it. Raises Problem 404 and 409.
        """
        async with self._core.engine.begin() as connection:
            unit, loaded = await self._loaded(connection, subject)
            at = loaded.held
            if at is None or at.kind != "event":
                raise Problem(
                    409,
                    "nothing_to_discard",
                    "There is no event to discard",
                    "The case is not held at an event." if at is None else f"It is held at a {at.kind}, which is owed.",
                    "Mend the handler, then run 'kintsugi held release'.",
                )
            if at_ is not None and at_ != f"{at.source}:{at.sequence}":
                raise Problem(
                    409,
                    "held_at_another",
                    "The case is held at another input by now",
                    f"It is held at {at.source}:{at.sequence}.",
                    "Look at it first: 'kintsugi held show'.",
                )
            if ends_by_itself(loaded.subject.progress):
                raise self._not_stored(*await self._awaited(unit, loaded, at.source, at.sequence))
            queued = await self._at(unit, loaded, at.source, at.sequence, at.input_id)
            model = self._core.catalog.by_type(queued.envelope.type)
            protective = model is not None and model.protective
            core, record = self._core, queued.record
            decoded = decode_event(core.catalog, core.service, queued.envelope, record.value)
            readable = queued.fault is None and decoded.event is not None
            if protective and readable:
                raise Problem(
                    409,
                    "protective",
                    "A protective event is never discarded",
                    f"{queued.envelope.type} protects the survivor; without it something could still be sent.",
                    "Mend the handler, then run 'kintsugi held release'.",
                )
            progress = advance(release(loaded.subject.progress), queued.envelope)
            loaded.subject = replace(loaded.subject, progress=replace(progress, waiting=progress.waiting - 1))
            unit.settle(queued, "discarded", at.cause, str(reason))
            event = InputDiscarded(
                source=at.source,
                input_id=at.input_id,
                reason=reason,
                discarded_by=by,
                sequence=at.sequence,
            )
            unit.announce(loaded, event, at.input_id)
            loaded.blocked = loaded.blocked or protective
            await unit.drain(loaded)
            await unit.write()
            await self._audit(connection, by, "discard", subject, {"source": at.source, "sequence": at.sequence})
        unit.end_spans()
        self._core.after_commit(emitted=True, owed=True)
        return self._result(loaded)

    async def lift(self, subject: str, by: str) -> dict[str, Any]:
        """A supervisor lets a blocked subject go on, knowing that a protective event of it could not be read."""
        async with self._core.engine.begin() as connection:
            unit, loaded = await self._loaded(connection, subject)
            if not loaded.blocked:
                raise Problem(409, "not_blocked", "The case is not blocked here")
            loaded.blocked = False
            loaded.touched = True
            await unit.drain(loaded)
            await unit.write()
            await self._audit(connection, by, "lift", subject, {})
        unit.end_spans()
        self._core.after_commit(emitted=True, owed=True)
        return self._result(loaded)

    async def discard_dead_letter(self, place: tuple[str, int, int], by: str, reason: DiscardReason) -> None:
        """Gives up a dead letter: its account stays, its bytes go. Raises Problem 404."""
        topic, partition, offset = place
        where = {"topic": topic, "partition": partition, "offset": offset, "reason": str(reason)}
        async with self._core.engine.begin() as connection:
            if (await connection.execute(_DISCARD_DEAD, where)).first() is None:
                raise Problem(
                    404, "not_found", "No such dead letter", None, "List them with 'kintsugi dead-letters list'."
                )
            await self._audit(
                connection, by, "discard_dead_letter", None, {"place": list(place), "reason": str(reason)}
            )

    async def _loaded(self, connection: AsyncConnection, subject: str) -> tuple[Consuming[S], Loaded[S]]:
        unit: Consuming[S] = Consuming(self._core, connection, await self._clock.now(connection))
        await unit.load([subject], create=False)
        loaded = unit.subjects.get(subject)
        if loaded is None:
            raise Problem(404, "not_found", "No such case", f"'{self._core.name}' has not heard of it.")
        return unit, loaded

    async def _at(self, unit: Consuming[S], loaded: Loaded[S], source: str, sequence: int, id_: str) -> Queued:
        lines = unit.lines_of(loaded)
        for queued in await lines.at(unit.connection, source, sequence):
            if queued.envelope.id == id_:
                lines.remove(queued)
                return queued
        raise self._not_stored(source, sequence)

    async def _awaited(self, unit: Consuming[S], loaded: Loaded[S], source: str, sequence: int) -> tuple[str, int]:
        """What a hold for a missing event really waits for: a predecessor, or a cause from another source."""
        progress = loaded.subject.progress
        for queued in await unit.lines_of(loaded).at(unit.connection, source, sequence):
            if (found := missing(queued.envelope, progress, subscribed=self._core.sources)) is not None:
                return found
        return source, progress.cursor(source) + 1

    @staticmethod
    def _not_stored(source: str, sequence: int) -> Problem:
        return Problem(
            409,
            "not_stored",
            "The input it is held for has not come",
            "There is nothing stored to discard.",
            f"Release it without that input: 'kintsugi held release --without {source}:{sequence}'.",
        )

    async def _audit(
        self, connection: AsyncConnection, by: str, action: str, subject: str | None, detail: Mapping[str, Any]
    ) -> None:
        row = {"actor": by, "action": action, "subject": subject, "detail": json.dumps(detail)}
        await connection.execute(_AUDIT, row)

    def _result(self, loaded: Loaded[S]) -> dict[str, Any]:
        at = loaded.held
        return {
            "subject": loaded.id,
            "status": loaded.status,
            "waiting": loaded.subject.progress.waiting,
            "held_again": str(at.cause) if at else None,
        }
