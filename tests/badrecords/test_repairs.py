"""What an operator does about a case that stands still, through the operations API of the running service."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.badrecords.records import NEXT, ODD, Case, Story, good_story
from tests.badrecords.run import Aftermath, Stand

APPLIED = ("applied", None)
# A busy machine starts servers slowly.
pytestmark = pytest.mark.timeout(240)


async def _repair(
    found: Aftermath, story: Story, action: str, body: dict[str, Any] | None = None, role: str = "operator"
) -> httpx.Response:
    return await found.office.post(f"subjects/{story.case.subject}/{action}", body, role)


async def _refused(answer: httpx.Response, code: str) -> None:
    assert answer.status_code == 409, answer.text
    assert answer.json()["code"] == code


async def test_an_unreadable_input_is_discarded_with_a_reason_and_what_waited_takes_effect(
    aftermath: Aftermath,
) -> None:
    story = aftermath.repairs["unreadable"]

    answer = await _repair(aftermath, story, "discard", {"reason": "producer_defect"})

    assert answer.status_code == 200, answer.text
    stand = await aftermath.stand(story)
    assert (stand.status, stand.waiting, set(stand.consents)) == ("ok", 0, {NEXT})
    assert await aftermath.statuses(story) == {1: APPLIED, 2: ("discarded", "unreadable_body"), 3: APPLIED}
    assert await aftermath.own_types(story) == ["input.held", "input.discarded"]
    [row] = await aftermath.office.rows(
        "SELECT key, headers, body, detail FROM inputs WHERE subject = $1 AND sequence = 2", story.case.subject
    )
    assert tuple(row) == (None, None, None, "producer_defect")


async def test_a_release_without_a_mend_holds_the_case_again_and_keeps_the_original(aftermath: Aftermath) -> None:
    story = aftermath.repairs["still_unreadable"]

    answer = await _repair(aftermath, story, "release")

    assert answer.json()["held_again"] == "unreadable_body"
    assert await _standing(aftermath, story) == ("held", "unreadable_body", 2)
    assert await aftermath.statuses(story) == {1: APPLIED, 2: ("held", "unreadable_body"), 3: ("waiting", None)}
    assert await aftermath.own_types(story) == ["input.held", "input.released", "input.held"]
    [row] = await aftermath.office.rows(
        "SELECT body FROM inputs WHERE subject = $1 AND sequence = 2", story.case.subject
    )
    assert row["body"] == b"{"


async def test_a_withdrawal_that_can_be_read_is_never_discarded(aftermath: Aftermath) -> None:
    story = aftermath.repairs["readable_withdrawal"]
    assert await _standing(aftermath, story) == ("held", "lost_state", 1)

    await _refused(await _repair(aftermath, story, "discard", {"reason": "producer_defect"}), "protective")

    assert await _standing(aftermath, story) == ("held", "lost_state", 1)
    assert (await aftermath.statuses(story))[3] == ("held", "lost_state")


async def test_a_withdrawal_under_an_unreadable_header_can_be_given_up_and_blocks_the_case(
    aftermath: Aftermath,
) -> None:
    story = aftermath.repairs["withdrawal_under_another_content_type"]
    assert (await _repair(aftermath, story, "release")).json()["held_again"] == "content_type"

    assert (await _repair(aftermath, story, "discard", {"reason": "producer_defect"})).status_code == 200
    assert (await aftermath.stand(story)).status == "blocked"


async def test_a_case_held_for_a_gap_goes_on_by_itself_when_the_missing_event_comes(aftermath: Aftermath) -> None:
    story = aftermath.repairs["gap_before_a_withdrawal"]
    assert await _standing(aftermath, story) == ("held", "gap", 1)

    await aftermath.to.put([story.case.consent(3, NEXT)])

    assert await aftermath.settled(story, 4) == dict.fromkeys((1, 2, 3, 4), APPLIED)
    stand = await aftermath.stand(story)
    assert (stand.status, stand.consents) == ("ok", {ODD: "withdrawn", NEXT: "granted"})
    assert await aftermath.own_types(story) == ["input.held", "input.released"]


async def test_what_waits_behind_a_gap_cannot_be_discarded_in_place_of_what_is_missing(aftermath: Aftermath) -> None:
    story = aftermath.repairs["gap_before_a_consent"]
    assert await _standing(aftermath, story) == ("held", "gap", 1)

    answer = await _repair(aftermath, story, "discard", {"reason": "producer_defect"})

    assert answer.status_code == 409, answer.text
    await aftermath.to.put([story.case.consent(2, ODD)])
    assert await aftermath.settled(story) == dict.fromkeys((1, 2, 3), APPLIED)


async def test_a_withdrawal_that_cannot_be_read_leaves_the_case_blocked_until_a_supervisor_lifts_it(
    aftermath: Aftermath,
) -> None:
    story = aftermath.repairs["unreadable_withdrawal"]

    assert (await _repair(aftermath, story, "discard", {"reason": "producer_defect"})).status_code == 200
    assert (await aftermath.stand(story)).status == "blocked"
    assert (await aftermath.statuses(story))[4] == ("waiting", None)
    await _refused(await _repair(aftermath, story, "release"), "not_held")
    assert (await _repair(aftermath, story, "lift")).status_code == 403
    assert (await _repair(aftermath, story, "lift", role="supervisor")).status_code == 200

    stand = await aftermath.stand(story)
    assert (stand.status, stand.consents) == ("ok", {ODD: "granted", NEXT: "granted"})
    assert await aftermath.statuses(story) == {
        1: APPLIED, 2: APPLIED, 3: ("discarded", "unreadable_body"), 4: APPLIED
    }  # fmt: skip


async def test_a_gap_is_released_without_the_event_that_is_known_to_be_lost(aftermath: Aftermath) -> None:
    story = aftermath.repairs["gap_to_be_released"]

    await _refused(await _repair(aftermath, story, "release", {"without": [["intake", 3]]}), "not_the_next")
    answer = await _repair(aftermath, story, "release", {"without": [["intake", 2]]})

    assert answer.status_code == 200, answer.text
    assert await aftermath.statuses(story) == {1: APPLIED, 3: APPLIED}
    assert await _standing(aftermath, story) == ("ok", None, 0)
    assert await aftermath.own_types(story) == ["input.held", "input.released"]


async def test_an_event_that_comes_after_a_release_without_it_is_seen_as_a_dead_letter(aftermath: Aftermath) -> None:
    story = aftermath.repairs["gap_released_too_early"]
    await _repair(aftermath, story, "release", {"without": [["intake", 2]]})

    await aftermath.to.put([story.case.consent(2, ODD), story.case.consent(4, "the-last")])

    assert (await aftermath.settled(story, 4))[2] == ("dead", "gap")
    assert set((await aftermath.stand(story)).consents) == {NEXT, "the-last"}


async def test_a_dead_letter_is_discarded_and_its_bytes_go_but_not_its_account(aftermath: Aftermath) -> None:
    [account] = aftermath.accounts_of("dead_letter", "odd")
    place = "/".join(map(str, account.place))

    answer = await aftermath.office.post(f"dead-letters/{place}/discard", {"reason": "producer_defect"})

    assert answer.status_code == 204, answer.text
    [row] = await aftermath.office.rows(
        'SELECT status, cause, body FROM inputs WHERE topic = $1 AND partition = $2 AND "offset" = $3', *account.place
    )
    assert tuple(row) == ("discarded", "id_unreadable", None)
    assert (
        await aftermath.office.post(f"dead-letters/{place}/discard", {"reason": "producer_defect"})
    ).status_code == 404


async def test_every_repair_that_was_done_is_audited_and_none_that_was_refused(aftermath: Aftermath) -> None:
    story = aftermath.repairs["still_unreadable"]
    before = await aftermath.office.rows("SELECT count(*) FROM audit WHERE subject = $1", story.case.subject)

    assert (await _repair(aftermath, story, "release")).status_code == 200
    await _refused(await _repair(aftermath, story, "lift", role="supervisor"), "not_blocked")

    rows = await aftermath.office.rows(
        "SELECT actor, action FROM audit WHERE subject = $1 ORDER BY id", story.case.subject
    )
    assert [tuple(row) for row in rows[before[0]["count"] :]] == [("operator:staff-operator", "release")]


async def test_good_cases_are_taken_while_others_stand_still(aftermath: Aftermath) -> None:
    story = good_story(Case(aftermath.office.country))

    await aftermath.to.put([*story.before, *story.odd, *story.after])

    assert await aftermath.settled(story) == dict.fromkeys((1, 2, 3), APPLIED)
    assert aftermath.office.alive


async def _standing(found: Aftermath, story: Story) -> tuple[str, str | None, int]:
    stand: Stand = await found.stand(story)
    return stand.status, stand.cause, stand.waiting
