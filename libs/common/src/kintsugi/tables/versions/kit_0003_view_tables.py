"""Which tables of views there are, in the order in which releases brought them, and when each had a writer last.

``digest`` is empty for tables that a service's own migrations made. A row outlives its table, so that a release that
comes back has its old place in the order.
"""

from alembic import op

revision = "kit_0003"
down_revision = "kit_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table."""
    op.execute("""
        CREATE TABLE view_tables (
            table_name     text COLLATE "C" PRIMARY KEY,
            name           text NOT NULL,
            digest         text NOT NULL,
            generation     integer NOT NULL,
            last_writer_at timestamptz NOT NULL DEFAULT now(),
            dropped_at     timestamptz
        )
    """)


def downgrade() -> None:
    """There is no way back: a service restores a backup and recovers from the topics."""
    raise RuntimeError("kit_0003 cannot be undone: restore a backup, then run 'kintsugi recover'")
