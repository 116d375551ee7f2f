"""What agencies say through their links, without an account on our side."""

from __future__ import annotations

from kintsugi.service import Context, Rejected, Withheld
from kintsugi_contracts.base import Event
from kintsugi_events import (
    Certainty,
    DisclosureMade,
    DisclosureWay,
    Party,
    PurgeAcknowledged,
    ReferralSubStatus,
)

from kintsugi_referral.commands import AcknowledgePurge, Answer, Link, Look
from kintsugi_referral.domain import FACTS, MAY_BE_UNATTENDED, TERMINAL, Refusal, Status, answers, refusal
from kintsugi_referral.domain import Party as Side
from kintsugi_referral.handlers.core import moved, service
from kintsugi_referral.handlers.proposals import another
from kintsugi_referral.policies import consent_for
from kintsugi_referral.state import CaseFile, Referral


@service.command(Look)
def look(command: Look, case: CaseFile, ctx: Context) -> list[Event]:
    """An agency opens its link: allowed while the link lives, and to see facts while the consent holds.

    It is decided under the subject's lock like everything else, so that a withdrawal is never overtaken. The first
    look at facts is a disclosure.
    """
    referral = _linked(command, case, ctx)
    if command.kind == "purge" and referral.purge_due is None:
        raise _dead()
    if command.kind == "answer" and command.facts and referral.open:
        if ctx.on_hold:
            raise Rejected("not_now", "The request cannot be shown at this moment.", status=503, next_step=_LATER)
        consent = consent_for(command.agency, case, ctx.now)
        if isinstance(consent, Withheld):
            raise Rejected("facts_withheld", "What was shared may no longer be shown.", status=403)
        if not referral.disclosed:
            return [
                DisclosureMade(
                    way=DisclosureWay.link,
                    certainty=Certainty.confirmed,
                    agency=command.agency,
                    consent_id=consent.consent_id,
                    fields=FACTS,
                    sealed_fields=(),
                    made_at=ctx.now,
                    referral_id=referral.referral_id,
                )
            ]
    return []


@service.command(Answer)
def answer(command: Answer, case: CaseFile, ctx: Context) -> list[Event]:
    """The agency's answer moves the referral; where it says no, the next option is offered."""
    referral = _linked(command, case, ctx)
    to = Status(command.status)
    sub_status = _sub_status(command, referral, to)
    if to is referral.status and sub_status == (referral.sub_status or None):
        return []
    if to is not referral.status:
        _check(referral, to, reasoned=command.reason is not None)
    events = [moved(referral, to, Party.provider, ctx, reason=command.reason, sub_status=sub_status)]
    if to is Status.rejected and not case.closed:
        events.append(another(referral, case, ctx, declined=True))
    return events


@service.command(AcknowledgePurge, tightens=True)
def acknowledge_purge(command: AcknowledgePurge, case: CaseFile, ctx: Context) -> list[Event]:
    """The agency deleted what it had. Saying it twice changes nothing."""
    referral = _linked(command, case, ctx)
    if referral.purge_due is None:
        raise _dead()
    if referral.purged_at is not None:
        return []
    return [PurgeAcknowledged(referral_id=referral.referral_id, agency=command.agency, acknowledged_at=ctx.now)]


_LATER = "Open the link again in a few minutes."


def _linked(link: Link, case: CaseFile, ctx: Context) -> Referral:
    """The referral a link belongs to. Raises Rejected where the link is over or was never made for it."""
    if ctx.now >= link.expires:
        raise Rejected(
            "link_expired", "This link has expired.", status=410, next_step="Ask the office that sent it for a new one."
        )
    referral = case.referrals.get(link.referral_id)
    if referral is None or referral.agency != link.agency or referral.option_id != link.option_id:
        raise _dead()
    return referral


def _dead() -> Rejected:
    return Rejected("link_invalid", "This link is not valid.", status=404, next_step="Ask the office that sent it.")


def _sub_status(command: Answer, referral: Referral, to: Status) -> ReferralSubStatus | None:
    if command.sub_status is None:
        return None
    if to not in MAY_BE_UNATTENDED or referral.status in TERMINAL:
        raise Rejected(
            "sub_status_refused",
            "A missed appointment can be reported while the referral is accepted, in progress or on hold.",
            status=422,
            next_step="Send it with one of these states.",
        )
    return ReferralSubStatus(command.sub_status)


def _check(referral: Referral, to: Status, *, reasoned: bool) -> None:
    refused = refusal(referral.status, to, Side.responder, reason=reasoned)
    if refused is None:
        return
    if refused is Refusal.reason_missing:
        raise Rejected(
            refused.value, f"The answer '{to}' needs a reason.", status=422, next_step="Send one of the coded reasons."
        )
    if referral.status in TERMINAL:
        raise Rejected(
            "referral_ended", f"This request has ended: it is {referral.status}.", next_step="Nothing is left to do."
        )
    allowed = ", ".join(answers(referral.status)) or "nothing"
    raise Rejected(
        Refusal.no_such_move.value,
        f"A request that is {referral.status} cannot become {to}.",
        next_step=f"Possible now: {allowed}.",
    )
