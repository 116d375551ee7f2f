"""Needs become proposals: services that fit, each with its reasons; the survivor chooses, or not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from kintsugi.service import Context, Rejected
from kintsugi_contracts.base import Event
from kintsugi_events import (
    AssessmentCompleted,
    NeedBand,
    Option,
    Party,
    ReferralProposed,
    StatusReason,
)

from kintsugi_referral.commands import OfferAgain
from kintsugi_referral.domain import Status, ages
from kintsugi_referral.handlers.core import found, moved, service
from kintsugi_referral.matching import Match, Wanted, match
from kintsugi_referral.state import CaseFile, Referral


@dataclass(frozen=True, slots=True)
class NeedFound:
    """A need as an assessment reported it."""

    assessment_id: str
    need_id: str
    need: str
    band: NeedBand


@service.on(AssessmentCompleted)
def propose(event: AssessmentCompleted, case: CaseFile, ctx: Context) -> list[Event]:
    """Each need becomes a proposal, with no options where the directory has none: a need is never dropped silently.

    A proposal for the same need that nobody has chosen from is out of date now and is cancelled as a duplicate.
    """
    if case.closed:
        return []
    events: list[Event] = []
    for need in event.needs:
        events += [
            moved(older, Status.cancelled, Party.platform, ctx, reason=StatusReason.duplicate)
            for older in case.referrals.values()
            if older.need == need.need and older.status is Status.proposed
        ]
        events.append(
            proposal(NeedFound(event.assessment_id, need.need_id, need.need, need.band), case, ctx, id=ctx.new_id())
        )
    return events


@service.command(OfferAgain)
def offer_again(command: OfferAgain, case: CaseFile, ctx: Context) -> list[Event]:
    """The directory is asked anew: a proposal gets fresh options, an ended referral is followed by another."""
    referral = found(case, command.referral_id)
    if case.closed:
        raise Rejected("case_closed", "The case is closed; nothing is proposed for it.")
    if referral.status is Status.proposed:
        return [proposal(need_of(referral), case, ctx, id=referral.referral_id, without=declined_by(referral, case))]
    if referral.open:
        raise Rejected(
            "referral_open",
            "An agency was chosen for this referral and it has not ended.",
            next_step="Cancel it first, or wait for the agency's answer.",
        )
    if any(other.open for other in case.referrals.values() if other.need_id == referral.need_id):
        raise Rejected(
            "referral_open",
            "The same need has another referral that has not ended.",
            next_step="Choose from that one; GET /referrals lists it.",
        )
    return [another(referral, case, ctx)]


def another(referral: Referral, case: CaseFile, ctx: Context, *, declined: bool = False) -> Event:
    """A new proposal for the need of a referral that ended, without the services that said no.

    ``declined`` says that the service chosen in ``referral`` says no with this very decision.
    """
    option = referral.option(referral.option_id) if declined else None
    without = declined_by(referral, case) | ({option.service_id} if option else set())
    return proposal(need_of(referral), case, ctx, id=ctx.new_id(), without=without)


def proposal(need: NeedFound, case: CaseFile, ctx: Context, *, id: str, without: Collection[str] = ()) -> Event:
    """The proposal for a need, from the directory as it is now."""
    matches: tuple[Match, ...] = ()
    if case.opened:
        youngest, oldest = ages(case.age_band, case.age_basis)
        wanted = Wanted(need.need, youngest, oldest, case.languages, case.area)
        matches = match(ctx.pack, wanted, ctx.now, without=without)
    return ReferralProposed(
        referral_id=id,
        assessment_id=need.assessment_id,
        need_id=need.need_id,
        need=need.need,
        band=need.band,
        options=tuple(
            Option(
                option_id=ctx.new_id(),
                service_id=each.service.id,
                agency=each.service.agency.id,
                reasons=each.reasons,
                rank=rank,
            )
            for rank, each in enumerate(matches, 1)
        ),
        proposed_at=ctx.now,
    )


def need_of(referral: Referral) -> NeedFound:
    """The need a referral is for."""
    return NeedFound(referral.assessment_id, referral.need_id, referral.need, NeedBand(referral.band))


def declined_by(referral: Referral, case: CaseFile) -> set[str]:
    """The services that refused or failed the need of ``referral``."""
    return {
        option.service_id
        for other in case.referrals.values()
        if other.need_id == referral.need_id and other.status in (Status.rejected, Status.failed)
        if (option := other.option(other.option_id)) is not None
    }
