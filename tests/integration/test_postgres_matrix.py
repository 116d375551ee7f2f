"""Who can do what on the real PostgreSQL: a role per service enters its own database and the keyring, and no more."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
import yaml
from kintsugi_office import databases, services
from kintsugi_office.databases import Databases, name_of
from kintsugi_office.roles import MOST_CONNECTIONS, SUPERUSER, PostgresRoles

from tests.infrastructure import Infrastructure

TOPICS = Path(__file__).parents[2] / "contracts" / "topics"
COUNTRY = "xp"  # nobody else's: roles belong to the whole server
SERVICES = ("intake", "assessment", "referral", "notify")
KEYRING = name_of(COUNTRY, "keyring")
COMMON = ("postgres", "template1")


@dataclass
class Place:
    """The databases of a country on the session's server."""

    server: PostgresRoles
    made: Databases
    held: dict[str, set[str]] = field(default_factory=dict)
    """Service to the purposes that its topic file gives it."""

    async def connect(self, role: str, database: str) -> asyncpg.Connection:
        return await asyncpg.connect(self.server.url(database, name_of(COUNTRY, role), driver="postgresql"), timeout=10)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    superuser = urlsplit(infrastructure.admin_url)
    if superuser.username != SUPERUSER:
        pytest.skip("this server's superuser is not called postgres, as that of an office is")
    folder = tmp_path_factory.mktemp("roles")
    (folder / "passwords.json").write_text(json.dumps({SUPERUSER: superuser.password}))
    server = PostgresRoles(folder, host=str(superuser.hostname), port=int(superuser.port or 5432))
    held = {name: set(yaml.safe_load((TOPICS / f"{name}.v1.yaml").read_text())["purposes"]) for name in SERVICES}
    admin = await asyncpg.connect(infrastructure.admin_url)
    try:
        made = await databases.ensure(server, COUNTRY, held)
        for service in services.installed(SERVICES):
            await databases.migrate(made.own[service.name], service)
        await _fill(server, held)
        yield Place(server, made, held)
    finally:
        for name in ("keyring", *SERVICES):
            await admin.execute(f"DROP DATABASE IF EXISTS {name_of(COUNTRY, name)} WITH (FORCE)")
        for name in ("keyring", *SERVICES):
            await admin.execute(f"DROP ROLE IF EXISTS {name_of(COUNTRY, name)}")
        await admin.close()


async def _fill(server: PostgresRoles, held: dict[str, set[str]]) -> None:
    """A data key of every purpose, as its services would have made it, so that there is something to hide."""
    keyring = await asyncpg.connect(server.url(KEYRING, driver="postgresql"))
    for purpose in sorted(set().union(*held.values())):
        await keyring.execute(
            "INSERT INTO keyring.data_key VALUES ('case/1', $1, 'kid-' || $1, 'wrapped'::bytea)", purpose
        )
    await keyring.close()


async def test_a_role_enters_its_own_database_and_the_keyring_only(place: Place) -> None:
    everywhere = [*(name_of(COUNTRY, name) for name in SERVICES), KEYRING, *COMMON]
    entered: set[tuple[str, str]] = set()

    async def enter(role: str, database: str) -> None:
        try:
            connection = await place.connect(role, database)
        except asyncpg.InsufficientPrivilegeError:
            return
        entered.add((role, database))
        await connection.close()

    await asyncio.gather(*(enter(role, database) for role in (*SERVICES, "keyring") for database in everywhere))
    own = {(role, name_of(COUNTRY, role)) for role in (*SERVICES, "keyring")}
    assert entered == own | {(role, KEYRING) for role in SERVICES}


@pytest.mark.parametrize("role", [*SERVICES, "keyring"])
async def test_a_role_has_no_attribute_and_no_membership(place: Place, role: str) -> None:
    connection = await place.connect(role, name_of(COUNTRY, role))
    try:
        row = await connection.fetchrow(
            """
            SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,
                   EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.member = r.oid) AS member
            FROM pg_roles r WHERE rolname = current_user
            """
        )
        assert not any(row.values())
    finally:
        await connection.close()


# Each is refused in the role's own database, where it has the most rights.
FORBIDDEN = [
    "CREATE ROLE friend",
    "CREATE DATABASE elsewhere",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER BYPASSRLS",
    "ALTER ROLE {other} PASSWORD 'mine'",
    "SET ROLE {other}",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "GRANT {other} TO CURRENT_USER",
    "GRANT pg_read_server_files TO CURRENT_USER",
    "GRANT CONNECT ON DATABASE {other} TO CURRENT_USER",
    "ALTER DATABASE {other} OWNER TO CURRENT_USER",
    "DROP DATABASE {other}",
    "ALTER SYSTEM SET log_statement = 'all'",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_read_binary_file('global/pg_control')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_stat_file('postgresql.conf')",
    "SELECT lo_import('/etc/passwd')",
    "COPY (SELECT 1) TO '/tmp/out'",
    "CREATE TEMPORARY TABLE t (line text); COPY t FROM '/etc/passwd'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT rolpassword FROM pg_authid",
    "SELECT passwd FROM pg_shadow",
    "SELECT pg_reload_conf()",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres' LIMIT 1",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{keyring}' LIMIT 1",
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = '{keyring}' LIMIT 1",
    "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
    "SELECT lo_export(0, '/tmp/out')",
    "SELECT * FROM pg_largeobject",
    "SELECT pg_switch_wal()",
    "SELECT pg_stat_reset()",
    "SET session_replication_role = replica",
    "SET log_statement = 'all'",
    "SHOW hba_file",
    "SELECT * FROM pg_hba_file_rules",
    "CREATE FOREIGN DATA WRAPPER w",
    "CREATE PUBLICATION p FOR ALL TABLES",
    "LOCK TABLE pg_authid",
    "SELECT pg_create_physical_replication_slot('tap')",
    "SELECT pg_create_logical_replication_slot('tap', 'test_decoding')",
    "CREATE EXTENSION dblink",
    "CREATE EXTENSION postgres_fdw",
    "CREATE EXTENSION file_fdw",
    "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc', 'system'",
    "CREATE EVENT TRIGGER t ON ddl_command_start EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()",
    "CREATE TABLE pg_catalog.mine (x int)",
    "CREATE TABLESPACE t LOCATION '/tmp'",
]


@pytest.mark.parametrize("role", SERVICES)
async def test_what_would_reach_beyond_is_refused(place: Place, role: str) -> None:
    other = name_of(COUNTRY, next(name for name in SERVICES if name != role))
    connection = await place.connect(role, name_of(COUNTRY, role))
    another = await place.connect("keyring", KEYRING)
    try:
        forbidden = [statement.format(other=other, keyring=KEYRING) for statement in FORBIDDEN]
        assert await _not_refused(connection, forbidden) == []
        shown = await connection.fetch(
            "SELECT query FROM pg_stat_activity WHERE usename <> current_user AND query <> '<insufficient privilege>'"
        )
        assert shown == [], "what others ask is not shown"
    finally:
        await connection.close()
        await another.close()


async def _not_refused(connection: asyncpg.Connection, statements: list[str]) -> list[str]:
    """Those that were done, or failed of something else than want of rights."""
    found = []
    for statement in statements:
        try:
            await _undone(connection, statement)
        except asyncpg.InsufficientPrivilegeError:
            continue
        except asyncpg.PostgresError as error:
            if statement.startswith("CREATE EXTENSION") and isinstance(error, asyncpg.FeatureNotSupportedError):
                continue  # this server does not carry it
            found.append(f"{statement}: {error!r}")
        else:
            found.append(f"{statement}: done")
    return found


async def _undone(connection: asyncpg.Connection, statement: str) -> None:
    """Runs a statement and takes it back, should it succeed, so that one failure does not make the next."""
    transactional = not statement.startswith(("CREATE DATABASE", "DROP DATABASE", "ALTER SYSTEM", "CREATE TABLESPACE"))
    if not transactional:
        await connection.execute(statement)
        return
    tried = connection.transaction()
    await tried.start()
    try:
        await connection.execute(statement)
    finally:
        await tried.rollback()


@pytest.mark.parametrize("role", SERVICES)
async def test_a_role_reads_and_makes_keys_of_its_own_purposes_only(place: Place, role: str) -> None:
    connection = await place.connect(role, KEYRING)
    try:
        seen = {row["purpose"] for row in await connection.fetch("SELECT purpose FROM keyring.data_key")}
        assert seen == place.held[role]
        for purpose in {"identity", "contact", "assessment", "narrative"}:
            new = (
                f"INSERT INTO keyring.data_key VALUES ('case/{role}', '{purpose}', 'kid-{role}-{purpose}', 'w'::bytea)"
            )
            if purpose in place.held[role]:
                await _undone(connection, new)
            else:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await _undone(connection, new)
        forbidden = [
            f"INSERT INTO keyring.role_purpose VALUES ('{name_of(COUNTRY, role)}', 'narrative')",
            "UPDATE keyring.data_key SET wrapped = 'mine'::bytea",
            "DELETE FROM keyring.data_key",
            "TRUNCATE keyring.data_key",
            "SELECT * FROM keyring.erased",
            "ALTER TABLE keyring.data_key DISABLE ROW LEVEL SECURITY",
            "DROP POLICY granted_read ON keyring.data_key",
            "CREATE POLICY mine ON keyring.data_key FOR SELECT USING (true)",
            "CREATE TABLE keyring.mine (x int)",
            "CREATE TABLE public.mine (x int)",
            "CREATE TEMPORARY TABLE mine (x int)",
            "CREATE SCHEMA mine",
            *(["SELECT keyring.erase('case/1')"] if role != "intake" else []),
        ]
        assert await _not_refused(connection, forbidden) == []
    finally:
        await connection.close()


async def test_a_role_that_was_given_more_by_hand_loses_it_at_the_next_run(place: Place) -> None:
    role, neighbour = name_of(COUNTRY, "notify"), name_of(COUNTRY, "intake")
    superuser = await asyncpg.connect(place.server.url(driver="postgresql"))
    try:
        await superuser.execute(f"ALTER ROLE {role} CREATEDB CREATEROLE BYPASSRLS CONNECTION LIMIT -1")
        await superuser.execute(f"GRANT CONNECT ON DATABASE {neighbour}, postgres TO PUBLIC")
        await superuser.execute(
            f"GRANT CONNECT, TEMPORARY ON DATABASE {neighbour}, {KEYRING} TO {role} WITH GRANT OPTION"
        )
        await superuser.execute(f"GRANT {neighbour}, pg_read_all_data, pg_execute_server_program TO {role}")
        await databases.ensure(place.server, COUNTRY, place.held)
        row = await superuser.fetchrow(
            "SELECT rolcreatedb, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = $1", role
        )
        assert not any(row.values())
        groups = await superuser.fetchval("SELECT count(*) FROM pg_auth_members WHERE member = $1::regrole", role)
        assert groups == 0
        limit = await superuser.fetchval("SELECT rolconnlimit FROM pg_roles WHERE rolname = $1", role)
        assert limit == MOST_CONNECTIONS
        connection = await place.connect("notify", KEYRING)
        assert not await connection.fetchval("SELECT has_database_privilege(current_database(), 'TEMPORARY')")
        await connection.close()
        for database in (neighbour, "postgres"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await place.connect("notify", database)
    finally:
        await superuser.close()
