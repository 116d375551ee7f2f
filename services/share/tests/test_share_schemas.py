"""Partners' contracts follow from the packs and the events: the same files again, and nothing that was not declared."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from kintsugi.relay import POLL_SECONDS
from kintsugi.streams import AHEAD_MS, BEHIND_MS, FRESH_SECONDS
from kintsugi_contracts.catalog import Catalog, EventPackage
from kintsugi_country.integrators import CLEAR
from kintsugi_share import schemas
from kintsugi_share.domain import FIELDS

from services.share.tests.share_examples import ROOT

CONTRACTS = ROOT / "contracts"
WAGES = CONTRACTS / "share/xa/labour-registry/wage-claims"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the packs and of what contracts are made from."""
    shutil.copytree(ROOT / "countries", tmp_path / "countries")
    shutil.copytree(CONTRACTS / "events", tmp_path / "contracts/events")
    shutil.copytree(CONTRACTS / "share", tmp_path / "contracts/share")
    return tmp_path


def run(folder: Path, *arguments: str) -> int:
    return schemas.main(
        [*arguments, "--contracts", str(folder / "contracts"), "--countries", str(folder / "countries")]
    )


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_contracts_that_stand_in_the_project_are_those_of_its_packs(folder: Path) -> None:
    assert run(folder, "--check") == 0


def test_this_release_can_fill_every_field_that_a_pack_may_name() -> None:
    assert CLEAR.keys() == FIELDS


def test_a_changed_pack_makes_the_contract_stale_and_writing_mends_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(folder / "countries/xa/integrators/labour-registry.yaml", "languages, area, needs", "languages, needs")
    assert run(folder, "--check") == 1
    assert "v1.schema.json is stale; run `python -m kintsugi_share.schemas`" in capsys.readouterr().err
    assert run(folder) == 0
    assert run(folder, "--check") == 0
    assert "area" not in load(folder / "contracts/share/xa/labour-registry/wage-claims/v1.schema.json")["properties"]


def test_a_changed_event_schema_changes_what_a_partner_may_receive(folder: Path) -> None:
    change(folder / "contracts/events/common.schema.json", '"online_exploitation",', '"online_exploitation", "debt",')
    assert run(folder, "--check") == 1
    assert run(folder) == 0
    made = load(folder / "contracts/share/xa/labour-registry/wage-claims/v1.schema.json")
    assert "debt" in made["$defs"]["CaseworkType"]["enum"]


def test_a_declared_field_of_a_country_s_own_service_is_what_its_event_says(folder: Path) -> None:
    housing = folder / "housing"
    (housing / "topics").mkdir(parents=True)
    topic = yaml.safe_load((CONTRACTS / "topics/share.v1.yaml").read_text()) | {
        "topic": "{country}.housing.v1",
        "service": "housing",
        "producer": "housing",
        "events": {"room.offered": {"versions": [1, 2], "protective": False}},
        "shareable": {
            "housing_room": {"event": "room.offered", "field": "kind", "description": "The room offered last."}
        },
    }
    (housing / "topics/housing.v1.yaml").write_text(yaml.safe_dump(topic | {"purposes": []}))
    event = housing / "events/room.offered"
    (event / "examples/accept").mkdir(parents=True)
    old = {"properties": {"kind": {"description": "Old.", "x-sensitivity": "internal", "type": "string"}}}
    new = {
        "properties": {"kind": {"description": "New.", "x-sensitivity": "internal", "$ref": "#/$defs/RoomKind"}},
        "$defs": {"RoomKind": {"title": "RoomKind", "type": "string", "enum": ["single", "shared", "unknown"]}},
    }
    (event / "v1.schema.json").write_text(json.dumps(old))
    (event / "v2.schema.json").write_text(json.dumps(new))
    (event / "examples/accept/v2.full.json").write_text(json.dumps({"kind": "shared"}))
    change(folder / "countries/xa/integrators/labour-registry.yaml", "[opened_month,", "[housing_room, opened_month,")
    catalog = Catalog([*Catalog.installed().packages, EventPackage("xa-housing", (), housing)])
    files = schemas.wanted(folder / "countries", folder / "contracts", catalog)
    place = "xa/labour-registry/wage-claims/"
    made = json.loads(files[f"{place}v1.schema.json"])
    assert made["properties"]["housing_room"] == {
        "description": "The room offered last.",
        "x-sensitivity": "internal",
        "anyOf": [{"$ref": "#/$defs/RoomKind"}, {"type": "null"}],
    }
    assert made["$defs"]["RoomKind"]["enum"] == ["single", "shared", "unknown"]
    full = json.loads(files[f"{place}examples/accept/full.json"])
    assert full["housing_room"] == "shared"
    Draft202012Validator(made).validate(full)
    assert "housing_room" in files[f"{place}topic.yaml"]


def test_a_title_with_marks_of_yaml_stays_a_title(folder: Path) -> None:
    title = "Courts: the first #1"
    file = folder / "countries/xa/integrators/labour-registry.yaml"
    change(file, "title: Register of the Ministry of Labour (fictional)", f'title: "{title}"')
    assert run(folder) == 0
    said = yaml.safe_load((folder / "contracts/share/xa/labour-registry/wage-claims/topic.yaml").read_text())
    assert said["owner"] == f"{title}, by data-protection@labour.example"


def test_a_new_major_stands_beside_the_old_one_whose_files_stay(folder: Path) -> None:
    change(folder / "countries/xa/integrators/labour-registry.yaml", "    version: 1", "    version: 2")
    assert run(folder) == 0
    stream = folder / "contracts/share/xa/labour-registry/wage-claims"
    assert load(stream / "v1.schema.json") == load(WAGES / "v1.schema.json")
    assert load(stream / "v2.schema.json")["$id"].endswith("/wage-claims/v2.schema.json")
    assert "topic: xa.share.labour-registry.wage-claims.v2" in (stream / "topic.v2.yaml").read_text()
    assert (stream / "topic.yaml").read_text() == (WAGES / "topic.yaml").read_text()
    assert (stream / "examples/accept/v2.full.json").exists()
    assert run(folder, "--check") == 0


def test_a_partner_that_is_no_longer_declared_loses_its_contract(folder: Path) -> None:
    (folder / "countries/xa/integrators/labour-registry.yaml").unlink()
    assert run(folder, "--check") == 1
    assert run(folder) == 0
    assert not [path for path in (folder / "contracts/share").rglob("*") if path.is_file()]


def test_a_pack_with_a_mistake_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder / "countries/xa/integrators/labour-registry.yaml", "opened_month", "exploitation_types")
    assert run(folder) == 2
    assert "exploitation_types is no field that can be shared" in capsys.readouterr().err


@pytest.mark.parametrize(
    "path", sorted(WAGES.glob("examples/*/*.json")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_example_does_what_its_folder_says(path: Path) -> None:
    sealed = path.name.startswith("sealed.identity.")
    schema = load(WAGES / ("v1.sealed.identity.schema.json" if sealed else "v1.schema.json"))
    failed = {error.validator for error in Draft202012Validator(schema).iter_errors(load(path))}
    named = path.stem.removeprefix("sealed.identity.").partition("-")[0]
    assert failed == (set() if path.parent.name == "accept" else {named})


def test_a_partner_needs_no_other_file_and_finds_nothing_personal_in_clear() -> None:
    schema = load(WAGES / "v1.schema.json")
    text = json.dumps(schema)
    assert "common.schema.json" not in text
    assert '"personal"' not in text
    assert "preferred_name" not in text
    assert schema["additionalProperties"] is False


def test_the_broker_refuses_what_is_late_and_forgets_what_was_replaced() -> None:
    said = (WAGES / "topic.yaml").read_text()
    for line in (
        "cleanup.policy: compact",
        "message.timestamp.type: CreateTime",
        'message.timestamp.before.max.ms: "2000"',
        'message.timestamp.after.max.ms: "1000"',
        'max.compaction.lag.ms: "3600000"',
    ):
        assert f"  {line}\n" in said


def test_the_latest_moment_at_which_a_record_can_be_taken_is_five_seconds_after_the_withdrawal() -> None:
    """Its way to Kafka, then what was decided just before it was read, and the clocks; see share's README."""
    assert POLL_SECONDS + FRESH_SECONDS + (BEHIND_MS + AHEAD_MS) / 1000 <= 5.0
