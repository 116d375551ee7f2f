"""How answers are saved and taken up again: always all of them, sealed, with who scored and against what."""

from __future__ import annotations

from kintsugi.sealing import Erased
from kintsugi.service import Context, Rejected
from kintsugi_country import Instrument
from kintsugi_events import AssessmentAnswersSavedAssessment, AssessmentContext

from kintsugi_assessment.commands import Answered
from kintsugi_assessment.domain import merged, objection, scorer
from kintsugi_assessment.state import Assessment

Saved = AssessmentAnswersSavedAssessment


def instrument_of(assessment: Assessment, ctx: Context) -> Instrument:
    """The very version an assessment began with. Raises Rejected where the pack does not hold it any more."""
    try:
        return ctx.pack.instrument(assessment.instrument, assessment.instrument_version)
    except LookupError:
        raise Rejected(
            "instrument_missing",
            "The country pack no longer holds the version of the instrument that this assessment began with.",
            next_step="Put that version back into the pack's instruments; a version is immutable once used.",
        ) from None


def answers_of(assessment: Assessment, ctx: Context) -> Saved | None:
    """What was saved before; None where nothing was. Raises Rejected where the survivor's data were erased."""
    if assessment.answers is None:
        return None
    saved = ctx.open(assessment.answers, Saved)
    if isinstance(saved, Erased):
        raise Rejected(
            "erased",
            "The survivor's data were erased; no answers are kept.",
            next_step="Open a new case if the survivor comes back.",
        )
    return saved


def answered(command: Answered, saved: Saved | None, instrument: Instrument, ctx: Context) -> Saved:
    """All answers after a request. Raises Rejected where one does not fit the instrument."""
    _check(command, instrument)
    who = scorer(ctx.caller)
    certification = command.certification
    if certification is None and saved is not None and saved.scorer == who:
        # A certification belongs to the person: whoever goes on with another's questionnaire does not inherit it.
        certification = saved.certification
    before = saved.context if saved else AssessmentContext.not_asked
    return Saved(
        answers=merged(saved.answers if saved else {}, command.answers),
        context=command.scored_against or before,
        scorer=who,
        certification=certification,
    )


def _check(command: Answered, instrument: Instrument) -> None:
    objected = objection(command.answers, instrument)
    if objected is None:
        return
    scale = instrument.scale
    detail, next_step = {
        "item_unknown": (
            f"An item is not part of {instrument.id} {instrument.version}.",
            "GET /assessments/{id} lists the items.",
        ),
        "value_out_of_scale": (
            "A value lies outside the instrument's scale.",
            f"Send a whole number from {scale.minimum} to {scale.maximum}, or not_applicable, declined, "
            "insufficient_information.",
        ),
    }[objected]
    raise Rejected(objected, detail, status=422, next_step=next_step)
