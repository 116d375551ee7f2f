"""Alembic's environment: the caller's connection, one transaction, an advisory lock against a second migrator."""

from alembic import context
from sqlalchemy import Connection, text

_LOCK = 7_204_611_001


def _run(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()


_run(context.config.attributes["connection"])
