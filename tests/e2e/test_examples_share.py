"""The subscribers of ``examples`` beside running services: what intake hears, share discloses and a partner reads."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from kintsugi.auth import INTEGRATOR, issue
from kintsugi.kafka import Cluster, Protocol
from kintsugi.secrets import Secret
from kintsugi_intake.app import application as intake
from kintsugi_office.access import integrator, username
from kintsugi_office.broker import broker
from kintsugi_office.integrators import environment
from kintsugi_office.rights import wanted
from kintsugi_office.topics import streams
from kintsugi_share.app import application as share

from tests.e2e.subscribers import LANGUAGES, command, start_example
from tests.infrastructure import Infrastructure
from tests.integration.share_office import GRANT, PARTNER, ROOT, WITHDRAWAL, Land, NewDatabase

KEY = ROOT / "countries" / "xa" / "samples" / "integrators" / f"{PARTNER}.private.jwk.json"


@pytest_asyncio.fixture(loop_scope="session")
async def land(infrastructure: Infrastructure, new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Land]:
    """A country in which intake and share run."""
    async with Land(infrastructure, tmp_path).made(new_database) as made:
        await asyncio.gather(made.start(intake), made.start(share))
        yield made


@pytest.fixture
def told(land: Land) -> Iterator[dict[str, str]]:
    """What this country's office hands the partner, with the login and the rights that its contract gives."""
    admin = land.infrastructure.cluster
    if admin.username is None:
        pytest.skip("This broker knows no logins, and a partner has one.")
    name, password = username(land.code, integrator(PARTNER)), Secret("as-good-as-any-1234567890")
    [plan] = streams(land.folder / "contracts", land.code)
    rights = {right for right in wanted(land.code, [plan]) if right.user == name}
    there = broker(admin)
    there.set_passwords({name: password})
    there.allow(rights)
    yield environment(
        Cluster(admin.bootstrap, name, password, Protocol.sasl_plaintext),
        land.topic,
        contract=land.folder / "contracts" / "share" / land.code / PARTNER / "wage-claims",
        key=KEY,
        share_url=f"http://127.0.0.1:{land.ports['share']}/integrators/{PARTNER}",
        share_token=issue(land.keys.private.read_bytes(), INTEGRATOR, PARTNER, timedelta(hours=1), land.code),
    )
    there.withdraw(rights)
    there.remove_users([name])


async def test_every_subscriber_reads_a_consented_case_and_forgets_it_when_the_consent_is_withdrawn(
    land: Land, told: dict[str, str]
) -> None:
    for language in LANGUAGES:
        await asyncio.to_thread(command, language)
    ref = await land.opens()
    await land.says(ref, GRANT)
    [record] = await land.until(land.records)
    case = (record.key or b"").decode()
    with contextlib.ExitStack() as stack:
        running = {
            language: stack.enter_context(
                start_example(language, told | {"KAFKA_GROUP": f"{told['KAFKA_USERNAME']}.{language}"}, idle_seconds=10)
            )
            for language in LANGUAGES
        }
        for process in running.values():
            stack.callback(process.kill)
        assert await next_lines(running) == dict.fromkeys(LANGUAGES, f"{case} revision 1 open [] name opened")
        await land.says(ref, WITHDRAWAL)
        assert await next_lines(running) == dict.fromkeys(LANGUAGES, f"{case} forgotten, purge acknowledged")

    async def purged() -> Any:
        answer = await land.ask("share", "GET", f"/cases/{ref}/disclosures")
        return answer.json()["disclosures"][0]["purged_at"]

    assert await land.until(purged)


async def next_lines(running: dict[str, subprocess.Popen[str]]) -> dict[str, str]:
    """The next line that each subscriber says."""

    def line(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().rstrip()

    async with asyncio.timeout(25):
        said = await asyncio.gather(*(asyncio.to_thread(line, process) for process in running.values()))
    return dict(zip(running, said, strict=True))
