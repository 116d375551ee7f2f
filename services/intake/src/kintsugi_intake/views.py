"""The tables behind the queries: references, states and codes of each case, nothing personal."""

from __future__ import annotations

from kintsugi.views import Rows, Views
from sqlalchemy import Boolean, Column, DateTime, Index, Integer, MetaData, Table, Text, column, table

from kintsugi_intake.state import IntakeFile

metadata = MetaData()
_AT = DateTime(timezone=True)

CASES = Table(
    "cases",
    metadata,
    Column("subject", Text, nullable=False, index=True),
    Column("case_ref", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("office", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("received_at", _AT, nullable=False),
    Column("age_band", Text, nullable=False),
    Column("casework_type", Text, nullable=False),
    Column("area", Text, nullable=False),
    Column("urgency", Text, nullable=False),
    Column("risk_level", Text, nullable=False),
    Column("immediate_danger", Text, nullable=False),
    Column("guardian_contact", Text, nullable=False),
    Column("contact_by", Text, nullable=False),
    Column("profile_version", Integer, nullable=False),
    Column("language", Text),
    Column("time_zone", Text),
    Column("code_word_set", Boolean),
    Column("reviewed_at", _AT),
    Column("review_due", _AT),
    Column("closed_at", _AT),
    Column("close_reason", Text),
    Column("import_ref", Text),
    # Two cases under one reference would mix two people up: the second is refused and the caller tries again.
    Index("cases_case_ref", "case_ref", unique=True),
    Index("cases_import_ref", "import_ref"),
)

CONSENTS = Table(
    "consents",
    metadata,
    Column("subject", Text, nullable=False, index=True),
    Column("consent_id", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("agency", Text),
    Column("decision", Text, nullable=False),
    Column("decided_at", _AT, nullable=False),
    Column("valid_until", _AT),
)

CONTACT_WINDOWS = Table(
    "contact_windows",
    metadata,
    Column("subject", Text, nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("weekday", Text, nullable=False),
    Column("starts", Text, nullable=False),
    Column("ends", Text, nullable=False),
)

CONTACT_CHANNELS = Table(
    "contact_channels",
    metadata,
    Column("subject", Text, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("verified", Boolean, nullable=False),
    Column("safe", Boolean, nullable=False),
)

SUBJECTS = table("subjects", column("subject"), column("version"))
"""The kit's own table, read for the version that an ETag names."""


def rows(_subject: str, case: IntakeFile) -> Rows:
    """The rows of one case; none before it was opened."""
    if case.status == "none" or case.received_at is None:
        return {"cases": [], "consents": [], "contact_windows": [], "contact_channels": []}
    profile = case.profile
    return {
        "cases": [
            {
                "case_ref": case.case_ref,
                "state": case.status,
                "office": case.office,
                "channel": case.channel.value,
                "received_at": case.received_at,
                "age_band": case.age_band.value,
                "casework_type": case.casework_type.value,
                "area": case.area,
                "urgency": case.urgency.value,
                "risk_level": case.risk_level.value,
                "immediate_danger": case.immediate_danger.value,
                "guardian_contact": case.guardian_contact.value,
                "contact_by": profile.contact_by.value if profile else "not_asked",
                "profile_version": profile.version if profile else 0,
                "language": profile.language if profile else None,
                "time_zone": profile.time_zone if profile else None,
                "code_word_set": profile.code_word_set if profile else None,
                "reviewed_at": profile.reviewed_at if profile else None,
                "review_due": profile.review_due if profile else None,
                "closed_at": case.closed_at,
                "close_reason": case.close_reason.value if case.close_reason else None,
                "import_ref": case.import_ref,
            }
        ],
        "consents": [
            {
                "consent_id": consent.consent_id,
                "purpose": consent.purpose.value,
                "agency": consent.agency,
                "decision": consent.decision,
                "decided_at": consent.decided_at,
                "valid_until": consent.valid_until,
            }
            for consent in case.consents.values()
        ],
        "contact_windows": [
            {"position": position, "weekday": window.weekday.value, "starts": window.start, "ends": window.end}
            for position, window in enumerate(profile.windows if profile else ())
        ],
        "contact_channels": [
            {"kind": channel.kind.value, "verified": channel.verified, "safe": channel.safe}
            for channel in (profile.channels if profile else ())
        ],
    }


views: Views[IntakeFile] = Views(metadata, rows)
