"""What assessment can be asked to do. Answers stay out of every repr and error text."""

from __future__ import annotations

from typing import Annotated, Literal

from kintsugi_events import AssessmentContext, AssessmentDeclineReason, Id
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictInt, StringConstraints, model_validator

ItemId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$", max_length=60)]
Answer = StrictInt | Literal["not_applicable", "declined", "insufficient_information"] | None
Context = Literal["current_living", "reintegration_environment"]
DeclineReason = Literal["survivor_declined", "no_safe_setting", "language_not_available", "worker_withdrew", "other"]


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Answered(_Command):
    """Some answers, of any sections in any order: they are added to those saved before.

    A point of the instrument's scale, or why there is none; null takes an answer back. ``pause`` stops here for now,
    ``finish`` completes the assessment as it stands: what has no answer stays unanswered and is never scored.
    ``context`` is the environment scored against, ``certification`` the scorer's own; both are kept when left out.
    """

    answers: dict[ItemId, Answer] = Field(default_factory=dict, max_length=1000, repr=False)
    context: Context | None = Field(None, repr=False)
    certification: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = Field(None, repr=False)
    pause: bool = False
    finish: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> Answered:
        if self.pause and self.finish:
            raise ValueError("pause and finish exclude each other")
        return self

    @property
    def scored_against(self) -> AssessmentContext | None:
        """The environment as the contract names it."""
        return AssessmentContext(self.context) if self.context else None


class AnswerItems(Answered):
    """Answers of one assessment."""

    assessment_id: Id


class Declined(_Command):
    """The assessment will not be made, and why. It never affects access to help."""

    reason: DeclineReason = "survivor_declined"


class Decline(Declined):
    """One assessment will not be made."""

    assessment_id: Id

    @property
    def code(self) -> AssessmentDeclineReason:
        """The reason as the contract names it."""
        return AssessmentDeclineReason(self.reason)


class ScheduleAssessment(_Command):
    """Another assessment of a case. ``due_at`` may be earlier than the country's deadline, where a case needs it.

    A ``baseline`` can be scheduled again after it was declined.
    """

    purpose: Literal["follow_up", "baseline"] = "follow_up"
    due_at: AwareDatetime | None = None
