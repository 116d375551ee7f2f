"""``kintsugi topics`` against a broker elsewhere: what it shows, what it does, and its exit codes."""

import asyncio
import copy
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest
from kintsugi.secrets import make_secret_file
from kintsugi_office import key_files
from kintsugi_office.broker import broker
from kintsugi_office.project import Layout
from kintsugi_office.rights import Right
from kintsugi_office.topic_commands import app
from typer.testing import CliRunner, Result

from tests.infrastructure import Infrastructure, forget

COUNTRY = "xt"  # nobody else's on this broker


class Command:
    """``kintsugi topics`` with everything it must be told of this broker."""

    def __init__(self, infrastructure: Infrastructure, folder: Path) -> None:
        self._told = {
            "--data": folder / "data",
            "--country": COUNTRY,
            "--bootstrap": infrastructure.bootstrap,
            "--password-file": folder / "admin.password",
            "--protocol": "SASL_PLAINTEXT",
        }

    def of_another_folder(self, folder: Path) -> "Command":
        other = copy.copy(self)
        other._told = self._told | {"--data": folder}
        return other

    async def run(self, *arguments: str) -> Result:
        told = [str(part) for pair in self._told.items() for part in pair]
        return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *told], env={"COLUMNS": "100"})


@pytest_asyncio.fixture(loop_scope="session")
async def topics(infrastructure: Infrastructure, tmp_path: Path) -> AsyncIterator[Command]:
    if infrastructure.kafka_password is None:
        pytest.skip(f"the broker of this session ({infrastructure.source}) has no logins")
    make_secret_file(tmp_path / "admin.password", infrastructure.kafka_password.encode())
    yield Command(infrastructure, tmp_path)
    await forget(infrastructure.cluster, COUNTRY)


async def test_a_plan_changes_nothing_and_applying_it_leaves_nothing_to_do(
    topics: Command, infrastructure: Infrastructure
) -> None:
    for _ in range(2):
        shown = await topics.run("plan")
        assert shown.exit_code == 1
        assert f"+ topic  {COUNTRY}.intake.v1" in shown.output
        assert f"+ user   {COUNTRY}.referral" in shown.output
        assert "Next: kintsugi topics apply" in shown.output
    assert (await topics.run("apply", "--yes")).exit_code == 0
    for command in ("plan", "apply"):
        again = await topics.run(command)
        assert again.exit_code == 0
        assert "As the contracts say" in again.output
        assert "\n+" not in again.output

    forged = Right(f"User:{COUNTRY}.notify", "topic", f"{COUNTRY}.intake.v1", "write")
    await asyncio.to_thread(broker(infrastructure.cluster).allow, [forged])
    async with asyncio.timeout(15):
        while (drifted := await topics.run("plan")).exit_code == 0:
            pass
    (line,) = [each for each in drifted.output.splitlines() if each.startswith("- right")]
    assert line.split() == ["-", "right", f"{COUNTRY}.notify", "may", "write", "topic", f"{COUNTRY}.intake.v1"]
    assert (await topics.run("apply")).exit_code == 0
    assert (await topics.run("plan")).exit_code == 0


async def test_a_new_reader_is_named_with_what_it_reads_and_waits_for_a_person_s_word(
    topics: Command, infrastructure: Infrastructure
) -> None:
    assert (await topics.run("apply", "--yes")).exit_code == 0
    reader = Right(f"User:{COUNTRY}.assessment", "topic", f"{COUNTRY}.intake.v1", "read")
    there = broker(infrastructure.cluster)
    await asyncio.to_thread(there.withdraw, [reader])
    async with asyncio.timeout(15):
        while (shown := await topics.run("plan")).exit_code == 0:
            pass
    said = (
        f"assessment may read {COUNTRY}.intake.v1: case.opened (case_ref, office, languages), case.closed (closed_at)"
    )
    assert f"To confirm: {said}" in shown.output
    refused = await topics.run("apply")
    assert refused.exit_code == 1
    assert said in refused.output
    assert "add --yes" in refused.output
    assert reader not in (await asyncio.to_thread(there.users_and_rights))[1]
    assert (await topics.run("apply", "--yes")).exit_code == 0
    assert reader in (await asyncio.to_thread(there.users_and_rights))[1]


async def test_a_service_that_would_hold_another_key_is_named_until_a_person_has_confirmed_it(
    topics: Command, tmp_path: Path
) -> None:
    layout = Layout(tmp_path / "data")
    key_files.hand_out(layout, {"intake": ("identity", "contact", "assessment", "narrative")})
    shown = await topics.run("plan")
    assert "To confirm: share will hold keys for identity" in shown.output
    assert "intake will hold" not in shown.output
    assert (await topics.run("apply", "--yes")).exit_code == 0
    assert (layout.keys_of("share") / "identity.key").read_bytes() == layout.key("identity").read_bytes()
    assert "To confirm" not in (await topics.run("plan")).output


async def test_a_folder_without_the_passwords_locks_nobody_out_unless_it_is_told_to(
    topics: Command, tmp_path: Path
) -> None:
    assert (await topics.run("apply", "--yes")).exit_code == 0
    other = topics.of_another_folder(tmp_path / "other")
    shown = await other.run("plan")
    assert shown.exit_code == 1
    assert "Next: kintsugi topics apply --new-passwords " in shown.output
    assert (await other.run("apply")).exit_code == 0
    assert (await topics.run("plan")).exit_code == 0, "those of the first folder hold"
    assert (await other.run("apply", "--new-passwords")).exit_code == 0
    assert (await other.run("plan")).exit_code == 0
    assert (await topics.run("plan")).exit_code == 1


async def test_a_wrong_password_ends_with_a_sentence(topics: Command, tmp_path: Path) -> None:
    (tmp_path / "admin.password").write_text("guessed")
    refused = await topics.run("plan")
    assert refused.exit_code == 1
    assert "does not take the password of admin" in refused.output


async def test_a_right_that_the_client_does_not_know_is_named_and_stops_nothing(
    topics: Command, infrastructure: Infrastructure
) -> None:
    """librdkafka knows neither delegation tokens nor what may be done with users, and cannot take such rights away."""
    assert (await topics.run("apply", "--yes")).exit_code == 0
    token = (6, "token", 3, f"User:{COUNTRY}.notify", "*", 8, 3)
    denied = Right(f"User:{COUNTRY}.intake", "topic", f"{COUNTRY}.intake.v1", "write", permission="deny")
    client = AIOKafkaClient(**infrastructure.cluster.client())
    await client.bootstrap()
    try:
        await client.send(client.get_random_node(), CreateAclsRequest(*token))
        await asyncio.to_thread(broker(infrastructure.cluster).allow, [denied])
        async with asyncio.timeout(15):
            while (drifted := await topics.run("plan")).exit_code == 0 or "unknown token" not in drifted.output:
                pass
        (line,) = [each for each in drifted.output.splitlines() if each.startswith("- right")]
        assert line.split(maxsplit=3)[3] == f"may not write topic {COUNTRY}.intake.v1"
        assert (await topics.run("apply")).exit_code == 0
        after = await topics.run("plan")
        assert after.exit_code == 0
        assert "may describe unknown token" in after.output
        assert "As the contracts say, beside the rights left alone" in after.output
    finally:
        await client.send(client.get_random_node(), DeleteAclsRequest(*token))
        await client.close()
