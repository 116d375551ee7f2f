"""Two countries, each with a partner of the same name: what one partner receives is not what the other receives."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from kintsugi_contracts import gate
from kintsugi_contracts.asyncapi.bundle import bundle
from kintsugi_contracts.asyncapi.document import Party, of_party, platform
from kintsugi_contracts.folder import EventKey, load
from kintsugi_contracts.releases import freeze
from kintsugi_contracts.schema_changes import Verdict
from kintsugi_share import schemas

from tests.contract.folders import Copy

COUNTRIES = Path(__file__).parents[2] / "countries"
SECOND = "share/xb/labour-registry/wage-claims"
NAME = "share.labour-registry.wage-claims"


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """The contracts with the streams of xa and of a copy of it, xb, whose register asks for less and for other things.

    A release stands from before xb.
    """
    made = Copy(tmp_path)
    freeze(made.path, "1.0.0")
    shutil.copytree(COUNTRIES, tmp_path / "countries")
    second = tmp_path / "countries" / "xb"
    shutil.copytree(COUNTRIES / "xa", second)
    for file in (f for f in second.rglob("*") if f.suffix in (".yaml", ".json", ".csv", ".ftl")):
        text = file.read_text(encoding="utf-8")
        file.write_text(re.sub(r"\bXA-", "XB-", re.sub(r"\bcode: xa\b", "code: xb", text)), encoding="utf-8")
    partner = second / "integrators" / "labour-registry.yaml"
    said = yaml.safe_load(partner.read_text(encoding="utf-8"))
    said["purposes"]["wage-claims"] |= {"fields": ["opened_month", "area"], "sealed": {"identity": ["real_name"]}}
    said["purposes"]["wage-claims"].pop("needs")
    partner.write_text(yaml.safe_dump(said, allow_unicode=True), encoding="utf-8")
    done = schemas.main(["--contracts", str(made.path), "--countries", str(tmp_path / "countries")])
    assert done == 0
    return made


def test_the_gate_finds_nothing_wrong_with_two_partners_of_one_name(copy: Copy) -> None:
    report = gate.check(copy.path)
    assert [str(finding) for finding in report.findings] == []
    (change,) = report.changes
    assert (change.verdict, change.rule, change.subject) == (Verdict.fine, "stream-added", f"xb.{NAME}.v1")


def test_a_mistake_in_one_country_is_told_of_its_own_files(copy: Copy) -> None:
    copy.text(f"{SECOND}/topic.yaml", "{fields: [", "{fields: [casework_type, ")
    (finding,) = gate.check(copy.path).findings
    assert finding.file == f"{SECOND}/topic.yaml"
    assert f"reads `casework_type` of `{NAME}`, which does not exist" in finding.message


def test_the_second_country_s_release_is_compared_with_its_own(copy: Copy) -> None:
    freeze(copy.path, "1.1.0")
    assert gate.check(copy.path).passes
    copy.change(f"{SECOND}/v1.schema.json", lambda schema: schema["properties"].pop("area"))
    changed = [c for c in gate.check(copy.path).changes if c.verdict is not Verdict.fine]
    assert [(c.file.partition("/v1")[0], c.subject, c.readers) for c in changed] == [
        (SECOND, f"xb.{NAME} v1", ("labour-registry",))
    ]


def test_a_stream_that_goes_is_told_though_another_country_has_one_of_its_name(copy: Copy) -> None:
    freeze(copy.path, "1.1.0")
    shutil.rmtree(copy.path / SECOND)
    removed = {(c.rule, c.file) for c in gate.check(copy.path).changes if c.verdict is Verdict.forbidden}
    assert removed == {("event-removed", SECOND), ("topic-removed", f"{SECOND}/topic.yaml")}


@pytest.mark.parametrize(("country", "has"), [("xa", "casework_type"), ("xb", None)])
def test_a_partner_s_document_holds_the_schemas_of_its_own_country(copy: Copy, country: str, has: str | None) -> None:
    folder = load(copy.path)
    document = of_party(folder, Party("labour-registry", country))
    message = document["components"]["messages"][f"{country}.{NAME}.v1"]
    assert message["payload"] == {"$ref": f"../share/{country}/labour-registry/wage-claims/v1.schema.json"}
    assert message["name"] == f"kintsugi.{NAME}.v1"  # `ce_type` is as released
    assert str(message["headers"]["properties"]["ce_dataschema"]["const"]).count(f"/{country}/") == 1
    fields = bundle(document, folder)["components"]["messages"][f"{country}.{NAME}.v1"]["payload"]["properties"]
    assert ("casework_type" in fields) == (has is not None)


def test_the_platform_s_document_and_share_s_hold_both(copy: Copy) -> None:
    folder = load(copy.path)
    for document in (platform(folder), of_party(folder, Party("share"))):
        for country in ("xa", "xb"):
            channel = document["channels"][f"{country}-share-labour-registry-wage-claims"]
            name = f"{country}.{NAME}.v1"
            assert name in channel["messages"]
            assert f"share/{country}/" in document["components"]["messages"][name]["payload"]["$ref"]


def test_a_stream_is_identified_by_country_partner_and_purpose(copy: Copy) -> None:
    folder = load(copy.path)
    for country in ("xa", "xb"):
        key = EventKey(NAME, country)
        (topic,) = folder.topics_of(key)
        assert topic.name == f"{country}.{NAME}.v1"
        assert folder.all_events()[key].folder == f"share/{country}/labour-registry/wage-claims"
    assert "casework_type" in folder.readings(EventKey(NAME, "xa"))["labour-registry"].fields
    assert "casework_type" not in folder.readings(EventKey(NAME, "xb"))["labour-registry"].fields
