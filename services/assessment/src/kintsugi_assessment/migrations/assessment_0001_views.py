"""The tables of assessment's queries."""

import sqlalchemy as sa
from alembic import op

revision = "assessment_0001"
down_revision = None
branch_labels = ("assessment",)
depends_on = None

_AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "cases",
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("case_ref", sa.Text, nullable=False),
        sa.Column("languages", sa.Text, nullable=False),
        sa.Column("closed_at", _AT),
    )
    op.create_index("ix_cases_subject", "cases", ["subject"])
    op.create_index("cases_case_ref", "cases", ["case_ref"])
    op.create_table(
        "assessments",
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("assessment_id", sa.Text, nullable=False),
        sa.Column("case_ref", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("instrument", sa.Text, nullable=False),
        sa.Column("instrument_version", sa.Text, nullable=False),
        sa.Column("due_at", _AT, nullable=False),
        sa.Column("overdue", sa.Boolean, nullable=False),
        sa.Column("answered", sa.Integer),
        sa.Column("declined", sa.Integer),
        sa.Column("remaining", sa.Integer),
        sa.Column("saved_at", _AT),
        sa.Column("completed_at", _AT),
        sa.Column("declined_at", _AT),
        sa.Column("decline_reason", sa.Text),
    )
    op.create_index("ix_assessments_subject", "assessments", ["subject"])
    op.create_index("assessments_assessment_id", "assessments", ["assessment_id"])
    op.create_index("assessments_case_ref", "assessments", ["case_ref"])
    op.create_index("assessments_status", "assessments", ["status", "due_at"])
    op.create_table(
        "assessment_needs",
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("assessment_id", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("need_id", sa.Text, nullable=False),
        sa.Column("domain", sa.Text, nullable=False),
        sa.Column("need", sa.Text, nullable=False),
        sa.Column("band", sa.Text, nullable=False),
    )
    op.create_index("ix_assessment_needs_subject", "assessment_needs", ["subject"])
    op.create_index("assessment_needs_assessment_id", "assessment_needs", ["assessment_id"])
    op.create_table(
        "incomplete_domains",
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("assessment_id", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("domain", sa.Text, nullable=False),
    )
    op.create_index("ix_incomplete_domains_subject", "incomplete_domains", ["subject"])
    op.create_index("incomplete_domains_assessment_id", "incomplete_domains", ["assessment_id"])


def downgrade() -> None:
    for table in ("incomplete_domains", "assessment_needs", "assessments", "cases"):
        op.drop_table(table)
