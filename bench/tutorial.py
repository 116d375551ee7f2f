"""The way of the tutorials: a handler per message, an ORM session and a commit each, the result published."""

import asyncio
from datetime import datetime
from typing import Any

from faststream import FastStream
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.security import SASLScram512
from kintsugi_events import ContactProfileChanged
from sqlalchemy import DateTime, Text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.worker import Meter, Setting, tune


class Base(DeclarativeBase):
    """The tables of the tutorial."""


class Profile(Base):
    """One row an event."""

    __tablename__ = "tutorial"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    subject: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    body: Mapped[str] = mapped_column(Text)


async def run(setting: Setting, meter: Meter) -> None:
    """Consumes, stores and publishes until the meter has counted enough."""
    engine = create_async_engine(setting["database"])
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    session = async_sessionmaker(engine)
    login = SASLScram512(setting["kafka"]["sasl_plain_username"], setting["kafka"]["sasl_plain_password"])
    broker = KafkaBroker(setting["kafka"]["bootstrap_servers"], security=login, logger=None)

    @broker.subscriber(setting["topic"], group_id=setting["group"], auto_offset_reset="earliest")
    @broker.publisher(setting["out"])
    async def handle(body: dict[str, Any], message: KafkaMessage) -> dict[str, Any]:
        event = ContactProfileChanged.model_validate_json(message.body, extra="ignore")
        headers = message.headers
        async with session() as unit:
            unit.add(
                Profile(
                    id=headers["ce_id"],
                    subject=headers["ce_subject"],
                    at=event.reviewed_at,
                    body=message.body.decode(),
                )
            )
            await unit.commit()
        meter.committed(1)
        return {"subject": headers["ce_subject"], "profile_version": event.profile_version}

    app = FastStream(broker, logger=None)
    tune()
    running = asyncio.create_task(app.run())
    await meter.done.wait()
    app.exit()
    await running
    await engine.dispose()
