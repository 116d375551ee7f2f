"""The contracts of several packages: each keeps its own rules and releases, and the documents speak of all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from kintsugi_contracts import gate
from kintsugi_contracts.asyncapi import files
from kintsugi_contracts.asyncapi.__main__ import main
from kintsugi_contracts.asyncapi.document import Party, of_party
from kintsugi_contracts.base import Event, Instant
from kintsugi_contracts.catalog import Catalog, EventPackage
from kintsugi_contracts.errors import ContractError
from kintsugi_contracts.folder import EventKey, Folder, load
from kintsugi_contracts.merging import installed, merged
from kintsugi_contracts.releases import freeze, releases
from kintsugi_contracts.schema_changes import Verdict
from kintsugi_office.cli import app
from typer.testing import CliRunner

from tests.contract.folders import CONTRACTS, Copy

LIT = "events/lamp.lit"
PLATFORM = load(CONTRACTS)


class LampLit(Event):
    """A lamp was lit."""

    type = "kintsugi.lamp.lit.v1"
    service = "lamps"
    dataclassification = "internal"
    dataschema = f"https://schemas.kintsugi.example/{LIT}/v1.schema.json"

    lit_at: Instant


def lamps(folder: Path) -> Path:
    """The contracts of a fictional country's own service: one event, whose moment is the platform's code."""
    contracts = folder / "contracts"
    topic = {
        "topic": "{country}.lamps.v1",
        "service": "lamps",
        "owner": "The lamp team",
        "purpose": "Whether the lamp at the door is lit.",
        "producer": "lamps",
        "key": "ce_subject",
        "partitions": 3,
        "sensitivity": "internal",
        "config": dict(PLATFORM.topics["intake"].spec.config),
        "purposes": [],
        "events": {"lamp.lit": {"versions": [1], "protective": False}},
    }
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://schemas.kintsugi.example/{LIT}/v1.schema.json",
        "x-type": "kintsugi.lamp.lit.v1",
        "title": "LampLit",
        "description": "A lamp was lit.",
        "type": "object",
        "additionalProperties": False,
        "required": ["lit_at"],
        "properties": {
            "lit_at": {
                "description": "When it was lit.",
                "x-sensitivity": "internal",
                "$ref": "../common.schema.json#/$defs/Instant",
            }
        },
    }
    moment = "2026-03-02T09:12:00Z"
    written = {
        "topics/lamps.v1.yaml": yaml.safe_dump(topic, sort_keys=False),
        f"{LIT}/v1.schema.json": json.dumps(schema, indent=2),
        f"{LIT}/examples/accept/full.json": json.dumps({"lit_at": moment}),
        f"{LIT}/examples/accept/again.json": json.dumps({"lit_at": "2026-03-03T09:12:00Z"}),
        f"{LIT}/examples/reject/required-lit_at.json": "{}",
        f"{LIT}/examples/reject/additionalProperties-name.json": json.dumps({"lit_at": moment, "name": "Amara"}),
        f"{LIT}/examples/reject/pattern-not_utc.json": json.dumps({"lit_at": "2026-03-02T09:12:00+02:00"}),
    }
    for name, text in written.items():
        (contracts / name).parent.mkdir(parents=True, exist_ok=True)
        (contracts / name).write_text(text)
    return contracts


@pytest.fixture
def country(tmp_path: Path) -> Path:
    """The contracts of the country's own package."""
    return lamps(tmp_path / "lamps")


@pytest.fixture
def catalog(country: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """The platform with the country's package installed beside it."""
    made = Catalog([*Catalog.installed().packages, EventPackage("xa-lamps", (LampLit,), country)])
    monkeypatch.setattr(Catalog, "installed", classmethod(lambda _cls: made))
    return made


def test_two_folders_are_one_and_a_reference_finds_the_platform_s_codes(country: Path, catalog: Catalog) -> None:
    whole = installed(catalog)
    assert whole.topics.keys() == PLATFORM.topics.keys() | {"lamps"}
    assert len(whole.all_events()) == len(PLATFORM.all_events()) + 1
    version = whole.all_events()[EventKey("lamp.lit")].newest
    assert whole.validator(version.document).is_valid({"lit_at": "2026-03-02T09:12:00Z"})
    assert not whole.validator(version.document).is_valid({"lit_at": "at dusk"})


def test_one_service_with_a_topic_in_two_folders_is_refused_and_both_files_are_named(country: Path) -> None:
    topic = country / "topics" / "lamps.v1.yaml"
    topic.write_text(topic.read_text().replace("lamps", "intake"))
    with pytest.raises(ContractError) as refused:
        merged([PLATFORM, load(country, PLATFORM)])
    assert f"{topic}: service intake has a topic in {CONTRACTS}/topics/intake.v1.yaml already" in str(refused.value)


def _with_event_of_the_platform(country: Path) -> Folder:
    shutil.copytree(CONTRACTS / "events" / "input.held", country / "events" / "input.held")
    topic = country / "topics" / "lamps.v1.yaml"
    topic.write_text(topic.read_text() + "  input.held: {versions: [1], protective: false}\n")
    return load(country, PLATFORM)


def test_an_event_in_two_folders_is_taken_when_both_say_the_same(country: Path) -> None:
    whole = merged([PLATFORM, _with_event_of_the_platform(country)])
    assert len(whole.topics_of(EventKey("input.held"))) == len(PLATFORM.topics_of(EventKey("input.held"))) + 1


def test_an_event_in_two_folders_is_refused_when_they_say_different_things(country: Path) -> None:
    _with_event_of_the_platform(country)
    schema = country / "events" / "input.held" / "v1.schema.json"
    schema.write_text(schema.read_text().replace('"required": [', '"required": ["colour", ', 1))
    with pytest.raises(ContractError, match=r"`input.held` stands in .*, and says something else there"):
        merged([PLATFORM, load(country, PLATFORM)])


def test_the_platform_s_report_is_the_same_with_another_package_beside(
    tmp_path: Path, country: Path, catalog: Catalog
) -> None:
    copy = Copy(tmp_path / "platform")
    freeze(copy.path, "1.0.0")
    before = gate.check(copy.path)
    mine, lamp = gate.check_all([copy.path, country], catalog=catalog)
    assert [str(finding) for finding in (*mine.findings, *lamp.findings)] == []
    assert (mine.changes, mine.releases, mine.passes) == (before.changes, before.releases, True)
    assert (lamp.passes, lamp.releases) == (True, ())


def test_each_folder_is_compared_with_its_own_releases(tmp_path: Path, country: Path, catalog: Catalog) -> None:
    made = freeze(country, "1.0.0")
    assert {name.partition("/")[0] for name in made.manifest["files"]} == {"topics", "events"}
    assert [release.version for release in releases(country)] == ["1.0.0"]
    schema = country / LIT / "v1.schema.json"
    schema.write_text(schema.read_text().replace("lit_at", "lit_on"))
    (report,) = gate.check_all([country], catalog=catalog)
    broken = [change for change in report.changes if change.verdict is Verdict.major]
    assert [(change.file, change.subject) for change in broken] == [(f"{LIT}/v1.schema.json", "lamp.lit v1")]


def test_the_command_checks_several_and_names_each_file_with_its_folder(
    tmp_path: Path, country: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Copy(tmp_path / "platform")
    copy.text("topics/intake.v1.yaml", "owner: The intake team", "owner: ''")
    topic = country / "topics" / "lamps.v1.yaml"
    topic.write_text(topic.read_text().replace("owner: The lamp team", "owner: ''"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    done = CliRunner().invoke(app, ["contracts", "check", str(copy.path), str(country)])
    assert done.exit_code == 1
    assert "platform/contracts/topics/intake.v1.yaml:" in done.stdout
    assert "lamps/contracts/topics/lamps.v1.yaml:" in done.stdout
    told = json.loads(
        CliRunner().invoke(app, ["contracts", "check", str(copy.path), str(country), "--format", "json"]).stdout
    )
    assert [(each["contracts"], each["passes"]) for each in told] == [(str(copy.path), False), (str(country), False)]


def test_a_package_has_a_document_of_its_own_service_with_the_platform_s_codes_written_out(
    country: Path, catalog: Catalog
) -> None:
    assert main(["--contracts", str(country)]) == 0
    assert [file.name for file in country.rglob("asyncapi*/*")] == ["lamps.yaml"]
    document = yaml.safe_load((country / "asyncapi" / "lamps.yaml").read_text())
    assert document["channels"]["lamps"]["address"] == "{country}.lamps.v1"
    assert "pattern" in document["components"]["messages"]["lamp.lit.v1"]["payload"]["properties"]["lit_at"]
    assert main(["--contracts", str(country), "--check"]) == 0


def test_the_documents_of_an_installation_speak_of_every_package(
    tmp_path: Path, country: Path, catalog: Catalog
) -> None:
    assert main(["--out", str(tmp_path / "out")]) == 0
    everything = yaml.safe_load((tmp_path / "out" / files.PLATFORM).read_text())
    addresses = {channel["address"] for channel in everything["channels"].values()}
    assert {"{country}.lamps.v1", "{country}.intake.v1", "xa.share.labour-registry.wage-claims.v1"} <= addresses
    one = of_party(installed(catalog), Party("lamps"))
    assert list(one["channels"]) == ["lamps"]
    assert (tmp_path / "out" / "asyncapi" / "lamps.yaml").is_file()


def test_a_reader_from_another_package_does_not_change_the_platform_s_documents() -> None:
    """The topics with a reader that is not the platform's: only the documents of an installation name it."""
    intake = PLATFORM.topics["intake"]
    reads = {**intake.spec.consumers, "lamps": intake.spec.consumers["assessment"]}
    spec = intake.spec.model_copy(update={"consumers": reads})
    topics = {**PLATFORM.topics, "intake": type(intake)(intake.document, spec, intake.consumers)}
    read = Folder(PLATFORM.path, topics, PLATFORM.events, PLATFORM.streams, PLATFORM.schemas)
    assert files.texts(read) == files.texts(PLATFORM)
    assert "`lamps`" in files.whole_texts(read)[files.PLATFORM]
