"""The keyring on a real PostgreSQL: keys agreed upon, granted by purpose, and destroyed for ever."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
from kintsugi import keyring_admin
from kintsugi.keyring import Keyring, KeyringError, KeyringUnavailable, Missing
from kintsugi.keyring_admin import KeyringSetupError
from kintsugi.sealing import DataKey, Erased, seal, unseal
from kintsugi.secrets import make_key_file, read_key_file
from kintsugi.settings import Settings
from kintsugi_contracts.base import Sealed
from kintsugi_office import key_files
from kintsugi_office.project import Layout

from tests.infrastructure import Infrastructure

PURPOSES = ("identity", "contact", "assessment", "narrative")


@dataclass
class Clock:
    """A machine clock that a test moves."""

    at: float = 1000.0

    def __call__(self) -> float:
        return self.at


class Country:
    """One country's keyring: its key-encryption keys, and keyrings as services with different grants see it."""

    def __init__(self, admin_url: str, root: asyncpg.Connection) -> None:
        self.admin_url = admin_url
        self.root = root
        self.keks = {purpose: os.urandom(32) for purpose in PURPOSES}
        self.clock = Clock()
        self.roles: list[str] = []
        self.open: list[Keyring] = []

    async def role(self, purposes: Iterable[str] = PURPOSES, *, erase: bool = False) -> str:
        """The URL of a new service role with these grants."""
        role, password = f"kr_{secrets.token_hex(5)}", secrets.token_hex(8)
        await self.root.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        self.roles.append(role)
        await keyring_admin.grant(self.admin_url, role, purposes, erase=erase)
        address = urlsplit(self.admin_url)
        return f"{address.scheme}://{role}:{password}@{address.hostname}:{address.port}{address.path}"

    def keyring(self, url: str, purposes: Iterable[str] = PURPOSES, **options: int) -> Keyring:
        made = Keyring(url, {purpose: self.keks[purpose] for purpose in purposes}, now=self.clock, **options)
        self.open.append(made)
        return made

    async def service(self, purposes: Iterable[str] = PURPOSES, *, erase: bool = False) -> Keyring:
        return self.keyring(await self.role(purposes, erase=erase), purposes)


@pytest_asyncio.fixture(loop_scope="session")
async def country(
    infrastructure: Infrastructure, new_database: Callable[..., Awaitable[str]]
) -> AsyncIterator[Country]:
    url = await new_database("keyring")
    server = urlsplit(infrastructure.admin_url)
    root = await asyncpg.connect(server._replace(path=urlsplit(url).path).geturl())
    await keyring_admin.create_schema(url, PURPOSES)
    made = Country(url, root)
    try:
        yield made
    finally:
        for each in made.open:
            await each.aclose()
        for role in made.roles:
            await root.execute(f"DROP OWNED BY {role}")
            await root.execute(f"DROP ROLE {role}")
        await root.close()


def subject() -> str:
    return f"case/{secrets.token_hex(16)}"


async def made(keyring: Keyring, name: tuple[str, str]) -> DataKey:
    key = (await keyring.fetch([name], {name}))[name]
    assert isinstance(key, DataKey)
    return key


async def test_a_key_is_made_once_and_seen_by_every_service_of_its_purpose(country: Country) -> None:
    intake, notify = await country.service(), await country.service(["contact"])
    name = (subject(), "contact")
    assert await notify.fetch([name]) == {name: Missing()}
    key = await made(intake, name)
    seen = (await notify.fetch([name]))[name]
    assert isinstance(seen, DataKey)
    assert seen.kid == key.kid
    origin = {"source": "/xa/intake", "id": "i1", "type": "kintsugi.case.opened.v1"}
    sealed = Sealed(**origin, **seal(b'{"a":1}', key=key, subject=name[0], purpose="contact", **origin))
    assert unseal(sealed, seen, name[0], "contact") == b'{"a":1}'


async def test_reading_alone_makes_no_key(country: Country) -> None:
    intake = await country.service()
    name = (subject(), "contact")
    for _ in range(2):
        assert await intake.fetch([name]) == {name: Missing()}
    assert await country.root.fetchval("SELECT count(*) FROM keyring.data_key") == 0


async def test_concurrent_creators_of_overlapping_sets_agree_without_deadlock(country: Country) -> None:
    url = await country.role()
    subjects = [subject() for _ in range(60)]
    creators = [country.keyring(url) for _ in range(4)]

    async def create(keyring: Keyring, turn: int) -> dict[tuple[str, str], str]:
        wanted = {(subjects[(turn * 7 + i) % 60], purpose) for i in range(50) for purpose in PURPOSES}
        keys = await keyring.fetch([], wanted)
        return {name: key.kid for name, key in keys.items() if isinstance(key, DataKey)}

    for round_ in range(5):
        await country.root.execute("DELETE FROM keyring.data_key")
        for keyring in creators:
            for each in subjects:
                keyring.forget(each)
        answers = await asyncio.gather(*(create(keyring, round_ + turn) for turn, keyring in enumerate(creators)))
        agreed: dict[tuple[str, str], str] = {}
        for answer in answers:
            assert len(answer) == 200
            for name, kid in answer.items():
                assert agreed.setdefault(name, kid) == kid


async def test_one_query_reads_a_batch_and_one_more_creates_it(country: Country) -> None:
    intake = await country.service()
    statements: list[str] = []
    from sqlalchemy import event

    @event.listens_for(intake._engine.sync_engine, "before_cursor_execute")
    def count(_c: object, _cur: object, statement: str, *_: object) -> None:
        statements.append(statement.split()[0])

    wanted = {(subject(), purpose) for _ in range(100) for purpose in PURPOSES}
    await intake.fetch(wanted, wanted)
    assert statements == ["SELECT", "INSERT"]
    await intake.fetch(wanted)
    assert statements == ["SELECT", "INSERT"]


async def test_an_erased_subject_has_no_key_and_never_gets_one_again(country: Country) -> None:
    intake, other = await country.service(erase=True), await country.service()
    person, neighbour = subject(), subject()
    names = {(person, "contact"), (person, "identity")}
    await intake.fetch([], {*names, (neighbour, "contact")})
    assert await intake.erase(person) == 2
    assert await intake.erase(person) == 0
    for keyring in (intake, other):
        assert await keyring.fetch(names, names) == dict.fromkeys(names, Erased())
        assert await keyring.fetch([], {(person, "narrative")}) == {(person, "narrative"): Erased()}
        assert isinstance((await keyring.fetch([(neighbour, "contact")]))[neighbour, "contact"], DataKey)
    left = await country.root.fetchval(
        "SELECT count(*) FROM keyring.data_key WHERE subject = $1 AND wrapped IS NOT NULL", person
    )
    assert left == 0


async def test_a_subject_never_seen_can_be_erased_before_its_first_key(country: Country) -> None:
    intake = await country.service(erase=True)
    person = subject()
    assert await intake.erase(person) == 0
    assert await intake.fetch([], {(person, "contact")}) == {(person, "contact"): Erased()}


async def test_erasing_against_creating_always_ends_erased(country: Country) -> None:
    intake, other = await country.service(erase=True), await country.service()
    for _ in range(40):
        person = subject()
        names = {(person, purpose) for purpose in PURPOSES}
        await asyncio.gather(other.fetch([], names), intake.erase(person))
        other.forget(person)
        assert await other.fetch(names, names) == dict.fromkeys(names, Erased())


async def test_a_new_purpose_inherits_the_tombstones(country: Country) -> None:
    intake = await country.service(erase=True)
    person = subject()
    await intake.erase(person)
    await keyring_admin.create_schema(country.admin_url, [*PURPOSES, "biometric"])
    country.keks["biometric"] = os.urandom(32)
    later = await country.service(["biometric"])
    assert await later.fetch([], {(person, "biometric")}) == {(person, "biometric"): Erased()}


async def test_a_purpose_of_another_package_may_have_digits_also_in_a_keyring_of_an_earlier_release(
    country: Country,
) -> None:
    admin = await asyncpg.connect(country.admin_url.replace("+asyncpg", ""))
    await admin.execute("ALTER TABLE keyring.purpose DROP CONSTRAINT purpose_name_check")
    await admin.execute(
        "ALTER TABLE keyring.purpose ADD CONSTRAINT purpose_name_check CHECK (name ~ '^[a-z][a-z_]{0,39}$')"
    )
    await admin.close()
    await keyring_admin.create_schema(country.admin_url, [*PURPOSES, "housing_address2"])
    country.keks["housing_address2"] = os.urandom(32)
    housing, intake = await country.service(["housing_address2"]), await country.service()
    name = (subject(), "housing_address2")
    assert (await housing.fetch([], {name}))[name]
    with pytest.raises(KeyringError, match="grant it the purpose"):
        await intake.fetch([name])


async def test_what_was_sealed_with_an_office_s_former_key_files_opens_with_those_taken_over(
    country: Country, tmp_path: Path
) -> None:
    layout = Layout(tmp_path)
    for purpose in PURPOSES:
        make_key_file(layout.secrets / f"kek-{purpose}.key")
        country.keks[purpose] = read_key_file(layout.secrets / f"kek-{purpose}.key")
    before, person = await country.service(), subject()
    names = {(person, purpose) for purpose in PURPOSES}
    origin = {"source": "/xa/intake", "id": "i1", "type": "kintsugi.case.opened.v1"}
    sealed = {}
    for (_, purpose), key in (await before.fetch([], names)).items():
        assert isinstance(key, DataKey)
        wire = seal(b'{"a":1}', key=key, subject=person, purpose=purpose, **origin)
        sealed[purpose] = Sealed(**origin, **wire, purpose=purpose)
    key_files.hand_out(layout, {"intake": PURPOSES})
    settings = Settings.model_construct(keys=layout.keys_of("intake"))
    country.keks = {p: read_key_file(file) for p, file in settings.key_files("intake", PURPOSES).items()}
    after = await country.service()
    await after.check()
    for (_, purpose), key in (await after.fetch(names)).items():
        assert isinstance(key, DataKey)
        assert unseal(sealed[purpose], key, person, purpose) == b'{"a":1}'
    assert not list(layout.secrets.glob("kek-*"))


async def test_another_process_stops_opening_within_a_minute_of_an_erasure(country: Country) -> None:
    intake, notify = await country.service(erase=True), await country.service(["contact"])
    name = (subject(), "contact")
    await made(intake, name)
    assert isinstance((await notify.fetch([name]))[name], DataKey)
    await intake.erase(name[0])
    country.clock.at += 49
    assert isinstance((await notify.fetch([name]))[name], DataKey)
    country.clock.at += 2
    assert await notify.fetch([name]) == {name: Erased()}


async def test_a_process_that_hears_of_an_erasure_stops_opening_at_once(country: Country) -> None:
    intake, notify = await country.service(erase=True), await country.service(["contact"])
    name = (subject(), "contact")
    await made(intake, name)
    await notify.fetch([name])
    await intake.erase(name[0])
    notify.forget(name[0])
    assert await notify.fetch([name]) == {name: Erased()}


async def test_a_read_under_way_does_not_bring_back_what_was_erased_meanwhile(
    country: Country, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = await country.service(erase=True)
    name = (subject(), "contact")
    await made(intake, name)
    intake.forget(name[0])
    read = intake._read

    async def slow(names: list[tuple[str, str]]) -> object:
        keys = await read(names)
        await intake.erase(name[0])
        return keys

    monkeypatch.setattr(intake, "_read", slow)
    assert await intake.fetch([name]) == {name: Erased()}
    monkeypatch.undo()
    assert await intake.fetch([name]) == {name: Erased()}


async def test_the_cache_is_bounded_and_empties_by_itself(country: Country) -> None:
    url = await country.role()
    small = country.keyring(url, cache_size=10)
    await small.fetch([], {(subject(), "contact") for _ in range(50)})
    assert len(small._cache._kept) == 10
    brief = Keyring(url, country.keks, cache_seconds=0.05)
    country.open.append(brief)
    await brief.fetch([], {(subject(), "contact")})
    assert len(brief._cache._kept) == 1
    await asyncio.sleep(0.2)
    assert not brief._cache._kept


async def test_a_service_asks_only_for_purposes_it_was_given(country: Country) -> None:
    notify = await country.service(["contact"])
    with pytest.raises(KeyringError, match="no key-encryption key for identity"):
        await notify.fetch([(subject(), "identity")])


async def test_the_database_hides_and_refuses_what_was_not_granted(country: Country) -> None:
    intake = await country.service()
    name = (subject(), "identity")
    await made(intake, name)
    greedy = country.keyring(await country.role(["contact"]), ["contact", "identity"])
    assert await greedy.fetch([name]) == {name: Missing()}
    with pytest.raises(KeyringError, match="42501"):
        await greedy.fetch([], {(subject(), "identity")})
    with pytest.raises(KeyringError, match="42501"):
        await greedy.erase(name[0])
    with pytest.raises(KeyringError, match="nothing for identity"):
        await greedy.check()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE keyring.data_key SET wrapped = NULL",
        "DELETE FROM keyring.data_key",
        "INSERT INTO keyring.data_key (subject, purpose) VALUES ('case/x', 'contact')",
        "INSERT INTO keyring.role_purpose SELECT current_user, 'identity'",
        "SELECT * FROM keyring.erased",
        "DELETE FROM keyring.erased",
        "ALTER TABLE keyring.data_key DISABLE ROW LEVEL SECURITY",
    ],
)
async def test_a_service_role_cannot_go_round_the_rules(country: Country, statement: str) -> None:
    url = await country.role(["contact"], erase=True)
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_granting_again_takes_away_what_is_not_named(country: Country) -> None:
    url = await country.role(["contact", "identity"], erase=True)
    role = country.roles[-1]
    keyring = country.keyring(url, ["contact", "identity"])
    await keyring.check()
    await keyring_admin.grant(country.admin_url, role, ["contact"])
    with pytest.raises(KeyringError, match="nothing for identity"):
        await keyring.check()
    with pytest.raises(KeyringError, match="42501"):
        await keyring.erase(subject())


async def test_grants_that_could_not_hold_are_refused(country: Country) -> None:
    await country.role()
    role = country.roles[-1]
    with pytest.raises(KeyringSetupError, match="does not exist"):
        await keyring_admin.grant(country.admin_url, "nobody_at_all", ["contact"])
    with pytest.raises(KeyringSetupError, match="no purpose biometric"):
        await keyring_admin.grant(country.admin_url, role, ["biometric"])
    with pytest.raises(KeyringSetupError, match="no role name"):
        await keyring_admin.grant(country.admin_url, 'x"; DROP TABLE keyring.data_key; --', ["contact"])
    await country.root.execute(f"ALTER ROLE {role} BYPASSRLS")
    with pytest.raises(KeyringSetupError, match="above row security"):
        await keyring_admin.grant(country.admin_url, role, ["contact"])


async def test_the_schema_can_be_created_again_and_by_two_jobs_at_once(country: Country) -> None:
    intake = await country.service()
    name = (subject(), "contact")
    key = await made(intake, name)
    await asyncio.gather(*(keyring_admin.create_schema(country.admin_url, PURPOSES) for _ in range(3)))
    intake.forget(name[0])
    assert (await made(intake, name)).kid == key.kid


async def test_a_wrong_key_encryption_key_is_found_at_start_and_overwrites_nothing(country: Country) -> None:
    intake = await country.service()
    name = (subject(), "contact")
    key = await made(intake, name)
    wrong = Keyring(await country.role(["contact"]), {"contact": os.urandom(32)})
    country.open.append(wrong)
    with pytest.raises(KeyringError, match="key-encryption key of contact does not open"):
        await wrong.check()
    assert await wrong.fetch([name], {name}) == {name: Missing("unreadable")}
    intake.forget(name[0])
    assert (await made(intake, name)).kid == key.kid


async def test_a_wrapped_key_moved_to_another_subject_does_not_open(country: Country) -> None:
    intake = await country.service()
    mine, theirs = (subject(), "contact"), (subject(), "contact")
    await intake.fetch([], {mine, theirs})
    await country.root.execute(
        "UPDATE keyring.data_key SET wrapped = (SELECT wrapped FROM keyring.data_key WHERE subject = $1)"
        " WHERE subject = $2",
        mine[0],
        theirs[0],
    )
    intake.forget(theirs[0])
    assert await intake.fetch([theirs]) == {theirs: Missing("unreadable")}


async def test_nothing_in_the_database_shows_a_key(country: Country) -> None:
    intake = await country.service()
    name = (subject(), "contact")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kintsugi.keyring.os.urandom", lambda size: b"\x5a" * size)
        await made(intake, name)
    stored = await country.root.fetchval("SELECT wrapped FROM keyring.data_key WHERE subject = $1", name[0])
    assert b"\x5a" * 16 not in stored


async def test_a_database_that_does_not_answer_is_an_infrastructure_fault(country: Country) -> None:
    url = await country.role()
    address = urlsplit(url)
    away = country.keyring(address._replace(netloc=address.netloc.rsplit(":", 1)[0] + ":1").geturl())
    name = (subject(), "contact")
    for call in (away.fetch([name]), away.fetch([], {name}), away.erase(name[0]), away.check()):
        with pytest.raises(KeyringUnavailable) as refused:
            await call
        assert name[0] not in str(refused.value)


async def test_a_lost_connection_is_replaced_at_the_next_use(country: Country) -> None:
    intake = await country.service()
    await made(intake, (subject(), "contact"))
    await country.root.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'kintsugi-keyring'"
        " AND datname = current_database()"
    )
    await asyncio.sleep(0.2)  # until the end of the connection has come to this process
    await made(intake, (subject(), "contact"))


@pytest.mark.parametrize(("keks", "seconds"), [({"contact": bytes(16)}, 50.0), ({"contact": bytes(32)}, 61.0)])
def test_a_keyring_that_could_not_keep_its_promises_is_not_made(keks: dict[str, bytes], seconds: float) -> None:
    with pytest.raises(KeyringError, match=r"give one of 32|at most 60"):
        Keyring("postgresql+asyncpg://nobody@127.0.0.1:1/none", keks, cache_seconds=seconds)
