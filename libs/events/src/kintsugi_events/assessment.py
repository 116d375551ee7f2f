# Generated from contracts/ by `python -m kintsugi_contracts.generate`; edit the schemas, not this file.
"""Events of assessment."""

from __future__ import annotations

from typing import Annotated, ClassVar

from kintsugi_contracts.base import Event, Instant, Part, Plaintext, Purposes, SealedOr
from pydantic import ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

from kintsugi_events.common import (
    Actor,
    AnsweringStatus,
    AssessmentContext,
    AssessmentDeclineReason,
    AssessmentPurpose,
    Code,
    Id,
    ItemAnswer,
    NeedBand,
    Version,
)


class AssessmentScheduled(Event):
    """An assessment is due by a date."""

    type: ClassVar[str] = "kintsugi.assessment.scheduled.v1"
    service: ClassVar[str] = "assessment"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/assessment.scheduled/v1.schema.json"

    assessment_id: Id
    """The assessment."""
    instrument: Code
    """The instrument."""
    instrument_version: Version
    """Its version; immutable once used."""
    purpose: AssessmentPurpose
    """Why it is made."""
    due_at: Instant
    """When it must be complete."""


class AssessmentOverdue(Event):
    """An assessment was not complete when it was due."""

    type: ClassVar[str] = "kintsugi.assessment.overdue.v1"
    service: ClassVar[str] = "assessment"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/assessment.overdue/v1.schema.json"

    assessment_id: Id
    """The assessment."""
    due_at: Instant
    """When it was due."""


class AssessmentAnswersSavedAssessment(Plaintext):
    """The answers so far, all of them."""

    answers: Annotated[dict[Code, ItemAnswer], Field(max_length=1000)]
    """Answers by item."""
    context: AssessmentContext
    """The environment scored against."""
    scorer: Actor
    """The member of staff who scored, by opaque identifier."""
    certification: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """The assessor's certification."""


class AssessmentAnswersSavedSealed(TypedDict, total=False):
    """The sealed purposes of AssessmentAnswersSaved."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    assessment: SealedOr[AssessmentAnswersSavedAssessment]


class AssessmentAnswersSaved(Event):
    """Answers were saved; the questionnaire may go on later, in any order."""

    type: ClassVar[str] = "kintsugi.assessment.answers_saved.v1"
    service: ClassVar[str] = "assessment"
    dataclassification: ClassVar[str] = "restricted"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/assessment.answers_saved/v1.schema.json"
    purposes: ClassVar[Purposes] = {"assessment": AssessmentAnswersSavedAssessment}

    assessment_id: Id
    """The assessment."""
    status: AnsweringStatus
    """Where the questionnaire stands."""
    answered: Annotated[int, Field(ge=0, le=10000)]
    """Items with an answer, declined ones included."""
    declined: Annotated[int, Field(ge=0, le=10000)]
    """Items the survivor declined."""
    remaining: Annotated[int, Field(ge=0, le=10000)]
    """Items without an answer."""
    saved_at: Instant
    """When."""
    sealed: AssessmentAnswersSavedSealed = Field(default_factory=AssessmentAnswersSavedSealed)


class Need(Part):
    """One need, without the score it comes from."""

    need_id: Id
    """The need of this assessment."""
    domain: Code
    """The instrument's domain it belongs to."""
    need: Code
    """The need's code in the country's taxonomy."""
    band: NeedBand
    """How pressing it is."""


class DomainScore(Part):
    """A domain's score: the mean of its scored items."""

    domain: Code
    """The domain."""
    scored_items: Annotated[int, Field(ge=0, le=10000)]
    """How many items were scored."""
    score: Annotated[float, Field(ge=-1000000, le=1000000)] | None = None
    """The mean; absent when the domain is incomplete."""
    change: Annotated[float, Field(ge=-1000000, le=1000000)] | None = None
    """Change since the assessment compared with, same instrument major version only."""


class AssessmentCompletedAssessment(Plaintext):
    """The answers and scores."""

    answers: Annotated[dict[Code, ItemAnswer], Field(max_length=1000)]
    """Answers by item."""
    context: AssessmentContext
    """The environment scored against."""
    scorer: Actor
    """The member of staff who scored, by opaque identifier."""
    scores: Annotated[tuple[DomainScore, ...], Field(max_length=100)]
    """Score by domain."""
    certification: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """The assessor's certification."""
    compared_with: Id | None = None
    """The assessment the change is measured from."""


class AssessmentCompletedSealed(TypedDict, total=False):
    """The sealed purposes of AssessmentCompleted."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    assessment: SealedOr[AssessmentCompletedAssessment]


class AssessmentCompleted(Event):
    """An assessment is complete and gave these needs."""

    type: ClassVar[str] = "kintsugi.assessment.completed.v1"
    service: ClassVar[str] = "assessment"
    dataclassification: ClassVar[str] = "restricted"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/assessment.completed/v1.schema.json"
    purposes: ClassVar[Purposes] = {"assessment": AssessmentCompletedAssessment}

    assessment_id: Id
    """The assessment."""
    instrument: Code
    """The instrument."""
    instrument_version: Version
    """Its version; immutable once used."""
    purpose: AssessmentPurpose
    """Why it was made."""
    completed_at: Instant
    """When."""
    needs: Annotated[tuple[Need, ...], Field(max_length=100)]
    """The needs found, most pressing first."""
    incomplete_domains: Annotated[tuple[Code, ...], Field(max_length=100)]
    """Domains with too few scored items to be read."""
    sealed: AssessmentCompletedSealed = Field(default_factory=AssessmentCompletedSealed)


class AssessmentDeclined(Event):
    """The assessment will not be made; access to help is unchanged."""

    type: ClassVar[str] = "kintsugi.assessment.declined.v1"
    service: ClassVar[str] = "assessment"
    dataclassification: ClassVar[str] = "internal"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/assessment.declined/v1.schema.json"

    assessment_id: Id
    """The assessment."""
    reason: AssessmentDeclineReason
    """Why."""
    declined_at: Instant
    """When."""


class SafetyDeterioratedAssessment(Plaintext):
    """The scores that dropped."""

    domain: Code
    """The domain."""
    previous: Annotated[float, Field(ge=-1000000, le=1000000)]
    """The earlier score."""
    current: Annotated[float, Field(ge=-1000000, le=1000000)]
    """The score now."""


class SafetyDeterioratedSealed(TypedDict, total=False):
    """The sealed purposes of SafetyDeteriorated."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    assessment: SealedOr[SafetyDeterioratedAssessment]


class SafetyDeteriorated(Event):
    """The safety score dropped, whatever the total: staff must act before the deadline."""

    type: ClassVar[str] = "kintsugi.safety.deteriorated.v1"
    service: ClassVar[str] = "assessment"
    dataclassification: ClassVar[str] = "restricted"
    dataschema: ClassVar[str] = "https://schemas.kintsugi.example/events/safety.deteriorated/v1.schema.json"
    purposes: ClassVar[Purposes] = {"assessment": SafetyDeterioratedAssessment}

    assessment_id: Id
    """The assessment."""
    alert_due: Instant
    """When staff must have been alerted."""
    sealed: SafetyDeterioratedSealed = Field(default_factory=SafetyDeterioratedSealed)
