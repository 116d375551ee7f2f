"""Purges: the tombstone stands on the stream, and the integrator says in time that it deleted what it had."""

from __future__ import annotations

from kintsugi.agenda import Outcome, Result
from kintsugi.service import Context, Rejected
from kintsugi_contracts.base import Event
from kintsugi_events import PartnerPurgeAcknowledged, PartnerPurgeOverdue, PartnerPurgeSent

from kintsugi_share.commands import AcknowledgePurge
from kintsugi_share.handlers.core import service
from kintsugi_share.records import Purge
from kintsugi_share.state import CaseFile


@service.outcome("tombstone")
def tombstone_ended(outcome: Outcome, case: CaseFile, ctx: Context) -> list[Event]:
    """It stands there. Any other end is none: nothing is left out of this, so the case is held for an operator."""
    purge = case.purges[outcome.name.rpartition("/")[2]]
    if outcome.result is not Result.sent or purge.sent_at is not None:
        return []
    return [PartnerPurgeSent(**_named(purge), sent_at=ctx.now)]


@service.command(AcknowledgePurge, tightens=True)
def acknowledge(command: AcknowledgePurge, case: CaseFile, ctx: Context) -> list[Event]:
    """The integrator deleted what it had. Saying it twice changes nothing, and late still counts.

    It may be said before share knows that the tombstone stands there: who knows the purge's id has read it there. The
    tombstone stays owed until it does.
    """
    purge = case.purges.get(command.purge_id)
    if purge is None or purge.integrator != command.integrator:
        raise Rejected(
            "not_found",
            "There is no such purge.",
            status=404,
            next_step="Use `ce_purgeid` of the tombstone, with your own token.",
        )
    if purge.acknowledged_at is not None:
        return []
    return [PartnerPurgeAcknowledged(**_named(purge), acknowledged_at=ctx.now)]


@service.due("purge")
def chase(name: str, case: CaseFile, _ctx: Context) -> list[Event]:
    """The integrator has not said in time that it forgot the case; a member of staff gets a task from it."""
    purge = case.purges[name.partition("/")[2]]
    return [PartnerPurgeOverdue(**_named(purge), due_at=purge.due_at)]


def _named(purge: Purge) -> dict[str, object]:
    return {
        "purge_id": purge.purge_id,
        "integrator": purge.integrator,
        "purpose": purge.purpose,
        "version": purge.version,
        "agency": purge.agency,
    }
