"""Referral over HTTP on a real PostgreSQL: what staff and agencies see and do, one transaction each."""

from __future__ import annotations

import asyncio
import html
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
import uuid_utils
from kintsugi.auth import Verifier, generate_keypair, issue, issuer_of
from kintsugi.clock import BusinessClock
from kintsugi.envelope import Envelope
from kintsugi.http.factory import create_app
from kintsugi.http.health import Health
from kintsugi.sealing import DataKey
from kintsugi.shell.core import Core
from kintsugi.shell.requests import Requests
from kintsugi.shell.unit import Unit
from kintsugi.tables import migrate
from kintsugi.telemetry.metrics import Metrics
from kintsugi.telemetry.tracing import Tracing
from kintsugi.turn import Office
from kintsugi_contracts.base import Event
from kintsugi_referral.app import application
from kintsugi_referral.views import metadata
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.referral.tests.referral_examples import COUNTRY, assessed, case_opened, consent, links, withdrawn

CASE = "case/00000000-0000-4000-8000-00000000000a"
PAGE = {"Accept": "text/html,application/xhtml+xml", "Accept-Language": "en"}


class Keys:
    """A keyring in memory."""

    def __init__(self) -> None:
        self.keys: dict[tuple[str, str], DataKey] = {}

    async def fetch(self, wanted: Iterable[tuple[str, str]], create: Iterable[Any] = ()) -> dict[Any, DataKey]:
        return {name: self.keys.setdefault(name, DataKey(f"k-{name[1]}", os.urandom(32))) for name in wanted}


@dataclass
class Running:
    """The service on its database, with a caseworker's client and an agency's."""

    core: Core[Any]
    clock: BusinessClock
    staff: httpx.AsyncClient
    agency: httpx.AsyncClient
    sequences: dict[str, int]

    async def consumes(self, event: Event) -> None:
        """An event of another service is applied, as a batch would."""
        sequence = self.sequences[event.service] = self.sequences.get(event.service, 0) + 1
        envelope = Envelope(
            id=str(uuid_utils.uuid7()),
            source=f"/xa/{event.service}",
            type=event.type,
            time=datetime.now(UTC),
            subject=CASE,
            sequence=sequence,
            correlationid="flow",
        )
        async with self.core.engine.begin() as connection:
            unit = Unit(self.core, connection, await self.clock.now(connection))
            await unit.load([CASE], create=True)
            loaded = unit.subjects[CASE]
            step = await unit.stepped(
                lambda: unit.stepper.event(loaded.subject, envelope, event, unit.now, lambda *_: None)
            )
            unit.became(loaded, *step)
            await unit.write()

    async def referral(self, **query: str) -> dict[str, Any]:
        """The newest referral of the case."""
        answer = await self.staff.get("/referrals", params={"case_ref": "XA-7F3K2M9Q", **query})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["referrals"][-1]
        return found

    async def chooses(self, rank: int = 1) -> dict[str, Any]:
        """The survivor takes the option of this rank."""
        referral = await self.referral()
        option = referral["options"][rank - 1]["option_id"]
        answer = await self.staff.post(
            f"/referrals/{referral['referral_id']}/choice",
            json={"choice": "option", "option_id": option},
            headers={"Idempotency-Key": str(uuid_utils.uuid4())},
        )
        assert answer.status_code == 200, answer.text
        done: dict[str, Any] = answer.json()
        return done

    def link(self, referral: dict[str, Any], kind: str = "answer", *, ends: datetime | None = None) -> str:
        """The path of the link that the agency was sent."""
        url = links(COUNTRY).url(
            kind,  # type: ignore[arg-type]
            referral_id=referral["referral_id"],
            subject=CASE,
            agency=referral["agency"],
            option_id=referral["option_id"],
            at=ends or datetime.now(UTC) + timedelta(days=1),
        )
        return urlsplit(url).path


@pytest_asyncio.fixture(loop_scope="session")
async def running(new_database: Callable[..., Awaitable[str]], tmp_path: Any) -> AsyncIterator[Running]:
    engine: AsyncEngine = create_async_engine(await new_database("referral"))
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: migrate.upgrade(sync, application))
    pair = generate_keypair(tmp_path)
    metrics, tracing, clock = Metrics("referral"), Tracing("referral"), BusinessClock(movable=False)
    core: Core[Any] = Core(
        application.service,
        application.views,
        Office("xa", COUNTRY, links(COUNTRY)),
        engine,
        Keys(),  # type: ignore[arg-type]
        tracing,
        metrics,
    )
    app = create_app("referral", "0.1.0", None, application.routers, Health(), metrics, tracing=tracing)
    app.state.executor = Requests(core, clock, b"secret")
    app.state.verifier = Verifier(pair.public.read_bytes(), issuer_of("xa"))
    app.state.office = core.office
    token = issue(pair.private.read_bytes(), "caseworker", "worker-1", timedelta(hours=1), "xa")
    transport = httpx.ASGITransport(app)
    async with (
        httpx.AsyncClient(
            transport=transport, base_url="http://office", headers={"Authorization": f"Bearer {token}"}
        ) as staff,
        httpx.AsyncClient(transport=transport, base_url="http://office") as agency,
    ):
        yield Running(core, clock, staff, agency, {})
    await engine.dispose()


async def opened(running: Running, *needs: str) -> None:
    await running.consumes(case_opened())
    await running.consumes(assessed(*(needs or ("legal_aid",))))


async def asked(running: Running) -> dict[str, Any]:
    """A referral whose agency was asked."""
    await opened(running)
    agency = (await running.referral())["options"][0]["agency"]
    await running.consumes(consent(agency))
    assert (await running.chooses())["status"] == "requested"
    return await running.referral()


async def test_the_kit_makes_the_tables_that_the_views_write(running: Running) -> None:
    async with running.core.engine.connect() as connection:
        found = await connection.run_sync(
            lambda sync: {
                name: {column["name"]: column["nullable"] for column in sa.inspect(sync).get_columns(table.name)}
                for name, table in metadata.tables.items()
            }
        )
    assert found == {
        name: {column.name: column.nullable for column in table.columns} for name, table in metadata.tables.items()
    }


async def test_staff_see_at_least_two_options_with_reasons_and_the_choice_waits_for_its_consent(
    running: Running,
) -> None:
    await opened(running)
    referral = await running.referral(status="proposed")
    assert len(referral["options"]) >= 2
    assert [option["rank"] for option in referral["options"]] == list(range(1, len(referral["options"]) + 1))
    assert all("need_met" in option["reasons"] for option in referral["options"])
    waiting = await running.chooses()
    assert (waiting["status"], waiting["withheld"]) == ("chosen", "consent_missing")
    await running.consumes(consent(waiting["agency"]))
    resumed = (await running.staff.get(f"/referrals/{referral['referral_id']}")).json()
    assert (resumed["status"], resumed["withheld"], resumed["consent_id"]) == ("requested", None, "consent-1")
    assert resumed["answer_due"]


async def test_referrals_are_listed_page_by_page_each_once(running: Running) -> None:
    await opened(running, "legal_aid", "housing", "education")
    seen, after = [], None
    for _ in range(4):
        page = (
            await running.staff.get("/referrals", params={"limit": 1, **({"after": after} if after else {})})
        ).json()
        seen += [each["need"] for each in page["referrals"]]
        after = page["next"]
        if after is None:
            break
    assert sorted(seen) == ["education", "housing", "legal_aid"]
    assert (await running.staff.get("/referrals", params={"status": "requested"})).json()["referrals"] == []
    assert (await running.staff.get("/referrals", params={"after": "nothing"})).status_code == 422
    assert (await running.staff.get("/referrals/nothing")).status_code == 404


async def test_without_a_staff_token_nothing_but_links_answers(running: Running) -> None:
    assert (await running.agency.get("/referrals")).status_code == 401
    assert (await running.agency.post("/referrals/x/choice", json={"choice": "none"})).status_code == 401


async def test_staff_cancel_offer_again_and_take_back(running: Running) -> None:
    await opened(running)
    id_ = (await running.referral())["referral_id"]

    async def post(path: str, body: Any = None) -> httpx.Response:
        headers = {"Idempotency-Key": str(uuid_utils.uuid4())}
        return await running.staff.post(f"/referrals/{id_}/{path}", json=body, headers=headers)

    assert (await post("cancel", {"reason": "no such code"})).status_code == 422
    assert (await post("cancel", {"reason": "survivor_not_ready"})).json()["status"] == "cancelled"
    assert (await post("cancel", {"reason": "other"})).status_code == 409
    again = (await post("offer")).json()
    assert again["referral_id"] != id_
    assert again["status"] == "proposed"
    assert (await post("entered-in-error")).json()["status"] == "entered-in-error"
    assert (await post("choice", {"choice": "option"})).status_code == 422


async def test_an_agency_s_program_reads_codes_and_answers_in_json(running: Running) -> None:
    referral = await asked(running)
    path = running.link(referral)
    seen = (await running.agency.get(path)).json()
    assert seen["facts"] == {
        "need": "legal_aid",
        "area": "XA-HB",
        "age_band": "from_25_to_39",
        "languages": ["en"],
    }
    assert [reply["status"] for reply in seen["answers"]] == ["accepted", "rejected", "cancelled"]
    said = await running.agency.post(f"{path}/answer", json={"status": "accepted"})
    assert said.json()["status"] == "accepted"
    for status in ("on-hold", "in-progress", "on-hold"):
        said = await running.agency.post(f"{path}/answer", json={"status": status, "reason": "no_capacity"})
        assert said.json()["status"] == status, "an answer given before must be possible again"
    refused = await running.agency.post(f"{path}/answer", json={"status": "rejected", "reason": "other"})
    assert (refused.status_code, refused.json()["code"]) == (409, "transition_refused")
    assert (await running.agency.post(f"{path}/answer", json={"status": "failed"})).json()["code"] == "reason_required"
    assert (await running.agency.post(f"{path}/answer", json={"status": "unknown"})).status_code == 422
    assert (await running.agency.post(f"{path}/answer")).json()["code"] == "answer_missing"


async def test_an_agency_s_browser_answers_by_a_button_and_a_second_press_changes_nothing(running: Running) -> None:
    referral = await asked(running)
    path = running.link(referral)
    page = await running.agency.get(path, headers=PAGE)
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert "legal aid" in page.text
    assert CASE not in page.text
    assert "XA-7F3K2M9Q" not in page.text
    action = button(page.text, status="accepted")
    for _ in range(2):
        pressed = await running.agency.post(f"/provider/{action}", headers={**PAGE, "Content-Type": FORM})
        assert pressed.status_code == 303, pressed.text
        assert httpx.URL(str(pressed.url)).join(pressed.headers["location"]).path == path
    landed = await running.agency.get(path, params={"done": "true"}, headers=PAGE)
    assert 'class="thanks"' in landed.text
    assert (await running.referral())["status"] == "accepted"
    reasoned = await running.agency.post(
        f"/provider/{button(landed.text, status='failed', reason='unreachable')}",
        headers={**PAGE, "Content-Type": FORM},
    )
    assert reasoned.status_code == 303
    ended = await running.agency.get(path, headers=PAGE)
    assert "<button" not in ended.text
    assert "legal aid" not in ended.text


async def test_a_rejection_gives_staff_the_next_proposal(running: Running) -> None:
    referral = await asked(running)
    await running.agency.post(f"{running.link(referral)}/answer", json={"status": "rejected", "reason": "out_of_funds"})
    following = await running.referral(status="proposed")
    assert following["need_id"] == referral["need_id"]
    chosen = next(each for each in referral["options"] if each["option_id"] == referral["option_id"])
    assert chosen["service_id"] not in {each["service_id"] for each in following["options"]}


async def test_after_a_withdrawal_the_link_shows_nothing_and_the_deletion_is_confirmed_by_its_own(
    running: Running,
) -> None:
    referral = await asked(running)
    await running.consumes(withdrawn(referral["agency"]))
    path, purge = running.link(referral), running.link(referral, "purge")
    seen = (await running.agency.get(path)).json()
    assert (seen["status"], seen["facts"], seen["answers"]) == ("cancelled", None, [])
    late = await running.agency.post(f"{path}/answer", json={"status": "accepted"})
    assert (late.status_code, late.json()["code"]) == (409, "referral_ended")
    assert (await running.agency.post(f"{path}/purge")).status_code == 404
    assert (await running.agency.post(f"{purge}/answer", json={"status": "accepted"})).status_code == 404
    page = await running.agency.get(purge, headers=PAGE)
    assert page.status_code == 200
    pressed = await running.agency.post(f"/provider/{button(page.text)}", headers={**PAGE, "Content-Type": FORM})
    assert pressed.status_code == 303
    assert (await running.referral())["purged_at"]
    assert (await running.agency.get(purge)).json()["purged"] is True
    assert (await running.agency.post(f"{purge}/purge")).status_code == 200


async def test_a_link_that_expired_or_was_altered_says_so_and_no_more(running: Running) -> None:
    referral = await asked(running)
    expired = running.link(referral, ends=datetime.now(UTC) - timedelta(seconds=1))
    assert (await running.agency.get(expired)).status_code == 410
    page = await running.agency.get(expired, headers=PAGE)
    assert page.status_code == 410
    assert page.headers["content-type"].startswith("text/html")
    good = running.link(referral)
    altered = good[:-1] + ("A" if good[-1] != "A" else "B")
    assert (await running.agency.get(altered)).json()["code"] == "link_invalid"
    assert (await running.agency.get("/provider/no-token", headers=PAGE)).status_code == 404


@pytest.mark.parametrize(("lang", "direction"), [("en", "ltr"), ("fr", "ltr"), ("ar", "rtl")])
async def test_the_page_is_whole_in_every_language_and_state(running: Running, lang: str, direction: str) -> None:
    referral = await asked(running)
    path = running.link(referral)
    for status in ("accepted", "on-hold", "in-progress", "completed"):
        page = await running.agency.get(path, params={"lang": lang}, headers=PAGE)
        assert f'<html lang="{lang}" dir="{direction}">' in page.text
        await running.agency.post(f"{path}/answer", json={"status": status, "reason": "other"})


FORM = "application/x-www-form-urlencoded"


def button(page: str, **query: str) -> str:
    """The action of the button that says this."""
    for action in map(html.unescape, re.findall(r'formaction="([^"]+)"', page)):
        found = {name: values[0] for name, values in parse_qs(urlsplit(action).query).items()}
        if all(found.get(name) == value for name, value in query.items()) and (
            "reason" in query or "reason" not in found
        ):
            return action
    raise AssertionError(f"the page has no button for {query}")


SEEN = {"Kintsugi-Seen": "intake:1 assessment:1 notify:99"}
"""What a caller has seen who knows of the case and its assessment; referral does not read notify."""


async def test_a_read_of_one_case_waits_for_what_its_caller_has_seen(running: Running) -> None:
    case = {"case_ref": "XA-7F3K2M9Q"}
    reading = asyncio.create_task(running.staff.get("/referrals", params=case, headers=SEEN))
    await asyncio.sleep(0.2)
    assert not reading.done(), "the case is not known yet"
    await opened(running)
    [referral] = (await reading).json()["referrals"]

    ahead = {"Kintsugi-Seen": "assessment:2"}
    path = f"/referrals/{referral['referral_id']}"
    answer, listed = await asyncio.gather(
        running.staff.get(path, headers=ahead), running.staff.get("/referrals", params=case, headers=ahead)
    )
    for refused in (answer, listed):
        assert (refused.status_code, refused.json()["code"]) == (503, "not_caught_up")
        assert refused.headers["Retry-After"] == "1"
    assert answer.json()["missing"] == "assessment:2"

    reading = asyncio.create_task(running.staff.get(path, headers=ahead))
    await asyncio.sleep(0.2)
    assert not reading.done()
    await running.consumes(assessed("legal_aid", id_="assessment-2"))
    assert (await reading).status_code == 200


async def test_a_referral_that_nobody_has_heard_of_is_waited_for_and_then_not_caught_up(running: Running) -> None:
    path = f"/referrals/{uuid_utils.uuid4()}"
    started = time.monotonic()
    assert (await running.staff.get(path)).status_code == 404
    assert time.monotonic() - started < 1
    answer = await running.staff.get(path, headers=SEEN)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_caught_up")
    assert 2 <= time.monotonic() - started < 4
    choosing = await running.staff.post(
        f"{path}/choice", json={"choice": "none"}, headers={**SEEN, "Idempotency-Key": "a"}
    )
    assert choosing.status_code == 503


async def test_what_was_seen_and_cannot_be_read_is_refused(running: Running) -> None:
    answer = await running.staff.get("/referrals", params={"case_ref": "XA-1"}, headers={"Kintsugi-Seen": "all of it"})
    assert (answer.status_code, answer.json()["code"]) == (400, "seen_malformed")
