"""The engine's rules: means of what was scored, nothing imputed, needs from the pack, comparison within a version."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kintsugi_assessment.domain import counts, merged, objection
from kintsugi_assessment.scoring import (
    FoundNeed,
    Score,
    changes,
    comparable,
    dropped,
    incomplete,
    needs,
    scored,
)
from kintsugi_events import NeedBand

from services.assessment.tests.assessment_examples import ALL_WELL, DEMO, domain, instrument

SMALL = instrument()
PRESSING = [NeedBand.high, NeedBand.moderate, NeedBand.low, None]


def test_a_domain_score_is_the_mean_of_its_scored_items() -> None:
    assert scored(SMALL, merged({}, {"a": 4, "b": 5, "c": 9})) == (Score("calm", 3, 6.0),)


@pytest.mark.parametrize("why", ["declined", "not_applicable", "insufficient_information"])
def test_what_was_not_scored_is_left_out_of_the_mean_and_never_imputed(why: Any) -> None:
    assert scored(SMALL, merged({}, {"a": 4, "b": 8, "c": why})) == (Score("calm", 2, 6.0),)
    assert scored(SMALL, merged({}, {"a": 4, "b": 8})) == (Score("calm", 2, 6.0),)


def test_a_domain_with_too_few_scored_items_is_incomplete_and_has_no_score() -> None:
    scores = scored(SMALL, merged({}, {"a": 0, "b": "declined", "c": "not_applicable"}))
    assert scores == (Score("calm", 1, None),)
    assert incomplete(scores) == ("calm",)


def test_nothing_assumes_six_domains_or_four_points() -> None:
    fourteen = instrument(domains=[domain(f"d{n}", [f"d{n}.x", f"d{n}.y"]) for n in range(14)])
    scores = scored(fourteen, merged({}, {item.id: 10 for item in fourteen.items}))
    assert [score.mean for score in scores] == [10.0] * 14
    assert needs(fourteen, merged({}, {item.id: 0 for item in fourteen.items})) == tuple(
        FoundNeed(f"d{n}", f"d{n}_help", NeedBand.high) for n in range(14)
    )


@pytest.mark.parametrize(
    ("value", "band"),
    [(0, NeedBand.high), (3, NeedBand.high), (4, NeedBand.moderate), (5, NeedBand.moderate), (6, NeedBand.low),
     (7, NeedBand.low), (8, None), (10, None)],
)  # fmt: skip
def test_a_need_gets_the_first_band_whose_limit_its_mean_does_not_exceed(value: int, band: NeedBand | None) -> None:
    found = needs(SMALL, merged({}, dict.fromkeys("abc", value)))
    assert [need.band for need in found] == ([band] if band else [])


def test_a_scale_whose_maximum_is_most_vulnerable_is_read_from_that_end() -> None:
    scale = SMALL.scale.model_dump() | {"most_vulnerable": "maximum"}
    symptoms = instrument(scale=scale, domains=[domain("calm", ["a", "b", "c"], alert_on_drop=True)])
    assert [need.band for need in needs(symptoms, merged({}, dict.fromkeys("abc", 10)))] == [NeedBand.high]
    assert needs(symptoms, merged({}, dict.fromkeys("abc", 0))) == ()
    worse = scored(symptoms, merged({}, dict.fromkeys("abc", 8)))
    assert [drop.previous for drop in dropped(symptoms, worse, {"calm": 2.0})] == [2.0]
    assert dropped(symptoms, worse, {"calm": 9.0}) == ()


def test_declining_other_questions_does_not_take_a_need_away() -> None:
    alone = merged({}, {**dict.fromkeys(ALL_WELL, "declined"), "safety.home": 1, "safety.contact": 1})
    assert incomplete(scored(DEMO, alone))[0] == "safety"
    assert needs(DEMO, alone) == (FoundNeed("safety", "safe_shelter", NeedBand.urgent),)


def test_a_need_of_an_incomplete_domain_is_not_read_from_a_part_of_its_items() -> None:
    assert needs(DEMO, merged({}, {"safety.home": 1})) == ()


def test_a_need_that_reads_the_whole_domain_needs_a_complete_one() -> None:
    assert needs(SMALL, merged({}, {"a": 0})) == ()


def test_a_need_none_of_whose_items_was_scored_is_not_found() -> None:
    without: dict[str, Any] = {**dict.fromkeys(ALL_WELL, 2), "legal.papers": "declined"}
    assert "identity_documents" not in {need.need for need in needs(DEMO, merged({}, without))}


def test_the_most_pressing_need_comes_first() -> None:
    low = {**ALL_WELL, "safety.home": 2, "safety.contact": 3, "physical.dwelling": 1, "economic.work": 2}
    found = needs(DEMO, merged({}, low))
    assert [(need.need, need.band) for need in found] == [
        ("housing", NeedBand.urgent), ("employment", NeedBand.high), ("safe_shelter", NeedBand.moderate)
    ]  # fmt: skip


def test_every_band_a_pack_may_use_is_a_band_of_the_contract() -> None:
    bands = {band.band for each in DEMO.domains for need in each.needs for band in need.bands}
    lowest = needs(DEMO, merged({}, dict.fromkeys(ALL_WELL, 1)))
    assert bands <= set(NeedBand) - {NeedBand.unknown}
    assert len(lowest) == sum(len(each.needs) for each in DEMO.domains)


def test_unscored_questions_change_no_score_and_no_count() -> None:
    wish = DEMO.unscored[0].id
    with_wish = merged({}, {**ALL_WELL, wish: 1})
    assert scored(DEMO, with_wish) == scored(DEMO, merged({}, ALL_WELL))
    assert counts(with_wish, DEMO) == counts(merged({}, ALL_WELL), DEMO)


@pytest.mark.parametrize(
    ("other", "version", "may"),
    [("small", "1.4.2", True), ("small", "2.0.0", False), ("small", "10.0.0", False), ("another", "1.0.0", False)],
)
def test_only_scores_of_one_instrument_and_major_version_compare(other: str, version: str, may: bool) -> None:
    assert comparable(SMALL, other, version) is may


def test_change_is_measured_only_where_both_were_complete() -> None:
    two = instrument(domains=[domain("calm", ["a", "b"]), domain("kin", ["c", "d"])])
    now = scored(two, merged({}, {"a": 2, "b": 4, "c": 1, "d": "declined"}))
    assert changes(now, {"calm": 5.0, "kin": 9.0}) == {"calm": -2.0}
    assert changes(now, {"kin": 9.0}) == {}


def test_only_a_domain_the_instrument_watches_raises_an_alarm() -> None:
    two = instrument(domains=[domain("calm", ["a", "b"], alert_on_drop=True), domain("kin", ["c", "d"])])
    now = scored(two, merged({}, {"a": 2, "b": 4, "c": 0, "d": 0}))
    assert [drop.domain for drop in dropped(two, now, {"calm": 3.5, "kin": 9.0})] == ["calm"]
    assert dropped(two, now, {"calm": 3.0, "kin": 9.0}) == ()


def test_an_unknown_item_and_a_value_off_the_scale_are_objected_to() -> None:
    assert objection({"a": 0, "c": "declined", "b": None}, SMALL) is None
    assert objection({"z": 1}, SMALL) == "item_unknown"
    assert objection({"z": None}, SMALL) == "item_unknown"
    assert objection({"a": 11}, SMALL) == "value_out_of_scale"
    assert objection({"a": -1}, SMALL) == "value_out_of_scale"


_REASONS = st.sampled_from(["declined", "not_applicable", "insufficient_information"])


@st.composite
def _instruments(draw: st.DrawFn) -> Any:
    minimum = draw(st.integers(-5, 5))
    maximum = minimum + draw(st.integers(1, 8))
    end = draw(st.sampled_from(["minimum", "maximum"]))
    limits = sorted(draw(st.lists(st.integers(minimum, maximum), min_size=3, max_size=3)))
    bands = [{"band": band, "at_most": at} for band, at in zip(["high", "moderate", "low"], limits, strict=True)]
    domains = []
    for n in range(draw(st.integers(1, 5))):
        items = [f"d{n}.i{i}" for i in range(draw(st.integers(1, 5)))]
        own = draw(st.lists(st.sampled_from(items), unique=True))
        least = draw(st.integers(1, len(items)))
        domains.append(
            domain(f"d{n}", items, minimum_scored=least, needs=[{"need": "n", "items": own, "bands": bands}])
        )
    labels = {point: {"en": "w"} for point in range(minimum, maximum + 1)}
    scale = {"minimum": minimum, "maximum": maximum, "most_vulnerable": end, "labels": labels}
    return instrument(scale=scale, domains=domains)


@st.composite
def _answered(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    made = draw(_instruments())
    value = st.integers(made.scale.minimum, made.scale.maximum)
    given_ = {item.id: draw(st.one_of(value, _REASONS, st.none())) for item in made.items}
    return made, given_


@given(_answered())
def test_for_any_instrument_a_score_lies_on_its_scale_and_counts_what_was_scored(case: tuple[Any, Any]) -> None:
    made, answers = case
    kept = merged({}, answers)
    for score, each in zip(scored(made, kept), made.domains, strict=True):
        values = [answers[item.id] for item in each.items if isinstance(answers[item.id], int)]
        assert score.scored_items == len(values)
        assert (score.mean is None) == (len(values) < each.minimum_scored)
        if score.mean is not None:
            assert score.mean == pytest.approx(sum(values) / len(values))
    stand = counts(kept, made)
    assert stand.answered + stand.remaining == len(made.items)
    assert stand.declined <= stand.answered


@given(_answered(), st.data())
def test_a_worse_answer_never_makes_a_need_less_pressing(case: tuple[Any, Any], data: st.DataObject) -> None:
    made, answers = case
    values = [item for item, answer in answers.items() if isinstance(answer, int)]
    if not values:
        return
    item = data.draw(st.sampled_from(values))
    low = made.scale.most_vulnerable == "minimum"
    worst = made.scale.minimum if low else made.scale.maximum

    def by_domain(given_: Any) -> dict[str, int]:
        return {need.domain: PRESSING.index(need.band) for need in needs(made, merged({}, given_))}

    before, after = by_domain(answers), by_domain({**answers, item: worst})
    assert all(after.get(code, 3) <= pressing for code, pressing in before.items())


@given(_answered(), st.data())
def test_sections_saved_in_any_order_and_number_of_parts_come_to_the_same(
    case: tuple[Any, Any], data: st.DataObject
) -> None:
    made, answers = case
    given_ = [(item, answer) for item, answer in answers.items() if answer is not None]
    saved: Any = {}
    for item, answer in data.draw(st.permutations(given_)):
        saved = merged(saved, {item: answer})
    assert saved == merged({}, dict(given_))
    assert needs(made, saved) == needs(made, merged({}, dict(given_)))


def test_an_answer_taken_back_is_as_if_never_given() -> None:
    assert merged(merged({}, {"a": 1, "b": 2}), {"a": None}) == merged({}, {"b": 2})
