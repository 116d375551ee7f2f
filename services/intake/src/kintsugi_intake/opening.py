"""What is decided when a case is opened: by a caseworker or from a row of an imported file."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from kintsugi.service import Context, Rejected
from kintsugi_events import (
    AgeBand,
    Answer,
    CaseOpened,
    CaseOpenedAssessment,
    CaseOpenedIdentity,
    CaseOpenedNarrative,
    CaseOpenedSealed,
    Guardian,
    GuardianPresence,
    Interpreter,
    RiskRaised,
    TraffickingAssertion,
)

from kintsugi_intake.commands import Facts, Harm, ImportCase, said
from kintsugi_intake.domain import age_band, alerts, case_ref, guardian_contact, risk
from kintsugi_intake.extensions import refused_extension

CLOCK_DIFFERENCE = timedelta(minutes=5)
"""How far a caller's clock may run ahead of ours."""


def opened(facts: Facts, ctx: Context) -> CaseOpened:
    """The fact that a case was opened. Raises Rejected where the facts contradict each other or the country pack."""
    received_at = past(_received(facts, ctx), ctx, "received_in_future")
    office = _office(facts, ctx)
    _check_area(facts, ctx)
    band = _age_band(facts, received_at, ctx)
    level, reason, urgency = risk(facts.immediate_danger, facts.risk_level, facts.risk_reason, facts.urgency)
    guardian = facts.guardian
    return CaseOpened(
        case_ref=case_ref(ctx.country, ctx.new_id()),
        country=ctx.country,
        office=office,
        channel=facts.channel,
        received_at=received_at,
        age_basis=facts.age_basis,
        age_band=band,
        languages=facts.languages,
        interpreter=Interpreter(**said(facts.interpreter)),
        casework_type=facts.casework_type,
        area=facts.area,
        immediate_danger=facts.immediate_danger,
        urgency=urgency,
        risk_level=level,
        risk_reason=reason,
        guardian_contact=guardian_contact(
            band,
            guardian.presence if guardian else GuardianPresence.not_asked,
            guardian.conflict if guardian else Answer.not_asked,
        ),
        dependants=facts.dependants,
        referral_source=facts.referral_source,
        import_ref=facts.import_ref if isinstance(facts, ImportCase) else None,
        extensions=_extensions(facts, ctx),
        sealed=_sealed(facts),
    )


def raised(case: CaseOpened, ctx: Context) -> list[RiskRaised]:
    """The alarm, where staff must act before the country's deadline; it waits for no other service."""
    if not alerts(case.immediate_danger, case.risk_level):
        return []
    return [
        RiskRaised(
            risk_level=case.risk_level,
            immediate_danger=case.immediate_danger,
            reason=case.risk_reason,
            raised_at=ctx.now,
            alert_due=ctx.pack.due("risk_alert", ctx.now),
        )
    ]


def past(said_at: datetime | None, ctx: Context, code: str) -> datetime:
    """A moment the caller named, in UTC, or now. Raises Rejected with ``code`` where it lies ahead."""
    if said_at is None:
        return ctx.now
    moment = said_at.astimezone(UTC)
    if moment > ctx.now + CLOCK_DIFFERENCE:
        raise Rejected(
            code,
            "A time in the request lies in the future.",
            status=422,
            next_step="Correct the time or leave it out; absent means now.",
        )
    return moment


def _received(facts: Facts, ctx: Context) -> datetime | None:
    if not isinstance(facts, ImportCase):
        return facts.received_at
    if facts.received_on is None:
        return None
    return datetime.combine(facts.received_on, time(), tzinfo=ctx.pack.zone)


def _office(facts: Facts, ctx: Context) -> str:
    """Every case has an office of the country: its staff are alerted. A file may leave out the only one."""
    offices = ctx.pack.country.offices
    if facts.office is None and len(offices) == 1:
        return next(iter(offices))
    if facts.office is not None and facts.office in offices:
        return facts.office
    raise Rejected(
        "office_needed" if facts.office is None else "office_unknown",
        "The country has more than one office." if facts.office is None else "The country has no office of that code.",
        status=422,
        next_step="Name one of: " + ", ".join(sorted(offices)) + ".",
    )


def _check_area(facts: Facts, ctx: Context) -> None:
    areas = [area.code for area in ctx.pack.country.areas]
    if facts.area not in (*areas, "not_asked", "declined", "unknown"):
        raise Rejected(
            "area_unknown",
            "The country has no area with that code.",
            status=422,
            next_step="Name one of: " + ", ".join(areas) + "; or not_asked, declined, unknown.",
        )


def _age_band(facts: Facts, received_at: datetime, ctx: Context) -> AgeBand:
    day = received_at.astimezone(ctx.pack.zone).date()
    band = age_band(facts.age_band, facts.age_basis, facts.identity.birthdate, day)
    if band is None:
        raise Rejected(
            "age_contradiction",
            "Age band, age basis and date of birth contradict each other.",
            status=422,
            next_step="Correct them; 'presumed_minor' goes with no band or with a band below 18.",
        )
    return band


def _extensions(facts: Facts, ctx: Context) -> dict[str, dict[str, Any]]:
    where = refused_extension(facts.extensions, ctx.country, ctx.pack.extensions_schema)
    if where is not None:
        raise Rejected(
            "extension_refused",
            f"The extensions do not follow the country pack's schema ({where}).",
            status=422,
            next_step="Only what extensions.schema.json of this country names may be sent, under its own code.",
        )
    return {country: dict(fields) for country, fields in facts.extensions.items()}


def _sealed(facts: Facts) -> CaseOpenedSealed:
    sealed = CaseOpenedSealed(identity=CaseOpenedIdentity(**said(facts.identity)))
    if facts.harm is not None or facts.guardian is not None:
        harm = facts.harm or Harm()
        trafficking = harm.trafficking
        sealed["assessment"] = CaseOpenedAssessment(
            trafficking_status=TraffickingAssertion(**said(trafficking)),
            exploitation_types=harm.exploitation_types,
            control_methods=harm.control_methods,
            recruitment_methods=harm.recruitment_methods,
            guardian=Guardian(**said(facts.guardian)) if facts.guardian else None,
        )
    if facts.notes is not None:
        sealed["narrative"] = CaseOpenedNarrative(notes=facts.notes)
    return sealed
