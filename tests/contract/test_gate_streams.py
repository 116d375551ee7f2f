"""Partners' streams are policed, compared and released like the rest; a new major is a topic in parallel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kintsugi_contracts import gate
from kintsugi_contracts.changes import Change
from kintsugi_contracts.releases import freeze, releases
from kintsugi_contracts.schema_changes import Verdict

from tests.contract.folders import CONTRACTS, Copy

LAMP = "share/xa/lamp-register/light"
META = CONTRACTS / "meta/examples/accept"


def stream(copy: Copy, major: int = 1) -> None:
    """A stream to a fictional partner, in one major version."""
    topic = json.loads((META / "stream-topic/whole.json").read_text())
    topic["topic"] = f"xa.share.lamp-register.light.v{major}"
    topic["events"]["share.lamp-register.light"]["versions"] = [major]
    topic["consumers"]["lamp-register"]["share.lamp-register.light"] = {"fields": ["lamp"], "versions": [major]}
    topic |= {"purposes": ["identity"], "sensitivity": "confidential"}
    copy.add(f"{LAMP}/topic{'' if major == 1 else f'.v{major}'}.yaml", json.dumps(topic))
    schema = json.loads((META / "stream/whole.json").read_text())
    schema |= {"$id": schema["$id"].replace("v1", f"v{major}"), "x-type": schema["x-type"].replace("v1", f"v{major}")}
    copy.add(f"{LAMP}/v{major}.schema.json", schema)
    sealed = json.loads((META / "sealed/whole.json").read_text())
    name = f"v{major}.sealed.identity.schema.json"
    copy.add(f"{LAMP}/{name}", sealed | {"$id": f"https://schemas.kintsugi.example/{LAMP}/{name}"})
    prefix = "" if major == 1 else f"v{major}."
    good: dict[str, Any] = {"lamp": "red"}
    for name, value in (
        ("accept/full", good | {"colour": "red"}),
        ("accept/least", good),
        ("reject/required-lamp", {}),
        ("reject/enum-colour", good | {"colour": "pink"}),
        ("reject/additionalProperties-name", good | {"name": "Amara"}),
    ):
        folder, _, file = name.partition("/")
        copy.add(f"{LAMP}/examples/{folder}/{prefix}{file}.json", value)
    copy.add(f"{LAMP}/examples/accept/{prefix}sealed.identity.full.json", {"name": "Amara"})
    copy.add(f"{LAMP}/examples/reject/{prefix}sealed.identity.required-name.json", {})


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Contracts with a stream and a release."""
    made = Copy(tmp_path)
    stream(made)
    freeze(made.path, "1.0.0")
    return made


def changes(copy: Copy) -> list[Change]:
    """What changed since the release."""
    return list(gate.check(copy.path).changes)


def test_a_stream_is_held_to_the_rules_and_released(copy: Copy) -> None:
    report = gate.check(copy.path)
    assert [str(f) for f in report.findings] == []
    assert report.passes
    assert f"{LAMP}/v1.schema.json" in releases(copy.path)[0].manifest["files"]


def test_a_new_stream_is_fine_and_says_that_data_leaves(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    freeze(copy.path, "1.0.0")
    stream(copy)
    (change,) = changes(copy)
    assert (change.verdict, change.rule) == (Verdict.fine, "stream-added")
    assert change.said == "lamp-register receives light: data of people leaves for a new partner"


def test_a_new_major_is_a_parallel_topic(copy: Copy) -> None:
    stream(copy, 2)
    report = gate.check(copy.path)
    assert [str(f) for f in report.findings] == []
    assert report.passes
    (change,) = report.changes
    assert change.said == "lamp-register has light as a parallel major"
    assert change.file == f"{LAMP}/topic.v2.yaml"


def test_the_old_topic_of_a_stream_stays(copy: Copy) -> None:
    stream(copy, 2)
    (copy.path / LAMP / "topic.yaml").unlink()
    assert ("topic-removed", Verdict.forbidden) in {(c.rule, c.verdict) for c in changes(copy)}


def test_a_change_that_breaks_the_partner_asks_for_a_parallel_topic(copy: Copy) -> None:
    copy.change(f"{LAMP}/v1.schema.json", lambda s: s["required"].append("colour"))
    (change,) = changes(copy)
    assert change.verdict is Verdict.major
    assert change.order == (
        "Put v1 back, and give the partner v2 as a topic in parallel. No consumer declares to read it."
    )
    assert any("a released example that the schema refuses" in f.message for f in gate.check(copy.path).findings)


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("max.compaction.lag.ms", "7200000", "what was withdrawn would stay readable for longer"),
        ("delete.retention.ms", "3600000", "a reader that was away could miss what it must forget"),
    ],
)
def test_a_weaker_promise_of_forgetting_is_forbidden(setting: str, value: str, said: str, copy: Copy) -> None:
    copy.change(f"{LAMP}/topic.yaml", lambda t: t["config"].__setitem__(setting, value))
    (change,) = changes(copy)
    assert change.verdict is Verdict.forbidden
    assert said in change.said


def test_a_lower_sensitivity_of_a_partners_field_is_forbidden(copy: Copy) -> None:
    copy.change(
        f"{LAMP}/v1.sealed.identity.schema.json", lambda s: s["properties"]["name"].update({"x-sensitivity": "public"})
    )
    assert [c.verdict for c in changes(copy)] == [Verdict.forbidden]


def test_a_name_in_clear_is_refused(copy: Copy) -> None:
    value = {"description": "The name.", "x-sensitivity": "internal", "type": "string"}
    copy.change(f"{LAMP}/v1.schema.json", lambda s: s["properties"].update(called=value))
    assert "`called` is free text in clear" in {f.message for f in gate.check(copy.path).findings}


def test_a_topic_that_is_not_named_after_its_place_is_found(copy: Copy) -> None:
    copy.text(f"{LAMP}/topic.yaml", "xa.share.lamp-register.light.v1", "xa.share.door-register.light.v1")
    assert f"the topic is not named after {LAMP}" in {f.message for f in gate.check(copy.path).findings}


def test_a_stream_without_a_topic_is_found(copy: Copy) -> None:
    (copy.path / LAMP / "topic.yaml").unlink()
    assert "a partner's stream without a topic file" in {f.message for f in gate.check(copy.path).findings}
