"""What ends a referral from our side: a withdrawn consent, a closed case, a worker; and what is asked back then."""

from __future__ import annotations

from collections.abc import Collection

from kintsugi.service import Context, Rejected
from kintsugi_contracts.base import Event, Purpose
from kintsugi_events import (
    CaseClosed,
    ConsentPurpose,
    ConsentWithdrawn,
    Party,
    PurgeReason,
    PurgeRequested,
    PurgeRequestedContact,
    StatusReason,
)

from kintsugi_referral.commands import Cancel, MarkAsError
from kintsugi_referral.domain import Party as Side
from kintsugi_referral.domain import Status, refusal
from kintsugi_referral.handlers.core import found, links_of, moved, service
from kintsugi_referral.state import CaseFile, Referral


@service.on(ConsentWithdrawn, seals=(Purpose.contact,))
def withdraw(event: ConsentWithdrawn, case: CaseFile, ctx: Context) -> list[Event]:
    """Withdrawal acts at once: what is open ends, and whoever received something is asked to delete it."""
    if event.purpose not in (ConsentPurpose.sharing, ConsentPurpose.casework):
        return []
    return stop_sharing(case, case.concerned(event.consent_id, event.purpose, event.agency), ctx, waiting=True)


@service.on(CaseClosed)
def close(_event: CaseClosed, case: CaseFile, ctx: Context) -> list[Event]:
    """Nothing stays open behind a closed case."""
    return [
        moved(referral, Status.cancelled, Party.platform, ctx, reason=StatusReason.case_closed)
        for referral in case.referrals.values()
        if referral.open
    ]


@service.command(Cancel, tightens=True)
def cancel(command: Cancel, case: CaseFile, ctx: Context) -> list[Event]:
    """A worker ends a referral, for the survivor or for a reason of their own."""
    referral = found(case, command.referral_id)
    _check(referral, Status.cancelled)
    return [moved(referral, Status.cancelled, Party(command.asked_by), ctx, reason=command.reason)]


@service.command(MarkAsError, tightens=True, seals=(Purpose.contact,))
def mark_as_error(command: MarkAsError, case: CaseFile, ctx: Context) -> list[Event]:
    """It should never have been recorded; an agency that received something is asked to delete it."""
    referral = found(case, command.referral_id)
    _check(referral, Status.entered_in_error)
    taken_back = moved(referral, Status.entered_in_error, Party.caseworker, ctx, reason=StatusReason.recorded_in_error)
    return [taken_back, purge(referral, PurgeReason.sent_in_error, ctx)] if referral.received else [taken_back]


def stop_sharing(case: CaseFile, agencies: Collection[str] | None, ctx: Context, *, waiting: bool) -> list[Event]:
    """Nothing more goes to these agencies (None: to any), and what they received is asked back.

    ``waiting`` says whether choices whose agency was never asked end too.
    """
    events: list[Event] = []
    for referral in case.referrals.values():
        if referral.agency is None or (agencies is not None and referral.agency not in agencies):
            continue
        if referral.open and (waiting or not referral.waits_for_request):
            events.append(moved(referral, Status.cancelled, Party.survivor, ctx, reason=StatusReason.consent_withdrawn))
        if referral.received:
            events.append(purge(referral, PurgeReason.consent_withdrawn, ctx))
    return events


def purge(referral: Referral, reason: PurgeReason, ctx: Context) -> Event:
    """The agency is asked to delete what it received and to say so through a link of its own."""
    assert referral.agency is not None
    assert referral.option_id is not None
    assert referral.consent_id is not None
    due_at = ctx.pack.due("purge_acknowledgement", ctx.now)
    link = links_of(ctx).url(
        "purge",
        referral_id=referral.referral_id,
        subject=ctx.subject,
        agency=referral.agency,
        option_id=referral.option_id,
        at=max(due_at, ctx.pack.due("link_validity", ctx.now)),
    )
    return PurgeRequested(
        referral_id=referral.referral_id,
        agency=referral.agency,
        consent_id=referral.consent_id,
        reason=reason,
        due_at=due_at,
        requested_at=ctx.now,
        sealed={"contact": PurgeRequestedContact(link=link)},
    )


def _check(referral: Referral, to: Status) -> None:
    if refusal(referral.status, to, Side.requester, reason=True) is not None:
        raise Rejected(
            "transition_refused",
            f"A referral that is {referral.status} cannot become {to}.",
            next_step="GET /referrals shows its state.",
        )
