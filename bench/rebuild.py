"""How fast recovery makes a service's empty database anew from its topics."""

from __future__ import annotations

import statistics
from typing import Any

from kintsugi import tables
from kintsugi.recovery import recover
from kintsugi.settings import Settings
from kintsugi_office.project import project_folder
from kintsugi_sandbox.embedded import EmbeddedKafka, EmbeddedPostgres
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import create_async_engine

from bench.service import application

TIMES = 3


async def measured(postgres: EmbeddedPostgres, kafka: EmbeddedKafka, country: str) -> dict[str, float]:
    """Events folded per second, from an empty database to a rebuilt one, by the topics that ``country`` has."""
    rates: list[float] = []
    for turn in range(TIMES):
        print(f"rebuild {turn + 1}/{TIMES}", end=" ", flush=True)
        name = f"rebuilt_{country}_{turn}"
        await postgres.create_database(name, owner="bench")
        url = postgres.url(name, "bench")
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(tables.upgrade, application)
        await engine.dispose()
        report = await recover(application, _settings(country, kafka, url))
        rates.append(report.events / report.seconds)
        print(f"{rates[-1]:>9,.0f} events/s  ({report.events:,} of {report.subjects:,} subjects)", flush=True)
    return {"events_per_second": round(statistics.median(rates)), "events": report.events, "subjects": report.subjects}


def _settings(country: str, kafka: EmbeddedKafka, url: str) -> Settings:
    """A rebuild opens no sealed value and serves no request: keyring, port and key are never used."""
    told: dict[str, Any] = {"country": country, "bootstrap": kafka.bootstrap, "http_port": 0}
    told |= {"kafka_username": kafka.cluster.username, "kafka_password_file": kafka.password_file}
    told |= {"kafka_protocol": kafka.cluster.protocol}
    told |= {name: project_folder() / name for name in ("countries", "contracts", "jwt_public_key")}
    return Settings(database_url=SecretStr(url), keyring_url=SecretStr(url), **told)
