"""What begins, renews or stops a stream: facts, consents, and the end of a consent."""

from __future__ import annotations

from kintsugi.service import Context
from kintsugi_contracts.base import Event
from kintsugi_events import (
    AssessmentCompleted,
    CaseClosed,
    CaseOpened,
    ConsentRecorded,
    ConsentWithdrawn,
    ReferralProposed,
    ReferralRequested,
    ReferralStatusChanged,
)

from kintsugi_share.handlers.core import follow, service
from kintsugi_share.state import CaseFile


def renew(_event: Event, case: CaseFile, ctx: Context) -> list[Event]:
    """A partner that may know a case hears of what changed in it, and only when its own fields did."""
    return follow(case, ctx)


for fact in (CaseOpened, CaseClosed, AssessmentCompleted, ReferralProposed, ReferralRequested, ReferralStatusChanged):
    service.on(fact)(renew)


@service.on(ConsentRecorded)
def consented(_event: ConsentRecorded, case: CaseFile, ctx: Context) -> list[Event]:
    """A consent begins the stream of its recipient; a refusal after a consent acts as its withdrawal."""
    return follow(case, ctx)


@service.on(ConsentWithdrawn)
def withdraw(_event: ConsentWithdrawn, case: CaseFile, ctx: Context) -> list[Event]:
    """Withdrawal acts at once: nothing more leaves, and whoever received something is told to forget it."""
    return follow(case, ctx)


@service.due("expiry")
def expire(_name: str, case: CaseFile, ctx: Context) -> list[Event]:
    """A consent that was given for a time has ended: the same as its withdrawal."""
    return follow(case, ctx)
