"""A header whose *name* is not text. The contract forbids it, the broker takes it, and the client cannot read it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.badrecords.office import running
from tests.badrecords.producing import producing
from tests.badrecords.records import Case, Story, good_story
from tests.infrastructure import Infrastructure
from tests.integration.unreadable import put_unreadable_name

# A busy machine starts servers slowly.
pytestmark = pytest.mark.timeout(240)


async def test_a_partition_the_client_cannot_read_on_is_named_by_readiness(
    infrastructure: Infrastructure, tmp_path: Path
) -> None:
    async with running(infrastructure, tmp_path) as office, producing(office.cluster, office.country) as to:
        odd = good_story(Case(office.country))
        # In one batch with a good record before it, as one fetch would bring them.
        before = _story_on(odd.case.partition, office.country)
        topic = f"{office.country}.{odd.odd[0].service}.v1"
        await put_unreadable_name(office.cluster, topic, odd.odd[0], before=before.before[0])
        elsewhere = _story_on((odd.case.partition + 1) % 12, office.country)
        await to.put([*elsewhere.before, *elsewhere.odd, *elsewhere.after])

        reasons: dict[str, str] = {}
        for _ in range(400):
            reasons = (await office.http.get("/readyz")).json()["reasons"]
            if reasons:
                break
            await asyncio.sleep(0.1)
        assert reasons == {"topics": "partition_does_not_move"}
        await asyncio.sleep(2)
        [(applied,)] = await office.rows(
            "SELECT count(*) FROM inputs WHERE subject = $1 AND status = 'applied'", elsewhere.case.subject
        )
        assert applied == 3
        [(passed,)] = await office.rows("SELECT count(*) FROM inputs WHERE subject = $1", before.case.subject)
        assert passed == 1


def _story_on(partition: int, country: str) -> Story:
    while (story := good_story(Case(country))).case.partition != partition:
        pass
    return story
