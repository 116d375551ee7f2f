"""Listening to a real broker: history in order, what comes live, one case, bad records, and a good end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kintsugi.kafka import Cluster
from kintsugi_office.listening import finding
from kintsugi_office.listening.choosing import Unclear
from kintsugi_office.listening.reading import CannotListen
from kintsugi_office.listening.session import Asked, Format, listen

from tests.badrecords.producing import Producing, producing
from tests.badrecords.records import Case, Draft, opened
from tests.infrastructure import Infrastructure
from tests.integration.unreadable import put_unreadable_name

CONTRACTS = Path(__file__).parents[2] / "contracts"
ALL = Asked(country=None, types=(), case=None, since="earliest", form=Format.json, until_end=True, limit=None)


@dataclass
class Room:
    """A country of the test's own with two topics, and a producer to them."""

    country: str
    cluster: Cluster
    to: Producing

    def case(self, partition: int) -> Case:
        """A case that lives in this partition."""
        while (case := Case(self.country)).partition != partition:
            pass
        return case

    async def listen(self, asked: Asked, stop: asyncio.Event | None = None) -> None:
        """Listens as the command does; references are found in the log."""

        async def find(ref: str, openings: Mapping[str, int]) -> str:
            return await finding.in_log(ref, self.cluster, openings)

        now = datetime.now(UTC)
        async with asyncio.timeout(25):
            await listen(self.cluster, CONTRACTS, self.country, asked, now, find, stop or asyncio.Event())


@pytest.fixture
async def room(
    infrastructure: Infrastructure, unique_topics: Callable[..., Awaitable[dict[str, str]]]
) -> AsyncIterator[Room]:
    topics = await unique_topics("intake", "assessment")
    country = topics["intake"].partition(".")[0]
    async with producing(infrastructure.cluster, country) as to:
        yield Room(country, infrastructure.cluster, to)


def opening(case: Case, ref: str) -> Draft:
    """The first event of a case. Topics are of a country that no event may name."""
    event = opened("xa")
    return case.draft(
        event, 1, id_=case.first_id, value=json.dumps({**json.loads(event.encode()), "case_ref": ref}).encode()
    )


def told(capsys: pytest.CaptureFixture[str]) -> tuple[list[dict[str, Any]], str]:
    """The lines on standard output, and the text on standard error."""
    out, err = capsys.readouterr()
    return [json.loads(line) for line in out.splitlines()], err


async def test_history_is_told_in_the_order_of_the_log(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    cases = [room.case(n) for n in range(6)]
    for case in cases:
        await room.to.put([opening(case, "XA-7F3K2M9Q")])
        await asyncio.sleep(0.005)
    for case in reversed(cases):
        await room.to.put([case.assessed(1, {"intake": 1})])
        await asyncio.sleep(0.005)
    await room.listen(ALL)
    lines, said = told(capsys)
    assert [line["subject"] for line in lines] == [case.subject for case in [*cases, *reversed(cases)]]
    assert "2 topics (not there: " in said
    assert "The end of the topics: 12 shown, of 12 heard." in said


async def test_only_what_is_asked_for_is_shown(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = room.case(1), room.case(2)
    await room.to.put([opening(one, "XA-0NE00000"), opening(other, "XA-0THER000"), one.consent(2), other.consent(2)])
    await asyncio.sleep(0.2)  # the broker's clock and ours are read at different moments
    moment = datetime.now(UTC)
    await asyncio.sleep(0.2)
    await room.to.put([one.withdrawal(3), one.assessed(1, {})])

    async def shown(**asked: Any) -> list[tuple[str, str]]:
        await room.listen(replace(ALL, **asked))
        lines, _ = told(capsys)
        return [(line["type"].split(".", 1)[1], "one" if line["subject"] == one.subject else "other") for line in lines]

    assert await shown(types=("consent.*",), case="XA-0NE") == [
        ("consent.recorded.v1", "one"),
        ("consent.withdrawn.v1", "one"),
    ]
    assert await shown(case=other.subject) == [("case.opened.v1", "other"), ("consent.recorded.v1", "other")]
    assert await shown(case=one.subject[5:13], limit=1) == [("case.opened.v1", "one")]
    assert await shown(since=moment.isoformat()) == [
        ("consent.withdrawn.v1", "one"),
        ("assessment.completed.v1", "one"),
    ]
    with pytest.raises(Unclear, match="beginning of several cases"):
        await shown(case="XA-0")
    with pytest.raises(Unclear, match="no case begins with it"):
        await shown(case="XA-9")


async def test_what_comes_is_shown_as_it_comes_until_stopped(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    case, stop, lines = room.case(3), asyncio.Event(), list[dict[str, Any]]()
    await room.to.put([opening(case, "XA-7F3K2M9Q")])
    listening = asyncio.create_task(room.listen(replace(ALL, since="now", until_end=False), stop))
    said = ""
    for sequence in range(2, 100):
        await room.to.put([case.consent(sequence)])
        await asyncio.sleep(0.1)
        more, err = told(capsys)
        lines += more
        said += err
        if len(lines) >= 3:
            break
    stop.set()
    await listening
    more, err = told(capsys)
    lines += more
    assert "Ctrl-C ends it" in said
    assert f"Ctrl-C: {len(lines)} shown, of {len(lines)} heard." in err
    sequences = [line["sequence"] for line in lines]
    assert sequences == list(range(sequences[0], sequences[0] + len(lines)))
    assert sequences[0] > 1, "from now on"


@pytest.mark.parametrize("form", list(Format))
async def test_bad_records_are_shown_as_such_and_the_tail_goes_on(
    room: Room, capsys: pytest.CaptureFixture[str], form: Format
) -> None:
    case = room.case(4)
    good = case.consent(2)
    await room.to.put(
        [
            opening(case, "XA-7F3K2M9Q"),
            good.valued(None),
            good.valued(b'{"agency": "Amina Example'),
            replace(good, headers=[]),
            good.named("ce_id", b"\xff\xfe"),
            good.named("ce_type", b"kintsugi.weather.changed.v1"),
        ]
    )
    await put_unreadable_name(room.cluster, f"{room.country}.intake.v1", good)
    await room.to.put([case.consent(3)])
    await room.listen(replace(ALL, form=form))
    out, err = capsys.readouterr()
    assert "8 shown, 6 of them not as the contract says, of 8 heard." in err
    assert "Amina" not in out + err
    codes = ("tombstone", "unreadable_body", "id_unreadable", "header_unreadable", "unknown_type")
    assert all(code in out + err for code in codes)
    assert f"{room.country}.intake.v1/4 at 6" in out + err, "what the client cannot read is passed over by name"
    assert ("consent.recorded" in out.splitlines()[-1]) or form is Format.pretty


async def test_it_joins_no_group_and_says_what_is_not_there(room: Room) -> None:
    from aiokafka.admin import AIOKafkaAdminClient

    await room.listen(ALL)
    admin = AIOKafkaAdminClient(**room.cluster.client())
    await admin.start()
    groups = {group for group, _ in await admin.list_consumer_groups()}
    await admin.close()
    assert not any(room.country in group for group in groups)
    with pytest.raises(CannotListen, match=r"no topic t0\.assessment\.v1.*Countries here: "):
        await replace(room, country="t0").listen(ALL)
    with pytest.raises(CannotListen, match="does not answer this command"):
        await replace(room, cluster=Cluster("127.0.0.1:1")).listen(ALL)
