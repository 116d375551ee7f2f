"""The service itself, and the few steps that several decisions share."""

from __future__ import annotations

from kintsugi.service import Context, Rejected, Service
from kintsugi_contracts.base import Event
from kintsugi_events import Party, ReferralStatus, ReferralStatusChanged, ReferralSubStatus, StatusReason

from kintsugi_referral.domain import Status
from kintsugi_referral.links import Links
from kintsugi_referral.state import CaseFile, Referral, agenda, evolve

service = Service("referral", state=CaseFile, evolve=evolve, agenda=agenda, fold_version=3)


def found(case: CaseFile, referral_id: str) -> Referral:
    """The referral with this id. Raises Rejected (404)."""
    referral = case.referrals.get(referral_id)
    if referral is None:
        raise Rejected(
            "not_found", "This case has no referral with that reference.", status=404, next_step="Check the reference."
        )
    return referral


def moved(
    referral: Referral,
    to: Status,
    by: Party,
    ctx: Context,
    *,
    reason: StatusReason | None = None,
    sub_status: ReferralSubStatus | None = None,
) -> Event:
    """The event by which a referral goes to another state."""
    return ReferralStatusChanged(
        referral_id=referral.referral_id,
        status=ReferralStatus(to.value),
        previous=ReferralStatus(referral.status.value),
        sub_status=sub_status,
        reason=reason,
        set_by=by,
        changed_at=ctx.now,
        agency=referral.agency,
        option_id=referral.option_id,
    )


def links_of(ctx: Context) -> Links:
    """What the composition root put into ``ctx.resources``."""
    resources = ctx.resources
    if not isinstance(resources, Links):
        raise TypeError("referral runs without its links: set Application.resources to kintsugi_referral.links.links")
    return resources
