"""The tables of share's queries."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "share_0001"
down_revision = None
branch_labels = ("share",)
depends_on = None

_AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "share_cases",
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("case_ref", sa.Text, nullable=False),
    )
    op.create_index("share_cases_subject", "share_cases", ["subject"])
    op.create_index("share_cases_case_ref", "share_cases", ["case_ref"])
    op.create_table(
        "disclosures",
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("case_ref", sa.Text, nullable=False),
        sa.Column("way", sa.Text, nullable=False),
        sa.Column("certainty", sa.Text, nullable=False),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("integrator", sa.Text),
        sa.Column("purpose", sa.Text),
        sa.Column("version", sa.Integer),
        sa.Column("revision", sa.Integer),
        sa.Column("referral_id", sa.Text),
        sa.Column("consent_id", sa.Text, nullable=False),
        sa.Column("fields", ARRAY(sa.Text), nullable=False),
        sa.Column("sealed_fields", ARRAY(sa.Text), nullable=False),
        sa.Column("made_at", _AT, nullable=False),
        sa.Column("purge_requested_at", _AT),
        sa.Column("purge_due", _AT),
        sa.Column("purged_at", _AT),
    )
    op.create_index("disclosures_subject", "disclosures", ["subject"])
    op.create_index("disclosures_case_ref", "disclosures", ["case_ref", "made_at"])
    op.create_table(
        "partner_purges",
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("case_ref", sa.Text, nullable=False),
        sa.Column("purge_id", sa.Text, nullable=False),
        sa.Column("integrator", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("recipient_ref", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("requested_at", _AT, nullable=False),
        sa.Column("due_at", _AT, nullable=False),
        sa.Column("sent_at", _AT),
        sa.Column("acknowledged_at", _AT),
        sa.Column("overdue", sa.Boolean, nullable=False),
    )
    op.create_index("partner_purges_subject", "partner_purges", ["subject"])
    op.create_index("partner_purges_purge_id", "partner_purges", ["purge_id"])
    op.create_index("partner_purges_integrator", "partner_purges", ["integrator", "requested_at"])


def downgrade() -> None:
    op.drop_table("partner_purges")
    op.drop_table("disclosures")
    op.drop_table("share_cases")
