"""Rows for queries: every referral of a case, and what it offers."""

from __future__ import annotations

from kintsugi.views import Rows, Views
from sqlalchemy import Boolean, Column, DateTime, Index, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from kintsugi_referral.state import CaseFile, Referral

metadata = MetaData()

_AT = DateTime(timezone=True)

REFERRALS = Table(
    "referrals",
    metadata,
    Column("subject", Text, nullable=False),
    Column("case_ref", Text, nullable=False),
    Column("referral_id", Text, nullable=False),
    Column("assessment_id", Text, nullable=False),
    Column("need_id", Text, nullable=False),
    Column("need", Text, nullable=False),
    Column("band", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("sub_status", Text),
    Column("reason", Text),
    Column("choice", Text),
    Column("option_id", Text),
    Column("agency", Text),
    Column("withheld", Text),
    Column("consent_id", Text),
    Column("attempt", Integer, nullable=False),
    Column("proposed_at", _AT, nullable=False),
    Column("requested_at", _AT),
    Column("answer_due", _AT),
    Column("overdue", Boolean, nullable=False),
    Column("purge_due", _AT),
    Column("purged_at", _AT),
    Column("step", Integer, nullable=False),
    Index("referrals_subject", "subject"),
    Index("referrals_referral_id", "referral_id"),
    Index("referrals_case_ref", "case_ref"),
    Index("referrals_status", "status", "proposed_at"),
)

OPTIONS = Table(
    "referral_options",
    metadata,
    Column("subject", Text, nullable=False),
    Column("referral_id", Text, nullable=False),
    Column("option_id", Text, nullable=False),
    Column("service_id", Text, nullable=False),
    Column("agency", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("reasons", ARRAY(Text), nullable=False),
    Index("referral_options_subject", "subject"),
    Index("referral_options_referral_id", "referral_id"),
)


def rows(_subject: str, case: CaseFile) -> Rows:
    """One row for each referral and each option."""
    return {
        "referrals": [_referral(case, referral) for referral in case.referrals.values()],
        "referral_options": [
            {
                "referral_id": referral.referral_id,
                "option_id": option.option_id,
                "service_id": option.service_id,
                "agency": option.agency,
                "rank": option.rank,
                "reasons": list(option.reasons),
            }
            for referral in case.referrals.values()
            for option in referral.options
        ],
    }


def _referral(case: CaseFile, referral: Referral) -> dict[str, object]:
    return {
        "case_ref": case.case_ref,
        "referral_id": referral.referral_id,
        "assessment_id": referral.assessment_id,
        "need_id": referral.need_id,
        "need": referral.need,
        "band": referral.band,
        "status": referral.status.value,
        "sub_status": referral.sub_status,
        "reason": referral.reason,
        "choice": referral.choice,
        "option_id": referral.option_id,
        "agency": referral.agency,
        "withheld": referral.withheld,
        "consent_id": referral.consent_id,
        "attempt": referral.attempt,
        "proposed_at": referral.proposed_at,
        "requested_at": referral.requested_at,
        "answer_due": referral.answer_due,
        "overdue": referral.overdue,
        "purge_due": referral.purge_due,
        "purged_at": referral.purged_at,
        "step": referral.step,
    }


views: Views[CaseFile] = Views(metadata, rows)
