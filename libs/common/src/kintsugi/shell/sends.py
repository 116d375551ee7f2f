"""What leaves the platform: claimed under the subject's lock, prepared at that moment, sent outside of it.

The first outcome of an attempt wins. An attempt without one is repeated under the same key where that is safe
(``at_least_once``), and never where a second message could harm (``at_most_once``): it then ends as ``unknown``.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic

from kintsugi_contracts.causes import Cause
from sqlalchemy import text

from kintsugi.agenda import Delivery, Message, Outcome, Postpone, Refuse, Result, Send
from kintsugi.channels import Channel, DeliveryFailed, limits_of
from kintsugi.clock import BusinessClock
from kintsugi.failpoints import reach
from kintsugi.keyring import machine_seconds
from kintsugi.service import CASE_ON_HOLD, S
from kintsugi.shell.core import Core
from kintsugi.shell.faults import TRANSIENT, Fault, classify
from kintsugi.shell.unit import Loaded, Unit
from kintsugi.turn import AgendaStuck, Causation

LEASE = timedelta(minutes=2)
DEFECT_DELAY = timedelta(minutes=1)
NOT_FRESH_DELAY = timedelta(seconds=1)
NEARLY_FRESH_DELAY = timedelta(milliseconds=250)
NEARLY_FRESH_SECONDS = 5.0
RETRY_FIRST_SECONDS = 2
RETRY_MOST_SECONDS = 300

_RUNNABLE = text("""
SELECT a.subject, a.name FROM agenda a JOIN subjects s USING (subject)
WHERE a.kind = 'send' AND a.claim IS NULL AND a.due_at <= :now
  AND (a.retry_at IS NULL OR a.retry_at <= :now) AND (a.not_before IS NULL OR a.not_before <= now())
  AND (s.status = 'ok' OR a.postponed IS DISTINCT FROM 'case_on_hold')
  AND NOT EXISTS (SELECT FROM attempts t WHERE t.subject = a.subject AND t.recipient = a.recipient AND t.result IS NULL)
ORDER BY a.due_at, a.subject LIMIT 50
""")
_ENTRY = text("SELECT attempt, claim, trace FROM agenda WHERE subject = :subject AND name = :name")
_OPEN = text("SELECT 1 FROM attempts WHERE subject = :subject AND recipient = :recipient AND result IS NULL LIMIT 1")
_BEHIND = text("""
SELECT CASE WHEN count(read_to_end) = cardinality(CAST(:topics AS text[]))
  THEN CAST(extract(epoch FROM clock_timestamp() - min(read_to_end)) AS float8) END
FROM positions WHERE partition = :partition AND topic = ANY(CAST(:topics AS text[]))
""")
_POSTPONE = text("""
UPDATE agenda SET postponed = :reason, retry_at = coalesce(CAST(:until AS timestamptz), 'infinity')
WHERE subject = :subject AND name = :name
""")
_LATER = text("UPDATE agenda SET not_before = now() + :delay WHERE subject = :subject AND name = :name")
_CLAIM = text("""
UPDATE agenda SET claim = :claim, attempt = attempt + 1, postponed = NULL, retry_at = NULL
WHERE subject = :subject AND name = :name
""")
_ATTEMPT = text("""
INSERT INTO attempts (claim, subject, name, attempt, recipient, delivery, template, locale, lease_until)
VALUES (:claim, :subject, :name, :attempt, :recipient, :delivery, :template, :locale, now() + :lease)
""")
_SUBJECT_OF = text("SELECT subject FROM attempts WHERE claim = :claim")
_ATTEMPT_ROW = text("""
SELECT t.*, a.trace FROM attempts t LEFT JOIN agenda a ON a.subject = t.subject AND a.name = t.name
WHERE t.claim = :claim FOR UPDATE OF t
""")
_RESULT = text("""
UPDATE attempts SET result = :result, reason = :reason, settled = :settled, ended_at = now() WHERE claim = :claim
""")
_AGAIN = text("""
UPDATE agenda SET claim = NULL, not_before = now() + :delay
WHERE subject = :subject AND name = :name AND claim = :claim
""")
_UNSETTLED = text("""
SELECT t.claim FROM attempts t JOIN subjects s USING (subject)
WHERE NOT t.settled AND (t.lease_until < now() OR t.result IS NOT NULL) AND s.status IN ('ok', 'waiting')
ORDER BY t.claimed_at LIMIT 50
""")


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that may leave now, for as long as its channel's limits say."""

    claim: uuid.UUID
    subject: str
    name: str
    send: Send
    message: Message
    key: str
    attempt: int
    decided: float


class Sends(Generic[S]):
    """Claims, sends and settles. ``channels`` are the ways out by name."""

    def __init__(self, core: Core[S], clock: BusinessClock, channels: Mapping[str, Channel]) -> None:
        self._core = core
        self._clock = clock
        self._channels = channels

    async def runnable(self) -> list[tuple[str, str]]:
        """Entries that may be claimed now: (subject, name)."""
        async with self._core.reading.connect() as connection:
            now = await self._clock.now(connection)
            rows = (await connection.execute(_RUNNABLE, {"now": now})).all()
        return [(row.subject, row.name) for row in rows]

    async def claim(self, subject: str, name: str) -> Claimed | None:
        """Decides under the lock whether the send leaves now. None: postponed, refused, or no longer wanted."""
        core = self._core
        async with core.engine.begin() as connection:
            unit = Unit(core, connection, await self._clock.now(connection))
            # Counted from before the state was read: a process that is stopped while it commits must not send later.
            decided, decided_at = machine_seconds(), datetime.now(UTC)
            await unit.load([subject], create=False)
            loaded = unit.subjects.get(subject)
            send = loaded.agenda_before.get(name) if loaded else None
            row = (await connection.execute(_ENTRY, {"subject": subject, "name": name})).first()
            if loaded is None or not isinstance(send, Send) or row is None or row.claim is not None:
                return None
            if await connection.scalar(_OPEN, {"subject": subject, "recipient": send.recipient}):
                return None
            if delay := await self._not_fresh(connection, subject, send):
                # Looked at again later, so that what waits for a partition does not stand before all others.
                await connection.execute(_LATER, {"subject": subject, "name": name, "delay": delay})
                return None
            reach("send.claimed")
            prepared = await self._prepared(unit, loaded, name, send, row.attempt)
            if prepared is None:
                await connection.execute(_LATER, {"subject": subject, "name": name, "delay": DEFECT_DELAY})
                await unit.write()
            if isinstance(prepared, Postpone):
                await connection.execute(
                    _POSTPONE, {"subject": subject, "name": name, "reason": prepared.reason, "until": prepared.until}
                )
                return None
            if isinstance(prepared, Message):
                claim = uuid.uuid4()
                at = {"subject": subject, "name": name, "claim": claim}
                await connection.execute(_CLAIM, at)
                await connection.execute(
                    _ATTEMPT,
                    {
                        **at,
                        "attempt": row.attempt + 1,
                        "recipient": send.recipient,
                        "delivery": str(send.delivery),
                        "template": prepared.template,
                        "locale": prepared.locale,
                        "lease": LEASE,
                    },
                )
            elif isinstance(prepared, Outcome):
                await self._decide(unit, loaded, prepared, row.trace)
                await unit.write()
        if not isinstance(prepared, Message):
            self._committed(unit)
            return None
        reach("send.attempt_committed")
        message = prepared.model_copy(update={"decided_at": decided_at})
        return Claimed(claim, subject, name, send, message, key_of(subject, name, send), row.attempt + 1, decided)

    async def deliver(self, claimed: Claimed) -> None:
        """Sends outside any transaction and stores how it ended. Repeats nothing itself."""
        result, reason, delay = await self._carry(claimed)
        reach("send.sent")
        if delay is not None:
            await self._again(claimed.claim, claimed.subject, claimed.name, reason, delay)
        else:
            await self.settle(claimed.claim, result, reason)
        self._core.metrics.sends(claimed.send.channel, result if delay is None else "retry")

    async def settle(self, claim: uuid.UUID, result: Result | None = None, reason: str | None = None) -> None:
        """Ends an attempt with its first outcome. Without one given: as stored, or by what an expired lease means."""
        core = self._core
        async with core.engine.begin() as connection:
            unit = Unit(core, connection, await self._clock.now(connection))
            subject = await connection.scalar(_SUBJECT_OF, {"claim": claim})
            if subject is None:
                return
            await unit.load([subject], create=False)
            row = (await connection.execute(_ATTEMPT_ROW, {"claim": claim})).mappings().one()
            if row["settled"]:
                return
            loaded = unit.subjects[row["subject"]]
            first = Result(row["result"]) if row["result"] else result
            reason = row["reason"] if row["result"] else reason
            if first is None:
                if row["delivery"] == Delivery.at_least_once:
                    await self._free(connection, dict(row), "lease_expired", RETRY_FIRST_SECONDS)
                    return
                first, reason = Result.unknown, "no_outcome"
            stored = {"claim": claim, "result": str(first), "reason": reason}
            if loaded.stands or loaded.held:
                await connection.execute(_RESULT, {**stored, "settled": False})
                return
            outcome = Outcome(
                name=row["name"],
                result=first,
                reason=reason,
                template=row["template"],
                locale=row["locale"],
                attempt=row["attempt"],
            )
            await self._decide(unit, loaded, outcome, row["trace"])
            # Held at this very outcome: it stays stored and is decided again at the release.
            await connection.execute(_RESULT, {**stored, "settled": loaded.held is None})
            await unit.write()
            reach("send.outcome_written")
        reach("send.outcome_committed")
        self._committed(unit)

    async def unsettled(self) -> list[uuid.UUID]:
        """Attempts whose process is gone, and outcomes that were stored while their subject stood still."""
        async with self._core.reading.connect() as connection:
            return [row.claim for row in await connection.execute(_UNSETTLED)]

    async def _not_fresh(self, connection: Any, subject: str, send: Send) -> timedelta | None:
        """When to look again where what this service knows of a subject is older than the channel asks for."""
        channel = self._channels.get(send.channel)
        within = limits_of(channel).fresh_within if channel is not None and send.outward else None
        if within is None:
            return None
        place = {"partition": self._core.partition(subject), "topics": self._core.topics}
        behind = await connection.scalar(_BEHIND, place)
        if behind is not None and behind < within:
            return None
        for ask in self._core.end_wanted:
            ask()
        return NOT_FRESH_DELAY if behind is None or behind > NEARLY_FRESH_SECONDS else NEARLY_FRESH_DELAY

    async def _prepared(
        self, unit: Unit[S], loaded: Loaded[S], name: str, send: Send, attempts: int
    ) -> Message | Postpone | Outcome | None:
        """None where ``prepare`` raised: the subject is held, and the send is not tried again for a minute."""
        try:
            prepared = await self._prepare(unit, loaded, name, send, attempts)
        except TRANSIENT:
            raise
        except Exception as error:
            if classify(error) is Fault.away:
                raise
            self._core.log_raised(error, type_=name.partition("/")[0])
            if loaded.held is None:
                id_ = f"send/{uuid.uuid4()}"
                unit.hold(loaded, "outcome", self._core.name, 0, id_, name, Cause.handler_raised)
            return None
        if isinstance(prepared, Outcome) and (loaded.held or loaded.stands):
            return Postpone(reason=CASE_ON_HOLD)
        return prepared

    async def _prepare(
        self, unit: Unit[S], loaded: Loaded[S], name: str, send: Send, attempts: int
    ) -> Message | Postpone | Outcome:
        """``attempts`` were made before: what ends here without one may have left all the same."""
        if send.outward and (loaded.blocked or loaded.held or loaded.subject.progress.waiting):
            return Postpone(reason=CASE_ON_HOLD)
        if unit.now >= send.expires:
            return Outcome(name=name, result=Result.expired, reason="expired", attempt=attempts)
        preparation = self._core.service.preparation(name)
        keys = await self._core.fetch_keys((loaded.id, str(purpose)) for purpose in preparation.reads)
        unit.vault.keys.update(keys)
        ctx = unit.stepper.context(loaded.subject, unit.now)
        prepared = await unit.stepped(lambda: preparation.prepare(send, loaded.subject.state, ctx))
        if isinstance(prepared, Refuse):
            return Outcome(name=name, result=Result.refused, reason=prepared.reason, attempt=attempts)
        return prepared

    async def _decide(self, unit: Unit[S], loaded: Loaded[S], outcome: Outcome, trace: str | None) -> None:
        """The outcome is an input: what it leads to is decided here, or the subject is held at it.

        It continues ``trace``, that of what made the send owed.
        """
        span = self._core.tracing.resume(trace, f"send {outcome.name.partition('/')[0]}", "client")
        id_ = f"outcome/{uuid.uuid4()}"
        causation = Causation(id_, 0, unit.creator(span, trace or None))
        try:
            step = await unit.stepped(lambda: unit.stepper.outcome(loaded.subject, outcome, unit.now, causation))
        except TRANSIENT:
            raise
        except Exception as error:
            if classify(error) is Fault.away:
                raise
            stuck = isinstance(error, AgendaStuck)
            self._core.log_raised(error, type_=outcome.name.partition("/")[0])
            cause = Cause.agenda_stuck if stuck else Cause.handler_raised
            unit.hold(loaded, "outcome", self._core.name, 0, id_, outcome.name, cause)
            return
        if span is not None:
            unit.spans.append(span)
        unit.became(loaded, *step, span.traceparent if span else trace)

    async def _carry(self, claimed: Claimed) -> tuple[Result, str | None, float | None]:
        """Result, reason code, and for what is to be tried again the delay in seconds."""
        channel = self._channels.get(claimed.send.channel)
        if channel is None:
            return Result.failed, "no_such_channel", None
        limits = limits_of(channel)
        if machine_seconds() - claimed.decided > limits.start_within:
            return Result.not_attempted, "started_too_late", float(RETRY_FIRST_SECONDS)
        safe = claimed.send.delivery is Delivery.at_least_once
        try:
            async with asyncio.timeout(limits.end_within):
                await channel.send(claimed.message, claimed.key)
        except DeliveryFailed as failed:
            return Result.failed, failed.reason, None if failed.permanent else self._delay(claimed)
        except (OSError, TimeoutError):
            return (Result.failed if safe else Result.unknown), "no_answer", self._delay(claimed)
        except Exception as error:
            self._core.log_raised(error, type_=claimed.name.partition("/")[0])
            return Result.unknown, "channel_raised", self._delay(claimed)
        return Result.sent, None, None

    def _delay(self, claimed: Claimed) -> float | None:
        if claimed.send.delivery is not Delivery.at_least_once:
            return None
        return float(min(RETRY_FIRST_SECONDS * 2 ** (claimed.attempt - 1), RETRY_MOST_SECONDS))

    async def _again(self, claim: uuid.UUID, subject: str, name: str, reason: str | None, delay: float) -> None:
        async with self._core.engine.begin() as connection:
            row = {"claim": claim, "subject": subject, "name": name}
            await self._free(connection, row, reason, delay)

    async def _free(self, connection: Any, row: Mapping[str, Any], reason: str | None, delay: float) -> None:
        """Gives the entry back: the next claim prepares anew, under the same key."""
        await connection.execute(
            _RESULT, {"claim": row["claim"], "result": "failed", "reason": reason, "settled": True}
        )
        await connection.execute(
            _AGAIN,
            {
                "subject": row["subject"],
                "name": row["name"],
                "claim": row["claim"],
                "delay": timedelta(seconds=delay),
            },
        )

    def _committed(self, unit: Unit[S]) -> None:
        unit.end_spans()
        self._core.after_commit(emitted=bool(unit.out.own), owed=True)


def key_of(subject: str, name: str, send: Send) -> str:
    """The same for every attempt at one send, different for any other, and it tells nothing about the case."""
    said = f"{subject}|{name}|{send.recipient}|{send.expires.isoformat()}"
    return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()
