"""Roles, databases and passwords of one PostgreSQL server, wherever it runs."""

import json
import secrets
from collections.abc import Iterable
from pathlib import Path

import asyncpg

SUPERUSER = "postgres"
MOST_CONNECTIONS = 100
"""Of one role: a process of a service takes about twenty. One that leaks them must not lock the others out."""
_NO_MORE = f"LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT {MOST_CONNECTIONS}"
_COMMON = ("postgres", "template1")
"""Databases that PostgreSQL makes and lets everybody enter."""
_MEMBERSHIPS = """
SELECT pg_get_userbyid(roleid)::text, pg_get_userbyid(grantor)::text FROM pg_auth_members
WHERE pg_get_userbyid(member) = $1
"""
_ENTERING = """
SELECT coalesce(array_agg(DISTINCT pg_get_userbyid(grantee)::text), '{}')
FROM pg_database, aclexplode(datacl) WHERE datname = $1 AND grantee NOT IN (0, datdba)
"""


class PostgresRoles:
    """Makes roles and databases on ``host:port`` as its superuser; every function may be run again at any time.

    Passwords are kept in ``folder/passwords.json`` (mode 0600): the superuser's, and one per role made here.
    """

    def __init__(self, folder: Path, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.folder = folder.absolute()
        self.host = host
        self.port = port

    def url(self, database: str = "postgres", role: str = SUPERUSER, *, driver: str = "postgresql+asyncpg") -> str:
        """The connection URL of a role, password included. ``driver="postgresql"`` gives one for asyncpg and psql."""
        return f"{driver}://{role}:{self.password(role)}@{self.host}:{self.port}/{database}"

    def password(self, role: str) -> str:
        """The password of a role made here. Raises KeyError for a role this office did not make."""
        return self._passwords()[role]

    def keep_password(self, role: str, *, password: str | None = None) -> str:
        """The password of a role, made now unless there is one already."""
        known = self._passwords()
        if role not in known:
            known |= {role: password or secrets.token_urlsafe(24)}
            self._write_passwords(known)
        return known[role]

    async def create_role(self, role: str, *, password: str | None = None) -> None:
        """Make a login role without further rights; a role that exists keeps its password and loses what is more."""
        kept = self.keep_password(role, password=password)
        async with _Connection(self.url(driver="postgresql")) as connection:
            exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
            verb = "ALTER" if exists else "CREATE"
            await connection.execute(f"{verb} ROLE {_quoted(role)} {_NO_MORE} PASSWORD '{kept}'")
            for group, grantor in await connection.fetch(_MEMBERSHIPS, role):
                await connection.execute(f"REVOKE {_quoted(group)} FROM {_quoted(role)} GRANTED BY {_quoted(grantor)}")

    async def create_database(
        self, database: str, *, owner: str = SUPERUSER, template: str | None = None, guests: Iterable[str] = ()
    ) -> None:
        """Make a database that only its owner and its guests may enter; what guests may do there is granted inside.

        Of one that exists, everybody and the other roles made here lose what they were given. A role that somebody
        else made, such as that of a backup, keeps it.
        """
        ours = set(self._passwords())
        async with _Connection(self.url(driver="postgresql")) as connection:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
                source = f" TEMPLATE {_quoted(template)}" if template else ""
                await connection.execute(f"CREATE DATABASE {_quoted(database)} OWNER {_quoted(owner)}{source}")
            await connection.execute(f"REVOKE ALL ON DATABASE {_quoted(database)} FROM PUBLIC")
            async with connection.transaction():
                for role in ours.intersection(await connection.fetchval(_ENTERING, database)):
                    await connection.execute(f"REVOKE ALL ON DATABASE {_quoted(database)} FROM {_quoted(role)} CASCADE")
                for role in guests:
                    await connection.execute(f"GRANT CONNECT ON DATABASE {_quoted(database)} TO {_quoted(role)}")
        async with _Connection(self.url(database, driver="postgresql")) as connection:
            await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")

    async def close_common(self) -> None:
        """Let nobody but the superuser into the databases that PostgreSQL makes for everybody."""
        async with _Connection(self.url(driver="postgresql")) as connection:
            for database in _COMMON:
                await connection.execute(f"REVOKE ALL ON DATABASE {_quoted(database)} FROM PUBLIC")

    async def drop_database(self, database: str) -> None:
        """Drop a database, cutting off whoever is in it."""
        async with _Connection(self.url(driver="postgresql")) as connection:
            await connection.execute(f"DROP DATABASE IF EXISTS {_quoted(database)} WITH (FORCE)")

    def _passwords(self) -> dict[str, str]:
        try:
            known: dict[str, str] = json.loads((self.folder / "passwords.json").read_text())
        except FileNotFoundError:
            return {}
        return known

    def _write_passwords(self, passwords: dict[str, str]) -> None:
        draft = self.folder / "passwords.json.new"
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(passwords, indent=1))
        draft.replace(self.folder / "passwords.json")


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


class _Connection:
    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> "asyncpg.Connection":
        self._connection = await asyncpg.connect(self._url)
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()
