"""A choice becomes a request: at once where a consent names the agency, else by itself when the consent arrives."""

from __future__ import annotations

from kintsugi.service import Context, Rejected, Withheld
from kintsugi_contracts.base import Event, Purpose
from kintsugi_events import (
    Choice,
    ConsentPurpose,
    ConsentRecorded,
    Party,
    ReferralChosen,
    ReferralOverdue,
    ReferralRequested,
    ReferralRequestedContact,
    ReferralWithheld,
    StatusReason,
    WithheldReason,
)

from kintsugi_referral.commands import Choose
from kintsugi_referral.domain import Status
from kintsugi_referral.handlers.core import found, links_of, moved, service
from kintsugi_referral.handlers.endings import stop_sharing
from kintsugi_referral.policies import consent_for, consent_for_agency, may_request
from kintsugi_referral.state import GRANTED, CaseFile, Offer, Referral


@service.command(Choose, seals=(Purpose.contact,), requires=[consent_for_agency])
def choose(command: Choose, case: CaseFile, ctx: Context) -> list[Event]:
    """The survivor chose: the agency is asked, and has until the country's deadline to answer."""
    referral, option = _choosable(command, case)
    if option is None:
        return _without_option(command, referral, ctx)
    return [_chosen(referral, option, ctx), _request(referral, option, case, ctx)]


@choose.withheld
def explain(command: Choose, verdict: Withheld, case: CaseFile, ctx: Context) -> list[Event]:
    """The choice stands and the request waits: "no" is an outcome, not an error."""
    referral, option = _choosable(command, case)
    if option is None:
        return _without_option(command, referral, ctx)
    return [_chosen(referral, option, ctx), _withhold(referral, option, verdict, ctx)]


@service.on(ConsentRecorded, seals=(Purpose.contact,))
def resume(event: ConsentRecorded, case: CaseFile, ctx: Context) -> list[Event]:
    """What waited for this consent goes out. A refusal after a consent acts as its withdrawal."""
    if event.purpose not in (ConsentPurpose.sharing, ConsentPurpose.casework):
        return []
    agencies = case.concerned(event.consent_id, event.purpose, event.agency)
    waiting = [
        referral
        for referral in case.referrals.values()
        if referral.waits_for_request and (agencies is None or referral.agency in agencies)
    ]
    events = [followed for referral in waiting for followed in _try_again(referral, case, ctx)]
    concerns_known = agencies is not None or event.purpose is ConsentPurpose.casework
    refused = concerns_known and event.decision != GRANTED
    return [*events, *stop_sharing(case, agencies, ctx, waiting=False)] if refused else events


@resume.withheld
def stay(_event: ConsentRecorded, _verdict: Withheld, _case: CaseFile, _ctx: Context) -> list[Event]:
    """A policy of the country keeps everything where it is."""
    return []


@service.due("resume", seals=(Purpose.contact,))
def try_again(name: str, case: CaseFile, ctx: Context) -> list[Event]:
    """The case was on hold when the request should have gone out."""
    referral = case.referrals[name.partition("/")[2]]
    return _try_again(referral, case, ctx, once_more=True)


@service.due("answer")
def escalate(name: str, case: CaseFile, _ctx: Context) -> list[Event]:
    """The agency has not answered in time; a member of staff gets a task from it."""
    referral = case.referrals[name.partition("/")[2]]
    assert referral.agency is not None
    assert referral.answer_due is not None
    return [ReferralOverdue(referral_id=referral.referral_id, agency=referral.agency, answer_due=referral.answer_due)]


def _choosable(command: Choose, case: CaseFile) -> tuple[Referral, Offer | None]:
    referral = found(case, command.referral_id)
    if case.closed:
        raise Rejected("case_closed", "The case is closed.")
    if referral.status is not Status.proposed and not referral.waits_for_request:
        raise Rejected(
            "choice_past",
            f"The referral is {referral.status}: its agency was asked already, or it has ended.",
            next_step="Cancel it to choose again, or ask for a new proposal with POST /referrals/{id}/offer.",
        )
    if command.choice != "option":
        return referral, None
    option = referral.option(command.option_id)
    if option is None:
        raise Rejected(
            "option_unknown",
            "The referral has no option with that reference.",
            status=422,
            next_step="GET /referrals lists its options.",
        )
    return referral, option


def _without_option(command: Choose, referral: Referral, ctx: Context) -> list[Event]:
    """ "Not now" leaves the proposal open for another day; "none" ends it, and it can be offered again."""
    chosen = ReferralChosen(referral_id=referral.referral_id, choice=Choice(command.choice), chosen_at=ctx.now)
    if command.choice == "not_now":
        return [chosen]
    back = referral.model_copy(update={"status": Status.proposed, "agency": None, "option_id": None})
    return [chosen, moved(back, Status.cancelled, Party.survivor, ctx, reason=StatusReason.survivor_declined)]


def _chosen(referral: Referral, option: Offer, ctx: Context) -> Event:
    return ReferralChosen(
        referral_id=referral.referral_id,
        choice=Choice.option,
        option_id=option.option_id,
        agency=option.agency,
        chosen_at=ctx.now,
    )


def _try_again(referral: Referral, case: CaseFile, ctx: Context, *, once_more: bool = False) -> list[Event]:
    """The request, or why it still waits when that has changed. ``once_more`` says so even when it has not."""
    option = referral.option(referral.option_id)
    if option is None:
        return []
    judgement = may_request(option, case, ctx)
    if not isinstance(judgement, Withheld):
        return [_request(referral, option, case, ctx)]
    if judgement.reason == referral.withheld and not once_more:
        return []
    return [_withhold(referral, option, judgement, ctx)]


def _withhold(referral: Referral, option: Offer, verdict: Withheld, ctx: Context) -> Event:
    return ReferralWithheld(
        referral_id=referral.referral_id,
        option_id=option.option_id,
        agency=option.agency,
        reason=WithheldReason(verdict.reason),
        withheld_at=ctx.now,
    )


def _request(referral: Referral, option: Offer, case: CaseFile, ctx: Context) -> Event:
    consent = consent_for(option.agency, case, ctx.now)
    if isinstance(consent, Withheld):
        raise AssertionError(f"a request without a consent: {consent.reason}")
    expires = ctx.pack.due("link_validity", ctx.now)
    link = links_of(ctx).url(
        "answer",
        referral_id=referral.referral_id,
        subject=ctx.subject,
        agency=option.agency,
        option_id=option.option_id,
        at=expires,
    )
    return ReferralRequested(
        referral_id=referral.referral_id,
        option_id=option.option_id,
        service_id=option.service_id,
        agency=option.agency,
        consent_id=consent.consent_id,
        answer_due=ctx.pack.due("provider_answer", ctx.now),
        link_expires_at=expires,
        attempt=1 + max(each.attempt for each in case.referrals.values() if each.need_id == referral.need_id),
        requested_at=ctx.now,
        sealed={"contact": ReferralRequestedContact(link=link)},
    )
