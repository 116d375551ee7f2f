"""What `kintsugi listen` shows of a record, for a person and for programs, and what it never shows."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kintsugi_contracts.catalog import Catalog
from kintsugi_office.listening.formats import as_cloudevent, as_json
from kintsugi_office.listening.heard import Heard, hear
from kintsugi_office.listening.pretty import Pretty
from rich.console import Console

from tests.badrecords.records import EXAMPLES, STORIES, Case, Draft

CATALOG = Catalog.installed()

ALL = sorted(path for path in EXAMPLES.glob("*/examples/accept/*.json") if not path.name.startswith("sealed."))


def lying(draft: Draft, offset: int = 7) -> Heard:
    return hear(
        CATALOG,
        f"xa.{draft.service}.v1",
        draft.partition,
        offset,
        1_772_440_000_000,
        draft.key,
        draft.value,
        draft.headers,
    )


def example(path: Path) -> Heard:
    """An example of the contracts as a record of its topic."""
    model = CATALOG.by_type(f"kintsugi.{path.parts[-4]}.v1")
    assert model is not None
    service = "notify" if model.service == "*" else model.service
    return lying(Case("xa").draft(model.decode(path.read_bytes()), 4, service=service, value=path.read_bytes()))


def pretty(*records: Heard, width: int = 80, terminal: bool = False) -> str:
    out = io.StringIO()
    shown = Pretty(Console(file=out, width=width, force_terminal=terminal, highlight=False))
    for each in records:
        shown.learn(each)
        shown.show(each)
    return out.getvalue()


@pytest.fixture
def opened() -> Heard:
    return example(EXAMPLES / "case.opened" / "examples" / "accept" / "full.json")


FORMATS: list[Callable[[Heard], str | None]] = [as_json, as_cloudevent, pretty]


@pytest.mark.parametrize("show", FORMATS)
@pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parts[-4]}/{path.stem}")
def test_nothing_sealed_is_shown_in_any_format(path: Path, show: Callable[[Heard], str | None]) -> None:
    sealed = json.loads(path.read_bytes()).get("sealed", {})
    said = show(example(path))
    assert said
    for purpose, value in sealed.items():
        assert purpose in said
        assert value["ct"] not in said
        assert value["kid"] not in said


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parts[-4]}/{path.stem}")
def test_every_event_fits_the_terminal_in_a_few_lines(path: Path, width: int) -> None:
    lines = pretty(example(path), width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= 6, "the day, the event, and four lines of what it says"


def test_a_person_reads_when_what_who_and_which_case(opened: Heard) -> None:
    day, head, *said = pretty(opened).splitlines()
    assert day == "Monday 02 March 2026, UTC"
    assert re.fullmatch(r"08:00:00  case\.opened +intake:4 +XA-7F3K2M9Q", head)
    assert "risk_level medium" in pretty(opened, width=120)
    assert said[-1].strip() == "… more in json  sealed: identity, assessment, narrative (not shown)"


def test_a_case_keeps_its_reference_and_a_day_its_heading(opened: Heard) -> None:
    case = Case("xa")
    first = lying(case.opening())
    lines = [line for line in pretty(first, lying(case.consent())).splitlines() if line[0] != " "]
    assert len(lines) == 3, "one heading, two events"
    assert lines[2].endswith("XA-7F3K2M9Q")


def test_colours_only_on_a_terminal(opened: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[" not in pretty(opened)
    assert "\x1b[" in pretty(opened, terminal=True)


def test_a_terminal_is_never_told_anything_by_a_record() -> None:
    good = Case("xa").consent()
    assert good.value is not None
    evil = good.valued(good.value.replace(b"the-odd-one", rb"the\u001b[2Jodd\u202e\u009bone"))
    for show in FORMATS:
        said = show(lying(evil))
        assert said
        assert not set(said) & {"\x1b", "\u202e", "\x9b"}


def test_json_is_the_envelope_the_data_and_where_it_lies(opened: Heard) -> None:
    said = json.loads(as_json(opened))
    assert said["topic"] == "xa.intake.v1"
    assert said["offset"] == 7
    assert said["appended"] == "2026-03-02T08:26:40Z"
    assert said["type"] == "kintsugi.case.opened.v1"
    assert said["sequence"] == 4
    assert said["data"]["case_ref"] == "XA-7F3K2M9Q"
    assert said["sealed"] == ["identity", "assessment", "narrative"]
    assert said["problem"] is None


def test_a_cloudevent_is_one_by_the_specification_and_says_what_it_leaves_out(opened: Heard) -> None:
    said: dict[str, Any] = json.loads(as_cloudevent(opened) or "")
    assert said["specversion"] == "1.0"
    assert said["sealednotshown"] == "identity assessment narrative"
    assert said["datacontenttype"] == "application/json"
    assert "sealed" not in said["data"]
    context = said.keys() - {"data"}
    assert all(re.fullmatch(r"[a-z0-9]{1,20}", name) for name in context)
    assert all(isinstance(said[name], str) and said[name] for name in context)


@pytest.mark.parametrize("name", sorted(STORIES))
def test_every_bad_record_is_shown_as_one_and_its_body_never(name: str) -> None:
    story = STORIES[name](Case("xa"))
    for draft in story.odd[:3]:
        heard = lying(draft)
        for show in FORMATS:
            said = show(heard)
            assert said is not None or heard.envelope is None or not heard.envelope.type
            if heard.problem is not None and said is not None:
                assert heard.problem.code in said
                assert "the-odd-one" not in said


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda good: good.valued(None), "tombstone"),
        (lambda good: good.valued(b'{"agency":'), "unreadable_body"),
        (lambda good: good.named("ce_type", b"kintsugi.weather.changed.v1"), "unknown_type"),
        (lambda good: good.named("ce_type", b"kintsugi.consent.recorded.v9"), "unknown_major"),
        (lambda good: good.named("ce_time", b"\xff"), "header_unreadable"),
        (lambda good: good.named("ce_time", b"0001-01-01T00:00:00+23:00"), "header_unreadable"),
        (lambda good: good.named("ce_time", b"9999-12-31T23:59:59-23:00"), "header_unreadable"),
        (lambda good: good.without("ce_id"), "id_unreadable"),
    ],
)
def test_what_is_wrong_is_named(change: Callable[[Draft], Draft], code: str) -> None:
    heard = lying(change(Case("xa").consent()))
    assert heard.problem is not None
    assert heard.problem.code == code
    assert f"! {code}: " in pretty(heard)
    assert f"{heard.topic}/{heard.partition} at 7" in pretty(heard)


def test_a_broken_body_is_located_without_its_content() -> None:
    good = Case("xa").consent()
    assert good.value is not None
    body = {**json.loads(good.value), "agency": 7, "Amina Example": "+254 700 000 000"}
    body["sealed"] = {"contact": {"phone": "+254 700 000 000"}}
    heard = lying(good.valued(json.dumps(body).encode()))
    assert heard.problem is not None
    assert heard.problem.code == "contract_violation"
    assert heard.problem.where[0] == "agency"
    for show in FORMATS:
        said = show(heard)
        assert said
        assert "+254" not in said
        assert "Amina" not in said
