"""The official AsyncAPI parser accepts every document, and would refuse broken ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from kintsugi_contracts.asyncapi import files
from kintsugi_contracts.asyncapi.bundle import bundle
from kintsugi_contracts.asyncapi.document import platform
from kintsugi_contracts.asyncapi.parser import Refused, Remark, check, remarks
from kintsugi_contracts.folder import load

from tests.contract.streams import add_stream

ROOT = Path(__file__).parents[2]
NODE = ROOT / "infra" / "node"

BREAKS = {
    "a schema that is not there": ("./events/case.opened/v1.schema.json", "./events/case.opened/v9.schema.json"),
    "a trait that is not there": ("'#/components/messageTraits/cloudevent'", "'#/components/messageTraits/other'"),
    "partitions that are no number": ("partitions: 12", "partitions: twelve"),
    "a binding of another version": ("bindingVersion: 0.5.0", "bindingVersion: 0.9.0"),
    "an unknown login": ("type: scramSha512", "type: scramSha1024"),
    "an unknown action": ("action: send", "action: shout"),
    "a parameter without a description": ("address: '{country}.intake.v1'", "address: '{land}.intake.v1'"),
    "a message of another topic": (
        "- $ref: '#/channels/intake/messages/case.opened.v1'",
        "- $ref: '#/channels/referral/messages/referral.proposed.v1'",
    ),
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Remark]]:
    """What the parser says of every broken document, by the break; one run for all."""
    contracts = Path(shutil.copytree(ROOT / "contracts", tmp_path_factory.mktemp("broken") / "contracts"))
    text = (contracts / files.PLATFORM).read_text()
    for number, (sound, broken) in enumerate(BREAKS.values()):
        assert sound in text
        (contracts / f"broken-{number}.yaml").write_text(text.replace(sound, broken, 1))
    found = remarks(NODE, [contracts / f"broken-{number}.yaml" for number in range(len(BREAKS))])
    return {
        name: [each for each in found if each.file.endswith(f"broken-{number}.yaml")]
        for number, name in enumerate(BREAKS)
    }


@pytest.mark.parametrize("pattern", [files.PLATFORM, "asyncapi/[a-m]*.yaml", "asyncapi/[n-z]*.yaml"])
def test_every_committed_document_is_accepted_without_a_warning(pattern: str) -> None:
    """The one remark is that AsyncAPI 3.1 is out; the documents are of 3.0, which every tool reads."""
    documents = sorted((ROOT / "contracts").glob(pattern))
    assert documents
    found = check(NODE, documents)
    assert {(remark.severity, remark.code) for remark in found} <= {("information", "asyncapi-latest-version")}


def test_documents_with_a_partner_s_stream_and_in_one_file_are_accepted(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(ROOT / "contracts", tmp_path / "contracts"))
    add_stream(copy, country="xb", integrator="harbour-court", purpose="hearings")
    folder = load(copy)
    files.write(folder.path, files.texts(folder))
    whole = tmp_path / "whole.yaml"
    whole.write_text(files.as_yaml(bundle(platform(folder), folder)))
    found = check(NODE, [whole, copy / "asyncapi" / "xb.harbour-court.yaml"])
    assert {remark.code for remark in found} <= {"asyncapi-latest-version"}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_document_is_refused(judged: dict[str, list[Remark]], name: str) -> None:
    assert [remark for remark in judged[name] if remark.severity == "error"]


def test_what_is_refused_is_said_with_file_and_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("asyncapi: 3.0.0\ninfo:\n  title: No version\n")
    with pytest.raises(Refused, match=r"broken\.yaml:2: error: .*version"):
        check(NODE, [broken])
