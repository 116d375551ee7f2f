"""Brings a service's database to the revision this release knows, and refuses a newer one."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

_HERE = Path(__file__).parent


class MigrationError(Exception):
    """The database is not at a revision that this release can work with; the text says what to do."""


def _config(service_versions: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE / "environment"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", f"{_HERE / 'versions'}\n{service_versions}")
    return config


def heads(service_versions: Path) -> set[str]:
    """The revisions of a database that is up to date with this release: the kit's and the service's own."""
    return set(ScriptDirectory.from_config(_config(service_versions)).get_heads())


def upgrade(connection: Connection, service_versions: Path) -> None:
    """Applies every missing revision in one transaction. Safe to run by several at once: the second waits."""
    config = _config(service_versions)
    config.attributes["connection"] = connection
    command.upgrade(config, "heads")


def version_problem(connection: Connection, service_versions: Path) -> str | None:
    """None when the database is at this release's revisions; else what is wrong and what to do."""
    script = ScriptDirectory.from_config(_config(service_versions))
    found = set(MigrationContext.configure(connection).get_current_heads())
    wanted = set(script.get_heads())
    if found == wanted:
        return None
    known = {revision.revision for revision in script.walk_revisions()}
    if newer := found - known:
        return (
            f"the database is newer than this release (revision {', '.join(sorted(newer))} is unknown): "
            "start the release that made it, or restore the backup from before the upgrade"
        )
    return "the database misses migrations: run 'kintsugi migrate'"
