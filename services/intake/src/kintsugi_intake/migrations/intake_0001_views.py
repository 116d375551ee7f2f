"""The tables of intake's queries."""

import sqlalchemy as sa
from alembic import op

revision = "intake_0001"
down_revision = None
branch_labels = ("intake",)
depends_on = None

_AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "cases",
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("case_ref", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("office", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("received_at", _AT, nullable=False),
        sa.Column("age_band", sa.Text, nullable=False),
        sa.Column("casework_type", sa.Text, nullable=False),
        sa.Column("area", sa.Text, nullable=False),
        sa.Column("urgency", sa.Text, nullable=False),
        sa.Column("risk_level", sa.Text, nullable=False),
        sa.Column("immediate_danger", sa.Text, nullable=False),
        sa.Column("guardian_contact", sa.Text, nullable=False),
        sa.Column("contact_by", sa.Text, nullable=False),
        sa.Column("profile_version", sa.Integer, nullable=False),
        sa.Column("language", sa.Text),
        sa.Column("time_zone", sa.Text),
        sa.Column("code_word_set", sa.Boolean),
        sa.Column("reviewed_at", _AT),
        sa.Column("review_due", _AT),
        sa.Column("closed_at", _AT),
        sa.Column("close_reason", sa.Text),
        sa.Column("import_ref", sa.Text),
    )
    op.create_index("ix_cases_subject", "cases", ["subject"])
    op.create_index("cases_case_ref", "cases", ["case_ref"], unique=True)
    op.create_index("cases_import_ref", "cases", ["import_ref"])
    op.create_table(
        "consents",
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("consent_id", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("agency", sa.Text),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("decided_at", _AT, nullable=False),
        sa.Column("valid_until", _AT),
    )
    op.create_index("ix_consents_subject", "consents", ["subject"])
    op.create_table(
        "contact_windows",
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("weekday", sa.Text, nullable=False),
        sa.Column("starts", sa.Text, nullable=False),
        sa.Column("ends", sa.Text, nullable=False),
    )
    op.create_index("ix_contact_windows_subject", "contact_windows", ["subject"])
    op.create_table(
        "contact_channels",
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("verified", sa.Boolean, nullable=False),
        sa.Column("safe", sa.Boolean, nullable=False),
    )
    op.create_index("ix_contact_channels_subject", "contact_channels", ["subject"])


def downgrade() -> None:
    for table in ("contact_channels", "contact_windows", "consents", "cases"):
        op.drop_table(table)
