"""The subscribers of ``examples``: small, pinned, the same in every language, and pointing at no registry."""

import json
import re
from pathlib import Path

import pytest
from joserfc.jwk import ECKey
from kintsugi.kafka import Cluster
from kintsugi.secrets import Secret
from kintsugi_office.integrators import as_shell, environment
from kintsugi_sandbox.embedded import jars

from examples.practice.desk import Desk
from examples.practice.stream import NOT_MY_PURGE, PURGE, case_id, stream
from tests.e2e import subscriber_java

PROJECT = Path(__file__).parents[2]
EXAMPLES = PROJECT / "examples"
SOURCES = [
    EXAMPLES / "subscribe-python" / "subscribe.py",
    EXAMPLES / "subscribe-node" / "subscribe.ts",
    EXAMPLES / "subscribe-java" / "Subscribe.java",
]
IDS = [source.parent.name for source in SOURCES]
TOLD = environment(
    Cluster("127.0.0.1:9", "xa.integrator.it", Secret("p w")),
    "topic",
    contract=Path("c"),
    key=Path("k"),
    share_url="u",
    share_token="t",
)


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_an_example_is_one_file_of_fewer_than_eighty_readable_lines(source: Path) -> None:
    lines = source.read_text(encoding="utf-8").splitlines()
    assert len(lines) < 80
    assert max(map(len, lines)) <= 120
    assert [file for file in source.parent.iterdir() if file.suffix == source.suffix] == [source]


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_an_example_reads_what_an_office_hands_out_and_nothing_else(source: Path) -> None:
    assert set(re.findall(r"\b[A-Z]+_[A-Z_]+[A-Z]\b|\bTOPIC\b|\bCONTRACT\b", source.read_text(encoding="utf-8"))) & {
        *TOLD,
        "UNTIL_IDLE_SECONDS",
    } == {*TOLD, "UNTIL_IDLE_SECONDS"}


def test_the_environment_is_a_file_that_a_shell_reads() -> None:
    assert "KAFKA_PASSWORD='p w'\n" in as_shell(TOLD)
    assert TOLD["KAFKA_GROUP"].startswith(f"{TOLD['KAFKA_USERNAME']}.")
    with pytest.raises(ValueError, match="no user"):
        environment(Cluster("a:1"), "t", contract=Path("c"), key=Path("k"), share_url="u", share_token="t")


def _entries(requirements: Path) -> dict[str, set[str]]:
    text = requirements.read_text(encoding="utf-8")
    found = re.findall(r"^([\w.-]+==[^\s;]+)[^\n]*\\\n((?:\s+--hash=\S+(?: \\)?\n?)+)", text, re.MULTILINE)
    return {name: set(re.findall(r"sha256:\w+", hashes)) for name, hashes in found}


def test_the_python_packages_are_those_that_the_tests_run_with() -> None:
    example, ours = (
        _entries(EXAMPLES / "subscribe-python" / "requirements.txt"),
        _entries(PROJECT / "requirements.lock"),
    )
    asked = (EXAMPLES / "subscribe-python" / "requirements.in").read_text(encoding="utf-8").split()
    assert set(asked) < {name.partition("==")[0] for name in example}
    different = [name for name in example if example[name] != ours.get(name)]
    assert different == [], "run make lock"


def test_the_node_packages_are_pinned_by_hash_without_addresses() -> None:
    folder = EXAMPLES / "subscribe-node"
    package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    locked = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert locked[""]["dependencies"] == package["dependencies"]
    assert all(re.fullmatch(r"[\d.]+", version) for version in package["dependencies"].values())
    for name, entry in locked.items():
        if name:
            assert entry["integrity"].startswith("sha512-")
            assert "resolved" not in entry
            assert not entry.get("hasInstallScript"), name
    assert "ignore-scripts=true" in (folder / ".npmrc").read_text(encoding="utf-8").splitlines()


def test_the_java_packages_are_those_of_the_lock() -> None:
    locked = {(jar.group, jar.artefact, jar.version) for jar in jars.read(subscriber_java.LOCK.read_text())}
    assert {*subscriber_java.named(), subscriber_java.COMPILER} <= locked, "run make jars"


def test_no_file_of_an_example_names_a_registry_or_a_place_on_a_machine() -> None:
    for folder in (source.parent for source in SOURCES):
        # What its packages say of themselves stands in a lock, without the address they come from.
        for file in (file for file in folder.iterdir() if file.is_file() and file.name != "package-lock.json"):
            found = re.findall(
                r"https?://[\w.]+|(?:^|[\s\"'=])/(?:home|root|work|tmp|opt)/", file.read_text(encoding="utf-8")
            )
            assert set(found) <= {"http://maven.apache.org"}, file


def test_the_practice_stream_holds_every_kind_of_record() -> None:
    records = stream(ECKey.generate_key("P-256"))
    ids = [record.headers.get("ce_id") for record in records]
    assert len(ids) - len(set(ids)) == 3, "two repetitions, and two without an id"
    assert sum(record.value is None for record in records) == 3
    assert {record.headers["ce_purgeid"] for record in records if record.value is None} == {PURGE, NOT_MY_PURGE}
    assert {record.key for record in records} == {case_id(name) for name in ("amal", "badr", "carim", "dalia", "emre")}
    said = b"".join(record.value or b"" for record in records)
    assert b"Amal" not in said
    assert b"preferred_name" not in said


def test_what_is_expected_shows_every_outcome() -> None:
    expected = (EXAMPLES / "expected.txt").read_text(encoding="utf-8")
    for outcome in ("name opened", "no name", "duplicate", "unreadable", "cannot_open", "other_case", "acknowledged"):
        assert outcome in expected


def test_the_desk_takes_only_open_purges_of_its_partner() -> None:
    desk = Desk("it", "token", ["p1"], failures=1)
    path = "/integrators/it/purges/p1/acknowledgement"
    assert desk.answer(path, "Bearer other") == 401
    assert desk.answer("/integrators/other/purges/p1/acknowledgement", "Bearer token") == 404
    assert desk.answer("/integrators/it/purges/p2/acknowledgement", "Bearer token") == 404
    assert [desk.answer(path, "Bearer token") for _ in range(3)] == [503, 200, 200]
    assert desk.acknowledged == ["p1", "p1"]
