"""Make the keyring's database and say who may use which purpose; for the migration job, never for a service.

Every function takes the URL of a role that owns the database and may be run again at any time.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.resources import files

from kintsugi_contracts.base import PURPOSE
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

_PURPOSE = re.compile(PURPOSE)
_ROLE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_LOCK = 0x6B65_7972_696E_67  # "keyring": two jobs at once take turns


class KeyringSetupError(Exception):
    """The keyring could not be set up as asked; the text says what to change."""


async def create_schema(admin_url: str, purposes: Iterable[str]) -> None:
    """Create or complete the keyring's tables for these purposes.

    A purpose that is new here gets the tombstones of everyone who was erased before it existed.
    """
    names = [_purpose(name) for name in purposes]
    script = files("kintsugi").joinpath("keyring_schema.sql").read_text(encoding="utf-8")
    async with _transaction(admin_url) as connection:
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not None
        await raw.driver_connection.execute(script)
        # An erasure writes keyring.erased first and reads the purposes second: it sees the new ones, or we see it.
        await connection.execute(text("LOCK TABLE keyring.erased IN SHARE ROW EXCLUSIVE MODE"))
        await connection.execute(
            text("INSERT INTO keyring.purpose SELECT unnest(CAST(:names AS text[])) ON CONFLICT DO NOTHING"),
            {"names": names},
        )
        await connection.execute(
            text(
                "INSERT INTO keyring.data_key (subject, purpose) SELECT e.subject, p.name"
                " FROM keyring.erased e CROSS JOIN keyring.purpose p ORDER BY 1, 2 ON CONFLICT DO NOTHING"
            )
        )


async def grant(admin_url: str, role: str, purposes: Iterable[str], *, erase: bool = False) -> None:
    """Let an existing login role read and make the keys of exactly these purposes; with `erase`, also erase subjects.

    What it was granted before and is not named now is taken away. Raises KeyringSetupError when the role or a purpose
    does not exist, or when the role would pass by the rules because it is a superuser or has BYPASSRLS.
    """
    names = sorted({_purpose(name) for name in purposes})
    if not _ROLE.fullmatch(role):
        raise KeyringSetupError(f"{role!r} is no role name this tool quotes: letters, digits, '_' and '-' only")
    async with _transaction(admin_url) as connection:
        found = (
            await connection.execute(
                text("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = :role"), {"role": role}
            )
        ).scalar_one_or_none()
        if found is None:
            raise KeyringSetupError(f"the role {role} does not exist: create it before granting it purposes")
        if found:
            raise KeyringSetupError(f"the role {role} is above row security: give the service a role without SUPERUSER")
        known = set((await connection.execute(text("SELECT name FROM keyring.purpose"))).scalars())
        if unknown := [name for name in names if name not in known]:
            raise KeyringSetupError(f"the keyring has no purpose {', '.join(unknown)}: run create_schema with it first")
        await connection.execute(text("DELETE FROM keyring.role_purpose WHERE role = :role"), {"role": role})
        await connection.execute(
            text("INSERT INTO keyring.role_purpose SELECT :role, unnest(CAST(:names AS text[]))"),
            {"role": role, "names": names},
        )
        for statement in (
            "REVOKE ALL ON ALL TABLES IN SCHEMA keyring FROM {role}",
            "GRANT USAGE ON SCHEMA keyring TO {role}",
            "GRANT SELECT ON keyring.role_purpose TO {role}",
            "GRANT SELECT, INSERT ON keyring.data_key TO {role}",
            "GRANT EXECUTE ON FUNCTION keyring.erase(text) TO {role}"
            if erase
            else "REVOKE ALL ON FUNCTION keyring.erase(text) FROM {role}",
        ):
            await connection.execute(text(statement.format(role=f'"{role}"')))


@asynccontextmanager
async def _transaction(admin_url: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(admin_url, poolclass=NullPool, hide_parameters=True)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            yield connection
    finally:
        await engine.dispose()


def _purpose(name: str) -> str:
    if not _PURPOSE.fullmatch(name):
        raise KeyringSetupError(f"{name!r} is no purpose name: lower-case letters, digits and '_', at most 40")
    return str(name)
