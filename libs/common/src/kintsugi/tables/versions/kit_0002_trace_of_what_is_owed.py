"""What is owed remembers the trace of the step that made it owed, so that a send continues that very chain."""

from alembic import op

revision = "kit_0002"
down_revision = "kit_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column; what is owed already continues no trace."""
    op.execute("ALTER TABLE agenda ADD COLUMN trace text")


def downgrade() -> None:
    """There is no way back: a service restores a backup and recovers from the topics."""
    raise RuntimeError("kit_0002 cannot be undone: restore a backup, then run 'kintsugi recover'")
