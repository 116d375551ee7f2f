"""Bad records among good ones, on a real broker and database, through the real process."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.badrecords.records import COPIES, NEXT, ODD, STORIES, Case, good_story
from tests.badrecords.run import Aftermath

TABLE: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "expected.yaml").read_text(encoding="utf-8"))
ROWS = [pytest.param(row, id=f"{row['input']}: {row['record']}") for row in TABLE]
KEPT = {"waiting", "held", "dead"}
# A busy machine starts servers slowly.
pytestmark = pytest.mark.timeout(240)


def test_the_table_covers_every_kind_of_bad_record_and_every_record_that_is_made() -> None:
    assert {row["input"] for row in TABLE} == {*range(1, 31), 33, 34, 35, 36}
    assert sorted(row["record"] for row in TABLE) == sorted(STORIES)


@pytest.mark.parametrize("row", ROWS)
def test_a_bad_record_is_accounted_for_as_the_table_says(aftermath: Aftermath, row: dict[str, Any]) -> None:
    found = Counter((each.status, each.cause) for each in aftermath.accounts_of(row["record"], "odd"))

    made = len(aftermath.stories[row["record"]].odd)
    assert found == {(row["outcome"], row.get("cause")): made}


@pytest.mark.parametrize("row", ROWS)
def test_what_follows_in_the_same_case_waits_behind_it_or_takes_effect(
    aftermath: Aftermath, row: dict[str, Any]
) -> None:
    story = aftermath.stories[row["record"]]
    stand = aftermath.stands[story.case.subject]
    stands_at = row.get("stands_at")

    assert [each.status for each in aftermath.accounts_of(row["record"], "before")] == ["applied"] * len(story.before)
    assert {each.status for each in aftermath.accounts_of(row["record"], "after")} == {row["follower"]}
    assert (stand.status, stand.cause) == (("held", stands_at) if stands_at else ("ok", None))
    assert (NEXT in stand.consents) == (row["follower"] == "applied")
    assert stand.waiting == sum(1 for each in aftermath.accounts if _lines_up(each.subject, each.status, story.case))
    announced = aftermath.own.count((story.case.subject, "kintsugi.input.held.v1"))
    assert announced == (1 if stands_at else 0)


@pytest.mark.parametrize("row", ROWS)
def test_only_what_was_applied_took_effect(aftermath: Aftermath, row: dict[str, Any]) -> None:
    story = aftermath.stories[row["record"]]
    consents = aftermath.stands[story.case.subject].consents
    odd_consents = [each for each in story.odd if each.value is not None and ODD.encode() in each.value]

    if not odd_consents or row["outcome"] != "applied":
        assert ODD not in consents
    else:
        assert consents[ODD] == ("refused" if row["record"] == "future enum value" else "granted")


def test_an_effect_that_came_before_its_cause_was_decided_after_it(aftermath: Aftermath) -> None:
    story = aftermath.stories["effect before cause on another topic"]
    state = aftermath.stands[story.case.subject].state

    assert state["case_ref"] == "XA-7F3K2M9Q"
    assert aftermath.own.count((story.case.subject, "kintsugi.referral.proposed.v1")) == 2
    assert "kintsugi.input.held.v1" not in {type_ for subject, type_ in aftermath.own if subject == story.case.subject}


def test_a_thousand_copies_have_one_effect(aftermath: Aftermath) -> None:
    name = "a thousand copies"
    statuses = Counter(each.status for part in ("before", "odd") for each in aftermath.accounts_of(name, part))

    assert statuses == {"applied": 1, "duplicate": COPIES - 1}


def test_good_cases_between_the_bad_ones_all_take_effect(aftermath: Aftermath) -> None:
    for name, story in aftermath.good.items():
        stand = aftermath.stands[story.case.subject]
        statuses = [each.status for part in ("before", "odd", "after") for each in aftermath.accounts_of(name, part)]
        assert statuses == ["applied"] * 3, name
        assert (stand.status, stand.consents) == ("ok", {ODD: "granted", NEXT: "granted"}), name


def test_every_record_on_the_topics_has_exactly_one_account(aftermath: Aftermath) -> None:
    accounts = Counter(each.place for each in aftermath.accounts)

    assert accounts == Counter(each.place for each in aftermath.put)
    assert set(accounts.values()) == {1}
    assert Counter(each.topic for each in aftermath.accounts) == aftermath.on_topics
    known = {"applied", "ignored", "duplicate", "waiting", "held", "discarded", "dead"}
    assert {each.status for each in aftermath.accounts} <= known


def test_what_waits_is_held_or_is_dead_restores_the_original_record_exactly(aftermath: Aftermath) -> None:
    drafts = {each.place: each.draft for each in aftermath.put}
    kept = [each for each in aftermath.accounts if each.status in KEPT]

    assert {each.status for each in kept} == KEPT
    for each in kept:
        draft = drafts[each.place]
        assert each.restored() == (draft.key, draft.value, draft.headers), each.place


def test_the_bytes_of_what_took_effect_are_not_kept(aftermath: Aftermath) -> None:
    settled = [each for each in aftermath.accounts if each.status not in KEPT]

    assert {(each.key, each.headers, each.body) for each in settled} == {(None, None, None)}


async def test_the_same_process_goes_on_with_the_next_good_case(aftermath: Aftermath) -> None:
    story = good_story(Case(aftermath.office.country))

    await aftermath.to.put([*story.before, *story.odd, *story.after])

    assert await aftermath.settled(story) == {1: ("applied", None), 2: ("applied", None), 3: ("applied", None)}
    assert aftermath.office.alive


def _lines_up(subject: str | None, status: str, case: Case) -> bool:
    return subject == case.subject and status in ("waiting", "held")
