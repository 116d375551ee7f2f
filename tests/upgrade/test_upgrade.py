"""An office of the earlier release, pulled out of the middle of its work, starts on this one with its data."""

from __future__ import annotations

import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import Message
from pathlib import Path

import httpx
import pytest

from tests.upgrade.cases import (
    ALWAYS,
    PARTNER,
    address,
    assess,
    choose,
    notices,
    open_case,
)
from tests.upgrade.office import SERVICES, Office, office, until
from tests.upgrade.releases import PRESENT, Release, provenance

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PLANTED = Path(__file__).parent / "planted"
STREAM = f"xa.share.{PARTNER}.wage-claims.v1"
LEASE_SECONDS = 120.0
"""After this time another process takes what one left half done."""
LINK = re.compile(r"http://\S+/provider/\S+")


@dataclass
class Upgraded:
    """The office on this release, and what stood in it when the earlier one was killed."""

    office: Office
    done: str
    """A case whose agency was asked by the earlier release."""
    half: str
    """A survivor notice was handed over, and the process killed before it wrote that down."""
    owed: str
    """The mail server took nothing any more when the agency of this case, and staff about it, were to be told."""
    unsent: str
    """Opened after Kafka had ended: nothing of it had left intake."""
    later: str
    """Its survivor may be written to in some days only."""
    held: list[str]
    """Assessment failed on both, by the defect of the earlier release."""
    half_sent_at: float
    types: Counter[str] = field(default_factory=Counter)
    mails: int = 0
    disclosed: Counter[str] = field(default_factory=Counter)
    deadlines: dict[str, set[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def upgraded(earlier: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    with office(tmp_path_factory.mktemp("office"), earlier) as made:
        made.up(earlier, PYTHONPATH=str(PLANTED))
        found = _work(made)
        made.pull_the_plug()
        made.up(PRESENT)
        yield found


def _work(made: Office) -> Upgraded:
    held = [open_case(made, name, at="hills") for name in ("Bilal", "Bahar")]
    done = open_case(made, "Amara")
    assess(made, done)
    choose(made, done)
    half, owed = open_case(made, "Hanan"), open_case(made, "Omar")
    later = open_case(made, "Leyla", windows=in_some_days())
    assess(made, owed)
    assess(made, later)
    until(lambda: notices(made, done).get("provider") == "sent", what="the agency to be asked")
    until(lambda: notices(made, owed).get("survivor") == "sent", what="a survivor to be told")
    until(lambda: len(made.asked("held", "list")["held"]) == len(held), what="the defect to hold its cases")
    until(lambda: len(disclosures(made)) >= 6, what="the partner's records")
    made.settle()

    made.freeze()
    made.end("notify")
    made.by_hand("notify", made.release, KINTSUGI_FAILPOINT="send.sent:1")
    assess(made, half)
    killed = made.hands.pop("notify")
    assert killed.wait(60) == -signal.SIGKILL
    half_sent_at = time.monotonic()
    made.by_hand("notify", made.release)
    made.end("mailbox")
    choose(made, owed)
    until(lambda: notices(made, owed).get("provider") == "owed", what="a mail to be owed")
    made.settle()

    types, mails = Counter(made.types()), len(made.mails())
    disclosed = disclosures(made)
    due = {ref: deadlines(made, ref) for ref in (done, owed, later)}
    made.end("kafka")
    unsent = open_case(made, "Umut", danger="yes")
    return Upgraded(made, done, half, owed, unsent, later, held, half_sent_at, types, mails, disclosed, due)


def in_some_days() -> list[dict[str, str]]:
    """Windows of which none is open for a day."""
    return [window for window in ALWAYS if window["weekday"] == f"{datetime.now(UTC) + timedelta(days=3):%A}".lower()]


def disclosures(office: Office) -> Counter[str]:
    """How many records a partner reads of each case, by its own id of it."""
    return Counter(key for key, _ in office.records(STREAM, f"integrator.{PARTNER}"))


def text_of(mail: Message) -> str:
    """The text of a mail of one part."""
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def deadlines(office: Office, ref: str) -> set[str]:
    """The names of the deadlines that run for a case."""
    return {each["name"] for each in office.asked("trace", ref)["owed"] if each["kind"] == "deadline"}


def test_the_earlier_release_is_nothing_but_the_earlier_release(earlier: Release) -> None:
    found = provenance(earlier)
    assert {"kintsugi", "kintsugi_office", *(f"kintsugi_{name}" for name in SERVICES)} <= set(found)
    assert {f"kintsugi.services:{name}" for name in SERVICES} <= set(found)
    assert [where for where in found.values() if not Path(where).is_relative_to(earlier.source)] == []


def test_no_hold_is_made_and_what_was_held_still_is(upgraded: Upgraded) -> None:
    office = upgraded.office
    office.settle()
    held = office.asked("held", "list")["held"]
    assert [(each["service"], each["cause"]) for each in held] == [("assessment", "handler_raised")] * 2
    assert all(each["behind"] > 0 for each in map(_shown, [office] * 2, upgraded.held)), "events line up behind it"
    assert Counter(office.types())["input.held"] == upgraded.types["input.held"] == 2


def _shown(office: Office, ref: str) -> dict[str, int]:
    [shown] = office.asked("held", "show", ref)
    return {"behind": len(shown["behind"])}


def test_what_was_owed_or_unsent_leaves(upgraded: Upgraded) -> None:
    office = upgraded.office
    until(lambda: notices(office, upgraded.owed).get("provider") == "sent", what="the owed mail to leave")
    until(lambda: notices(office, upgraded.unsent).get("staff") == "sent", what="the alert about the unsent case")
    assert len(office.mails()) == upgraded.mails + 2, "and nothing else left"


def test_deadlines_run_on_and_a_window_that_is_not_open_is_waited_for(upgraded: Upgraded) -> None:
    office = upgraded.office
    assert all(upgraded.deadlines.values())
    assert {ref: deadlines(office, ref) for ref in upgraded.deadlines} == upgraded.deadlines
    assert notices(office, upgraded.later)["survivor"] == "owed"
    assert address("Leyla") not in [mail["To"] for mail in office.mails()]


def test_addresses_and_links_that_were_sealed_before_open(upgraded: Upgraded) -> None:
    office = upgraded.office
    assess(office, upgraded.unsent)
    until(lambda: notices(office, upgraded.unsent).get("survivor") == "sent", what="the survivor to be told")
    assert [mail["To"] for mail in office.mails()].count(address("Umut")) == 1
    links = [link for mail in office.mails() for link in LINK.findall(text_of(mail))]
    assert len(links) == 2, "one was sent by the earlier release, one by this one"
    assert [httpx.get(link, trust_env=False).status_code for link in links] == [200, 200]


def test_a_partner_gets_the_new_case_and_no_record_again(upgraded: Upgraded) -> None:
    office = upgraded.office
    until(lambda: len(disclosures(office)) > len(upgraded.disclosed), what="the record of the unsent case")
    office.settle()
    now = disclosures(office)
    assert {case: now[case] for case in upgraded.disclosed} == dict(upgraded.disclosed)
    assert list((now - upgraded.disclosed).values()) == [1]


def test_what_the_earlier_release_held_is_released_or_given_up_by_command(upgraded: Upgraded) -> None:
    office, (first, second) = upgraded.office, upgraded.held
    office.run("held", "release", first)
    assess(office, first)
    office.run("held", "discard", second, "--reason", "test_record", "--yes")
    office.settle()
    assert office.asked("held", "list")["held"] == []


def test_a_message_that_was_handed_over_before_the_kill_is_never_sent_again(upgraded: Upgraded) -> None:
    office = upgraded.office
    rest = upgraded.half_sent_at + LEASE_SECONDS - time.monotonic()
    until(
        lambda: notices(office, upgraded.half)["survivor"] != "owed",
        what="the half-sent notice to end",
        seconds=max(rest, 0) + 30,
    )
    assert notices(office, upgraded.half)["survivor"] == "failed", "it may have left: a person is asked"
    tasks = office.ask("GET", "notify", f"/staff-tasks?case={upgraded.half}").json()["tasks"]
    assert "delivery_unknown" in {task["reason"] for task in tasks}
    assert [mail["To"] for mail in office.mails()].count(address("Hanan")) == 1


def test_no_mail_left_twice(upgraded: Upgraded) -> None:
    upgraded.office.settle()
    mails = upgraded.office.mails()
    ids = Counter(mail["Message-ID"] for mail in mails)
    assert [id_ for id_, times in ids.items() if times > 1] == []
    survivors = Counter(mail["To"] for mail in mails if mail["To"].endswith("@survivor.example"))
    assert [to for to, times in survivors.items() if times > 1] == []


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_differs_from_the_log(upgraded: Upgraded, service: str) -> None:
    upgraded.office.settle()
    compared = upgraded.office.asked("recover", service, "--compare")
    assert compared["subjects"] >= 7
    assert compared["differences"] == []
