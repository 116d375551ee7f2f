"""The scripted partner: a register with a login of its own, that reads its stream, opens what is sealed, and forgets.

It knows what every integrator knows: a topic, a login, a private key and a token; never a case of the office.
"""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer
from joserfc import jwe
from joserfc.jwk import ECKey
from kintsugi.kafka import Cluster
from kintsugi_office.topics import TopicPlan

from kintsugi_sandbox.demo.desk import Desk

_SEES_WITHIN_SECONDS = 10.0


class StreamBroken(RuntimeError):
    """What a partner got is not what its contract says; the text names the place, never a value."""


@dataclass
class Received:
    """What came to a partner. ``opened`` counts sealed values it could open, each of the case it stood in."""

    records: int = 0
    opened: int = 0
    tombstones: int = 0
    acknowledged: int = 0


class Partner:
    """One integrator at work: ``async with Partner(…) as partner``. ``known`` is all that it knows, by its own ids."""

    def __init__(self, name: str, cluster: Cluster, streams: list[TopicPlan], key: Path, desk: Desk) -> None:
        self.name = name
        self.received = Received()
        self.known: dict[str, dict[str, Any]] = {}
        self._cluster = cluster
        self._streams = streams
        self._key = ECKey.import_key(json.loads(key.read_text(encoding="utf-8")))
        self._desk = desk
        self._purges: dict[str, str] = {}
        self._reading: asyncio.Task[None] | None = None
        self._new = asyncio.Event()

    async def __aenter__(self) -> "Partner":
        self._consumer = AIOKafkaConsumer(
            *(plan.name for plan in self._streams),
            **self._cluster.client(),
            group_id=f"{self._cluster.username}.register",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await self._consumer.start()
        self._reading = asyncio.create_task(self._read(), name=f"{self.name} reads")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._consumer.stop()

    async def forget(self) -> None:
        """Say of every case it was told to forget that it did. Raises StreamBroken where a tombstone did not come."""
        path = f"/integrators/{self.name}/purges"
        for purge in (await self._desk.read("share", path)).json()["purges"]:
            id_ = purge["purge_id"]
            await self._sees(id_)
            about = {"integrator": self.name, "purge_id": id_}
            await self._desk.change(
                "share", f"{path}/{id_}/acknowledgement", "partner_purge_ack", about, key=f"purge/{id_}"
            )
            self.received.acknowledged += 1

    async def _sees(self, purge_id: str) -> None:
        try:
            async with asyncio.timeout(_SEES_WITHIN_SECONDS):
                while purge_id not in self._purges and self._going():
                    self._new.clear()
                    await self._new.wait()
        except TimeoutError:
            raise StreamBroken(f"{self.name}: no tombstone of a purge within {_SEES_WITHIN_SECONDS:.0f} s") from None

    def _going(self) -> bool:
        if self._reading is not None and self._reading.done():
            self._reading.result()
        return True

    async def _read(self) -> None:
        async for record in self._consumer:
            self._take(record)
            self._new.set()

    def _take(self, record: Any) -> None:
        case = record.key.decode()
        if record.value is None:
            headers = dict(record.headers)
            self._purges[headers["ce_purgeid"].decode()] = case
            self.known.pop(case, None)
            self.received.tombstones += 1
            return
        said = json.loads(record.value)
        self.received.records += 1
        self.known[case] = said
        for sealed in said.get("sealed", {}).values():
            opened = json.loads(jwe.decrypt_compact(sealed, self._key).plaintext or b"{}")
            if not opened.get("case") == said["case"] == case:
                raise StreamBroken(f"{self.name}: a sealed value of another case on {record.topic} at {record.offset}")
            self.received.opened += 1
