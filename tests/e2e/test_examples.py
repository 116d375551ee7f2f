"""The subscribers of ``examples`` in three languages, each a real process against a real broker that gives it its
rights and no more.
"""

import asyncio
import json
import re
import secrets
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from joserfc.jwk import ECKey
from kintsugi.kafka import Cluster
from kintsugi_office.integrators import environment
from kintsugi_sandbox.embedded import EmbeddedKafka

from examples.practice.broker import CONTRACT, PARTNER, share_topic
from examples.practice.desk import Desk
from examples.practice.stream import PURGE, stream
from tests.e2e.subscribers import EXAMPLES, LANGUAGES, in_order, run_example
from tests.infrastructure import Infrastructure

EXPECTED = (EXAMPLES / "expected.txt").read_text(encoding="utf-8").splitlines()
TOKEN = secrets.token_urlsafe(24)

Told = Callable[..., dict[str, str]]


def private_key(folder: Path) -> Path:
    """A new key of a partner, in a file."""
    file = folder / "private.jwk.json"
    file.write_text(json.dumps(ECKey.generate_key("P-256", auto_kid=True).as_dict(private=True)), encoding="utf-8")
    return file


def opened(file: Path) -> ECKey:
    """The key in a file."""
    return ECKey.import_key(json.loads(file.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key that the names on the topic are sealed to."""
    return private_key(tmp_path_factory.mktemp("partner"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def share(
    infrastructure: Infrastructure, key: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[str, Cluster]]:
    """A share topic with the practice stream, and the broker as the partner."""
    async with AsyncExitStack() as stack:
        admin = infrastructure.cluster
        if admin.username is None:
            # The session's broker knows no logins; a partner has one.
            folder = tmp_path_factory.mktemp("broker")
            admin = (await stack.enter_async_context(EmbeddedKafka(folder))).cluster
        records = stream(opened(key))
        yield await stack.enter_async_context(share_topic(admin, f"t{secrets.token_hex(4)}", records))


@pytest.fixture
def told(share: tuple[str, Cluster], key: Path) -> Iterator[Told]:
    """``told(desk)`` gives a subscriber a group of its own, and the desk to acknowledge at."""
    topic, partner = share
    with ExitStack() as stack:

        def tell(desk: Desk, key: Path = key) -> dict[str, str]:
            url = f"{stack.enter_context(desk.serving())}/integrators/{PARTNER}"
            told = environment(partner, topic, contract=CONTRACT, key=key, share_url=url, share_token=desk.token)
            return told | {"KAFKA_GROUP": f"{partner.username}.{secrets.token_hex(4)}"}

        yield tell


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_subscriber_says_what_is_expected_and_forgets_what_it_must(language: str, told: Told) -> None:
    desk = Desk(PARTNER, TOKEN, [PURGE])
    variables = told(desk)
    ended = run_example(language, variables)
    assert ended.returncode == 0, ended.stderr
    assert in_order(ended.stdout) == EXPECTED
    assert desk.acknowledged == [PURGE]
    said = ended.stdout + ended.stderr
    assert not [name for name in ("Amal", "Dalia", TOKEN, variables["KAFKA_PASSWORD"]) if name in said]


async def test_what_was_not_acknowledged_comes_again_to_a_subscriber(told: Told) -> None:
    desks = {language: Desk(PARTNER, TOKEN, [PURGE], failures=1) for language in LANGUAGES}
    variables = {language: told(desk) for language, desk in desks.items()}
    for language, ended in (await all_at_once(variables)).items():
        assert ended.returncode != 0, language
        assert "purge acknowledged" not in ended.stdout, language
        assert desks[language].acknowledged == [], language
    for language, ended in (await all_at_once(variables)).items():
        assert ended.returncode == 0, ended.stderr
        assert "purge acknowledged" in ended.stdout, language
        assert desks[language].acknowledged == [PURGE], language


async def test_names_sealed_for_another_are_set_aside_once_and_nothing_else(told: Told, tmp_path: Path) -> None:
    other = private_key(tmp_path)
    variables = {language: told(Desk(PARTNER, TOKEN, [PURGE]), other) for language in LANGUAGES}
    nameless = {line for line in EXPECTED if re.search("no name|forgotten|unreadable", line)}
    for language, ended in (await all_at_once(variables)).items():
        assert ended.returncode == 0, ended.stderr
        assert nameless <= set(ended.stdout.splitlines()), language
        assert "name opened" not in ended.stdout, language
        assert ended.stdout.count("cannot_open") > "\n".join(EXPECTED).count("cannot_open"), language
    for language, ended in (await all_at_once(variables)).items():
        assert ended.stdout.splitlines() == ["0 cases held"], f"{language} read again what it had committed"


async def all_at_once(variables: dict[str, dict[str, str]]) -> dict[str, subprocess.CompletedProcess[str]]:
    """The subscribers in all languages beside each other."""
    runs = [asyncio.to_thread(run_example, language, told) for language, told in variables.items()]
    return dict(zip(variables, await asyncio.gather(*runs), strict=True))
