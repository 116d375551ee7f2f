"""Saves what only a running office can give: the topics from offset 0, and each service's books."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

BOOKS = {
    "inputs": """SELECT topic, partition, "offset", kind, source, id, sequence, subject, type, status FROM inputs""",
    "subjects": "SELECT subject, sequence, status, waiting, progress FROM subjects",
    "outbox": "SELECT subject, sequence, type FROM outbox",
    "published": "SELECT subject, sequence, type FROM published",
    "commands": "SELECT path, key, status FROM commands",
    "attempts": "SELECT subject, name, attempt, result, settled FROM attempts",
    "agenda": "SELECT subject, name, kind, due_at, body FROM agenda",
    "positions": "SELECT topic, partition, next_offset FROM positions",
}
"""Every table is read whole, without the columns that may hold something personal."""


async def save(
    folder: Path,
    *,
    kafka: Mapping[str, Any],
    topics: Mapping[str, int],
    databases: Mapping[str, str],
    facts: Mapping[str, Any],
) -> None:
    """Write ``topics.jsonl`` and ``books.json``. ``topics`` gives the number of partitions by name.

    ``kafka`` is what a client of aiokafka takes to connect and log in. ``facts`` are what no service says: when the
    run ended, and the addresses of its people and agencies.
    """
    ends, *books = await asyncio.gather(
        _topics(folder / "topics.jsonl", kafka, topics), *(_books(url) for url in databases.values())
    )
    content = {**facts, "ends": ends, "services": dict(zip(databases, books, strict=True))}
    (folder / "books.json").write_text(json.dumps(content, default=str), encoding="utf-8")


async def _topics(file: Path, kafka: Mapping[str, Any], topics: Mapping[str, int]) -> dict[str, dict[str, int]]:
    consumer = AIOKafkaConsumer(**kafka, enable_auto_commit=False)
    await consumer.start()
    try:
        parts = [TopicPartition(topic, number) for topic, count in topics.items() for number in range(count)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        await consumer.seek_to_beginning(*parts)
        with file.open("w", encoding="utf-8") as stream:
            left = {part for part in parts if ends[part] > 0}
            while left:
                batches = await consumer.getmany(*left, timeout_ms=200)
                for part, records in batches.items():
                    for record in records:
                        stream.write(json.dumps(_plain(record), ensure_ascii=False) + "\n")
                    if records and records[-1].offset + 1 >= ends[part]:
                        left.discard(part)
    finally:
        await consumer.stop()
    found: dict[str, dict[str, int]] = {}
    for part, end in ends.items():
        found.setdefault(part.topic, {})[str(part.partition)] = end
    return found


def _plain(record: Any) -> dict[str, Any]:
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "at_ms": record.timestamp,
        "key": (record.key or b"").decode("utf-8", "replace"),
        "headers": {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers},
        "value": (record.value or b"").decode("utf-8", "replace"),
    }


async def _books(url: str) -> dict[str, list[dict[str, Any]]]:
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg://", "postgresql://"))
    try:
        return {name: [dict(row) for row in await connection.fetch(query)] for name, query in BOOKS.items()}
    finally:
        await connection.close()
