"""The tables behind the queries: where each assessment stands and the needs it found, never an answer or a score."""

from __future__ import annotations

from kintsugi.views import Rows, Views
from sqlalchemy import Boolean, Column, DateTime, Index, Integer, MetaData, Table, Text

from kintsugi_assessment.state import AssessmentFile

metadata = MetaData()
_AT = DateTime(timezone=True)

CASES = Table(
    "cases",
    metadata,
    Column("subject", Text, nullable=False, index=True),
    Column("case_ref", Text, nullable=False),
    # The survivor's languages, the preferred one first, with a space between them.
    Column("languages", Text, nullable=False),
    Column("closed_at", _AT),
    Index("cases_case_ref", "case_ref"),
)

ASSESSMENTS = Table(
    "assessments",
    metadata,
    Column("subject", Text, nullable=False, index=True),
    Column("assessment_id", Text, nullable=False),
    Column("case_ref", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("instrument", Text, nullable=False),
    Column("instrument_version", Text, nullable=False),
    Column("due_at", _AT, nullable=False),
    Column("overdue", Boolean, nullable=False),
    Column("answered", Integer),
    Column("declined", Integer),
    Column("remaining", Integer),
    Column("saved_at", _AT),
    Column("completed_at", _AT),
    Column("declined_at", _AT),
    Column("decline_reason", Text),
    Index("assessments_assessment_id", "assessment_id"),
    Index("assessments_case_ref", "case_ref"),
    Index("assessments_status", "status", "due_at"),
)

NEEDS = Table(
    "assessment_needs",
    metadata,
    Column("subject", Text, nullable=False, index=True),
    Column("assessment_id", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("need_id", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("need", Text, nullable=False),
    Column("band", Text, nullable=False),
    Index("assessment_needs_assessment_id", "assessment_id"),
)

INCOMPLETE = Table(
    "incomplete_domains",
    metadata,
    Column("subject", Text, nullable=False, index=True),
    Column("assessment_id", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("domain", Text, nullable=False),
    Index("incomplete_domains_assessment_id", "assessment_id"),
)


def rows(_subject: str, case: AssessmentFile) -> Rows:
    """The rows of one case."""
    assessments = case.assessments.values()
    return {
        "cases": [{"case_ref": case.case_ref, "languages": " ".join(case.languages), "closed_at": case.closed_at}]
        if case.case_ref
        else [],
        "assessments": [
            {
                "assessment_id": each.assessment_id,
                "case_ref": case.case_ref,
                "purpose": each.purpose.value,
                "status": case.standing(each).value,
                "instrument": each.instrument,
                "instrument_version": each.instrument_version,
                "due_at": each.due_at,
                "overdue": each.overdue,
                "answered": each.answered,
                "declined": each.declined_items,
                "remaining": each.remaining,
                "saved_at": each.saved_at,
                "completed_at": each.completed_at,
                "declined_at": each.declined_at,
                "decline_reason": each.decline_reason.value if each.decline_reason else None,
            }
            for each in assessments
        ],
        "assessment_needs": [
            {
                "assessment_id": each.assessment_id,
                "position": position,
                "need_id": need.need_id,
                "domain": need.domain,
                "need": need.need,
                "band": need.band.value,
            }
            for each in assessments
            for position, need in enumerate(each.needs)
        ],
        "incomplete_domains": [
            {"assessment_id": each.assessment_id, "position": position, "domain": domain}
            for each in assessments
            for position, domain in enumerate(each.incomplete_domains)
        ],
    }


views: Views[AssessmentFile] = Views(metadata, rows)
