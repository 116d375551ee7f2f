"""The kit's tables in a service's own database, and the migrations that make them."""

from kintsugi.tables.migrate import MigrationError, heads, upgrade, version_problem

__all__ = ["MigrationError", "heads", "upgrade", "version_problem"]
