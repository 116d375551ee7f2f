"""A database that was lost, or is older than its topic, comes back as the fold of the log; nothing is decided twice."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from kintsugi.agenda import Result
from kintsugi.operations.repair import Repair
from kintsugi.recovery import CannotFold, LogIncomplete, RecoveryRefused, recover
from kintsugi.runtime.database import CannotStart, compare_with_own_topic, ready
from kintsugi.shell.core import LostState
from kintsugi_events import DiscardReason

from tests.infrastructure import Infrastructure
from tests.integration.recovered.desk import SURVIVOR, TASKS, Trouble, application, desk, evolve
from tests.integration.recovered.office import Running, Scene, case, country

NewDatabase = Callable[..., Awaitable[str]]


@pytest_asyncio.fixture(loop_scope="session")
async def scene(infrastructure: Infrastructure, new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Scene]:
    """A service that has not run yet."""
    made = Scene(infrastructure, country(), await new_database(), tmp_path)
    async with made.opened():
        yield made
    Trouble.raising = False


async def told(scene: Scene, subjects: list[str]) -> None:
    """Events of both sources, among them causes across topics and inputs that lead to nothing."""
    for subject in subjects:
        await scene.emit("intake", subject, "case.opened")
        await scene.emit("intake", subject, "risk.raised")
        consent = await scene.emit("intake", subject, "consent.recorded")
        overdue = await scene.emit("assessment", subject, "assessment.overdue", {"intake": consent})
        await scene.emit("intake", subject, "consent.recorded", {"assessment": overdue})


async def after_recovery(scene: Scene) -> None:
    """The service runs on, until it is quiet; then every record is accounted for once and the log is its fold."""
    async with scene.running():
        pass
    records, accounted = await scene.ledger()
    assert records == accounted
    assert (await recover(application, scene.settings, compare=True)).differences == []


async def starts(scene: Scene) -> None:
    """What a start asks of the database before anything runs."""
    running = Running(scene)
    try:
        await ready(running.core.engine, application, lambda: None)
        await compare_with_own_topic(running.core, scene.infrastructure.cluster)
    finally:
        await running.core.engine.dispose()


async def test_an_empty_database_comes_back_as_it_was_and_nothing_is_decided_twice(
    scene: Scene, new_database: NewDatabase
) -> None:
    await told(scene, [case() for _ in range(8)])
    async with scene.running():
        pass
    before, log = await scene.memory(), await scene.log("notify")
    await scene.replace_by(await new_database())

    report = await recover(application, scene.settings)

    assert await scene.log("notify") == log
    # The last consent of each case led to nothing that says it was seen: it is read once more.
    assert (report.subjects, report.published, report.left) == (8, len(log), 8)
    await after_recovery(scene)
    assert await scene.memory() == before
    assert await scene.log("notify") == log


async def test_an_older_dump_that_lost_own_events_comes_back_as_it_was(scene: Scene) -> None:
    subjects = [case() for _ in range(6)]
    await told(scene, subjects[:4])
    async with scene.running():
        pass
    dump = await scene.dump()
    await told(scene, subjects[2:])
    async with scene.running():
        pass
    before, log = await scene.memory(), await scene.log("notify")
    await scene.restore(dump)

    with pytest.raises(LostState, match="kintsugi recover notify"):
        await starts(scene)
    report = await recover(application, scene.settings)

    lost = await scene.query("SELECT count(*) AS sent FROM published")
    assert (report.published, lost[0]["sent"]) == (12, len(log))
    await starts(scene)
    await after_recovery(scene)
    assert await scene.memory() == before
    assert await scene.log("notify") == log


async def test_unsent_events_of_a_surviving_database_are_kept_and_sent(scene: Scene) -> None:
    await told(scene, [case() for _ in range(3)])
    running = Running(scene)
    await running.consumption.start()
    await running.read()
    await running.stop()
    before = await scene.memory()
    assert await scene.log("notify") == []

    report = await recover(application, scene.settings)

    assert (report.subjects, report.left, report.published) == (3, 0, 0)
    assert await scene.memory() == before
    await after_recovery(scene)
    assert len(await scene.log("notify")) == 9


async def test_unsent_rows_of_a_dump_that_were_sent_since_are_not_sent_again(scene: Scene) -> None:
    await told(scene, [case() for _ in range(3)])
    running = Running(scene)
    await running.consumption.start()
    await running.read()
    await running.stop()
    dump = await scene.dump()
    async with scene.running():
        pass
    log = await scene.log("notify")
    await scene.restore(dump)

    await recover(application, scene.settings)

    moved = await scene.query("SELECT (SELECT count(*) FROM outbox) AS unsent, count(*) AS sent FROM published")
    assert tuple(moved[0]) == (0, 9)
    await after_recovery(scene)
    assert await scene.log("notify") == log


async def test_a_hold_and_what_lined_up_behind_it_come_back(scene: Scene, new_database: NewDatabase) -> None:
    held, free = case(), case()
    await told(scene, [held, free])
    Trouble.raising = True
    await scene.emit("intake", held, "case.closed")
    await scene.emit("intake", held, "risk.raised")
    async with scene.running():
        pass
    before, log = await scene.memory(), await scene.log("notify")
    assert before["subjects"][held][3:5] == ("held", 2)
    await scene.replace_by(await new_database())

    await recover(application, scene.settings)

    await after_recovery(scene)
    assert await scene.memory() == before
    assert await scene.log("notify") == log
    Trouble.raising = False
    async with scene.running() as running:
        said = await Repair(running.core, running.clock).release(held, "operator")
        assert said["status"] == "ok"
    assert len(await scene.log("notify")) == len(log) + 4
    await after_recovery(scene)


async def test_what_was_discarded_or_given_up_stays_skipped(scene: Scene, new_database: NewDatabase) -> None:
    discarded, awaited = case(), case()
    await told(scene, [discarded])
    Trouble.raising = True
    await scene.emit("intake", discarded, "case.closed")
    await scene.emit("intake", discarded, "risk.raised")
    await scene.emit("intake", awaited, "consent.recorded", sequence=2)
    async with scene.running() as running:
        await running.quiet()
        while not await running.gaps.outlived():
            await running.pause()
        assert await running.gaps.hold(awaited)
        repair = Repair(running.core, running.clock)
        await repair.discard(discarded, "operator", DiscardReason.consumer_defect)
        await repair.release(awaited, "operator", [("intake", 1)])
    await scene.emit("intake", awaited, "risk.raised", sequence=1)
    async with scene.running():
        pass
    before, log = await scene.memory(), await scene.log("notify")
    assert before["subjects"][awaited][2] == {"consents": 1}
    await scene.replace_by(await new_database())

    await recover(application, scene.settings)

    await after_recovery(scene)
    assert await scene.memory() == before
    assert await scene.log("notify") == log
    statuses = await scene.query("SELECT status FROM inputs WHERE type = 'kintsugi.case.closed.v1'")
    assert [row["status"] for row in statuses] == ["discarded"]


async def test_a_survivor_is_never_told_twice_and_staff_are_told_again(scene: Scene, new_database: NewDatabase) -> None:
    subject = case()
    await told(scene, [subject])
    async with scene.running() as running:
        await running.quiet()
        survivor = await running.sends.claim(subject, "survivor/1")
        assert survivor is not None
        names = [name for _, name in await running.sends.runnable() if name.startswith("alert/")]
        staff = await running.sends.claim(subject, names[0])
        assert staff is not None
    await scene.replace_by(await new_database())

    report = await recover(application, scene.settings)

    assert report.unknown == 1
    async with scene.running() as running:
        await running.quiet()
        assert (subject, "survivor/1") not in await running.sends.runnable()
        assert await running.sends.claim(subject, "survivor/1") is None
        again = await running.sends.claim(subject, staff.name)
        assert again is not None
        assert again.key == staff.key
        (claim,) = await running.sends.unsettled()
        await running.sends.settle(claim)
    ended = await scene.query("SELECT result, reason FROM attempts WHERE name = 'survivor/1'")
    assert [tuple(row) for row in ended] == [(Result.unknown, "no_outcome")]
    state = (await scene.memory())["subjects"][subject][2]
    assert state["answered"] == [SURVIVOR]


async def test_a_changed_fold_is_rebuilt_over_a_database_that_lost_nothing(scene: Scene) -> None:
    await told(scene, [case() for _ in range(4)])
    async with scene.running():
        pass
    before, log = await scene.memory(), await scene.log("notify")
    inputs = await scene.query("SELECT * FROM inputs ORDER BY topic, partition")
    await scene.query("UPDATE subjects SET state = '{}', fold_version = 0")
    await scene.query("INSERT INTO service_facts VALUES ('fold_version', '0')")
    with pytest.raises(CannotStart, match="folded by version 0"):
        await starts(scene)

    report = await recover(application, scene.settings)

    assert (report.left, report.published) == (0, 0)
    await starts(scene)
    assert await scene.memory() == before
    assert await scene.query("SELECT * FROM inputs ORDER BY topic, partition") == inputs
    await after_recovery(scene)
    assert await scene.log("notify") == log


async def test_a_running_service_is_not_recovered_and_an_unfinished_recovery_is_not_started(scene: Scene) -> None:
    await told(scene, [case()])
    async with scene.running() as running:
        await running.quiet()
        with pytest.raises(RecoveryRefused, match="stop it first"):
            await recover(application, scene.settings)
        assert (await recover(application, scene.settings, compare=True)).differences == []
    await scene.query("INSERT INTO service_facts VALUES ('recovering', 'since then')")
    with pytest.raises(CannotStart, match="not finished"):
        await starts(scene)
    await recover(application, scene.settings)
    await starts(scene)


async def test_nothing_changes_where_the_log_or_the_fold_falls_short(
    scene: Scene, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await told(scene, [case() for _ in range(3)])
    async with scene.running():
        pass
    before = await scene.memory()

    def raising(_event: object, _state: object) -> object:
        raise ValueError("this fold is wrong")

    wrong = replace(application, service=desk)
    with monkeypatch.context() as patched:
        patched.setattr(desk, "evolve", _Registered(raising))
        with pytest.raises(CannotFold, match="evolve raised ValueError"):
            await recover(wrong, scene.settings)
    assert await scene.memory() == before
    await scene.query("UPDATE subjects SET sequence = sequence + 1")
    with pytest.raises(LogIncomplete, match="only 3"):
        await recover(application, scene.settings)
    await scene.query("UPDATE subjects SET sequence = sequence - 1")
    assert await scene.memory() == before
    await starts(scene)


class _Registered:
    """A fold with the types of the real one."""

    def __init__(self, function: Callable[[object, object], object]) -> None:
        self.registry = evolve.registry
        self._function = function

    def __call__(self, event: object, state: object) -> object:
        return self._function(event, state)


PLANTED = {
    "state": "UPDATE subjects SET state = replace(state, '\"dangers\":1', '\"dangers\":2')",
    "cursor": "UPDATE subjects SET progress = regexp_replace(progress, '(\"intake\":\\[4,\")[^\"]+', '\\1other')",
    "sequence": "UPDATE subjects SET sequence = sequence - 1",
    "hold": """UPDATE subjects SET status = 'held', hold = '{"cause": "gap", "kind": "event", "source": "intake",
        "sequence": 9, "input_id": "x", "type": "y", "since": "2026-01-01T00:00:00+00:00"}'""",
    "subject": "DELETE FROM subjects",
    "agenda": "DELETE FROM agenda WHERE name = 'survivor/1'",
    "agenda, surplus": "UPDATE agenda SET name = 'survivor/2' WHERE name = 'survivor/1'",
    "agenda, otherwise": "UPDATE agenda SET body = replace(body, 'mail', 'sms') WHERE name = 'survivor/1'",
    "view": f"DELETE FROM {TASKS.name}",
    "view, surplus": f"INSERT INTO {TASKS.name} SELECT * FROM {TASKS.name} LIMIT 1",
    "view, otherwise": f"UPDATE {TASKS.name} SET due_at = due_at + interval '1 day'",
    "view, nobody's": f"INSERT INTO {TASKS.name} VALUES ('case/nobody', 'none', now())",
}


async def test_a_comparison_reports_every_kind_of_difference_and_mends_none(scene: Scene) -> None:
    await told(scene, [case()])
    async with scene.running():
        pass
    healthy = await scene.dump()
    for kind, damage in PLANTED.items():
        await scene.restore(healthy)
        await scene.query(damage)
        damaged = await scene.memory()

        report = await recover(application, scene.settings, compare=True)

        assert kind.partition(",")[0] in {each.kind for each in report.differences}, kind
        assert await scene.memory() == damaged, kind
