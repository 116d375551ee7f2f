"""Fictional inputs for the tests of assessment: a case, its answers, and small instruments of other shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kintsugi_events as e
from kintsugi.auth import Caller
from kintsugi.testing import Given, Scenario
from kintsugi_assessment.commands import AnswerItems
from kintsugi_assessment.handlers import service
from kintsugi_assessment.state import Assessment, AssessmentFile
from kintsugi_contracts.base import Event
from kintsugi_country import Instrument, Pack, load

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
PACK = load(Path(__file__).parents[3] / "countries" / "xa")
DEMO = PACK.baseline_instrument
WORKER = Caller("77a0", frozenset({"caseworker"}), "xa")
COLLEAGUE = Caller("91c4", frozenset({"supervisor"}), "xa")
ALL_WELL = {item.id: 4 for item in DEMO.items}


def case_opened(*languages: str) -> e.CaseOpened:
    """A case of the harbour office."""
    return e.CaseOpened(
        case_ref="XA-7F3K2M9Q",
        country="xa",
        office="harbour",
        channel=e.IntakeChannel.hotline,
        received_at=NOW,
        age_basis=e.AgeBasis.declared,
        age_band=e.AgeBand.adult,
        languages=languages or ("en",),
        interpreter=e.Interpreter(needed=e.Answer.no, gender=e.InterpreterGender.not_asked, remote=e.Answer.not_asked),
        casework_type=e.CaseworkType.not_asked,
        area="XA-HB",
        immediate_danger=e.Answer.no,
        urgency=e.Urgency.low,
        risk_level=e.RiskLevel.low,
        risk_reason=e.RiskReason.not_asked,
        guardian_contact=e.GuardianContact.not_applicable,
        dependants=e.DependantsBand.not_asked,
        referral_source=e.ReferralSource.not_asked,
    )


def case_closed() -> e.CaseClosed:
    """The case ends."""
    return e.CaseClosed(reason=e.CloseReason.goals_met, closed_at=NOW, approved_role=e.Role.supervisor)


def scenario(pack: Pack = PACK) -> Scenario[AssessmentFile]:
    """Assessment on a Monday morning, with a caseworker at the keyboard."""
    return Scenario(service, pack, now=NOW, caller=WORKER)


def opened(pack: Pack = PACK, *languages: str) -> Given[AssessmentFile]:
    """A case whose baseline assessment was scheduled just now."""
    return scenario(pack).given(case_opened(*languages))


def the(case: Given[AssessmentFile]) -> Assessment:
    """The assessment of the case that was scheduled last."""
    return list(case.state.assessments.values())[-1]


def answers(case: Given[AssessmentFile], given: Mapping[str, Any] | None = None, **options: Any) -> AnswerItems:
    """Answers to the assessment that was scheduled last."""
    return AnswerItems(assessment_id=the(case).assessment_id, answers=dict(given or {}), **options)


def finished(case: Given[AssessmentFile], given: Mapping[str, Any] | None = None) -> Given[AssessmentFile]:
    """The case after its assessment was completed: all is well but for ``given``."""
    then = case.when(answers(case, {**ALL_WELL, **(given or {})}, finish=True))
    assert then.rejected is None, then.rejected
    return then.given


def sealed(case: Given[AssessmentFile], event: Event, model: type[Any]) -> Any:
    """What a reader with the key finds in an event."""
    box = event.sealed_as("assessment")
    assert box is not None
    return case.opened(box, model)


def instrument(**changes: Any) -> Instrument:
    """An instrument of one domain of three items on a scale from 0 to 10; ``changes`` say what is different."""
    said = {"en": "Words"}
    plain: dict[str, Any] = {
        "id": "small",
        "version": "1.0.0",
        "title": said,
        "purpose": said,
        "licence": "Apache-2.0",
        "scale": {"minimum": 0, "maximum": 10, "labels": dict.fromkeys(range(11), said)},
        "domains": [domain("calm", ["a", "b", "c"])],
    }
    return Instrument.model_validate(plain | changes)


def domain(code: str, items: list[str], *, needs: list[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    """A domain that needs two scored items, with one need that reads them all."""
    bands = [{"band": "high", "at_most": 3}, {"band": "moderate", "at_most": 5}, {"band": "low", "at_most": 7}]
    return {
        "code": code,
        "label": {"en": code},
        "minimum_scored": 2,
        "items": [{"id": item, "label": {"en": item}} for item in items],
        "needs": [{"need": f"{code}_help", "bands": bands}] if needs is None else needs,
    } | changes


def pack_with(*instruments: Instrument) -> Pack:
    """The pack of xa with other instruments; the first one's id is that of new assessments."""
    country = PACK.country.model_copy(update={"baseline_instrument": instruments[0].id})
    return replace(PACK, instruments=instruments, country=country)
