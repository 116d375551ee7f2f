"""Rows for queries: which case is which, who received what of it, and what integrators must still delete."""

from __future__ import annotations

from kintsugi.views import Rows, Views
from kintsugi_events import Certainty
from sqlalchemy import Boolean, Column, DateTime, Index, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from kintsugi_share.records import Disclosure, recall_key
from kintsugi_share.state import CaseFile

metadata = MetaData()

_AT = DateTime(timezone=True)

CASES = Table(
    "share_cases",
    metadata,
    Column("subject", Text, nullable=False),
    Column("case_ref", Text, nullable=False),
    Index("share_cases_subject", "subject"),
    Index("share_cases_case_ref", "case_ref"),
)

DISCLOSURES = Table(
    "disclosures",
    metadata,
    Column("subject", Text, nullable=False),
    Column("case_ref", Text, nullable=False),
    Column("way", Text, nullable=False),
    Column("certainty", Text, nullable=False),
    Column("agency", Text, nullable=False),
    Column("integrator", Text),
    Column("purpose", Text),
    Column("version", Integer),
    Column("revision", Integer),
    Column("referral_id", Text),
    Column("consent_id", Text, nullable=False),
    Column("fields", ARRAY(Text), nullable=False),
    Column("sealed_fields", ARRAY(Text), nullable=False),
    Column("made_at", _AT, nullable=False),
    Column("purge_requested_at", _AT),
    Column("purge_due", _AT),
    Column("purged_at", _AT),
    Index("disclosures_subject", "subject"),
    Index("disclosures_case_ref", "case_ref", "made_at"),
)

PURGES = Table(
    "partner_purges",
    metadata,
    Column("subject", Text, nullable=False),
    Column("case_ref", Text, nullable=False),
    Column("purge_id", Text, nullable=False),
    Column("integrator", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("recipient_ref", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_at", _AT, nullable=False),
    Column("due_at", _AT, nullable=False),
    Column("sent_at", _AT),
    Column("acknowledged_at", _AT),
    Column("overdue", Boolean, nullable=False),
    Index("partner_purges_subject", "subject"),
    Index("partner_purges_purge_id", "purge_id"),
    Index("partner_purges_integrator", "integrator", "requested_at"),
)


def rows(_subject: str, case: CaseFile) -> Rows:
    """One row for the case, for each disclosure and for each purge."""
    return {
        "share_cases": [{"case_ref": case.case_ref}] if case.opened else [],
        "disclosures": [_disclosure(case, each) for each in case.disclosures if not _covered(each, case)],
        "partner_purges": [
            {"case_ref": case.case_ref, **purge.model_dump(exclude={"agency"})} for purge in case.purges.values()
        ],
    }


def _covered(possible: Disclosure, case: CaseFile) -> bool:
    """Whether the recipient is known to have received the same fields, so that a perhaps says nothing more."""
    return possible.certainty == Certainty.possible and any(
        (each.key, each.purge_id, each.certainty) == (possible.key, possible.purge_id, Certainty.confirmed)
        and {*possible.fields, *possible.sealed_fields} <= {*each.fields, *each.sealed_fields}
        for each in case.disclosures
    )


def _disclosure(case: CaseFile, disclosure: Disclosure) -> dict[str, object]:
    purge = case.purges.get(disclosure.purge_id or "")
    recall = case.recalls.get(recall_key(disclosure.referral_id or "", disclosure.agency))
    asked = purge or recall
    return {
        "case_ref": case.case_ref,
        **disclosure.model_dump(exclude={"purge_id", "fields", "sealed_fields"}),
        "fields": list(disclosure.fields),
        "sealed_fields": list(disclosure.sealed_fields),
        "purge_requested_at": asked.requested_at if asked else None,
        "purge_due": asked.due_at if asked else None,
        "purged_at": asked.acknowledged_at if asked else None,
    }


views: Views[CaseFile] = Views(metadata, rows)
