"""The operations API of every service: for the ``kintsugi`` command and the operators' page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Generic

from fastapi import APIRouter, Depends, Path, Response
from kintsugi_contracts.topic_file import KIND
from kintsugi_events.common import DiscardReason
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import text

from kintsugi.auth import Caller, require
from kintsugi.clock import BusinessClock, ClockRefused
from kintsugi.http.problems import Problem, starting
from kintsugi.operations import queries
from kintsugi.operations.repair import Repair
from kintsugi.service import S
from kintsugi.shell.core import Core

Kind = Annotated[str, Path(pattern=KIND)]
"""What kind of subject: ``case`` in ``case/<id>``."""
Operator = Annotated[Caller, Depends(require("operator"))]
Supervisor = Annotated[Caller, Depends(require("supervisor"))]
_AUDIT = text("INSERT INTO audit (actor, action, subject, detail) VALUES (:actor, :action, NULL, :detail)")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReleaseBody(_Body):
    """``without`` names inputs that will never come: ``[["intake", 8]]``."""

    without: list[tuple[str, int]] = Field(default_factory=list, max_length=100)


def _known_reason(value: object) -> object:
    """The list is open to readers of events, not to those who write a reason."""
    if value not in {str(reason) for reason in DiscardReason}:
        raise PydanticCustomError("reason", "not a reason of the contract's list")
    return value


class DiscardBody(_Body):
    """Why an input is given up: a code from the contract's list; ``at`` (``intake:7``) says which was decided on."""

    at: Annotated[str | None, Field(max_length=100)] = None
    reason: Annotated[DiscardReason, BeforeValidator(_known_reason)]


class ClockBody(_Body):
    """A business time, later than the present one."""

    instant: AwareDatetime


class Live:
    """What only the running process knows: its lag, its requests under way, how to resend, and whether its database
    was found to be the one that its topic speaks of."""

    def __init__(
        self,
        version: str,
        profile: str,
        lag: Callable[[], Awaitable[dict[str, int]]],
        in_flight: Callable[[], int],
        resend: Callable[[datetime], Awaitable[int]],
        started: Callable[[], bool],
    ) -> None:
        self.version = version
        self.profile = profile
        self.lag = lag
        self.in_flight = in_flight
        self.resend = resend
        self.started = started


class Operations(Generic[S]):
    """Builds the router for one service."""

    def __init__(self, core: Core[S], clock: BusinessClock, live: Live) -> None:
        self._core = core
        self._clock = clock
        self._live = live
        self._repair = Repair(core, clock)

    def router(self) -> APIRouter:
        """All of it under ``/operations``, for operators; lifting a block needs a supervisor.

        Until the service has started only its status and what is held can be read: a database that is older than its
        topic must not be changed, and says nothing of what is under way.
        """
        whole = APIRouter(prefix="/operations", tags=["operations"])
        whole.add_api_route("/status", self.status, methods=["GET"])
        whole.add_api_route("/held", self.held, methods=["GET"])
        router = APIRouter(dependencies=[Depends(self._running)])
        router.add_api_route("/pulse", self.pulse, methods=["GET"])
        router.add_api_route("/clock", self.move_clock, methods=["POST"], status_code=204)
        router.add_api_route("/find", self.find, methods=["GET"])
        router.add_api_route("/subjects/{kind}/{id}", self.story, methods=["GET"])
        router.add_api_route("/subjects/{kind}/{id}/release", self.release, methods=["POST"])
        router.add_api_route("/subjects/{kind}/{id}/discard", self.discard, methods=["POST"])
        router.add_api_route("/subjects/{kind}/{id}/lift", self.lift, methods=["POST"])
        router.add_api_route("/dead-letters", self.dead_letters, methods=["GET"])
        router.add_api_route("/dead-letters/{topic}/{partition}/{offset}", self.dead_letter, methods=["GET"])
        router.add_api_route("/dead-letters/{topic}/{partition}/{offset}/discard", self.discard_dead, methods=["POST"])
        router.add_api_route("/resend", self.resend, methods=["POST"])
        whole.include_router(router)
        return whole

    async def _running(self) -> None:
        if not self._live.started():
            raise starting()

    async def status(self, _operator: Operator) -> dict[str, Any]:
        """Where the service stands."""
        async with self._core.engine.connect() as connection:
            found = await queries.status(connection)
        return {
            "service": self._core.name,
            "version": self._live.version,
            "profile": self._live.profile,
            "lag": await self._live.lag(),
            "circuit": str(self._core.circuit.open_for) if self._core.circuit.open_for else None,
            **found,
        }

    async def pulse(self, _operator: Operator) -> dict[str, Any]:
        """Whether anything is under way: all zero twice in a row is quiet."""
        lag = sum((await self._live.lag()).values())
        async with self._core.engine.connect() as connection:
            found = await queries.pulse(connection, await self._clock.now(connection))
        return {"service": self._core.name, "lag": lag, "requests": self._live.in_flight(), **found}

    async def move_clock(self, body: ClockBody, _operator: Operator) -> Response:
        """Moves the business clock of this service; only in the demo profile."""
        try:
            async with self._core.engine.begin() as connection:
                await self._clock.move(connection, body.instant)
        except ClockRefused as refused:
            raise Problem(409, "clock_refused", "The clock was not moved", str(refused)) from refused
        for moved in self._core.clock_moved:
            moved()
        return Response(status_code=204)

    async def held(self, _operator: Operator) -> list[dict[str, Any]]:
        """Cases that stand still, with why."""
        async with self._core.engine.connect() as connection:
            return await queries.held(connection)

    async def find(self, ref: str, _operator: Operator) -> list[str]:
        """Subjects by a reference or its beginning."""
        async with self._core.engine.connect() as connection:
            return await queries.find(connection, self._core.views, ref[:200], self._core.office.kinds)

    async def story(self, kind: Kind, id: str, _operator: Operator) -> dict[str, Any]:
        """The course of one subject in this service."""
        async with self._core.engine.connect() as connection:
            found = await queries.story(connection, f"{kind}/{id}")
        if found is None:
            raise Problem(404, "not_found", "No such case", f"'{self._core.name}' has not heard of it.")
        return found

    async def release(self, kind: Kind, id: str, body: ReleaseBody, operator: Operator) -> dict[str, Any]:
        """Ends a hold; what lined up is applied in order."""
        return await self._repair.release(f"{kind}/{id}", _actor(operator), body.without)

    async def discard(self, kind: Kind, id: str, body: DiscardBody, operator: Operator) -> dict[str, Any]:
        """Gives up the input at which the case is held."""
        return await self._repair.discard(f"{kind}/{id}", _actor(operator), body.reason, body.at)

    async def lift(self, kind: Kind, id: str, supervisor: Supervisor) -> dict[str, Any]:
        """Lets a blocked case go on."""
        return await self._repair.lift(f"{kind}/{id}", _actor(supervisor))

    async def dead_letters(self, _operator: Operator) -> list[dict[str, Any]]:
        """Records that no subject could be read from, without their bytes."""
        async with self._core.engine.connect() as connection:
            return await queries.dead_letters(connection)

    async def dead_letter(self, topic: str, partition: int, offset: int, operator: Operator) -> dict[str, Any]:
        """One of them with its original bytes; the reading is audited."""
        place = (topic, partition, offset)
        async with self._core.engine.begin() as connection:
            found = await queries.dead_letter(connection, place)
            if found is None:
                raise Problem(404, "not_found", "No such dead letter", None, "List them: 'kintsugi dead-letters list'.")
            detail = f'{{"place": "{topic}/{partition}/{offset}"}}'
            row = {"actor": _actor(operator), "action": "show_dead_letter", "detail": detail}
            await connection.execute(_AUDIT, row)
        return found

    async def discard_dead(
        self, topic: str, partition: int, offset: int, body: DiscardBody, operator: Operator
    ) -> Response:
        """Gives one of them up."""
        await self._repair.discard_dead_letter((topic, partition, offset), _actor(operator), body.reason)
        return Response(status_code=204)

    async def resend(self, since: AwareDatetime, operator: Operator) -> dict[str, int]:
        """Repeats this service's own events since a machine time, unchanged; consumers drop what they know."""
        count = await self._live.resend(since)
        row = {"actor": _actor(operator), "action": "resend", "detail": f'{{"since": "{since.isoformat()}"}}'}
        async with self._core.engine.begin() as connection:
            await connection.execute(_AUDIT, row)
        return {"resent": count}


def _actor(caller: Caller) -> str:
    """As the contract has it: a role and an opaque staff identifier."""
    name = "".join(letter for letter in caller.sub if letter.isalnum() or letter in "._-")
    return f"{sorted(caller.roles)[0]}:{name}"[:64]
