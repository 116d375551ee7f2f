"""A record whose header has a *name* that is no text: the contract forbids it, the broker takes it."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from kintsugi.kafka import Cluster

from tests.badrecords.records import Draft


class _RawName(str):
    """A header name that is written as bytes which are no UTF-8."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfe"


async def put_unreadable_name(cluster: Cluster, topic: str, draft: Draft, *, before: Draft | None = None) -> None:
    """Only the client's builder in Python lets such a name through; the compiled one refuses it.

    ``before`` is a good record in the same batch, as one fetch brings both.
    """
    async with AIOKafkaProducer(**cluster.client()) as producer:
        batch = producer.create_batch()
        batch._builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, 0, 65_536)
        for each, more in ((before, []), (draft, [(_RawName("zz"), b"")])):
            if each is not None:
                headers = [*each.headers, *more]
                assert batch.append(timestamp=None, key=each.key, value=each.value, headers=headers) is not None
        await (await producer.send_batch(batch, topic, partition=draft.partition))
