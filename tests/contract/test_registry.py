"""The registry knows types, tells an unknown major from an unknown type, and lifts older facts."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import singledispatch
from pathlib import Path
from typing import ClassVar

import pytest
from kintsugi.decoding import decode_event
from kintsugi.envelope import Envelope
from kintsugi.service import Service, State
from kintsugi_contracts import registry
from kintsugi_contracts.base import Event, Instant
from kintsugi_contracts.registry import ContractError, by_type, decode, is_known_name, upcast
from kintsugi_events import CaseClosed

RAW = b'{"reason": "goals_met", "closed_at": "2026-03-02T12:00:00Z", "approved_role": "supervisor"}'


def test_a_type_finds_its_model() -> None:
    assert by_type("kintsugi.case.closed.v1") is CaseClosed
    assert by_type("kintsugi.case.closed.v9") is None


@pytest.mark.parametrize(
    ("ce_type", "known"),
    [
        ("kintsugi.case.closed.v1", True),
        ("kintsugi.case.closed.v9", True),
        ("kintsugi.case.vanished.v1", False),
        ("case.closed.v1", False),
        ("kintsugi.case.closed", False),
        ("kintsugi.case.closed.v0", False),
    ],
)
def test_an_unknown_major_is_told_from_an_unknown_type(ce_type: str, known: bool) -> None:
    assert is_known_name(ce_type) is known


class CaseClosedV2(Event):
    type: ClassVar[str] = "kintsugi.case.closed.v2"
    service: ClassVar[str] = "intake"
    ended_at: Instant


def test_an_older_fact_is_read_as_the_newer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._BY_TYPE, CaseClosedV2.type, CaseClosedV2)
    monkeypatch.setattr(registry, "_UPCASTERS", {})

    @upcast("kintsugi.case.closed.v1", to="kintsugi.case.closed.v2")
    def lift(event: CaseClosed) -> CaseClosedV2:
        return CaseClosedV2(ended_at=event.closed_at)

    lifted = decode(CaseClosed, RAW, source="/xa/intake", id="1")
    assert lifted == CaseClosedV2(ended_at=datetime(2026, 3, 2, 12, tzinfo=UTC))

    with pytest.raises(ContractError, match="has an upcaster already"):
        upcast("kintsugi.case.closed.v1", to="kintsugi.case.closed.v2")


def test_each_service_is_given_the_version_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._BY_TYPE, CaseClosedV2.type, CaseClosedV2)
    monkeypatch.setattr(registry, "_UPCASTERS", {})

    @upcast(CaseClosed.type, to=CaseClosedV2.type)
    def lift(event: CaseClosed) -> CaseClosedV2:
        return CaseClosedV2(ended_at=event.closed_at)

    moment = datetime(2026, 3, 2, 12, tzinfo=UTC)
    envelope = Envelope("1", "/xa/intake", CaseClosed.type, moment, "case/1", 1, dataschema=CaseClosed.dataschema)
    given: dict[object, object] = {}
    for known in (CaseClosed, CaseClosedV2, None):

        @singledispatch
        def evolve(event: Event, state: State) -> State:
            return state

        service = Service("lamps", state=State, evolve=evolve)
        if known is not None:
            evolve.register(known, lambda event, state: state)
        event = decode_event(service, envelope, RAW).event
        given[known] = None if event is None else type(event)
        assert service.takes(CaseClosed) is (known is not None)
    assert given == {CaseClosed: CaseClosed, CaseClosedV2: CaseClosedV2, None: None}


def test_an_upcaster_needs_two_models_and_goes_up() -> None:
    with pytest.raises(ContractError, match=r"no model for kintsugi\.case\.closed\.v7"):
        upcast("kintsugi.case.closed.v1", to="kintsugi.case.closed.v7")
    with pytest.raises(ContractError, match="higher version"):
        upcast("kintsugi.case.closed.v1", to="kintsugi.case.closed.v1")


def test_without_an_upcaster_a_fact_is_read_as_it_is() -> None:
    assert isinstance(decode(CaseClosed, RAW, source="/xa/intake", id="1"), CaseClosed)


def test_a_schema_path_needs_an_event_type() -> None:
    with pytest.raises(ContractError, match="is no event type"):
        registry.schema_path(Path("contracts"), "../../etc/passwd")
