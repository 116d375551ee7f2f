"""Brings a service's database to the revision this release knows, and refuses a newer one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from kintsugi.store.view_tables import make, take_over

if TYPE_CHECKING:
    from kintsugi.collector import Wired

_HERE = Path(__file__).parent
_FORGET = text("DELETE FROM alembic_version WHERE version_num = ANY(CAST(:revisions AS text[]))")


class MigrationError(Exception):
    """The database is not at a revision that this release can work with; the text says what to do."""


def _config(service_versions: Path | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE / "environment"))
    config.set_main_option("path_separator", "newline")
    folders = [_HERE / "versions", *([service_versions] if service_versions else [])]
    config.set_main_option("version_locations", "\n".join(map(str, folders)))
    return config


def heads(service_versions: Path | None = None) -> set[str]:
    """The revisions of a database that is up to date with this release: the kit's and the service's own."""
    return set(ScriptDirectory.from_config(_config(service_versions)).get_heads())


def upgrade(connection: Connection, application: Wired) -> None:
    """Everything a service needs before it runs, in one transaction: missing revisions, and its views' tables.

    Safe to run by several at once, and beside a release that runs: the second waits. Retired revisions are forgotten,
    and the view tables each of them made are noted as an earlier release's.
    """
    retired = sorted(_current(connection) & set(application.retired))
    if retired:
        connection.execute(_FORGET, {"revisions": retired})
    config = _config(application.migrations)
    config.attributes["connection"] = connection
    command.upgrade(config, "heads")
    for revision in retired:
        take_over(connection, application.retired[revision])
    make(connection, application.views)


def version_problem(connection: Connection, application: Wired) -> str | None:
    """None when the database is at this release's revisions; else what is wrong and what to do."""
    script = ScriptDirectory.from_config(_config(application.migrations))
    found = _current(connection)
    wanted = set(script.get_heads())
    if found == wanted:
        return None
    known = {revision.revision for revision in script.walk_revisions()}
    if newer := found - known - set(application.retired):
        return (
            f"the database is newer than this release (revision {', '.join(sorted(newer))} is unknown): "
            "start the release that made it, or restore the backup from before the upgrade"
        )
    return "the database misses migrations: run 'kintsugi migrate'"


def _current(connection: Connection) -> set[str]:
    return set(MigrationContext.configure(connection).get_current_heads())
