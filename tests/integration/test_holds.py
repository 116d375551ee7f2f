"""What a service says of the cases it holds, and what it tries by itself after a deployment."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest_asyncio
from kintsugi.envelope import MAX_DEPTH, Envelope
from kintsugi.runtime.redeployed import Redeployed, release_of

from tests.integration.recovered.desk import Trouble
from tests.integration.recovered.inbox import Inbox
from tests.integration.recovered.office import case

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@pytest_asyncio.fixture(loop_scope="session")
async def inbox(new_database: Callable[..., Awaitable[str]]) -> AsyncIterator[Inbox]:
    made = Inbox(await new_database())
    await made.migrate()
    yield made
    Trouble.raising = False
    await made.core.engine.dispose()


async def held(inbox: Inbox, subject: str) -> None:
    Trouble.raising = True
    await inbox.take("intake", subject, "case.closed", 1)


def about(envelopes: list[Envelope], type_: str) -> Envelope:
    [found] = [envelope for envelope in envelopes if envelope.type == f"kintsugi.{type_}.v1"]
    return found


async def test_a_hold_names_the_event_behind_it_as_its_cause_and_continues_its_trace(inbox: Inbox) -> None:
    Trouble.raising = True
    subject = case()
    cause = await inbox.take("intake", subject, "case.closed", 1, depth=3, traceparent=TRACE)
    said = about(await inbox.own(subject), "input.held")
    assert (said.causationid, said.depth, said.traceparent) == (cause.id, 4, TRACE)


async def test_a_hold_at_the_deepest_event_can_still_be_read(inbox: Inbox) -> None:
    Trouble.raising = True
    subject = case()
    await inbox.take("intake", subject, "case.closed", 1, depth=MAX_DEPTH)
    assert about(await inbox.own(subject), "input.held").depth == MAX_DEPTH


async def test_a_hold_for_a_missing_event_ends_with_the_event_that_came_as_the_cause(inbox: Inbox) -> None:
    subject = case()
    late = await inbox.take("intake", subject, "consent.recorded", 2, depth=1, traceparent=TRACE)
    assert await inbox.gaps.hold(subject)
    said = about(await inbox.own(subject), "input.held")
    assert (said.causationid, said.depth, said.traceparent) == (late.id, 2, TRACE)
    await inbox.take("intake", subject, "consent.recorded", 1, depth=5)
    said = about(await inbox.own(subject), "input.released")
    assert (said.causationid, said.depth) == (late.id, 2), "what lined up last ended it"


async def test_a_release_without_an_event_that_was_only_waited_for_has_a_root_of_its_own(inbox: Inbox) -> None:
    subject = case()
    await inbox.take("intake", subject, "consent.recorded", 2)
    await inbox.repair.release(subject, "operator:1", [("intake", 1)])
    said = about(await inbox.own(subject), "input.released")
    assert said.depth == 0
    assert said.causationid is not None
    assert said.causationid.startswith("release/")


async def test_after_a_deployment_what_a_handler_raised_at_is_released_one_by_one(inbox: Inbox) -> None:
    subjects = [case() for _ in range(3)]
    for subject in subjects:
        await held(inbox, subject)
    gap = case()
    await inbox.take("intake", gap, "consent.recorded", 2)
    assert await inbox.gaps.hold(gap)
    Trouble.raising = False

    redeployed = Redeployed(inbox.core, inbox.repair, "2")
    for released in (1, 2, 3, 3):
        await redeployed.step(lambda: None)
        assert (await inbox.status(subjects)).count("ok") == released
    assert await inbox.status([gap]) == ["held"], "what it waits for has nothing to do with the release"


async def test_the_first_that_is_held_again_ends_it(inbox: Inbox) -> None:
    subjects = [case() for _ in range(3)]
    for subject in subjects:
        await held(inbox, subject)
    redeployed = Redeployed(inbox.core, inbox.repair, "2")
    for _ in range(4):
        await redeployed.step(lambda: None)
    assert await inbox.status(subjects) == ["held"] * 3
    said = [envelope.type for subject in subjects for envelope in await inbox.own(subject)]
    assert said.count("kintsugi.input.released.v1") == 1


async def test_a_start_of_the_same_release_tries_nothing(inbox: Inbox) -> None:
    await Redeployed(inbox.core, inbox.repair, "1").step(lambda: None)
    subject = case()
    await held(inbox, subject)
    Trouble.raising = False
    await Redeployed(inbox.core, inbox.repair, "1").step(lambda: None)
    assert await inbox.status([subject]) == ["held"]
    await Redeployed(inbox.core, inbox.repair, "2").step(lambda: None)
    assert await inbox.status([subject]) == ["ok"]


def test_a_release_is_known_by_its_versions_and_its_fold() -> None:
    assert release_of("notify", 2) != release_of("notify", 3)
    assert release_of("notify", 2).endswith("fold 2")
    assert release_of("nowhere", 1).startswith("unknown ")
