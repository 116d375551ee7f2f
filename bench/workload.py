"""The events every variant reads: a survivor's contact profile, one kilobyte with its sealed purpose."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import uuid_utils
from aiokafka import AIOKafkaProducer
from kintsugi.envelope import Envelope, encode
from kintsugi.kafka import Cluster
from kintsugi.keyring import Keyring
from kintsugi.partitioning import partition_of
from kintsugi.sealing import DataKey, seal
from kintsugi_contracts.base import Sealed
from kintsugi_events import ContactProfileChanged
from kintsugi_events.common import ContactBy
from kintsugi_events.intake import ContactChannel, ContactWindow

EVENTS_OF_A_SUBJECT = 10
BEGUN = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def subjects(count: int, seed: int) -> list[str]:
    """Random subjects, the same for the same seed."""
    chance = random.Random(seed)
    return [f"case/{uuid.UUID(int=chance.getrandbits(128), version=4)}" for _ in range(count)]


async def keys_of(keyring: Keyring, names: list[str]) -> dict[str, DataKey]:
    """A key for purpose ``contact`` of each subject, made where there is none."""
    wanted = {(name, "contact") for name in names}
    found = await keyring.fetch([], wanted)
    return {subject: key for (subject, _), key in found.items() if isinstance(key, DataKey)}


def events(country: str, keys: dict[str, DataKey], seed: int) -> Iterator[tuple[Envelope, bytes]]:
    """Ten events a subject, the subjects in random turns, each in its own order."""
    turns = [subject for subject in keys for _ in range(EVENTS_OF_A_SUBJECT)]
    random.Random(seed).shuffle(turns)
    sequences: dict[str, int] = {}
    for subject in turns:
        sequence = sequences[subject] = sequences.get(subject, 0) + 1
        yield _event(country, subject, sequence, keys[subject])


def _event(country: str, subject: str, sequence: int, key: DataKey) -> tuple[Envelope, bytes]:
    envelope = Envelope(
        id=str(uuid_utils.uuid7()),
        source=f"/{country}/intake",
        type=ContactProfileChanged.type,
        time=BEGUN,
        subject=subject,
        sequence=sequence,
        correlationid=str(uuid_utils.uuid7()),
        causationid=f"request/{uuid_utils.uuid7()}",
        dataschema=ContactProfileChanged.dataschema,
        dataclassification=ContactProfileChanged.dataclassification,
    )
    plain = b'{"email":"someone@mail.example","phone":"+000000000000"}'
    wire = seal(
        plain,
        key=key,
        source=envelope.source,
        id=envelope.id,
        type=envelope.type,
        subject=subject,
        purpose="contact",
    )
    windows = tuple(
        ContactWindow.model_validate({"weekday": day, "start": "09:00", "end": "17:00"}, strict=False)
        for day in ("monday", "tuesday", "wednesday", "thursday", "friday")
    )
    channels = (ContactChannel.model_validate({"kind": "email", "verified": True, "safe": True}, strict=False),)
    event = ContactProfileChanged(
        profile_version=sequence,
        contact_by=ContactBy.organisation,
        language="en",
        time_zone="Europe/Lisbon",
        windows=windows,
        channels=channels,
        code_word_set=False,
        reviewed_at=BEGUN,
        review_due=BEGUN + timedelta(days=90),
        sealed={"contact": Sealed(kid=wire["kid"], ct=wire["ct"])},
    )
    return envelope, event.encode()


async def fill(cluster: Cluster, topic: str, records: Iterator[tuple[Envelope, bytes]], sampled: float) -> int:
    """Writes the records to a topic before anything is measured. ``sampled`` is the share that carries a trace."""
    producer = AIOKafkaProducer(**cluster.client(), enable_idempotence=True, acks="all", linger_ms=5)
    await producer.start()
    chance = random.Random(1)
    count = 0
    try:
        pending = []
        for envelope, value in records:
            flag = "01" if chance.random() < sampled else "00"
            trace = f"00-{chance.getrandbits(128) or 1:032x}-{chance.getrandbits(64) or 1:016x}-{flag}"
            pending.append(
                await producer.send(
                    topic,
                    value=value,
                    key=envelope.subject.encode(),
                    headers=[*encode(envelope), ("traceparent", trace.encode())],
                    partition=partition_of(envelope.subject),
                )
            )
            count += 1
        for sent in pending:
            await sent
    finally:
        await producer.stop()
    return count
