"""The tables of notify's queries."""

import sqlalchemy as sa
from alembic import op

revision = "notify_0001"
down_revision = None
branch_labels = ("notify",)
depends_on = None

_AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "staff_tasks",
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("case_ref", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("office", sa.Text),
        sa.Column("due_at", _AT, nullable=False),
        sa.Column("created_at", _AT, nullable=False),
        sa.Column("about_type", sa.Text, nullable=False),
        sa.Column("about_event", sa.Text, nullable=False),
        sa.Column("referral_id", sa.Text),
        sa.Column("assessment_id", sa.Text),
        sa.Column("escalates", sa.Text),
        sa.Column("acknowledged_at", _AT),
        sa.Column("acknowledged_by", sa.Text),
    )
    op.create_index("staff_tasks_subject", "staff_tasks", ["subject"])
    op.create_index("staff_tasks_task_id", "staff_tasks", ["task_id"])
    op.create_index("staff_tasks_due", "staff_tasks", ["status", "role", "due_at"])
    op.create_table(
        "notifications",
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("notification_id", sa.Text, nullable=False),
        sa.Column("case_ref", sa.Text, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("template", sa.Text, nullable=False),
        sa.Column("locale", sa.Text),
        sa.Column("about_type", sa.Text, nullable=False),
        sa.Column("about_event", sa.Text, nullable=False),
        sa.Column("agency", sa.Text),
        sa.Column("referral_id", sa.Text),
        sa.Column("task_id", sa.Text),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("ended_at", _AT),
    )
    op.create_index("notifications_subject", "notifications", ["subject"])
    op.create_index("notifications_case_ref", "notifications", ["case_ref"])


def downgrade() -> None:
    op.drop_table("notifications")
    op.drop_table("staff_tasks")
