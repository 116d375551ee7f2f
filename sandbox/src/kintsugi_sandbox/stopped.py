"""The embedded servers of an office that is stopped, started for one command such as ``kintsugi recover``."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kintsugi_office import access
from kintsugi_office.parts import Servers, ServersUnavailable
from kintsugi_office.progress import say
from kintsugi_office.project import Layout

from kintsugi_sandbox.embedded import EmbeddedKafka, EmbeddedPostgres, ServerDidNotStart
from kintsugi_sandbox.embedded.jars import JarUnavailable


@asynccontextmanager
async def servers(layout: Layout) -> AsyncIterator[Servers]:
    """PostgreSQL and Kafka of this data folder while the block runs. Raises ServersUnavailable with what went wrong."""
    say("The office is stopped: starting its PostgreSQL and Kafka for this command")
    postgres = EmbeddedPostgres(layout.postgres)
    kafka = EmbeddedKafka(layout.kafka, password_file=layout.kafka_password(access.ADMIN))
    try:
        try:
            await asyncio.gather(postgres.start(), kafka.start())
        except (ServerDidNotStart, JarUnavailable) as error:
            raise ServersUnavailable(str(error)) from error
        yield Servers(postgres, kafka.cluster)
    finally:
        await asyncio.gather(kafka.stop(), postgres.stop())
