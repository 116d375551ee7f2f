"""The AsyncAPI documents say what the contracts folder says, and are never stale."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from kintsugi_contracts.asyncapi import files
from kintsugi_contracts.asyncapi.__main__ import main
from kintsugi_contracts.asyncapi.bundle import bundle
from kintsugi_contracts.asyncapi.document import Party, of_party, parties, platform
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.folder import Folder, load
from kintsugi_contracts.formats import FORMATS

from tests.contract.folders import name_consumers
from tests.contract.streams import add_stream

CONTRACTS = Path(__file__).parents[2] / "contracts"
FOLDER = load(CONTRACTS)
DOCUMENTS = {"platform": platform(FOLDER), **{p.file: of_party(FOLDER, p) for p in parties(FOLDER)}}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A contracts folder to change, whose documents are not stale."""
    made = Path(shutil.copytree(CONTRACTS, tmp_path / "contracts"))
    name_consumers(made)
    folder = load(made)
    files.write(folder.path, files.texts(folder))
    return folder.path


@pytest.fixture
def shared(copy: Path) -> Folder:
    """The contracts with a partner's stream more."""
    add_stream(copy, country="xb", integrator="harbour-court", purpose="hearings")
    return load(copy)


@dataclass(frozen=True)
class Done:
    """How the command ended, and what it said of mistakes."""

    exit_code: int
    stderr: str


def run(arguments: list[str]) -> Done:
    """``python -m kintsugi_contracts.asyncapi``."""
    with redirect_stderr(StringIO()) as said:
        return Done(main(arguments), said.getvalue())


def test_no_committed_document_is_stale() -> None:
    assert files.stale(CONTRACTS, files.texts(FOLDER)) == []


def test_the_same_contracts_give_the_same_bytes() -> None:
    assert files.texts(FOLDER) == files.texts(load(CONTRACTS))


def test_a_changed_topic_file_makes_its_documents_stale_and_the_command_mends_them(copy: Path) -> None:
    topic = copy / "topics" / "assessment.v1.yaml"
    said = yaml.safe_load(topic.read_text())
    said["consumers"]["notify"]["assessment.declined"] = []
    topic.write_text(yaml.safe_dump(said, sort_keys=False))
    checked = run(["--contracts", str(copy), "--check"])
    assert checked.exit_code == 1
    assert [Path(line.split(" is stale")[0]).name for line in checked.stderr.splitlines()] == [
        "asyncapi.yaml",
        "notify.yaml",
    ]
    assert run(["--contracts", str(copy)]).exit_code == 0
    assert run(["--contracts", str(copy), "--check"]).exit_code == 0


def test_a_document_of_nobody_is_stale_and_is_removed(copy: Path) -> None:
    left = copy / "asyncapi" / "billing.yaml"
    left.write_text("asyncapi: 3.0.0\n")
    assert run(["--contracts", str(copy), "--check"]).exit_code == 1
    run(["--contracts", str(copy)])
    assert not left.exists()


def test_a_folder_that_holds_no_contracts_is_refused(tmp_path: Path) -> None:
    assert run(["--contracts", str(tmp_path), "--check"]).exit_code == 2


def test_a_topic_file_that_lists_a_version_without_a_schema_is_named(copy: Path) -> None:
    topic = copy / "topics" / "intake.v1.yaml"
    topic.write_text(topic.read_text().replace("case.closed: {versions: [1]", "case.closed: {versions: [1, 2]"))
    checked = run(["--contracts", str(copy), "--check"])
    assert checked.exit_code == 2
    assert "topics/intake.v1.yaml: no schema of case.closed v2" in checked.stderr


def test_every_topic_and_event_and_reader_is_in_the_platform_s_document() -> None:
    document = DOCUMENTS["platform"]
    assert {c["address"] for c in document["channels"].values()} == {t.name for t in FOLDER.all_topics()}
    declared = {
        (topic.name, f"kintsugi.{name}.v{major}")
        for topic in FOLDER.all_topics()
        for name, entry in topic.spec.events.items()
        for major in entry.versions
    }
    said = {
        (channel["address"], document["components"]["messages"][name]["name"])
        for channel in document["channels"].values()
        for name in channel["messages"]
        if not name.endswith(".forget")
    }
    assert said == declared
    readers = {(topic.name, reader) for topic in FOLDER.all_topics() for reader in topic.spec.consumers}
    operations = [o for o in document["operations"].values() if o["action"] == "receive"]
    named = {
        (document["channels"][o["channel"]["$ref"].rpartition("/")[2]]["address"], o["tags"][0]["name"])
        for o in operations
    }
    assert {(topic, name.rpartition(".")[2]) for topic, name in named} == readers


@pytest.mark.parametrize("service", sorted(t.spec.producer for t in FOLDER.topics.values()))
def test_a_service_s_document_has_what_it_sends_and_what_it_relies_on_and_nothing_else(service: str) -> None:
    document = DOCUMENTS[service]
    own = FOLDER.topics[service]
    sent = document["operations"][f"{service}.sends.{service}"]
    assert len(sent["messages"]) == len(own.spec.types())
    for topic in FOLDER.topics.values():
        reads = topic.spec.consumers.get(service)
        received = document["operations"].get(f"{service}.receives.{topic.spec.service}")
        assert (received is None) == (reads is None)
        if reads is None or received is None:
            continue
        assert received["x-reads"] == {name: list(reading.fields) for name, reading in reads.items()}
        names = {ref["$ref"].rpartition("/")[2] for ref in received["messages"]}
        assert names == {f"{name}.v{v}" for name, reading in reads.items() for v in reading.versions}
    used = {ref["$ref"].rpartition("/")[2] for o in document["operations"].values() for ref in o["messages"]}
    assert used == document["components"]["messages"].keys()


def test_kafka_is_described_by_binding_0_5_0_with_settings_groups_and_clients() -> None:
    document = DOCUMENTS["platform"]
    assert set(_all(document, "bindingVersion")) == {"0.5.0"}
    for topic in FOLDER.topics.values():
        binding = document["channels"][topic.spec.service]["bindings"]["kafka"]
        assert binding["partitions"] == topic.spec.partitions
        assert {
            name: ",".join(value) if isinstance(value, list) else str(value)
            for name, value in binding["topicConfiguration"].items()
        } == topic.spec.config
    for name, operation in document["operations"].items():
        binding, party = operation["bindings"]["kafka"], operation["tags"][0]["name"]
        wanted = {"clientId", "groupId"} if operation["action"] == "receive" else {"clientId"}
        assert binding.keys() == wanted | {"bindingVersion"}, name
        for part in (binding[key] for key in wanted):
            assert re.match(part["pattern"], part["examples"][0]), name
            assert not re.match(part["pattern"], f"xa.not-{party}"), name


def test_the_servers_ask_for_scram_sha_512() -> None:
    for document in DOCUMENTS.values():
        (server,) = document["servers"].values()
        assert server["security"] == [{"$ref": "#/components/securitySchemes/scramSha512"}]
        assert document["components"]["securitySchemes"]["scramSha512"]["type"] == "scramSha512"


def test_every_example_of_the_folder_is_in_the_document_and_every_payload_judges_the_folder_s_examples_alike() -> None:
    """The schemas are of 2020-12 and AsyncAPI reads them as draft 7: both must accept and refuse the same values."""
    whole = bundle(DOCUMENTS["platform"], FOLDER)
    judged = 0
    for version in FOLDER.versions():
        message = whole["components"]["messages"][f"{version.key}.v{version.major}"]
        assert [e["payload"] for e in message["examples"]] == [e.document.data for e in version.examples_of("accept")]
        for purpose, _ in version.schemas():
            schema = message["x-sealed"][purpose] if purpose else message["payload"]
            Draft7Validator.check_schema(schema)
            for kind in ("accept", "reject"):
                for example in version.examples_of(kind, purpose):
                    value = json.loads(example.document.text)
                    plain = Draft7Validator(schema, format_checker=FORMATS)
                    assert plain.is_valid(value) == (kind == "accept"), example.document.name
                    judged += 1
    assert judged > 100


def test_in_one_file_every_property_keeps_its_sensitivity_and_its_own_description() -> None:
    whole = bundle(DOCUMENTS["platform"], FOLDER)
    assert not [ref for ref in _all(whole, "$ref") if not ref.startswith("#/")]
    payload = whole["components"]["messages"]["case.opened.v1"]["payload"]
    assert payload["properties"]["case_ref"]["description"] == "The case's short reference."
    for message in whole["components"]["messages"].values():
        for schema in (message["payload"], *message.get("x-sealed", {}).values()):
            for name, part in schema.get("properties", {}).items():
                assert part["x-sensitivity"], (message["name"], name)
    sealed = whole["components"]["messages"]["contact_profile.changed.v1"]["x-sealed"]["contact"]
    assert sealed["properties"]["phone"]["x-sensitivity"] == "personal"


def test_a_schema_that_holds_itself_is_refused(copy: Path) -> None:
    common = copy / "events" / "common.schema.json"
    schema = json.loads(common.read_text())
    schema["$defs"]["CaseRef"] = {"type": "array", "items": {"$ref": "#/$defs/CaseRef"}}
    common.write_text(json.dumps(schema))
    folder = load(copy)
    with pytest.raises(ContractError, match="CaseRef holds itself"):
        bundle(platform(folder), folder)


def test_a_partner_s_stream_is_in_the_platform_s_document_and_the_partner_has_one_of_its_own(shared: Folder) -> None:
    everything, partner = platform(shared), of_party(shared, Party("harbour-court", "xb"))
    address = "xb.share.harbour-court.hearings.v1"
    assert address in {c["address"] for c in everything["channels"].values()}
    assert [c["address"] for c in partner["channels"].values()] == [address]
    (channel,) = partner["channels"].values()
    assert "parameters" not in channel
    assert channel["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"] == ["compact"]
    assert {o["action"] for o in partner["operations"].values()} == {"receive"}
    assert {m["name"] for m in partner["components"]["messages"].values()} == {
        "kintsugi.share.harbour-court.hearings.v1",
        "forget",
    }
    assert f"asyncapi/{Party('harbour-court', 'xb').file}.yaml" in files.texts(shared)
    writer = of_party(shared, Party("share"))
    assert address in {c["address"] for c in writer["channels"].values()}


def test_a_document_is_readable_yaml() -> None:
    for name, text in files.texts(FOLDER).items():
        assert text.startswith(files.MARK), name
        assert not re.search(r"^\s*[&*]id\d", text, re.MULTILINE), name
        assert "!!" not in text, name
        assert yaml.safe_load(text) == (DOCUMENTS["platform" if name == files.PLATFORM else Path(name).stem]), name


def _all(part: Any, key: str) -> Iterator[Any]:
    if isinstance(part, dict):
        if key in part:
            yield part[key]
        for value in part.values():
            yield from _all(value, key)
    elif isinstance(part, list):
        for value in part:
            yield from _all(value, key)
