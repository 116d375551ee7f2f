"""The databases of an office: one with a role of its own per service, one for the keyring; and their migrations."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kintsugi import keyring_admin, tables
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from kintsugi_office import services
from kintsugi_office.roles import PostgresRoles
from kintsugi_office.services import InstalledService

# The one service that may erase a survivor's keys: the survivor's record is its to end.
_ERASER = "intake"


@dataclass(frozen=True)
class Databases:
    """Connection URLs, passwords included: of each service's own database, and of the keyring as that service."""

    own: Mapping[str, str]
    keyring: Mapping[str, str]
    keyring_owner: str


def name_of(country: str, service: str) -> str:
    """The name of a service's database, and of its role."""
    return f"kintsugi_{country}_{service}"


def urls(server: PostgresRoles, country: str, names: Iterable[str]) -> Databases:
    """The URLs of databases that :func:`ensure` made."""
    listed = list(names)
    keyring = name_of(country, "keyring")
    return Databases(
        own={name: server.url(name_of(country, name), name_of(country, name)) for name in listed},
        keyring={name: server.url(keyring, name_of(country, name)) for name in listed},
        keyring_owner=server.url(keyring, keyring),
    )


async def ensure(server: PostgresRoles, country: str, purposes: Mapping[str, Iterable[str]]) -> Databases:
    """Make roles, databases and the keyring for these services and the purposes each may open; safe to run again."""
    await server.close_common()
    roles = [name_of(country, name) for name in purposes]
    keyring = name_of(country, "keyring")
    for role in [keyring, *roles]:
        await server.create_role(role)
    for role in roles:
        await server.create_database(role, owner=role)
    await server.create_database(keyring, owner=keyring, guests=roles)
    made = urls(server, country, purposes)
    await keyring_admin.create_schema(made.keyring_owner, {each for granted in purposes.values() for each in granted})
    for name, granted in purposes.items():
        await keyring_admin.grant(made.keyring_owner, name_of(country, name), granted, erase=name == _ERASER)
    return made


async def migrate(url: str, service: InstalledService) -> None:
    """Bring a service's database to the revision of the installed release, with the tables of its views."""
    application = services.load(service.name)
    engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(tables.upgrade, application)
    finally:
        await engine.dispose()


async def migration_problem(url: str, service: InstalledService) -> str | None:
    """What keeps a service from working with its database, in words; None when nothing does."""
    application = services.load(service.name)

    def ask(connection: Connection) -> str | None:
        return tables.version_problem(connection, application)

    engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(ask)
    finally:
        await engine.dispose()
