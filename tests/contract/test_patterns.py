"""Every pattern of the contracts is read by RE2, Go and Rust too, and takes what it took before."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from kintsugi_contracts.asyncapi.headers import service_trait
from kintsugi_contracts.patterns import MOST, refusal, unrolled
from kintsugi_share.contract import JWE

from tests.contract.folders import CONTRACTS

RELEASED_JWE = "^[A-Za-z0-9_-]{20,1000}[.][.][A-Za-z0-9_-]{16}[.][A-Za-z0-9_-]{342,20000}[.][A-Za-z0-9_-]{22}$"
RELEASED_SEEN = "^([a-z][a-z0-9_-]{0,39}:[0-9]{1,16}( [a-z][a-z0-9_-]{0,39}:[0-9]{1,16}){0,63})?$"
FILES = [
    *sorted(f for f in CONTRACTS.rglob("*.json") if "released" not in f.parts and "examples" not in f.parts),
    *sorted(CONTRACTS.glob("asyncapi*.yaml")),
    *sorted(CONTRACTS.glob("asyncapi/*.yaml")),
]


def patterns(part: object) -> Iterator[str]:
    """Every pattern that stands anywhere inside."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "pattern" and isinstance(value, str):
                yield value
            yield from patterns(value)
    elif isinstance(part, list):
        for value in part:
            yield from patterns(value)


def _read(file: Path) -> object:
    text = file.read_text(encoding="utf-8")
    return json.loads(text) if file.suffix == ".json" else yaml.load(text, Loader=yaml.CSafeLoader)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(CONTRACTS).as_posix())
def test_every_pattern_of_schemas_meta_schemas_and_documents_is_read_everywhere(file: Path) -> None:
    assert {pattern: why for pattern in patterns(_read(file)) if (why := refusal(pattern))} == {}


@pytest.mark.parametrize("pattern", [RELEASED_JWE, RELEASED_SEEN])
def test_the_two_that_re2_and_go_refused_are_refused_here(pattern: str) -> None:
    assert "of at most 1000" in str(refusal(pattern))


@pytest.mark.parametrize(
    "pattern",
    ["^(?=a)b$", "^(?!a)b$", "^(?<=a)b$", "^(?P<n>a)(?P=n)$", "^(?>a)b$", "^(?i)a$", "^(a)\\1$", "^a?+$", "^a{2}{3}$"],
)
def test_what_no_other_language_need_know_is_refused(pattern: str) -> None:
    assert refusal(pattern) is not None


@pytest.mark.parametrize(
    "pattern", ["^(?:a|b){0,1000}$", "^[]{}(^-]{1,2}\\{[(?]$", "^(a{10}b?){100}c*?$", "^(a{0,50}){0,20}$"]
)
def test_what_every_language_reads_passes(pattern: str) -> None:
    assert refusal(pattern) is None


@pytest.mark.parametrize("released", [RELEASED_JWE])
def test_the_pattern_of_a_sealed_value_takes_the_same_at_every_length(released: str) -> None:
    assert unrolled(released) == JWE
    old, new = re.compile(released), re.compile(JWE)
    for length in range(0, 20_102):
        value = f"{'h' * 20}..{'i' * 16}.{'c' * length}.{'t' * 22}"
        assert bool(new.search(value)) is bool(old.search(value)) is (342 <= length <= 20_000), length


PARTS = st.tuples(
    st.sampled_from([0, 19, 20, 21, 999, 1000, 1001]),
    st.integers(15, 17),
    st.one_of(st.integers(0, 3000), st.integers(19_000, 20_100)),
    st.integers(21, 23),
    st.sampled_from("aZ9_-.=é "),
    st.integers(0, 25_000),
)


@given(PARTS)
def test_it_takes_the_same_whatever_is_wrong_with_a_value(parts: tuple[int, int, int, int, str, int]) -> None:
    header, iv, text, tag, odd, at = parts
    value = f"{'h' * header}..{'i' * iv}.{'c' * text}.{'t' * tag}"
    value = value[: at % len(value)] + odd + value[at % len(value) + 1 :]
    assert bool(re.search(JWE, value)) is bool(re.search(RELEASED_JWE, value))


@given(st.integers(0, 2500), st.integers(0, 4500), st.data())
def test_a_long_repeat_unrolled_takes_exactly_the_lengths_it_took(least: int, more: int, data: st.DataObject) -> None:
    most = least + more
    pattern = f"^[ab]{{{least},{most}}}$"
    again = unrolled(pattern)
    assert refusal(again) is None or most <= MOST
    lengths = {0, least - 1, least, least + 999, least + 1000, least + 1001, most - 1, most, most + 1}
    for length in {*lengths, data.draw(st.integers(0, most + 100))}:
        if length >= 0:
            assert bool(re.search(again, "ab" * (length // 2) + "a" * (length % 2))) is (least <= length <= most)


def test_short_repeats_stay_as_they_are() -> None:
    assert unrolled("^[a-z]{1,1000}(x{2,3}){4}$") == "^[a-z]{1,1000}(x{2,3}){4}$"


@given(st.lists(st.sampled_from(["a:1", "intake:77", f"{'n' * 40}:{'9' * 16}", "n:", "N:1", ""]), max_size=70))
def test_what_a_writer_had_seen_is_said_as_before(entries: list[str]) -> None:
    pattern = service_trait()["headers"]["properties"]["ce_seen"]["pattern"]
    said = " ".join(entries)
    assert bool(re.search(pattern, said)) is bool(re.search(RELEASED_SEEN, said))


def test_what_a_writer_had_seen_names_as_many_services_as_before() -> None:
    pattern = service_trait()["headers"]["properties"]["ce_seen"]["pattern"]
    for count in range(70):
        said = " ".join(["a:1"] * count)
        assert bool(re.search(pattern, said)) is bool(re.search(RELEASED_SEEN, said)) is (count <= 64)
