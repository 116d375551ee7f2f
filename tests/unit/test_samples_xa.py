"""The sample cases of Xandria cover what a demonstration must show, and every row has its script."""

from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from kintsugi_country import Pack, PackError, load
from kintsugi_country.samples import CASES, Script, load_script
from kintsugi_events import AgeBand, Answer, StatusReason
from kintsugi_intake.htcds import Refused, Row, read

FOLDER = Path(__file__).parents[2] / "countries" / "xa"
MINOR = {AgeBand.under_6, AgeBand.from_6_to_11, AgeBand.from_12_to_14, AgeBand.from_15_to_17, AgeBand.minor}


@pytest.fixture(scope="module")
def pack() -> Pack:
    return load(FOLDER)


@pytest.fixture(scope="module")
def script(pack: Pack) -> Script:
    return load_script(FOLDER, pack.directory, pack.baseline_instrument)


@pytest.fixture(scope="module")
def rows() -> list[Row | Refused]:
    return list(read((FOLDER / CASES).read_bytes(), "xa"))


@pytest.fixture(scope="module")
def people(rows: list[Row | Refused]) -> list[Row]:
    return [row for row in rows if isinstance(row, Row)]


def test_sixty_people_and_more_are_taken_and_each_has_a_script(people: list[Row], script: Script) -> None:
    assert len(people) >= 60
    assert {row.row_number for row in people} == set(script.people)


def test_every_dirty_row_is_refused_for_a_reason_of_its_own(rows: list[Row | Refused]) -> None:
    reasons = Counter(row.reason for row in rows if isinstance(row, Refused))
    assert len(reasons) >= 6
    assert set(reasons.values()) == {1}


def test_the_people_are_as_varied_as_the_issue_asks(people: list[Row], script: Script) -> None:
    assert sum(row.age_band(script.begins_on) in MINOR for row in people) >= 8
    assert sum(row.immediate_danger is Answer.yes for row in people) >= 3
    assert any(row.real_name == row.preferred_name for row in people), "no mononym"
    assert sum(any("\u0600" <= mark <= "\u06ff" for mark in row.real_name) for row in people) >= 2
    assert any(len(row.exploitation_types) > 1 for row in people)
    assert any(not row.exploitation_types for row in people)
    assert max(len(row.real_name) for row in people) > 80


def test_offices_and_areas_of_the_file_are_the_country_s(people: list[Row], pack: Pack) -> None:
    for row in people:
        assert row.office is not None
        assert row.area in pack.office(row.office).areas


def test_no_two_people_share_a_name_or_an_address(people: list[Row], script: Script) -> None:
    assert len({row.preferred_name for row in people}) == len(people)
    addresses = [person.email for person in script.people.values()]
    assert len(set(addresses)) == len(addresses)
    phones = [person.phone for person in script.people.values()]
    assert len(set(phones)) == len(phones)
    given = {row.row_number: row.phone for row in people if row.phone}
    assert all(script.people[number].phone == phone for number, phone in given.items())


def test_every_story_profile_and_pattern_is_lived_by_somebody(script: Script) -> None:
    assert {person.story for person in script.people.values()} == set(script.stories)
    assert {person.profile for person in script.people.values()} - {None} == set(script.profiles)
    assert {person.answers for person in script.people.values()} == set(script.answers)


def test_the_stories_cover_the_ways_a_case_can_go(script: Script) -> None:
    stories = script.stories.values()
    assert {s.assessment for s in stories} == {"completed", "paused_then_completed", "declined", "unanswered"}
    assert {s.choice for s in stories} == {"first", "second", "none", "not_now"}
    assert {s.sharing for s in stories} == {"before_choice", "after_withheld", "refused", "never"}
    assert {s.withdraws for s in stories} == {"never", "before_choice", "after_request", "after_acceptance"}
    assert {"rejects", "rejects_then_next", "no_answer", "holds", "fails", "unattended"} <= {
        s.provider for s in stories
    }


def test_reasons_are_codes_of_the_contract_and_stand_where_one_is_required(script: Script) -> None:
    for story in script.stories.values():
        needs_reason = story.provider in ("rejects", "rejects_then_next", "holds", "fails")
        assert (story.reason is not None) == needs_reason
        assert story.reason is None or story.reason in set(StatusReason) - {"unknown"}


def test_answers_cover_every_item_and_leave_out_what_is_declined(script: Script, pack: Pack) -> None:
    person = next(person for person in script.people.values() if person.declines)
    answers = script.answers_of(person, pack.baseline_instrument)
    assert set(answers) == {item.id for item in pack.baseline_instrument.items}
    assert [item for item, score in answers.items() if score is None] == list(person.declines)


def test_whoever_has_a_need_has_two_options_almost_always(people: list[Row], script: Script, pack: Pack) -> None:
    ages = {AgeBand.from_6_to_11: (6, 11), AgeBand.from_12_to_14: (12, 14), AgeBand.from_15_to_17: (15, 17)}
    few = 0
    for row in people:
        youngest, oldest = ages.get(row.age_band(script.begins_on), (18, 60))
        answers = script.answers_of(script.people[row.row_number], pack.baseline_instrument)
        for need in (need for domain in pack.baseline_instrument.domains for need in domain.needs):
            scores = [score for item in need.items if (score := answers[item]) is not None]
            if not scores or need.band_for(sum(scores) / len(scores)) is None:
                continue
            options = [
                service
                for service in pack.directory.services_for(need.need)
                if service.active
                and service.admits(youngest, oldest)
                and service.serves(row.area or "")
                and service.speaks(row.languages)
                and service.assured_on is not None
                and service.assured_on > date(2025, 11, 23)
            ]
            few += len(options) < 2
    assert few <= 3


def test_a_script_with_a_mistake_is_refused(tmp_path: Path, pack: Pack) -> None:
    (tmp_path / "samples").mkdir()
    text = (FOLDER / "samples" / "caseworker.yaml").read_text(encoding="utf-8")
    (tmp_path / "samples" / "caseworker.yaml").write_text(text.replace("story: no_answer", "story: no_anser"))
    with pytest.raises(PackError, match="did you mean 'no_answer'"):
        load_script(tmp_path, pack.directory, pack.baseline_instrument)
