"""What a person may ask of `kintsugi listen`, and what it answers when it does not understand."""

from datetime import UTC, datetime, timedelta

import pytest
from kintsugi_contracts.catalog import Catalog
from kintsugi_office.listening.choosing import Beginning, Unclear, Wanted, beginning, patterns
from kintsugi_office.listening.heard import Heard, hear

from tests.badrecords.records import Case, Draft

CATALOG = Catalog.installed()

NOW = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
KNOWN = {model.type for model in CATALOG.event_types()}


def heard(draft: Draft) -> Heard:
    topic, moment = f"xa.{draft.service}.v1", 1_772_440_000_000
    return hear(CATALOG, topic, draft.partition, 7, moment, draft.key, draft.value, draft.headers)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("earliest", Beginning(earliest=True)),
        ("now", Beginning()),
        ("2026-01-01", Beginning(datetime(2026, 1, 1, tzinfo=UTC))),
        ("2026-01-01T10:30", Beginning(datetime(2026, 1, 1, 10, 30, tzinfo=UTC))),
        ("2026-01-01 10:30+02:00", Beginning(datetime(2026, 1, 1, 8, 30, tzinfo=UTC))),
        ("90m", Beginning(NOW - timedelta(minutes=90))),
        ("2w", Beginning(NOW - timedelta(weeks=2))),
    ],
)
def test_a_beginning_is_a_word_a_moment_or_a_span(said: str, meant: Beginning) -> None:
    assert beginning(said, NOW) == meant


@pytest.mark.parametrize("said", ["yesterday", "2026-13-01", "0m", "12", ""])
def test_what_is_no_moment_is_answered_with_examples(said: str) -> None:
    with pytest.raises(Unclear, match="a date such as 2026-03-02"):
        beginning(said, NOW)


def test_a_moment_that_is_yet_to_come_is_refused() -> None:
    with pytest.raises(Unclear, match="yet to come: it is 2026-03-02 08:30 UTC"):
        beginning("2026-03-02T08:31", NOW)


@pytest.mark.parametrize(
    ("said", "near"),
    [
        ("referral", r"Perhaps: 'referral\.\*'"),
        ("refferal.*", r"Perhaps: 'referral\.\*'"),
        ("consent.withdrawed", r"consent\.withdrawn"),
        ("opened", r"case\.opened"),
        ("xyzzy", r"begin with: assessment\.\*, case\.\*"),
    ],
)
def test_a_pattern_that_fits_nothing_is_answered_with_near_names(said: str, near: str) -> None:
    with pytest.raises(Unclear, match=near):
        patterns(["case.*", said], KNOWN)


@pytest.mark.parametrize(
    "pattern", ["case.opened", "case.*", "*.opened", "Case.Opened", "case.opened.v1", "kintsugi.case.opened.v1", "*"]
)
def test_a_type_is_named_as_people_do(pattern: str) -> None:
    case = Case("xa")
    wanted = Wanted(patterns([pattern], KNOWN))
    assert wanted.matches(heard(case.opening()))
    assert wanted.matches(heard(case.consent())) == (pattern == "*")


def test_a_case_is_heard_alone() -> None:
    case, other = Case("xa"), Case("xa")
    wanted = Wanted(subject=case.subject)
    assert wanted.matches(heard(case.opening()))
    assert not wanted.matches(heard(other.opening()))


def test_what_cannot_be_read_is_shown_unless_what_can_be_read_rules_it_out() -> None:
    case = Case("xa")
    nameless = heard(case.opening().without("ce_id"))
    assert nameless.envelope is None
    assert Wanted(("case.*",)).matches(nameless)
    assert not Wanted(("referral.*",)).matches(nameless)
    assert Wanted(("referral.*",)).matches(heard(case.opening().named("ce_type", b"\xff")))
    assert not Wanted(subject=case.subject).matches(heard(case.opening().without("ce_subject")))
