"""A header whose *name* is not text. The contract forbids it, the broker takes it, and the client cannot read it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from kintsugi.kafka import Cluster

from tests.badrecords.office import running
from tests.badrecords.producing import producing
from tests.badrecords.records import Case, Draft, Story, good_story
from tests.infrastructure import Infrastructure

# A busy machine starts servers slowly.
pytestmark = pytest.mark.timeout(240)


class _RawName(str):
    """A header name that is written as bytes which are no UTF-8."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfe"


async def test_a_partition_the_client_cannot_read_on_is_named_by_readiness(
    infrastructure: Infrastructure, tmp_path: Path
) -> None:
    async with running(infrastructure, tmp_path) as office, producing(office.cluster, office.country) as to:
        odd = good_story(Case(office.country))
        # In one batch with a good record before it, as one fetch would bring them.
        before = _story_on(odd.case.partition, office.country)
        await _put_unreadable_name(office.cluster, office.country, before.before[0], odd.odd[0])
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


async def _put_unreadable_name(cluster: Cluster, country: str, good: Draft, draft: Draft) -> None:
    """Only the client's builder in Python lets such a name through; the compiled one refuses it."""
    async with AIOKafkaProducer(**cluster.client()) as producer:
        batch = producer.create_batch()
        batch._builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, 0, 65_536)
        bad = [*draft.headers, (_RawName("zz"), b"")]
        for each, headers in ((good, good.headers), (draft, bad)):
            assert batch.append(timestamp=None, key=each.key, value=each.value, headers=headers) is not None
        await (await producer.send_batch(batch, f"{country}.{draft.service}.v1", partition=draft.partition))
