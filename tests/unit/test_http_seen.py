"""The headers that carry versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kintsugi.http.problems import Problem
from kintsugi.http.seen import behind, etag, format_seen, not_caught_up, parse_if_match, parse_seen, version_changed


def test_seen_is_read_and_written() -> None:
    assert parse_seen("intake:7 assessment:2") == {"intake": 7, "assessment": 2}
    assert parse_seen(None) == parse_seen("  ") == {}
    assert format_seen({"intake": 7, "assessment": 2, "notify": 0}) == "assessment:2 intake:7"


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_-]{0,39}", fullmatch=True), st.integers(1, 2**53), max_size=32))
def test_whatever_is_written_is_read_back(seen: dict[str, int]) -> None:
    assert parse_seen(format_seen(seen)) == seen


@pytest.mark.parametrize(
    "header",
    [
        "notify",
        "notify:",
        "intake:0",
        "intake:-1",
        "intake:07",
        "intake:1,assessment:2",
        "Intake:1",
        "intake:1 intake:2",
        "intake:9007199254740993",
        f"intake:{'9' * 5000}",
        "/xa/intake:1",
        "intake:٣",
        " ".join(f"s{n}:1" for n in range(33)),
    ],
)
def test_a_malformed_seen_is_refused_without_being_repeated(header: str) -> None:
    with pytest.raises(Problem) as refused:
        parse_seen(header)
    assert (refused.value.status, refused.value.code) == (400, "seen_malformed")
    assert header not in str(refused.value.document())


def test_only_what_is_ahead_is_behind() -> None:
    assert behind({"intake": 7, "notify": 1}, {"intake": 7, "assessment": 4}) == {"notify": 1}
    assert behind({"intake": 8}, {"intake": 7}) == {"intake": 8}
    assert behind({}, {}) == {}
    problem = not_caught_up({"intake": 8})
    assert (problem.status, problem.headers["Retry-After"]) == (503, "1")
    assert problem.document()["missing"] == "intake:8"


def test_if_match_gives_the_version_of_an_etag() -> None:
    assert parse_if_match(etag(12)) == 12
    assert parse_if_match("*") is None
    assert parse_if_match(None, required=False) is None


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (None, 428, "if_match_required"),
        ('W/"12"', 400, "if_match_malformed"),
        ("12", 400, "if_match_malformed"),
        ('"12", "13"', 400, "if_match_malformed"),
        ('"' + "9" * 30 + '"', 400, "if_match_malformed"),
        ("", 400, "if_match_malformed"),
    ],
)
def test_a_missing_or_malformed_if_match_is_refused(header: str | None, status: int, code: str) -> None:
    with pytest.raises(Problem) as refused:
        parse_if_match(header)
    assert (refused.value.status, refused.value.code) == (status, code)


def test_a_changed_version_is_412_with_the_one_that_stands() -> None:
    problem = version_changed(13)
    assert (problem.status, problem.headers["ETag"]) == (412, '"13"')
