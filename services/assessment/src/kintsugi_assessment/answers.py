"""What callers get: references, states, codes and an instrument's wording, never an answer or a score."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from kintsugi.commands import Done
from kintsugi_country import Instrument
from kintsugi_events import SafetyDeteriorated
from pydantic import BaseModel, ConfigDict

from kintsugi_assessment.domain import Standing
from kintsugi_assessment.state import AssessmentFile


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class AssessmentRow(_Answer):
    """Where an assessment stands. ``answered`` (declined ones included) and ``remaining`` count scored items."""

    assessment_id: str
    case_ref: str
    purpose: str
    status: Standing
    instrument: str
    instrument_version: str
    due_at: datetime
    overdue: bool
    answered: int | None
    declined: int | None
    remaining: int | None
    saved_at: datetime | None
    completed_at: datetime | None
    declined_at: datetime | None
    decline_reason: str | None


class AssessmentList(_Answer):
    """Assessments, the one due first first. ``next`` is the ``after`` of the next page."""

    assessments: tuple[AssessmentRow, ...]
    next: str | None


class NeedAnswer(_Answer):
    """A need that was found, and how pressing it is."""

    need_id: str
    domain: str
    need: str
    band: str


class AssessmentState(_Answer):
    """Where an assessment stands after a request. ``safety_alert``: safety fell and staff are being told."""

    assessment_id: str
    case_ref: str
    purpose: str
    status: Standing
    due_at: datetime
    overdue: bool
    answered: int | None
    declined: int | None
    remaining: int | None
    needs: tuple[NeedAnswer, ...]
    incomplete_domains: tuple[str, ...]
    safety_alert: bool

    @classmethod
    def of(cls, done: Done[AssessmentFile], assessment_id: str) -> AssessmentState:
        """The state of one assessment of the case."""
        case = done.state
        assessment = case.assessments[assessment_id]
        return cls(
            assessment_id=assessment_id,
            case_ref=case.case_ref,
            purpose=assessment.purpose.value,
            status=case.standing(assessment),
            due_at=assessment.due_at,
            overdue=assessment.overdue,
            answered=assessment.answered,
            declined=assessment.declined_items,
            remaining=assessment.remaining,
            needs=tuple(
                NeedAnswer(need_id=need.need_id, domain=need.domain, need=need.need, band=need.band.value)
                for need in assessment.needs
            ),
            incomplete_domains=assessment.incomplete_domains,
            safety_alert=any(isinstance(event, SafetyDeteriorated) for event in done.events),
        )


class PointAnswer(_Answer):
    """A point of the scale and what it says."""

    value: int
    label: str | None


class QuestionAnswer(_Answer):
    """A question: its id, by which it is answered, and its wording."""

    item: str
    label: str | None


class DomainAnswer(_Answer):
    """A section. With fewer than ``minimum_scored`` scored items it is incomplete; nothing is imputed."""

    domain: str
    label: str | None
    minimum_scored: int
    items: tuple[QuestionAnswer, ...]


class Questionnaire(AssessmentRow):
    """An assessment to be made: first what it is for, then its questions, in one language.

    ``language`` is None, and every wording with it, where the instrument has none of the survivor's languages and
    the caller asked for none: another language is never taken silently. ``languages`` are those it has. Sections may
    be answered in any order, and ``unscored`` questions are never scored.
    """

    language: str | None
    languages: tuple[str, ...]
    direction: str | None
    title: str | None
    stated_purpose: str | None
    scale: tuple[PointAnswer, ...]
    not_scored_answers: tuple[str, ...] = ("not_applicable", "declined", "insufficient_information")
    domains: tuple[DomainAnswer, ...]
    unscored: tuple[QuestionAnswer, ...]
    needs: tuple[NeedAnswer, ...]
    incomplete_domains: tuple[str, ...]


def languages_of(instrument: Instrument) -> tuple[str, ...]:
    """The languages in which an instrument says everything."""
    wordings = [instrument.title, instrument.purpose, *instrument.scale.labels.values()]
    wordings += [domain.label for domain in instrument.domains]
    wordings += [item.label for item in instrument.items]
    wordings += [question.label for question in instrument.unscored]
    return tuple(language for language in instrument.title if all(language in wording for wording in wordings))


def wording(instrument: Instrument, language: str | None) -> dict[str, object]:
    """The parts of a questionnaire that come from the instrument."""

    def said(labels: Mapping[str, str]) -> str | None:
        return labels[language] if language else None

    scale = instrument.scale
    return {
        "language": language,
        "languages": languages_of(instrument),
        "title": said(instrument.title),
        "stated_purpose": said(instrument.purpose),
        "scale": tuple(
            PointAnswer(value=point, label=said(scale.labels[point]))
            for point in range(scale.minimum, scale.maximum + 1)
        ),
        "domains": tuple(
            DomainAnswer(
                domain=domain.code,
                label=said(domain.label),
                minimum_scored=domain.minimum_scored,
                items=tuple(QuestionAnswer(item=item.id, label=said(item.label)) for item in domain.items),
            )
            for domain in instrument.domains
        ),
        "unscored": tuple(QuestionAnswer(item=each.id, label=said(each.label)) for each in instrument.unscored),
    }
