"""What becomes of each record in a subscriber, without a broker: order, holds, duplicates, releases."""

from __future__ import annotations

import itertools
import sqlite3
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path

import kintsugi_events as e
import pytest
from aiokafka import TopicPartition
from kintsugi.kafka import Cluster
from kintsugi.store.rows import Record
from kintsugi.subscribe import CannotDo, Outcome, Received, Retry, State, StoreError
from kintsugi.subscribe.__main__ import main
from kintsugi.subscribe.consumption import Consumption
from kintsugi.subscribe.handling import Handling
from kintsugi.subscribe.operating import discard, release
from kintsugi.subscribe.store import Store
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.causes import Cause

from tests.badrecords.records import Case, Draft

CATALOG = Catalog.installed()

GROUP = "xa.office.test"


@dataclass
class Desk:
    """A subscriber of consents whose handler notes agencies and fails as told."""

    store: Store
    seen: list[str] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)
    failing: dict[str, Exception] = field(default_factory=dict)
    offsets: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.handling = Handling({e.ConsentRecorded: self.note, e.ConsentWithdrawn: self.note}, self.store, CATALOG)

    async def note(self, event: e.ConsentRecorded | e.ConsentWithdrawn, record: Received) -> None:
        agency = event.agency or ""
        if agency in self.failing:
            raise self.failing[agency]
        self.seen.append(agency)
        self.attempts.append(record.attempt)

    async def take(self, draft: Draft, offset: int | None = None) -> Outcome:
        return await self.handling.take(lying(draft, next(self.offsets) if offset is None else offset))


def lying(draft: Draft, offset: int) -> Record:
    return Record(f"xa.{draft.service}.v1", draft.partition, offset, draft.key, draft.value, draft.headers, 1_000)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Store(tmp_path / "kept" / "test.sqlite", GROUP))


@pytest.fixture
def case() -> Case:
    return Case("xa")


async def test_events_are_handled_once_in_order_and_others_pass(desk: Desk, case: Case) -> None:
    assert await desk.take(case.opening()) is Outcome.ignored
    second, third = case.consent(2, "b"), case.withdrawal(3, "c")
    assert [await desk.take(each) for each in (second, third, second, third)] == [
        Outcome.handled,
        Outcome.handled,
        Outcome.duplicate,
        Outcome.duplicate,
    ]
    assert desk.seen == ["b", "c"]


async def test_a_raising_handler_holds_its_case_alone_and_release_drains_it_in_order(desk: Desk, case: Case) -> None:
    other = Case("xa")
    desk.failing["b"] = RuntimeError("Amina Example cannot be counted")
    await desk.take(case.opening())
    await desk.take(other.opening())
    assert await desk.take(case.consent(2, "b")) is Outcome.held
    assert await desk.take(case.consent(3, "c")) is Outcome.waiting
    assert await desk.take(other.consent(2, "o")) is Outcome.handled
    assert await desk.take(case.withdrawal(4, "d")) is Outcome.waiting

    [held] = desk.store.held()
    assert (held.cause, held.behind, held.sequence) == (Cause.handler_raised, 2, 2)
    assert held.detail.startswith("RuntimeError at ")
    assert "Amina" not in held.detail, "what a handler says may hold a name"

    assert release(desk.store, held.number) == [case.subject]
    await desk.handling.drain(case.subject)
    assert desk.store.held()[0].attempts == 2, "it failed again and is held again"
    assert desk.store.movable() == []

    desk.failing.clear()
    release(desk.store, case.subject[:12])
    assert desk.store.movable() == [(case.subject, case.partition)]
    await desk.handling.drain(case.subject)
    assert desk.seen == ["o", "b", "c", "d"]
    assert desk.store.held() == []
    assert await desk.take(case.consent(5, "e")) is Outcome.handled


async def test_what_was_released_is_left_to_the_next_member_once_the_group_is_shared_out_anew(desk: Desk) -> None:
    held = [Case("xa"), Case("xa")]
    for each in held:
        desk.failing["b"] = RuntimeError()
        await desk.take(each.opening())
        assert await desk.take(each.consent(2, "b")) is Outcome.held
    desk.store.release()
    consumption = Consumption(desk.handling, desk.store, Cluster("127.0.0.1:1"), GROUP, [], session_ms=1_000)
    consumption._positions = {TopicPartition("xa.intake.v1", each.partition): 0 for each in held}

    def handed_over(event: e.ConsentRecorded, record: Received) -> None:
        desk.seen.append(record.subject)
        consumption.assigned([])

    desk.handling = Handling({e.ConsentRecorded: handed_over}, desk.store, CATALOG)
    consumption._handling = desk.handling
    await consumption._drain()
    assert len(desk.seen) == 1
    assert len(desk.store.movable()) == 1


async def test_a_replay_of_what_is_held_or_waits_is_dropped(desk: Desk, case: Case) -> None:
    desk.failing["b"] = RuntimeError()
    await desk.take(case.opening())
    second, third = case.consent(2, "b"), case.consent(3, "c")
    await desk.take(second)
    await desk.take(third)
    assert await desk.take(second) is Outcome.duplicate
    assert await desk.take(third) is Outcome.duplicate
    assert desk.store.held()[0].behind == 1


async def test_a_gap_holds_the_case_until_the_missing_event_comes(desk: Desk, case: Case) -> None:
    await desk.take(case.opening())
    assert await desk.take(case.consent(3, "c")) is Outcome.held
    assert await desk.take(case.consent(4, "d")) is Outcome.waiting
    assert desk.store.held()[0].cause is Cause.gap
    assert desk.seen == []
    assert await desk.take(case.consent(2, "b")) is Outcome.waiting
    assert desk.seen == ["b", "c", "d"]
    assert desk.store.held() == []


async def test_a_gap_can_be_accepted(desk: Desk, case: Case) -> None:
    await desk.take(case.opening())
    await desk.take(case.consent(3, "c"))
    release(desk.store, None)
    await desk.handling.drain(case.subject)
    assert desk.seen == ["c"]
    assert await desk.take(case.consent(2, "b")) is Outcome.duplicate


async def test_the_missing_event_of_a_gap_may_fail_itself(desk: Desk, case: Case) -> None:
    desk.failing["b"] = RuntimeError()
    await desk.take(case.opening())
    await desk.take(case.consent(3, "c"))
    await desk.take(case.consent(2, "b"))
    assert {each.cause for each in desk.store.held()} == {Cause.gap, Cause.handler_raised}
    assert desk.store.movable() == [], "nothing is tried again without a person"
    desk.failing.clear()
    release(desk.store, case.subject)
    await desk.handling.drain(case.subject)
    assert desk.seen == ["b", "c"]


async def test_retry_leaves_the_record_unsettled(desk: Desk, case: Case) -> None:
    await desk.take(case.opening())
    desk.failing["b"] = Retry()
    with pytest.raises(Retry):
        await desk.take(case.consent(2, "b"))
    assert desk.store.held() == []
    desk.failing.clear()
    assert await desk.take(case.consent(2, "b")) is Outcome.handled


async def test_what_cannot_be_decoded_is_held_or_set_aside_with_its_bytes(desk: Desk, case: Case) -> None:
    other, third = Case("xa"), Case("xa")
    for each in (case, other, third):
        await desk.take(each.opening())
    broken = case.consent(2).valued(b'{"decision": \xff')
    nameless = other.consent(2).named("ce_id", b"\xff\xfe").again("x-proxy", b"\x00")
    tombstone = third.withdrawal(2).valued(None)
    assert [await desk.take(each) for each in (broken, nameless, tombstone)] == [
        Outcome.held,
        Outcome.aside,
        Outcome.held,
    ]
    kept = desk.store.held()
    assert [each.cause for each in kept] == [Cause.unreadable_body, Cause.header_unreadable, Cause.unreadable_body]
    for held, draft in zip(kept, (broken, nameless, tombstone), strict=True):
        assert (held.record.key, held.record.value, held.record.headers) == (draft.key, draft.value, draft.headers)

    assert await desk.take(nameless, offset=kept[1].record.offset) is Outcome.aside
    assert len(desk.store.held()) == 3, "delivered again, kept once"
    with pytest.raises(CannotDo, match="no place in any order"):
        release(desk.store, kept[1].number)
    with pytest.raises(CannotDo, match="protects a person"):
        discard(desk.store, kept[2].number, "producer_defect")
    discard(desk.store, kept[1].number, "producer_defect")
    discard(desk.store, kept[2].number, "supervisor_decision", although_protective=True)
    assert [each.number for each in desk.store.held()] == [kept[0].number]
    assert await desk.take(third.consent(3, "on")) is Outcome.handled


async def test_an_unknown_version_of_a_type_it_takes_is_held_and_an_unknown_type_is_not(desk: Desk, case: Case) -> None:
    await desk.take(case.opening())
    weather = case.consent(2).named("ce_type", b"kintsugi.weather.changed.v1")
    assert await desk.take(weather) is Outcome.ignored
    assert await desk.take(case.consent(3).named("ce_type", b"kintsugi.consent.recorded.v9")) is Outcome.held
    assert desk.store.held()[0].cause is Cause.unknown_major


async def test_another_event_under_a_used_number_is_set_aside(desk: Desk, case: Case) -> None:
    await desk.take(case.opening())
    await desk.take(case.consent(2, "b"))
    assert await desk.take(case.consent(2, "forged")) is Outcome.aside
    assert await desk.take(case.consent(3, "c")) is Outcome.handled
    assert desk.seen == ["b", "c"]


async def test_a_discarded_record_lets_what_waits_behind_it_go_on(desk: Desk, case: Case) -> None:
    desk.failing["b"] = RuntimeError()
    await desk.take(case.opening())
    await desk.take(case.consent(2, "b"))
    await desk.take(case.consent(3, "c"))
    waits = desk.store.held()[0].number + 1
    with pytest.raises(CannotDo, match="only waits"):
        discard(desk.store, waits, "superseded")
    with pytest.raises(CannotDo, match="Choose one: producer_defect"):
        discard(desk.store, waits - 1, "Amina asked for it")
    discard(desk.store, waits - 1, "superseded")
    assert desk.store.movable() == [(case.subject, case.partition)]
    await desk.handling.drain(case.subject)
    assert desk.seen == ["c"]


async def test_the_store_is_its_owners_alone_and_of_one_group(desk: Desk) -> None:
    assert stat.S_IMODE(desk.store.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(desk.store.file.parent.stat().st_mode) == 0o700
    desk.store.flush({("xa.intake.v1", 3): 8})
    assert desk.store.position("xa.intake.v1", 3) == 8
    assert desk.store.position("xa.intake.v1", 4) is None
    for each in desk.store.file.parent.iterdir():
        assert stat.S_IMODE(each.stat().st_mode) == 0o600, each
    with pytest.raises(StoreError, match="belongs to xa"):
        Store(desk.store.file, "xa.office.other")
    with pytest.raises(StoreError, match="does not exist"):
        Store(desk.store.file.with_name("none.sqlite"))


async def test_a_file_that_cannot_be_its_store_is_refused_in_words_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match=r"cannot be made: .*Name a folder"):
        Store(tmp_path / "file" / "test.sqlite", GROUP)
    mine = sqlite3.connect(tmp_path / "mine.sqlite")
    mine.execute("CREATE TABLE consents (event_id TEXT)")
    with pytest.raises(StoreError, match="is no store of this release"):
        Store(tmp_path / "mine.sqlite", GROUP)
    assert mine.execute("SELECT name FROM sqlite_master").fetchall() == [("consents",)]
    mine.close()


async def test_a_record_of_a_topic_made_anew_does_not_pass_for_one_that_is_kept(desk: Desk) -> None:
    """A country that was emptied counts its offsets from 0 again."""
    nameless = replace(lying(Case("xa").consent(), 0), headers=())
    for moment in (1_000, 1_000, 2_000):
        assert await desk.handling.take(replace(nameless, appended_ms=moment)) is Outcome.aside
    assert [kept.record.appended_ms for kept in desk.store.held()] == [1_000, 2_000]


async def test_the_command_lists_releases_and_discards(
    desk: Desk, case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    store = f"--store={desk.store.file}"
    assert main(["held", store]) == 0
    assert capsys.readouterr().out == "Nothing is held.\n"
    desk.failing["b"] = RuntimeError()
    await desk.take(case.opening())
    await desk.take(case.consent(2, "b"))
    await desk.take(case.consent(3, "c"))
    assert main(["held", store]) == 0
    said = capsys.readouterr().out
    assert f"{case.subject}  /xa/intake:2, 1 behind it" in said
    assert "handler_raised: RuntimeError" in said
    assert main(["held", "--json", store]) == 0
    assert '"cause": "handler_raised"' in capsys.readouterr().out
    assert main(["release", "99", store]) == 1
    assert "no record 99" in capsys.readouterr().err
    assert main(["release", store]) == 1
    assert main(["release", "1", store]) == 0
    assert f"Released {case.subject}" in capsys.readouterr().out
    assert desk.store.held()[0].state is State.released
    assert main(["discard", "1", "--reason=test_record", store]) == 0
    assert "Discarded kintsugi.consent.recorded.v1" in capsys.readouterr().out
