"""Who can do what on the real broker: every user, every topic, every way in; exactly what the files declare succeeds.

What is expected is read here from the topic files once more, by code that shares nothing with what made the rights.
A cell is one request of Kafka's own protocol, many to a message, so that the broker's answer is seen as it is. The
second half looks through ordinary clients. Services that work with these rights alone are in test_office and
test_traces, whose processes log in as themselves.
"""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from aiokafka.protocol import admin as asking
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from kintsugi.kafka import Cluster, Protocol, make_password_file
from kintsugi.secrets import Secret
from kintsugi_office import access, provision
from kintsugi_office.broker import BrokerRefused, broker, check_login
from kintsugi_office.project import Layout
from kintsugi_office.rights import Right, ours

from tests.infrastructure import Infrastructure, forget

CONTRACTS = Path(__file__).parents[2] / "contracts"
COUNTRY, ABROAD = "xm", "xo"  # nobody else's on this broker
PARTNERS = ("labour-registry", "harbour-clinic", "labour")  # one begins another's name
FINE = 0
REFUSED = {29, 30, 31, 53}  # topic, group, cluster, transactional id: not authorised
COORDINATOR_STARTS = {14, 15, 16}  # allowed, and not done yet
COMPACTED = 44  # allowed, and not done: nobody shortens a compacted topic
UNDECLARED = f"{COUNTRY}.undeclared.v1"
STRANGER = Secret("a stranger's password")


@dataclass
class Place:
    """A country provisioned on the session's broker, and what its files say, read independently.

    Beside the installed services stands ``gazette``, from a package of another country: it reads two events.
    """

    admin: Cluster
    layout: Layout
    wanted: provision.Declared
    files: list[dict[str, Any]] = field(default_factory=list)

    def user(self, name: str) -> Cluster:
        """The broker, as one of the users."""
        return access.login(self.layout, self.admin.bootstrap, COUNTRY, name)

    def stranger(self) -> Cluster:
        """The broker, as somebody who has a login and is named by no file."""
        return replace(self.admin, username="monitor", password=STRANGER)

    @property
    def names(self) -> list[str]:
        """Every user that a file names, as its file calls it; partners with their folder's kind."""
        return sorted({name for file in self.files for name in (file["producer"], *file["read by"])})

    def may(self, name: str, what: str, topic: str) -> bool:
        """Whether the files let a user do this: a writer writes, it and the declared readers read."""
        file = next((each for each in self.files if each["topic"] == topic), None)
        if file is None:
            return False
        writes = file["producer"] == name
        return writes if what == "write" else writes or name in file["read by"]

    @property
    def topics(self) -> list[str]:
        """Declared, undeclared, another country's, and the broker's own."""
        return [*(file["topic"] for file in self.files), UNDECLARED, f"{ABROAD}.intake.v1", "__consumer_offsets"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    if infrastructure.kafka_username is None:
        pytest.skip(f"the broker of this session ({infrastructure.source}) has no logins, so nothing can be refused")
    folder = tmp_path_factory.mktemp("matrix")
    contracts = folder / "contracts"
    shutil.copytree(CONTRACTS / "topics", contracts / "topics")
    for partner in PARTNERS:
        _stream(contracts / "share" / COUNTRY / partner / "wage-claims" / "topic.yaml", partner)
    layout = Layout(folder / "data")
    layout.make()
    admin = infrastructure.cluster
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(_package(folder / "site"))
        wanted = provision.declared(contracts, COUNTRY)
    made = Place(admin, layout, wanted, list(_read(contracts)))
    try:
        await provision.apply(admin, layout, wanted)
        await asyncio.to_thread(broker(admin).set_passwords, {"monitor": STRANGER})
        await _make(admin, UNDECLARED, f"{ABROAD}.intake.v1")
        yield made
    finally:
        await forget(admin, COUNTRY)
        await forget(admin, ABROAD)
        await asyncio.to_thread(broker(admin).remove_users, ["monitor"])


def _package(site: Path) -> Path:
    """An installed service that no file of ours has heard of, and whose module must never be imported."""
    package, about = site / "xm_gazette", site / "xm_gazette-1.dist-info"
    for folder in (package, about):
        folder.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('planning imports no service')\n")
    reads = {"case.opened": {"fields": ["case_ref", "area"]}, "referral.chosen": {"fields": [], "versions": [1]}}
    (package / "consumes.yaml").write_text(yaml.safe_dump({"service": "gazette", "events": reads}))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: xm-gazette\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[kintsugi.services]\ngazette = xm_gazette.app:application\n")
    return site


def _stream(file: Path, partner: str) -> None:
    file.parent.mkdir(parents=True)
    content = {
        "topic": f"{COUNTRY}.share.{partner}.wage-claims.v1",
        "service": "share",
        "producer": "share",
        "partitions": 1,
        "config": {"cleanup.policy": "compact"},
        "readers": ["office"],
        "consumers": {partner: {f"share.{partner}.wage-claims": ["case"]}},
    }
    file.write_text(yaml.safe_dump(content), encoding="utf-8")


def _read(contracts: Path) -> Iterable[dict[str, Any]]:
    for file in sorted(contracts.rglob("*.yaml")):
        content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        partner = "integrator." if "share" in file.relative_to(contracts).parts else ""
        named = content["consumers"] if partner else _readers(content)
        read_by = {f"{partner}{name}" for name in named} | set(content["readers"])
        topic = content["topic"].replace("{country}", COUNTRY)
        yield {"topic": topic, "producer": content["producer"], "read by": read_by}


def _readers(topic: dict[str, Any]) -> Iterable[str]:
    """The services whose own file names an event of a topic."""
    for file in sorted((CONTRACTS.parent / "services").glob("*/src/*/consumes.yaml")):
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
        if said["service"] != topic["service"] and said["events"].keys() & topic["events"].keys():
            yield said["service"]
    if topic["service"] in ("intake", "referral"):
        yield "gazette"


async def _make(admin: Cluster, *names: str) -> None:
    client = AIOKafkaAdminClient(**admin.client())
    await client.start()
    await client.create_topics([NewTopic(name, 1, 1) for name in names])
    await client.close()


class Wire:
    """One logged-in connection on which requests are sent as they are. ``{topic or group: error code}`` comes back."""

    def __init__(self, cluster: Cluster) -> None:
        self._client = AIOKafkaClient(**cluster.client())

    async def __aenter__(self) -> "Wire":
        await self._client.bootstrap()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def _ask(self, request: Any) -> Any:
        return await self._client.send(self._client.get_random_node(), request)

    async def describe(self, topics: list[str]) -> dict[str, int]:
        answer = await self._ask(MetadataRequest(topics, False))
        return {topic: code for code, topic, *_ in answer.topics}

    async def read(self, topics: list[str]) -> dict[str, int]:
        wanted = [(topic, [(0, 0, 1000)]) for topic in topics]
        answer = await self._ask(FetchRequest(10, 0, 100_000, 0, wanted))
        return {topic: parts[0][1] for topic, parts in answer.topics}

    async def write(self, topics: list[str]) -> dict[str, int]:
        batch = [(topic, [(0, _record())]) for topic in topics]
        answer = await self._ask(ProduceRequest(None, -1, 5000, batch))
        return {topic: parts[0][1] for topic, parts in answer.topics}

    async def create(self, topics: list[str]) -> dict[str, int]:
        new: list[Any] = [(f"{topic}-more", 1, 1, [], []) for topic in topics]
        answer = await self._ask(asking.CreateTopicsRequest(new, 5000, True))
        return {topic.removesuffix("-more"): code for topic, code, *_ in answer.topic_errors}

    async def delete(self, topics: list[str]) -> dict[str, int]:
        answer = await self._ask(asking.DeleteTopicsRequest(topics, 5000))
        return {topic: code for topic, code, *_ in answer.topic_error_codes}

    async def widen(self, topics: list[str]) -> dict[str, int]:
        answer = await self._ask(asking.CreatePartitionsRequest([(topic, (99, None)) for topic in topics], 5000, True))
        return {topic: code for topic, code, *_ in answer.topic_errors}

    async def alter(self, topics: list[str]) -> dict[str, int]:
        resources = [(2, topic, [("retention.ms", "1")]) for topic in topics]
        answer = await self._ask(asking.AlterConfigsRequest(resources, True))
        return {name: code for code, _, _, name in answer.resources}

    async def truncate(self, topics: list[str]) -> dict[str, int]:
        answer = await self._ask(asking.DeleteRecordsRequest([(topic, [(0, 0)]) for topic in topics], 5000))
        return {each[0]: each[1][0][2] for each in answer.topics}

    async def commit(self, groups: list[str], topic: str) -> dict[str, int]:
        """A position in each of these groups: what every member of a group does."""
        found = {}
        for group in groups:
            answer = await self._ask(OffsetCommitRequest(group, -1, "", -1, [(topic, [(0, 0, "")])]))
            found[group] = answer.topics[0][1][0][1]
        return found

    async def look(self, groups: list[str], topic: str) -> dict[str, int]:
        """How far each of these groups has read."""
        found = {}
        for group in groups:
            answer = await self._ask(OffsetFetchRequest(group, [(topic, [0])]))
            found[group] = answer.error_code
        return found

    async def settings(self, topics: list[str]) -> dict[str, int]:
        answer = await self._ask(asking.DescribeConfigsRequest([(2, topic, None) for topic in topics]))
        return {name: code for code, _, _, name, _ in answer.resources}

    async def members(self, groups: list[str]) -> dict[str, int]:
        """Who is in each of these groups. One at a time: aiokafka reads version 3 of the answer as version 2."""
        return {group: (await self._ask(asking.DescribeGroupsRequest([group]))).groups[0][0] for group in groups}

    async def listed(self) -> set[str]:
        """The groups that are shown."""
        return {group for group, _ in (await self._ask(asking.ListGroupsRequest())).groups}

    async def transact(self, names: list[str]) -> dict[str, int]:
        """A transactional id of each of these names."""
        return {name: (await self._ask(InitProducerIdRequest(name, 1000))).error_code for name in names}

    async def reconfigure_broker(self) -> int:
        answer = await self._ask(asking.AlterConfigsRequest([(4, "1", [("log.retention.ms", "1")])], True))
        return int(answer.resources[0][0])

    async def dissolve(self, groups: list[str]) -> dict[str, int]:
        answer = await self._ask(asking.DeleteGroupsRequest(groups))
        return dict(answer.results)


def _record() -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1000)
    builder.append(0, timestamp=None, key=b"key", value=b"value", headers=[])
    return bytes(builder.build())


def _differ(got: dict[str, int], expected: Callable[[str], bool]) -> list[str]:
    """Cells that are not as declared. A refusal must be one of authorisation, not some mistake in the request."""
    return [
        f"{name}: {'refused' if code in REFUSED else 'done' if code == FINE else f'error {code}'}"
        for name, code in got.items()
        if (code != FINE if expected(name) else code not in REFUSED)
    ]


async def _tried(place: Place) -> tuple[list[str], int]:
    """Every cell, tried. Returns those that are not as declared, and how many there were."""
    wrong: list[str] = []
    cells = 0
    users = {name: place.user(name) for name in place.names} | {"a stranger": place.stranger()}
    groups = [f"{COUNTRY}.{name}{end}" for name in place.names for end in ("", ".replay", "-2")]

    async def judge(name: str, cluster: Cluster) -> None:
        nonlocal cells
        readable = next((topic for topic in place.topics if place.may(name, "read", topic)), place.topics[0])
        async with Wire(cluster) as wire:
            asked = {
                "describe": (await wire.describe(place.topics), lambda topic: place.may(name, "read", topic)),
                "read": (await wire.read(place.topics), lambda topic: place.may(name, "read", topic)),
                "write": (await wire.write(place.topics), lambda topic: place.may(name, "write", topic)),
                **{
                    what: (await getattr(wire, what)(place.topics), lambda _: False)
                    for what in ("create", "delete", "widen", "alter", "truncate", "settings")
                },
                "join": (await wire.commit(groups, readable), lambda group: _is_own(name, group)),
                "look at": (await wire.look(groups, readable), lambda group: _is_own(name, group)),
                "see members of": (await wire.members(groups), lambda group: _is_own(name, group)),
                "dissolve": (await wire.dissolve(groups), lambda _: False),
                "transact as": (await wire.transact(groups), lambda _: False),
            }
            shown = {group for group in await wire.listed() if not f"{group}.".startswith(f"{COUNTRY}.{name}.")}
            wrong.extend(f"{name} is shown the group {group}" for group in shown)
            if await wire.reconfigure_broker() not in REFUSED:
                wrong.append(f"{name} may change the broker's settings")
        for what, (got, expected) in asked.items():
            cells += len(got)
            wrong.extend(f"{name} may {what} {each}" for each in _differ(got, expected))

    await asyncio.gather(*(judge(name, cluster) for name, cluster in users.items()))
    assert cells == len(users) * (9 * len(place.topics) + 5 * len(groups))
    return sorted(wrong), cells


async def test_exactly_the_declared_cells_succeed(place: Place) -> None:
    """Users × topics × describe, read, write, create, delete, widen, alter, truncate; and × every user's groups."""
    wrong, cells = await _tried(place)
    assert wrong == []
    assert {"intake", "assessment", "referral", "notify", "share", "office"} < set(place.names)
    assert cells > 1000


def _is_own(name: str, group: str) -> bool:
    return group in (f"{COUNTRY}.{name}", f"{COUNTRY}.{name}.replay")


async def test_the_administrator_can_do_each_of_these_so_that_a_refusal_is_one(place: Place) -> None:
    async with Wire(place.admin) as wire:
        topics = [topic for topic in place.topics if topic != "__consumer_offsets"]
        for what in ("describe", "read", "write", "create", "alter", "settings"):
            assert set((await getattr(wire, what)(topics)).values()) == {FINE}, what
        assert set((await wire.truncate(topics)).values()) == {FINE, COMPACTED}
        assert set((await wire.widen([UNDECLARED])).values()) == {FINE}
        assert set((await wire.commit([f"{ABROAD}.group"], UNDECLARED)).values()) == {FINE}
        assert set((await wire.members([f"{ABROAD}.nobody"])).values()) == {FINE}
        assert f"{ABROAD}.group" in await wire.listed()
        assert set((await wire.transact([f"{ABROAD}.group"])).values()) <= {FINE, *COORDINATOR_STARTS}
        assert await wire.reconfigure_broker() == FINE
        assert set((await wire.dissolve([f"{ABROAD}.group"])).values()) == {FINE}
        await _make(place.admin, f"{UNDECLARED}-gone")
        assert set((await wire.delete([f"{UNDECLARED}-gone"])).values()) == {FINE}


@pytest.mark.parametrize("who", ["unknown", "wrong password", "no login"])
async def test_who_cannot_log_in_cannot_do_anything(place: Place, who: str) -> None:
    clusters = {
        "unknown": replace(place.stranger(), username=f"{COUNTRY}.nobody"),
        "wrong password": replace(place.user("intake"), password=Secret("guessed")),
        "no login": Cluster(place.admin.bootstrap),
    }
    for client in (AIOKafkaProducer, AIOKafkaConsumer, AIOKafkaAdminClient):
        made = client(**clusters[who].client(), request_timeout_ms=3000)
        with pytest.raises(KafkaConnectionError):
            await made.start()
        await (made.stop() if client is not AIOKafkaAdminClient else made.close())


async def test_nobody_but_the_administrator_sees_or_changes_users_and_rights(place: Place) -> None:
    granted = Right(f"User:{COUNTRY}.notify", "topic", f"{COUNTRY}.intake.v1", "write")

    def attempt(name: str) -> None:
        there = broker(place.user(name))
        for forbidden in (
            there.users_and_rights,
            lambda: there.allow([granted]),
            lambda: there.withdraw([granted]),
            lambda: there.set_passwords({f"{COUNTRY}.intake": Secret("mine now")}),
            lambda: there.remove_users([f"{COUNTRY}.intake"]),
        ):
            with pytest.raises(BrokerRefused, match="for its administrator only"):
                forbidden()

    await asyncio.gather(*(asyncio.to_thread(attempt, name) for name in place.names))
    await asyncio.to_thread(check_login, place.user("intake"))


async def test_an_ordinary_idempotent_producer_writes_its_own_topic_and_forges_no_other(place: Place) -> None:
    own, other = f"{COUNTRY}.notify.v1", f"{COUNTRY}.intake.v1"
    async with AIOKafkaConsumer(**place.user("office").client()) as reader:
        end = TopicPartition(other, 0)
        before = await reader.end_offsets([end])
        async with AIOKafkaProducer(**place.user("notify").client(), acks="all", enable_idempotence=True) as producer:
            assert (await producer.send_and_wait(own, b"written", partition=0)).topic == own
            with pytest.raises(TopicAuthorizationFailedError):
                await producer.send_and_wait(other, b"forged", partition=0)
        assert await reader.end_offsets([end]) == before


async def test_a_partner_reads_its_stream_in_a_group_of_its_name_and_no_source_topic(place: Place) -> None:
    user, stream = access.integrator(PARTNERS[0]), f"{COUNTRY}.share.{PARTNERS[0]}.wage-claims.v1"
    mark = secrets.token_bytes(8)
    async with AIOKafkaProducer(**place.user("share").client(), acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait(stream, mark, key=b"k")
    group = f"{COUNTRY}.{user}.claims"
    options = {"group_id": group, "auto_offset_reset": "earliest", "enable_auto_commit": False}
    async with AIOKafkaConsumer(stream, **place.user(user).client(), **options) as consumer:
        async with asyncio.timeout(20):
            while (await consumer.getone()).value != mark:
                pass
        await consumer.commit()
        assert await consumer.topics() == {stream}, "it does not even see what else there is"


async def test_a_revoked_partner_s_open_connection_gets_nothing_more(place: Place) -> None:
    user, stream = access.integrator(PARTNERS[1]), f"{COUNTRY}.share.{PARTNERS[1]}.wage-claims.v1"
    there = broker(place.admin)
    async with (
        AIOKafkaProducer(**place.user("share").client(), acks="all", enable_idempotence=True) as producer,
        AIOKafkaConsumer(**place.user(user).client(), enable_auto_commit=False) as consumer,
    ):
        consumer.assign([TopicPartition(stream, 0)])
        await consumer.seek_to_end()
        await producer.send_and_wait(stream, b"before", partition=0, key=b"k")
        async with asyncio.timeout(20):
            assert (await consumer.getone()).value == b"before"
        _, listed = await asyncio.to_thread(there.users_and_rights)
        rights = [right for right in listed if right.user == f"{COUNTRY}.{user}"]
        assert rights
        await asyncio.to_thread(there.withdraw, rights)
        try:
            await producer.send_and_wait(stream, b"after", partition=0, key=b"k")
            with pytest.raises(TopicAuthorizationFailedError):
                async with asyncio.timeout(20):
                    raise AssertionError(f"it still reads: {(await consumer.getone()).value!r}")
        finally:
            await asyncio.to_thread(there.allow, rights)


async def _seen(place: Place, there: Callable[[provision.Difference], object]) -> provision.Difference:
    """What differs, once the broker shows what was changed: it acknowledges a moment before it follows."""
    async with asyncio.timeout(15):
        while True:
            found = await provision.compare(place.admin, place.layout, place.wanted)
            if there(found):
                return found


async def test_what_drifted_is_found_and_made_right_and_what_is_others_stays(place: Place) -> None:
    there = broker(place.admin)
    forged = Right(f"User:{COUNTRY}.notify", "topic", f"{COUNTRY}.intake.v1", "write")
    lost = Right(f"User:{COUNTRY}.referral", "topic", f"{COUNTRY}.intake.v1", "read")
    foreign = Right("User:monitor", "topic", f"{COUNTRY}.intake.v1", "describe")
    denied = Right(f"User:{COUNTRY}.share", "topic", f"{COUNTRY}.share.v1", "write", permission="deny")
    above = Right("User:monitor", "broker", "kafka-cluster", "idempotent_write")
    await asyncio.to_thread(there.allow, [forged, foreign, denied, above])
    await asyncio.to_thread(there.withdraw, [lost])
    await asyncio.to_thread(there.set_passwords, {f"{COUNTRY}.gone": Secret("left behind")})
    make_password_file(place.layout.kafka_password("gone"))
    try:
        found = await _seen(place, lambda seen: seen.old_rights and seen.new_rights and seen.foreign and seen.old_users)
        assert (found.old_rights, found.new_rights, found.foreign) == ([forged, denied], [lost], [above, foreign])
        assert (found.locked_out, found.old_users) == ([], [f"{COUNTRY}.gone"])
        assert (found.topics.absent, found.topics.changed, found.topics.refused) == ([], {}, [])
        assert UNDECLARED in found.topics.others
        wrong, _ = await _tried(place)
        assert wrong == [
            f"a stranger may describe {COUNTRY}.intake.v1: done",
            f"notify may write {COUNTRY}.intake.v1: done",
            f"referral may describe {COUNTRY}.intake.v1: refused",
            f"referral may read {COUNTRY}.intake.v1: refused",
            f"share may write {COUNTRY}.share.v1: refused",
        ], "the matrix sees what is too much and what lacks"
        assert await provision.apply(place.admin, place.layout, place.wanted) == found
        assert not place.layout.kafka_password("gone").exists(), "who comes back gets another password"
        after = await provision.compare(place.admin, place.layout, place.wanted)
        assert after.none
        assert after.foreign == [above, foreign]
        mine = {right for right in (await _listed(place)) if ours(COUNTRY, right.principal)}
        assert mine == place.wanted.rights
    finally:
        await asyncio.to_thread(there.withdraw, [foreign, above])


async def test_a_password_that_somebody_changed_is_set_again(place: Place) -> None:
    await asyncio.to_thread(broker(place.admin).set_passwords, {f"{COUNTRY}.office": Secret("changed")})
    await _seen(place, lambda seen: seen.locked_out)
    done = await provision.apply(place.admin, place.layout, place.wanted)
    assert done.locked_out == ["office"]
    await asyncio.to_thread(check_login, place.user("office"))


async def test_a_user_there_is_keeps_its_password_where_none_is_to_be_set(place: Place, tmp_path: Path) -> None:
    """A folder that never saw this broker must not lock the running services out."""
    elsewhere = Layout(tmp_path)
    found = await provision.compare(place.admin, elsewhere, place.wanted)
    assert found.locked_out == place.wanted.users
    await provision.apply(place.admin, elsewhere, place.wanted, new_passwords=False)
    assert not (tmp_path / "secrets").exists()
    await asyncio.to_thread(check_login, place.user("intake"))


async def _listed(place: Place) -> set[Right]:
    _, rights = await asyncio.to_thread(broker(place.admin).users_and_rights)
    return rights


async def test_no_right_is_on_a_pattern_but_those_of_groups_by_name(place: Place) -> None:
    mine = {right for right in (await _listed(place)) if ours(COUNTRY, right.principal)}
    assert mine
    for right in mine:
        assert right.operation in ("read", "write")
        assert "*" not in right.name
        assert right.permission == "allow"
        assert right.pattern == "literal" or (right.resource == "group" and right.name == f"{right.user}.")
    writers = [right.name for right in mine if right.operation == "write"]
    assert sorted(writers) == sorted(file["topic"] for file in place.files), "one writer each"
    assert place.admin.protocol is Protocol.sasl_plaintext
