"""What a service asks of staff, it asks in its own words."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import pytest
from kintsugi.service import Context, Service, State
from kintsugi.testing import Match, Scenario, example
from kintsugi.turn import ForeignCode
from kintsugi_contracts.base import Event
from kintsugi_events import CaseOpened, Role, StaffTaskRequested


def asking(code: str) -> Scenario[State]:
    """A service that asks staff for a task of this code whenever a case is opened."""

    @singledispatch
    def evolve(_event: Any, state: State) -> State:
        return state

    service = Service("housing", state=State, evolve=evolve)

    @service.on(CaseOpened)
    def ask(_event: CaseOpened, _state: State, ctx: Context) -> list[Event]:
        return [
            StaffTaskRequested(
                task_id=ctx.new_id(),
                code=code,
                role=Role.caseworker,
                due_at=ctx.now,
                urgent=False,
                requested_at=ctx.now,
            )
        ]

    return Scenario(service)


def test_a_code_of_its_own_is_taken() -> None:
    asking("housing.call").given().when(example(CaseOpened)).then(Match(StaffTaskRequested, code="housing.call"))


@pytest.mark.parametrize("code", ["intake.call", "housingother.call"])
def test_a_code_of_another_service_is_refused_where_it_is_made(code: str) -> None:
    with pytest.raises(ForeignCode, match=f"'housing' asked for the task '{code}'"):
        asking(code).given().when(example(CaseOpened))
