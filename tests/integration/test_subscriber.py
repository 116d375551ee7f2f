"""A subscriber against a real broker: deaths, restarts, rebalances, failing handlers, records nobody can read."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import kintsugi_events as e
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from kintsugi.kafka import Cluster
from kintsugi.secrets import Secret
from kintsugi.subscribe import Received, Retry, SubscribeError, Subscriber
from kintsugi.subscribe.__main__ import main
from kintsugi_contracts.causes import Cause
from kintsugi_sandbox.embedded.servers import free_port

from tests.badrecords.producing import Producing, producing
from tests.badrecords.records import Case, Draft, opened
from tests.infrastructure import Infrastructure, told
from tests.integration.unreadable import put_unreadable_name

CONTRACTS = Path(__file__).parents[2] / "contracts"
PROGRAM = """
import os, signal, sys
from pathlib import Path

from kintsugi_events import ConsentRecorded
from kintsugi.kafka import Cluster, Protocol, read_password
from kintsugi.subscribe import Received, Subscriber

told = os.environ
password = told.get("KINTSUGI_KAFKA_PASSWORD_FILE")
cluster = Cluster(
    told["KINTSUGI_BOOTSTRAP"],
    told.get("KINTSUGI_KAFKA_USERNAME"),
    read_password(Path(password)) if password else None,
    Protocol(told.get("KINTSUGI_KAFKA_PROTOCOL", "PLAINTEXT")),
)
country, contracts, dies_at = sys.argv[1:]
subscriber = Subscriber(
    "report", cluster=cluster, country=country, contracts=Path(contracts), session_timeout_ms=6_000
)


@subscriber.on(ConsentRecorded)
async def note(event: ConsentRecorded, record: Received) -> None:
    with open("effects", "a") as effects:
        effects.write(f"{event.agency} {record.id}\\n")
    if event.agency == dies_at:
        os.kill(os.getpid(), signal.SIGKILL)


subscriber.run(until_end=True)
"""


@dataclass
class Room:
    """A country of the test's own with its topics, a producer, and a folder for the subscriber's file."""

    country: str
    cluster: Cluster
    to: Producing
    folder: Path

    def subscriber(self, seen: list[str], failing: dict[str, Exception] | None = None) -> Subscriber:
        """One whose handler notes agencies, and raises what is said for some."""
        subscriber = Subscriber(
            "report",
            cluster=self.cluster,
            country=self.country,
            contracts=CONTRACTS,
            folder=self.folder,
            session_timeout_ms=6_000,
        )

        @subscriber.on(e.ConsentRecorded)
        async def note(event: e.ConsentRecorded, record: Received) -> None:
            if failing and event.agency in failing:
                raise failing[event.agency]
            seen.append(event.agency or "")

        return subscriber

    def case(self, partition: int | None = None) -> Case:
        """A case, if wanted one that lives in this partition."""
        while (case := Case(self.country)).partition != partition and partition is not None:
            pass
        return case

    async def put(self, *drafts: Draft) -> None:
        await self.to.put(drafts)

    async def to_the_end(self, seen: list[str], failing: dict[str, Exception] | None = None) -> None:
        """One run of a subscriber over everything there is."""
        async with asyncio.timeout(25):
            await self.subscriber(seen, failing).serve(asyncio.Event(), until_end=True)

    async def committed(self, case: Case) -> int | None:
        """What the group has committed for a case's partition of intake."""
        async with AIOKafkaConsumer(
            **self.cluster.client(), group_id=f"{self.country}.office.report", enable_auto_commit=False
        ) as consumer:
            offset: int | None = await consumer.committed(TopicPartition(f"{self.country}.intake.v1", case.partition))
            return offset

    async def rewind(self, case: Case) -> None:
        """The group forgets how far it was in a case's partition."""
        place = TopicPartition(f"{self.country}.intake.v1", case.partition)
        async with AIOKafkaConsumer(
            **self.cluster.client(), group_id=f"{self.country}.office.report", enable_auto_commit=False
        ) as consumer:
            consumer.assign([place])
            await consumer.commit({place: 0})


@pytest.fixture
async def room(
    infrastructure: Infrastructure, unique_topics: Callable[..., Awaitable[dict[str, str]]], tmp_path: Path
) -> AsyncIterator[Room]:
    topics = await unique_topics("intake")
    country = topics["intake"].partition(".")[0]
    async with producing(infrastructure.cluster, country) as to:
        yield Room(country, infrastructure.cluster, to, tmp_path)


@contextlib.asynccontextmanager
async def running(*subscribers: Subscriber) -> AsyncIterator[list[asyncio.Event]]:
    """Subscribers at work; each stops at its event, all at the end."""
    stops = [asyncio.Event() for _ in subscribers]
    tasks = [asyncio.create_task(each.serve(stop)) for each, stop in zip(subscribers, stops, strict=True)]
    try:
        yield stops
    finally:
        for stop in stops:
            stop.set()
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Waits at most twenty seconds."""
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"never: {what}")


def opening(case: Case) -> Draft:
    """The first event of a case. Topics are of a country that no event may name."""
    return case.draft(opened("xa"), 1, id_=case.first_id)


def consents(case: Case, agencies: Sequence[str], first: int = 2) -> list[Draft]:
    return [case.consent(first + n, agency) for n, agency in enumerate(agencies)]


async def test_a_kill_repeats_the_one_event_under_way_and_no_other(infrastructure: Infrastructure, room: Room) -> None:
    case = room.case()
    agencies = [f"a{n}" for n in range(10)]
    await room.put(opening(case), *consents(case, agencies))
    program = room.folder / "report.py"
    program.write_text(PROGRAM)
    environment = {**os.environ, **told(infrastructure.cluster, room.folder)}

    async def run(dies_at: str) -> int:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, program, room.country, CONTRACTS, dies_at),
            cwd=room.folder,
            env=environment,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(25):
            _, said = await process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), said.decode()
        return process.returncode

    assert await run("a5") == -signal.SIGKILL
    assert (await room.committed(case) or 0) < 6, "died before what was handled was committed"
    assert await run("nowhere") == 0

    effects = [line.split() for line in (room.folder / "effects").read_text().splitlines()]
    assert [agency for agency, _ in effects] == [*agencies[:6], "a5", *agencies[6:]]
    assert len({id_ for _, id_ in effects}) == 10, "an effect keyed by the event's id happens once"
    assert await room.committed(case) == 11


async def test_it_resumes_after_a_restart_and_a_rewound_group_has_no_second_effect(room: Room) -> None:
    case, seen = room.case(), list[str]()
    await room.put(opening(case), *consents(case, ["a", "b"]))
    await room.to_the_end(seen)
    await room.put(*consents(case, ["c"], first=4))
    await room.to_the_end(seen)
    assert seen == ["a", "b", "c"]
    await room.rewind(case)
    await room.to_the_end(seen)
    assert seen == ["a", "b", "c"]
    assert await room.committed(case) == 4


async def test_a_lost_or_restored_file_makes_it_read_again_from_where_the_file_stands(room: Room) -> None:
    case, seen = room.case(), list[str]()
    await room.put(opening(case), *consents(case, ["a"]))
    await room.to_the_end(seen)
    file = room.subscriber(seen).file
    backup = file.read_bytes()
    await room.put(*consents(case, ["b"], first=3))
    await room.to_the_end(seen)
    file.write_bytes(backup)
    await room.to_the_end(seen)
    assert seen == ["a", "b", "b"]
    file.unlink()
    await room.to_the_end(seen)
    assert seen == ["a", "b", "b", "a", "b"]
    await room.to_the_end(seen)
    assert len(seen) == 5


async def test_a_raising_handler_holds_its_case_and_a_release_from_outside_drains_it(room: Room) -> None:
    bad, good, seen = room.case(), room.case(), list[str]()
    failing: dict[str, Exception] = {"b1": RuntimeError()}
    subscriber = room.subscriber(seen, failing)
    async with running(subscriber):
        await room.put(opening(bad), *consents(bad, ["b1", "b2"]), opening(good), *consents(good, ["g1", "g2"]))
        await room.put(*consents(bad, ["b3"], first=4))
        await until(lambda: len(seen) == 2 and subscriber.held()[0].behind == 2, "good ones flow, bad ones line up")
        assert seen == ["g1", "g2"]
        failing.clear()
        assert main(["release", bad.subject, f"--store={subscriber.file}"]) == 0
        await until(lambda: len(seen) == 5, "the released case drains")
        assert seen[2:] == ["b1", "b2", "b3"]
        assert subscriber.held() == []
    assert await room.committed(bad) is not None


async def test_what_was_released_while_it_stood_still_is_handled_at_the_next_start(room: Room) -> None:
    case, seen = room.case(), list[str]()
    await room.put(opening(case), *consents(case, ["a", "b"]))
    await room.to_the_end(seen, {"a": RuntimeError()})
    assert seen == []
    subscriber = room.subscriber(seen)
    assert subscriber.release() == [case.subject]
    await room.to_the_end(seen)
    assert seen == ["a", "b"]


async def test_unreadable_records_are_held_as_they_lay_on_the_topic(room: Room) -> None:
    body, nameless, good, seen = room.case(), room.case(), room.case(), list[str]()
    broken = body.consent(2).valued(b'{"decision": \xff\x00')
    odd = nameless.consent(2).named("ce_subject", None).named("x-proxy", b"\xff\xfe")
    await room.put(opening(body), broken, odd, opening(good), *consents(good, ["g"]), *consents(body, ["b"], first=3))
    await room.to_the_end(seen)
    assert seen == ["g"]
    kept = {each.cause: each for each in room.subscriber(seen).held()}
    assert set(kept) == {Cause.unreadable_body, Cause.header_unreadable}
    for cause, draft in ((Cause.unreadable_body, broken), (Cause.header_unreadable, odd)):
        record = kept[cause].record
        assert (record.key, record.value, list(record.headers)) == (draft.key, draft.value, draft.headers)
    assert kept[Cause.unreadable_body].behind == 1


async def test_a_handler_that_asks_to_wait_stops_its_partition_alone(room: Room) -> None:
    waits, goes, seen = room.case(3), room.case(4), list[str]()
    failing: dict[str, Exception] = {"w1": Retry(0.3)}
    async with running(room.subscriber(seen, failing)):
        await room.put(opening(waits), *consents(waits, ["w1", "w2"]), opening(goes), *consents(goes, ["g1", "g2"]))
        await until(lambda: seen == ["g1", "g2"], "the other partition goes on")
        await asyncio.sleep(1.5)
        assert (await room.committed(waits) or 0) <= 1
        failing.clear()
        await until(lambda: seen == ["g1", "g2", "w1", "w2"], "it goes on when the handler does")


async def test_members_share_the_partitions_and_hand_them_over(room: Room) -> None:
    cases = [room.case(n) for n in range(12)]
    first, second = list[str](), list[str]()
    one, two = room.subscriber(first), room.subscriber(second)

    async def round_of(sequence: int) -> None:
        await room.put(*(case.consent(sequence, f"{n:02}-{sequence}") for n, case in enumerate(cases)))
        await until(lambda: len(first) + len(second) == 12 * (sequence - 1), f"round {sequence} is handled")

    await room.put(*(opening(case) for case in cases))
    rounds = itertools.count(2)
    async with running(one):
        await round_of(next(rounds))
        assert len(first) == 12, "one member has it all"
        async with running(two):
            while len(second) < 6 and (number := next(rounds)) < 40:
                await round_of(number)
        last = next(rounds)
        before = len(first)
        await round_of(last)
        assert len(first) == before + 12, "the first has it all again"
    assert len(second) >= 6
    assert sorted(first + second) == sorted(f"{n:02}-{sequence}" for n in range(12) for sequence in range(2, last + 1))
    assert one.held() == []


async def test_a_partition_the_client_cannot_read_on_stops_alone(room: Room) -> None:
    odd, good, seen = room.case(5), room.case(6), list[str]()
    await room.put(opening(odd), *consents(odd, ["o1"]))
    await put_unreadable_name(room.cluster, f"{room.country}.intake.v1", odd.consent(3, "o2"))
    await room.put(*consents(odd, ["o3"], first=4), opening(good), *consents(good, ["g1"]))
    await room.to_the_end(seen)
    assert sorted(seen) == ["g1", "o1"]
    assert await room.committed(odd) == 2, "nothing behind the record counts as read"


async def test_it_says_what_is_wrong_and_waits_for_a_broker_that_is_away(room: Room) -> None:
    subscriber = room.subscriber([])
    elsewhere = Subscriber(
        "report", cluster=room.cluster, country="t0", contracts=CONTRACTS, folder=room.folder / "elsewhere"
    )
    elsewhere.on(e.ConsentRecorded)(lambda event, record: None)
    with pytest.raises(SubscribeError, match=r"no topic t0\.intake\.v1"):
        await elsewhere.serve(asyncio.Event())
    with pytest.raises(SubscribeError, match="has a handler already"):
        subscriber.on(e.ConsentRecorded)(lambda event, record: None)
    if room.cluster.username is not None:
        wrong = replace(room.cluster, password=Secret("wrong"))
        intruder = Subscriber("report", cluster=wrong, country=room.country, contracts=CONTRACTS, folder=room.folder)
        intruder.on(e.ConsentRecorded)(lambda event, record: None)
        with pytest.raises(SubscribeError, match="refuses the login of the user"):
            await intruder.serve(asyncio.Event())
    away = Subscriber(
        "away", cluster=Cluster(f"127.0.0.1:{free_port()}"), country="xa", contracts=CONTRACTS, folder=room.folder
    )
    away.on(e.ConsentRecorded)(lambda event, record: None)
    async with running(away):
        await asyncio.sleep(1)
