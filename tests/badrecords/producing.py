"""Puts drafts on topics exactly as they are, and reads back where they came to lie."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata
from kintsugi.kafka import Cluster

from tests.badrecords.records import Draft

Place = tuple[str, int, int]


class Producing:
    """Two producers: one that compresses, and one that does not."""

    def __init__(self, country: str, plain: AIOKafkaProducer, compressing: AIOKafkaProducer) -> None:
        self._country = country
        self._plain = plain
        self._compressing = compressing

    async def put(self, drafts: Sequence[Draft]) -> list[Place]:
        """Sends them in order; returns topic, partition and offset of each."""
        sent: list[asyncio.Future[RecordMetadata]] = []
        for draft in drafts:
            if draft.compressed:
                await asyncio.gather(*sent)
            producer = self._compressing if draft.compressed else self._plain
            sent.append(
                await producer.send(
                    f"{self._country}.{draft.service}.v1",
                    value=draft.value,
                    key=draft.key,
                    partition=draft.partition,
                    headers=draft.headers,
                )
            )
            if draft.compressed:
                await sent[-1]
        done = await asyncio.gather(*sent)
        return [(each.topic, each.partition, each.offset) for each in done]


@contextlib.asynccontextmanager
async def producing(cluster: Cluster, country: str) -> AsyncIterator[Producing]:
    """Producers that refuse nothing by themselves."""
    largest = 64 * 1024 * 1024
    plain = AIOKafkaProducer(**cluster.client(), max_request_size=largest, linger_ms=5)
    compressing = AIOKafkaProducer(**cluster.client(), max_request_size=largest, compression_type="gzip")
    async with plain, compressing:
        yield Producing(country, plain, compressing)
