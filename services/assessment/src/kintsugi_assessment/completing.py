"""What an assessment comes to: scores, needs, the change since before, and the alarm where safety fell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kintsugi.sealing import Erased
from kintsugi.service import Context, Rejected
from kintsugi_contracts.base import Event
from kintsugi_country import Instrument
from kintsugi_events import (
    AssessmentCompleted,
    AssessmentCompletedAssessment,
    AssessmentCompletedSealed,
    DomainScore,
    Need,
    SafetyDeteriorated,
    SafetyDeterioratedAssessment,
    SafetyDeterioratedSealed,
)

from kintsugi_assessment.answering import Saved
from kintsugi_assessment.scoring import changes, comparable, dropped, incomplete, needs, scored
from kintsugi_assessment.state import Assessment, AssessmentFile


@dataclass(frozen=True, slots=True)
class Earlier:
    """A completed assessment that may be compared with, and its scores by domain."""

    assessment_id: str
    scores: dict[str, float]


def completed(
    assessment: Assessment, said: Saved, instrument: Instrument, case: AssessmentFile, ctx: Context
) -> list[Event]:
    """The completion and, for each watched domain that fell, an alarm. Raises Rejected where nothing was answered."""
    if not said.answers:
        raise Rejected(
            "nothing_answered",
            "An assessment without a single answer is not complete.",
            next_step="Save answers first ('declined' is one), or POST /assessments/{id}/decline.",
        )
    scores = scored(instrument, said.answers)
    earlier = tuple(_earlier(instrument, case, ctx))
    previous = earlier[0] if earlier else None
    moved = changes(scores, previous.scores) if previous else {}
    completion = AssessmentCompleted(
        assessment_id=assessment.assessment_id,
        instrument=instrument.id,
        instrument_version=instrument.version,
        purpose=assessment.purpose,
        completed_at=ctx.now,
        needs=tuple(
            Need(need_id=ctx.new_id(), domain=need.domain, need=need.need, band=need.band)
            for need in needs(instrument, said.answers)
        ),
        incomplete_domains=incomplete(scores),
        sealed=AssessmentCompletedSealed(
            assessment=AssessmentCompletedAssessment(
                answers=said.answers,
                context=said.context,
                scorer=said.scorer,
                certification=said.certification,
                scores=tuple(
                    DomainScore(
                        domain=score.domain,
                        scored_items=score.scored_items,
                        score=score.mean,
                        change=moved.get(score.domain),
                    )
                    for score in scores
                ),
                compared_with=previous.assessment_id if previous else None,
            )
        ),
    )
    alarms = [
        SafetyDeteriorated(
            assessment_id=assessment.assessment_id,
            alert_due=ctx.pack.due("risk_alert", ctx.now),
            sealed=SafetyDeterioratedSealed(
                assessment=SafetyDeterioratedAssessment(
                    domain=drop.domain, previous=drop.previous, current=drop.current
                )
            ),
        )
        for drop in dropped(instrument, scores, _last_known(earlier))
    ]
    return [completion, *alarms]


def _earlier(instrument: Instrument, case: AssessmentFile, ctx: Context) -> Iterator[Earlier]:
    """What may be compared with, the latest first. Erased answers compare with nothing."""
    for each in case.completed():
        if each.answers is None or not comparable(instrument, each.instrument, each.instrument_version):
            continue
        opened = ctx.open(each.answers, AssessmentCompletedAssessment)
        if not isinstance(opened, Erased):
            yield Earlier(
                each.assessment_id, {each.domain: each.score for each in opened.scores if each.score is not None}
            )


def _last_known(earlier: tuple[Earlier, ...]) -> dict[str, float]:
    """The latest score of each domain: a fall is not hidden by an assessment in which the domain was incomplete."""
    known: dict[str, float] = {}
    for each in reversed(earlier):
        known.update(each.scores)
    return known
