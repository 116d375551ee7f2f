"""What share owes: records and tombstones that are to leave, consents that end, acknowledgements that are awaited."""

from __future__ import annotations

from datetime import timedelta

from kintsugi.agenda import Agenda, Deadline, Delivery, Send

from kintsugi_share.records import GRANTED
from kintsugi_share.state import CaseFile

CHANNEL = "share"
NEVER = timedelta(days=36_500)
"""A tombstone is owed until it stands on the stream."""


def agenda(case: CaseFile) -> Agenda:
    """By name: `record/…` and `tombstone/…` leave, `expiry/…` ends a consent, `purge/…` an integrator's time."""
    owed: Agenda = {}
    for stream in case.streams.values():
        if stream.next is not None and stream.owed is not None:
            due = stream.unsettled[stream.owed]
            owed[stream.next] = Send(
                channel=CHANNEL,
                recipient=stream.integrator,
                delivery=Delivery.at_least_once,
                expires=due.expires_at,
                detail={"stream": stream.key, "revision": str(stream.owed)},
            )
        consent = case.consents.get(stream.agency)
        if stream.active and consent is not None and consent.decision == GRANTED and consent.valid_until is not None:
            owed[f"expiry/{stream.key}"] = Deadline(at=consent.valid_until)
    for purge in case.purges.values():
        if purge.sent_at is None:
            owed[purge.entry] = Send(
                channel=CHANNEL,
                recipient=purge.integrator,
                delivery=Delivery.at_least_once,
                expires=purge.requested_at + NEVER,
                # It tells nothing and only takes back: it leaves also while the case stands still.
                outward=False,
                detail={"purge": purge.purge_id},
            )
        if purge.acknowledged_at is None and not purge.overdue:
            owed[f"purge/{purge.purge_id}"] = Deadline(at=purge.due_at)
    return owed
