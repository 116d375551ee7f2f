"""Follows a share topic: typed records, opened names, cases forgotten on request. docs/subscribe.md explains."""

import asyncio
import json
import ssl
from os import environ
from pathlib import Path
from typing import NotRequired, TypedDict

import httpx
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from joserfc import jwe, jwk
from jsonschema import Draft202012Validator

# All that you may know of one case now. A field that is not listed here stays unread.
Need = TypedDict("Need", {"need": str, "band": str})
Case = TypedDict("Case", {"case": str, "revision": int, "status": str, "needs": NotRequired[list[Need]]})
Identity = TypedDict("Identity", {"case": str, "preferred_name": str, "real_name": NotRequired[str]})
held: dict[str, tuple[Case, Identity | None]] = {}  # in your program: two tables,
seen: set[str] = set()  # written in one transaction
CONTRACT, KEY = Path(environ["CONTRACT"]), jwk.ECKey.import_key(json.loads(Path(environ["PARTNER_KEY"]).read_text()))
# The schemas without what a newer office may widen: writers are strict, readers tolerant.
TOLERANT = json.JSONDecoder(object_hook=lambda d: {k: d[k] for k in d if k not in ("additionalProperties", "enum")})
RECORD = Draft202012Validator(TOLERANT.decode((CONTRACT / "v1.schema.json").read_text()))
IDENTITY = Draft202012Validator(TOLERANT.decode((CONTRACT / "v1.sealed.identity.schema.json").read_text()))


def read(key: str, value: bytes) -> tuple[Case, Identity | None] | str:
    wrong, who = "unreadable", None
    try:
        RECORD.validate(now := json.loads(value.decode()))
        if token := now.get("sealed", {}).get("identity"):
            wrong = "cannot_open"
            opened = jwe.decrypt_compact(token, KEY, algorithms=["ECDH-ES", "A256GCM"]).plaintext
            IDENTITY.validate(who := json.loads(opened or ""))
        # Unequal when somebody moved a record, or a sealed name, from one case to another.
        return (now, who) if key == now["case"] == (who or now)["case"] else "other_case"
    except Exception:  # an unreadable record must not stop those behind it
        return wrong


async def handle(record: ConsumerRecord, key: str, office: httpx.AsyncClient) -> str:
    headers = {name: (text or b"").decode(errors="replace") for name, text in record.headers}
    if (record_id := headers.get("ce_id") or f"{record.partition}/{record.offset}") in seen:
        return "duplicate"
    seen.add(record_id)
    if record.value is None:
        held.pop(key, None)
        answer = await office.post(f"{environ['SHARE_URL']}/purges/{headers.get('ce_purgeid')}/acknowledgement")
        if answer.status_code == 404:
            return "forgotten, purge unknown to the office"
        answer.raise_for_status()  # ends the program: nothing is committed, so the record comes again
        return "forgotten, purge acknowledged"
    if isinstance(found := read(key, record.value), str):
        return f"set aside at {record.partition}/{record.offset}: {found}"
    held[key] = now, who = found
    needs = ", ".join(f"{need['need']}/{need['band']}" for need in now.get("needs", []))
    return f"revision {now['revision']} {now['status']} [{needs}] {'name opened' if who else 'no name'}"


async def main() -> None:
    place = {"bootstrap_servers": environ["KAFKA_BOOTSTRAP"], "security_protocol": environ["KAFKA_SECURITY"]}
    login = {"sasl_plain_username": environ["KAFKA_USERNAME"], "sasl_plain_password": environ["KAFKA_PASSWORD"]}
    how = {"sasl_mechanism": "SCRAM-SHA-512", "ssl_context": ssl.create_default_context()}
    group = {"group_id": environ["KAFKA_GROUP"], "auto_offset_reset": "earliest", "enable_auto_commit": False}
    consumer = AIOKafkaConsumer(environ["TOPIC"], **place, **login, **how, **group)
    async with consumer, httpx.AsyncClient(headers={"Authorization": f"Bearer {environ['SHARE_TOKEN']}"}) as office:
        while batch := await consumer.getmany(timeout_ms=float(environ.get("UNTIL_IDLE_SECONDS", "inf")) * 1000):
            for partition, records in batch.items():
                for record in records:
                    print(record.key.decode(), await handle(record, record.key.decode(), office), flush=True)
                await consumer.commit({partition: records[-1].offset + 1})
    print(f"{len(held)} cases held")


asyncio.run(main())
