"""What share remembers, piece by piece: consents, streams and what they owe, purges, and what left the office."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import Field

from kintsugi_share.domain import Frozen, stream_key

GRANTED, REFUSED, WITHDRAWN = "granted", "refused", "withdrawn"


class Consent(Frozen):
    """The last word on sharing with one agency. ``decision`` is granted, refused or withdrawn."""

    consent_id: str
    decision: str
    valid_until: datetime | None = None
    obtained_from: str = "unknown"


class Due(Frozen):
    """A record that is owed, or was and may have left: what became of it nobody has said yet."""

    consent_id: str
    fields: tuple[str, ...]
    sealed_fields: tuple[str, ...]
    due_at: datetime
    expires_at: datetime


class Stream(Frozen):
    """One integrator's stream for this case.

    ``owed`` is the revision that is to leave. ``made`` and ``maybe`` say that the integrator received something since
    it was last told to forget, or may have. ``purge_id`` is the purge whose tombstone does not stand there yet.
    ``expired_at`` is when a consent was last found to have ended by itself.
    """

    integrator: str
    purpose: str
    version: int
    agency: str
    recipient_ref: str = ""
    revision: int = 0
    digest: str = ""
    owed: int | None = None
    unsettled: Mapping[int, Due] = Field(default_factory=dict)
    made: bool = False
    maybe: bool = False
    consent_id: str = ""
    purge_id: str | None = None
    expired_at: datetime | None = None

    def hour(self, now: datetime) -> datetime:
        """The hour by which a consent is judged: one that has ended does not begin again with a clock set back."""
        return max(now, self.expired_at) if self.expired_at is not None else now

    @property
    def key(self) -> str:
        """The stream's name within the country."""
        return stream_key(self.integrator, self.purpose, self.version)

    @property
    def told(self) -> bool:
        """Whether the integrator holds something of this case, or may."""
        return self.made or self.maybe

    @property
    def active(self) -> bool:
        """Whether there is something to stop."""
        return self.owed is not None or self.told

    @property
    def next(self) -> str | None:
        """The agenda entry of the record that is to leave now; none while a tombstone goes first."""
        return f"record/{self.key}/{self.owed}" if self.owed is not None and self.purge_id is None else None


class Purge(Frozen):
    """An integrator was asked to forget a case."""

    purge_id: str
    integrator: str
    purpose: str
    version: int
    agency: str
    recipient_ref: str
    reason: str
    requested_at: datetime
    due_at: datetime
    sent_at: datetime | None = None
    acknowledged_at: datetime | None = None
    overdue: bool = False

    @property
    def key(self) -> str:
        """The stream it is about."""
        return stream_key(self.integrator, self.purpose, self.version)

    @property
    def entry(self) -> str:
        """The agenda entry of its tombstone."""
        return f"tombstone/{self.key}/{self.purge_id}"


class Disclosure(Frozen):
    """Something that left the office, or may have. ``purge_id`` is the purge by which a stream's record is recalled."""

    way: str
    certainty: str
    agency: str
    consent_id: str
    fields: tuple[str, ...]
    sealed_fields: tuple[str, ...]
    made_at: datetime
    integrator: str | None = None
    purpose: str | None = None
    version: int | None = None
    revision: int | None = None
    referral_id: str | None = None
    purge_id: str | None = None

    @property
    def key(self) -> str | None:
        """The stream it left by; None for an agency's link."""
        if self.integrator is None or self.purpose is None or self.version is None:
            return None
        return stream_key(self.integrator, self.purpose, self.version)


class Recall(Frozen):
    """An agency was asked by its link to delete what it received for a referral."""

    requested_at: datetime | None = None
    due_at: datetime | None = None
    acknowledged_at: datetime | None = None


def recall_key(referral_id: str, agency: str) -> str:
    """A referral that one agency declined goes to the next: what one is asked to delete says nothing of the other."""
    return f"{referral_id}/{agency}"
