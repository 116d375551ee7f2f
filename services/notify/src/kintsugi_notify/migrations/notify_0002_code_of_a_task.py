"""What a task asks for in the words of the service that asked."""

import sqlalchemy as sa
from alembic import op

revision = "notify_0002"
down_revision = "notify_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("staff_tasks", sa.Column("code", sa.Text))


def downgrade() -> None:
    op.drop_column("staff_tasks", "code")
