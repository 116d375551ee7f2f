"""The operators' commands against services that answer from memory: which case, which release, when to stop."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from kintsugi_events.common import DiscardReason
from kintsugi_office import dead_letters, holds
from kintsugi_office.operators import CannotDo, Operators, ServiceSilent, length
from kintsugi_office.resend import moment_of

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
FIRST, SECOND, THIRD = (f"case/{digit * 8}-0000-4000-8000-000000000000" for digit in "123")


class Services:
    """Services in memory. ``asked`` keeps every request; ``fails`` are subjects that are held again."""

    def __init__(self, held: dict[str, list[dict[str, Any]]], fails: tuple[str, ...] = ()) -> None:
        self.held = held
        self.fails = fails
        self.asked: list[str] = []
        self.found: dict[str, list[str]] = {}
        self.silent: tuple[str, ...] = ()

    def operators(self) -> Operators:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        return Operators(client, {name: f"http://{name}" for name in self.held})

    def _answer(self, request: httpx.Request) -> httpx.Response:
        name, path = request.url.host, request.url.path.removeprefix("/operations/")
        self.asked.append(f"{request.method} {name} {path}")
        if name in self.silent:
            raise httpx.ConnectError("refused")
        if path == "held":
            return httpx.Response(200, json=self.held[name])
        if path == "status":
            return httpx.Response(200, json={"circuit": "handler_raised" if name == "referral" else None})
        if path == "find":
            return httpx.Response(200, json=self.found.get(name, []))
        if path.endswith("/release"):
            subject = path.removeprefix("subjects/").removesuffix("/release")
            again = "handler_raised" if subject in self.fails else None
            status = "held" if again else "ok"
            return httpx.Response(200, json={"subject": subject, "status": status, "waiting": 0, "held_again": again})
        if path.endswith("/discard"):
            problem = {"title": "A protective event is never discarded", "what_next": "Mend the handler."}
            return httpx.Response(409, json=problem)
        return httpx.Response(404)

    @property
    def released(self) -> list[str]:
        return [each.split("/")[2][:1] for each in self.asked if each.endswith("/release")]


def row(subject: str, minute: int, cause: str = "handler_raised", status: str = "held") -> dict[str, Any]:
    return {
        "subject": subject,
        "status": status,
        "since": f"2026-11-23T02:{minute:02}:00Z",
        "waiting": 3,
        "cause": cause,
        "kind": "event",
        "source": "intake",
        "sequence": 7,
        "type": "kintsugi.case.opened.v1",
    }


@pytest.fixture
def services() -> Services:
    rows = [row(SECOND, 2), row(FIRST, 1), row(THIRD, 3)]
    return Services({"referral": rows, "notify": [row(FIRST, 9, "gap")]})


async def released(services: Services, held: list[holds.Held], **how: Any) -> list[holds.Released]:
    return [each async for each in holds.release(services.operators(), held, rate=1000, **how)]


async def test_holds_are_grouped_by_service_and_cause_oldest_first(services: Services) -> None:
    found = await holds.find(services.operators(), ["referral", "notify"])
    groups = found.by_cause()
    assert list(groups) == [("referral", "handler_raised"), ("notify", "gap")]
    assert [each.subject for each in groups["referral", "handler_raised"]] == [FIRST, SECOND, THIRD]
    assert found.held[0].at == "intake:7"
    assert found.held[0].behind == 2
    assert found.circuits == {"referral": "handler_raised"}


async def test_a_service_that_is_silent_is_named_and_the_others_are_listed(services: Services) -> None:
    services.silent = ("notify",)
    found = await holds.find(services.operators(), ["referral", "notify"])
    assert found.silent == ("notify",)
    assert len(found.held) == 3


async def test_the_first_release_goes_alone_and_stops_the_rest_when_it_is_held_again(services: Services) -> None:
    services.fails = (FIRST,)
    held = await holds.chosen(services.operators(), [], "handler_raised", None)
    ended = await released(services, held)
    assert [each.held_again for each in ended] == ["handler_raised"]
    assert services.released == ["1"]


async def test_a_later_one_that_is_held_again_stops_what_follows(services: Services) -> None:
    services.fails = (SECOND,)
    held = await holds.chosen(services.operators(), [], "handler_raised", None)
    await released(services, held)
    assert services.released == ["1", "2"]


async def test_keep_going_passes_over_what_is_held_again(services: Services) -> None:
    services.fails = (FIRST,)
    held = await holds.chosen(services.operators(), [], "handler_raised", None)
    ended = await released(services, held, keep_going=True)
    assert services.released == ["1", "2", "3"]
    assert [each.held.subject for each in ended if each.held_again] == [FIRST]


async def test_a_case_held_in_two_services_means_both_unless_one_is_named(services: Services) -> None:
    services.found = {"referral": [FIRST], "notify": [FIRST]}
    both = await holds.chosen(services.operators(), ["1111"], None, None)
    assert {each.service for each in both} == {"referral", "notify"}
    one = await holds.chosen(services.operators(), ["1111"], None, "notify")
    assert [each.cause for each in one] == ["gap"]


async def test_an_ambiguous_beginning_lists_the_cases_it_may_mean(services: Services) -> None:
    services.found = {"referral": [FIRST, SECOND]}
    with pytest.raises(CannotDo, match="several cases") as refused:
        await services.operators().subject("XA-")
    assert FIRST in str(refused.value)
    assert SECOND in str(refused.value)


async def test_an_unknown_reference_says_what_a_reference_looks_like(services: Services) -> None:
    with pytest.raises(CannotDo, match=r"No case begins with 'ZZ'.*XA-7K3M2P9Q"):
        await services.operators().subject("ZZ")


async def test_an_event_behind_a_gap_is_not_given_up_since_the_missing_would_be_passed_over(services: Services) -> None:
    [gap] = await holds.chosen(services.operators(), [], "gap", None)
    with pytest.raises(CannotDo, match="--without"):
        await holds.discard(services.operators(), gap, holds.Reason.test_record)
    assert not any(each.endswith("/discard") for each in services.asked)


@pytest.mark.parametrize(("refs", "cause"), [([], None), (["1111"], "gap")])
async def test_cases_are_named_or_a_cause_is_but_never_both(
    services: Services, refs: list[str], cause: str | None
) -> None:
    with pytest.raises(CannotDo, match="--cause"):
        await holds.chosen(services.operators(), refs, cause, None)


async def test_what_a_service_refuses_is_said_with_its_next_step(services: Services) -> None:
    held = (await holds.chosen(services.operators(), [], "handler_raised", None))[0]
    with pytest.raises(CannotDo, match=r"referral: A protective event is never discarded\. Mend the handler\."):
        await holds.discard(services.operators(), held, holds.Reason.superseded)


async def test_a_service_that_does_not_answer_points_to_the_doctor(services: Services) -> None:
    services.silent = ("referral",)
    with pytest.raises(ServiceSilent, match="kintsugi doctor"):
        await services.operators().get("referral", "held")


def test_the_reasons_are_those_of_the_contract() -> None:
    assert {each.value for each in holds.Reason} == {each.value for each in DiscardReason} - {"unknown"}


def test_a_range_names_every_input_of_a_gap() -> None:
    assert holds.without_of("intake:4-6") == [("intake", 4), ("intake", 5), ("intake", 6)]
    assert holds.without_of("intake:8") == [("intake", 8)]


@pytest.mark.parametrize("wrong", ["intake", "intake:0", "8", "intake:8-4", "intake:1-500", "intake:x"])
def test_what_names_no_input_is_refused(wrong: str) -> None:
    with pytest.raises(CannotDo):
        holds.without_of(wrong)


@pytest.mark.parametrize(("text", "rate"), [("5/s", 5.0), ("0.5/s", 0.5), ("20", 20.0)])
def test_a_rate_is_a_number_a_second(text: str, rate: float) -> None:
    assert holds.rate_of(text) == rate


@pytest.mark.parametrize("wrong", ["0/s", "fast", "-1/s", "9999/s"])
def test_no_rate_is_refused(wrong: str) -> None:
    with pytest.raises(CannotDo, match="--rate 5/s"):
        holds.rate_of(wrong)


@pytest.mark.parametrize(
    ("text", "moment"),
    [("2h", "2026-11-23T01:00+00:00"), ("90 min", "2026-11-23T01:30+00:00"), ("2026-11-22T02:00Z", None)],
)
def test_since_takes_a_span_or_a_time(text: str, moment: str | None) -> None:
    assert moment_of(text, NOW) == datetime.fromisoformat(moment or text)


@pytest.mark.parametrize(
    ("text", "why"), [("2026-11-22T02:00", "time zone"), ("soon", "no time"), ("2027-01-01T00:00Z", "ahead")]
)
def test_since_that_means_nothing_certain_is_refused(text: str, why: str) -> None:
    with pytest.raises(CannotDo, match=why):
        moment_of(text, NOW)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0124, "12 ms"), (3.24, "3.2 s"), (80, "80 s"), (720, "12 min"), (15000, "4 h 10 min"), (273600, "3 d 4 h")],
)
def test_spans_are_said_in_their_two_greatest_units(seconds: float, said: str) -> None:
    assert length(seconds) == said


def test_where_the_code_failed_is_the_latest_entry_of_that_case(tmp_path: Path) -> None:
    log = tmp_path / "referral.log"
    entries: list[dict[str, Any]] = [
        {"event": "handler_raised", "subject": FIRST, "location": "handlers.py:10"},
        {"event": "handler_raised", "subject": FIRST, "location": "handlers.py:41"},
        {"event": "handler_raised", "subject": SECOND, "location": "handlers.py:99"},
    ]
    log.write_text("\n".join(map(json.dumps, entries)))
    assert holds.last_failure(log, FIRST) == "handlers.py:41"
    assert holds.last_failure(log, THIRD) is None
    assert holds.last_failure(tmp_path / "none.log", FIRST) is None


def test_a_record_shows_escaped_so_that_no_terminal_obeys_it() -> None:
    record = {"key": None, "headers": [["ce_id", b"\x1b[2Jx".hex()], ["nul", None]], "body": b"\xff\x00ok".hex()}
    text = "\n".join(dead_letters.record_lines(record))
    assert "\x1b" not in text
    assert "\\x1b[2Jx" in text
    assert "nul: (none)" in text
    assert "\\xff\\x00ok" in text
