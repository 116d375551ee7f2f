"""The tables of referral's queries."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "referral_0001"
down_revision = None
branch_labels = ("referral",)
depends_on = None

_AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "referrals",
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("case_ref", sa.Text, nullable=False),
        sa.Column("referral_id", sa.Text, nullable=False),
        sa.Column("assessment_id", sa.Text, nullable=False),
        sa.Column("need_id", sa.Text, nullable=False),
        sa.Column("need", sa.Text, nullable=False),
        sa.Column("band", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("sub_status", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("choice", sa.Text),
        sa.Column("option_id", sa.Text),
        sa.Column("agency", sa.Text),
        sa.Column("withheld", sa.Text),
        sa.Column("consent_id", sa.Text),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("proposed_at", _AT, nullable=False),
        sa.Column("requested_at", _AT),
        sa.Column("answer_due", _AT),
        sa.Column("overdue", sa.Boolean, nullable=False),
        sa.Column("purge_due", _AT),
        sa.Column("purged_at", _AT),
        sa.Column("step", sa.Integer, nullable=False),
    )
    op.create_index("referrals_subject", "referrals", ["subject"])
    op.create_index("referrals_referral_id", "referrals", ["referral_id"])
    op.create_index("referrals_case_ref", "referrals", ["case_ref"])
    op.create_index("referrals_status", "referrals", ["status", "proposed_at"])
    op.create_table(
        "referral_options",
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("referral_id", sa.Text, nullable=False),
        sa.Column("option_id", sa.Text, nullable=False),
        sa.Column("service_id", sa.Text, nullable=False),
        sa.Column("agency", sa.Text, nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("reasons", ARRAY(sa.Text), nullable=False),
    )
    op.create_index("referral_options_subject", "referral_options", ["subject"])
    op.create_index("referral_options_referral_id", "referral_options", ["referral_id"])


def downgrade() -> None:
    op.drop_table("referral_options")
    op.drop_table("referrals")
