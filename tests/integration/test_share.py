"""Share as a real service beside intake, on real Kafka and PostgreSQL: from a consent to the partner's last word."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from kintsugi.agenda import Message
from kintsugi.recovery import recover
from kintsugi.streams import FRESH_SECONDS, StreamChannel
from kintsugi_intake.app import application as intake
from kintsugi_share.app import application as share
from kintsugi_share.views import metadata
from sqlalchemy.ext.asyncio import create_async_engine

from tests.infrastructure import Infrastructure
from tests.integration.share_office import GRANT, MINISTRY, PARTNER, WITHDRAWAL, Land, NewDatabase

PROMISED = timedelta(seconds=5)


@pytest_asyncio.fixture(loop_scope="session")
async def land(infrastructure: Infrastructure, new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Land]:
    """A country in which intake and share run."""
    async with Land(infrastructure, tmp_path).made(new_database) as made:
        await asyncio.gather(made.start(intake), made.start(share))
        yield made


async def names(land: Land) -> list[str]:
    """What share said of everything, in the order of its topic."""
    types = [dict(record.headers)["ce_type"].decode() for record in await land.records(f"{land.code}.share.v1")]
    return [re.sub(r"kintsugi\.(.*)\.v1", r"\1", each) for each in types]


async def test_the_kit_makes_the_tables_that_the_views_write(land: Land) -> None:
    engine = create_async_engine(land.databases["share"])
    async with engine.connect() as connection:
        found = await connection.run_sync(
            lambda sync: {
                name: {column["name"]: column["nullable"] for column in sa.inspect(sync).get_columns(table.name)}
                for name, table in metadata.tables.items()
            }
        )
    await engine.dispose()
    assert found == {
        name: {column.name: column.nullable for column in table.columns} for name, table in metadata.tables.items()
    }


async def test_from_a_consent_to_the_partner_s_last_word_and_back_from_the_log(
    land: Land, new_database: NewDatabase
) -> None:
    ref = await land.opens()
    await land.says(ref, GRANT)
    [first] = await land.until(land.records)
    record = json.loads(first.value or b"")
    assert (first.key or b"").decode() == record["case"]
    assert (record["revision"], record["status"]) == (1, "open")
    assert land.opened(record["sealed"]["identity"]) == {
        "case": record["case"],
        "preferred_name": "Moonlit Heron",
        "real_name": "Amara Deniz Korhan",
    }

    async def received() -> Any:
        answer = await land.ask("share", "GET", f"/cases/{ref}/disclosures")
        return answer.json().get("disclosures") if answer.status_code == 200 else None

    [disclosure] = await land.until(received)
    assert (disclosure["agency"], disclosure["integrator"], disclosure["certainty"]) == (MINISTRY, PARTNER, "confirmed")
    assert "identity.real_name" in disclosure["sealed_fields"]
    assert "Heron" not in json.dumps(disclosure)

    withdrawn = await land.says(ref, WITHDRAWAL)

    async def two() -> Any:
        found = await land.records()
        return found if len(found) > 1 else None

    _, tombstone = await land.until(two)
    headers = {name: value.decode() for name, value in tombstone.headers}
    assert (tombstone.key, tombstone.value) == (first.key, None)
    assert tombstone.timestamp / 1000 - withdrawn.timestamp() < PROMISED.total_seconds()

    purges = f"/integrators/{PARTNER}/purges"
    [owed] = (await land.until(lambda: asked(land, purges)))["purges"]
    assert (owed["purge_id"], owed["case"]) == (headers["ce_purgeid"], record["case"])
    assert (await land.ask("share", "GET", purges, role="integrator", sub="courts")).status_code == 404
    assert (await land.ask("share", "GET", purges, role="supervisor")).status_code == 403
    assert (
        await land.ask("share", "GET", f"/cases/{ref}/disclosures", role="integrator", sub=PARTNER)
    ).status_code == 403

    await land.advance(withdrawn + timedelta(days=30))

    async def overdue() -> Any:
        return "partner_purge.overdue" in await names(land)

    await land.until(overdue)
    said = f"{purges}/{owed['purge_id']}/acknowledgement"
    assert (await land.ask("share", "POST", said, role="integrator", sub="courts")).status_code == 404
    elsewhere = said.replace(PARTNER, "courts")
    assert (await land.ask("share", "POST", elsewhere, role="integrator", sub="courts")).status_code == 404
    answers = [await land.ask("share", "POST", said, role="integrator", sub=PARTNER) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert (await land.ask("share", "GET", purges, role="integrator", sub=PARTNER)).json() == {"purges": []}
    [disclosure] = await received()
    assert disclosure["purged_at"] == answers[0].json()["acknowledged_at"]
    assert await land.until(lambda: last_of(land, "partner_purge.acknowledged")) == [
        "disclosure.due", "disclosure.made", "partner_purge.requested", "partner_purge.sent", "partner_purge.overdue",
        "partner_purge.acknowledged",
    ]  # fmt: skip

    await land.stop("share")
    before, records = await land.states(), await land.records()
    assert (await recover(share, land.settings("share"), compare=True)).differences == []
    land.databases["share"] = await land.migrated(share, await new_database("share"))
    await recover(share, land.settings("share"))
    assert await land.states() == before
    await land.start(share)
    await asyncio.sleep(1)
    assert len(await land.records()) == len(records), "a rebuild sends nothing again that is known to have left"


async def asked(land: Land, path: str) -> Any:
    answer = await land.ask("share", "GET", path, role="integrator", sub=PARTNER)
    return answer.json() if answer.json()["purges"] else None


async def last_of(land: Land, name: str) -> Any:
    found = await names(land)
    return found if found[-1:] == [name] else None


async def test_after_a_withdrawal_nothing_but_a_tombstone_comes_however_close_it_follows_the_consent(
    land: Land,
) -> None:
    order = random.Random(24)

    async def changes_their_mind() -> tuple[float, str]:
        ref = await land.opens()
        await land.says(ref, GRANT)
        await asyncio.sleep(order.random() * 0.6)
        return (await land.says(ref, WITHDRAWAL)).timestamp(), ref

    withdrawn = await asyncio.gather(*(changes_their_mind() for _ in range(12)))

    async def all_stand() -> Any:
        found = await land.records()
        return found if sum(record.value is None for record in found) == len(withdrawn) else None

    await land.until(all_stand, 25)
    await asyncio.sleep(PROMISED.total_seconds())
    by_case: dict[str, list[Any]] = {}
    for record in await land.records():
        by_case.setdefault((record.key or b"").decode(), []).append(record)
    known = (await land.states())["states"].values()
    partner_ids = {state["case_ref"]: each["recipient_ref"] for state in known for each in state["streams"].values()}
    assert by_case.keys() == set(partner_ids.values())
    for at, ref in withdrawn:
        *records, tombstone = by_case[partner_ids[ref]]
        assert tombstone.value is None
        assert all(record.value is not None for record in records)
        assert all(record.timestamp / 1000 - at < PROMISED.total_seconds() for record in (*records, tombstone))
        told = (await land.ask("share", "GET", f"/cases/{ref}/disclosures")).json()["disclosures"]
        assert told
        assert all(each["purge_requested_at"] for each in told), "what may have been received is asked back"


class _Forgetful(StreamChannel):
    """Loses the first answer after the broker took the record, as a process that dies there does."""

    lost = False

    async def send(self, message: Message, key: str) -> None:
        await super().send(message, key)
        if not self.lost:
            self.lost = True
            raise ConnectionResetError


async def test_a_record_whose_answer_was_lost_comes_again_under_the_same_id_and_is_one_disclosure(
    infrastructure: Infrastructure, new_database: NewDatabase, tmp_path: Path
) -> None:
    async with Land(infrastructure, tmp_path).made(new_database) as land:
        forgetful = _Forgetful(infrastructure.cluster, "share")
        await asyncio.gather(land.start(intake), land.start(replace(share, channels=lambda _: {"share": forgetful})))
        ref = await land.opens()
        await land.says(ref, GRANT)
        await land.until(lambda: last_of(land, "disclosure.made"))
        first, second = await land.records()
        assert first.key == second.key
        assert [dict(each.headers)["ce_id"] for each in (first, second)] == [dict(first.headers)["ce_id"]] * 2
        assert json.loads(first.value or b"")["revision"] == json.loads(second.value or b"")["revision"] == 1
        assert await names(land) == ["disclosure.due", "disclosure.made"]


class _Thoughtful(StreamChannel):
    """The tombstone stands there, and the answer takes its time."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.answers = asyncio.Event()

    async def send(self, message: Message, key: str) -> None:
        await super().send(message, key)
        if message.tombstone:
            await self.answers.wait()


async def test_a_partner_may_acknowledge_as_soon_as_it_can_read_the_tombstone(
    infrastructure: Infrastructure, new_database: NewDatabase, tmp_path: Path
) -> None:
    async with Land(infrastructure, tmp_path).made(new_database) as land:
        channel = _Thoughtful(infrastructure.cluster, "share")
        await asyncio.gather(land.start(intake), land.start(replace(share, channels=lambda _: {"share": channel})))
        ref = await land.opens()
        await land.says(ref, GRANT)
        await land.until(lambda: last_of(land, "disclosure.made"))
        await land.says(ref, WITHDRAWAL)

        async def tombstones() -> Any:
            return [each for each in await land.records() if each.value is None]

        [tombstone] = await land.until(tombstones)
        purge_id = dict(tombstone.headers)["ce_purgeid"].decode()
        purges = f"/integrators/{PARTNER}/purges"
        assert (await land.ask("share", "GET", purges, role="integrator", sub=PARTNER)).json() == {"purges": []}
        said = f"{purges}/{purge_id}/acknowledgement"
        first = await land.ask("share", "POST", said, role="integrator", sub=PARTNER)
        assert (first.status_code, first.json()["purge_id"]) == (200, purge_id)
        assert (await land.ask("share", "POST", said, role="integrator", sub="courts")).status_code == 404
        channel.answers.set()
        assert (await land.until(lambda: last_of(land, "partner_purge.sent")))[-2] == "partner_purge.acknowledged"
        assert (await land.ask("share", "POST", said, role="integrator", sub=PARTNER)).json() == first.json()
        assert (await land.ask("share", "GET", purges, role="integrator", sub=PARTNER)).json() == {"purges": []}
        assert len(await tombstones()) == 1
        for path, who in (
            (f"/cases/{ref}/disclosures", {"role": "operator"}),
            (purges, {"role": "caseworker", "sub": PARTNER}),
        ):
            assert (await land.ask("share", "GET", path, **who)).status_code == 403
        assert (await land.ask("share", "POST", said, role="caseworker", sub=PARTNER)).status_code == 403
        assert (await land.ask("share", "GET", "/cases/XA-2026-ZZZZ-99/disclosures")).status_code == 404


class _Shut(StreamChannel):
    """Takes nothing until it is opened."""

    open = False

    async def send(self, message: Message, key: str) -> None:
        if not self.open:
            raise ConnectionRefusedError
        await super().send(message, key)


async def test_while_a_case_is_held_its_record_waits_and_then_leaves(
    infrastructure: Infrastructure, new_database: NewDatabase, tmp_path: Path
) -> None:
    async with Land(infrastructure, tmp_path).made(new_database) as land:
        shut = _Shut(infrastructure.cluster, "share")
        await asyncio.gather(land.start(intake), land.start(replace(share, channels=lambda _: {"share": shut})))
        ref = await land.opens()
        await land.says(ref, GRANT)
        await land.until(lambda: last_of(land, "disclosure.due"))
        subject = await land.breaks(ref)

        async def postponed() -> Any:
            return await land.query("SELECT name FROM agenda WHERE postponed = 'case_on_hold'")

        shut.open = True
        await land.until(postponed)
        assert await land.records() == []
        discard = {"reason": "producer_defect"}
        said = await land.ask("share", "POST", f"/operations/subjects/{subject}/discard", role="operator", body=discard)
        assert said.status_code == 200, said.text
        await land.until(lambda: last_of(land, "disclosure.made"))
        assert len(await land.records()) == 1


class _Stopped(StreamChannel):
    """The process stands still for three seconds after the last look at its clock, as under SIGSTOP."""

    stood_still = False

    async def send(self, message: Message, key: str) -> None:
        if not self.stood_still:
            self.stood_still = True
            time.sleep(3)  # noqa: ASYNC251 - the whole loop
        await super().send(message, key)


async def test_what_a_stopped_process_claimed_before_is_decided_anew_when_it_goes_on(
    infrastructure: Infrastructure, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it stops between claim and start, which the kit sees; once after its last look, which the broker sees."""
    stops = iter([3.0])

    def stopped(place: str) -> None:
        if place == "send.attempt_committed":
            time.sleep(next(stops, 0.0))

    monkeypatch.setattr("kintsugi.shell.sends.reach", stopped)
    async with Land(infrastructure, tmp_path).made(new_database) as land:
        channel = _Stopped(infrastructure.cluster, "share")
        await asyncio.gather(land.start(intake), land.start(replace(share, channels=lambda _: {"share": channel})))
        await land.says(await land.opens(), GRANT)
        await land.until(lambda: last_of(land, "disclosure.made"), 30)
        ended = await land.query("SELECT reason FROM attempts ORDER BY attempt")
        assert [row["reason"] for row in ended] == ["started_too_late", "invalid_timestamp", None]
        assert len(await land.records()) == 1


async def test_after_a_stop_nothing_leaves_before_the_topics_were_read_to_their_end(
    infrastructure: Infrastructure, new_database: NewDatabase, tmp_path: Path
) -> None:
    """A record is owed, share stops, the consent is withdrawn, share starts: what it knew before is not enough."""
    async with Land(infrastructure, tmp_path).made(new_database) as land:
        shut = replace(share, channels=lambda _: {"share": _Shut(infrastructure.cluster, "share")})
        await asyncio.gather(land.start(intake), land.start(shut))
        ref = await land.opens()
        await land.says(ref, GRANT)
        await land.until(lambda: last_of(land, "disclosure.due"))
        await land.stop("share")
        await land.says(ref, WITHDRAWAL)
        [owed] = await land.query("SELECT subject, name FROM agenda WHERE name LIKE 'record/%'")
        await asyncio.sleep(FRESH_SECONDS)
        async with land.claiming() as sends:
            assert await sends.claim(owed["subject"], owed["name"]) is None
            assert await sends.runnable() == [], "it would stand before those whose partition moves"
            await land.query("UPDATE positions SET read_to_end = now() WHERE topic LIKE '%intake%'")
            assert await sends.claim(owed["subject"], owed["name"]) is None, "every topic counts"
            await land.query("UPDATE positions SET read_to_end = now()")
            assert await sends.claim(owed["subject"], owed["name"]) is not None, "nothing else stood in its way"
        await land.query("DELETE FROM attempts")
        await land.query("UPDATE agenda SET claim = NULL")
        await asyncio.sleep(FRESH_SECONDS)
        await land.start(share)
        await land.until(lambda: last_of(land, "partner_purge.sent"))
        assert [record.value for record in await land.records()] == [None]
