"""Each event has one topic file that owns it, and nobody relies on what is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from kintsugi.contracts.registry import ContractError, by_type, schema_path, topic_files

from tests.contract.rules import CONTRACTS, EVENTS, load

TOPICS = topic_files(CONTRACTS)
EVERYWHERE = {"input.held", "input.released", "input.discarded"}


def test_one_topic_per_service_named_after_it() -> None:
    assert set(TOPICS) == {"intake", "assessment", "referral", "notify"}
    for service, topic in TOPICS.items():
        assert topic.topic == f"{{country}}.{service}.v1"
        assert topic.name("xa") == f"xa.{service}.v1"
        assert (topic.producer, topic.key, topic.partitions) == (service, "ce_subject", 12)
        assert topic.config["cleanup.policy"] == "delete"
        assert topic.config["retention.ms"] == "-1"
        assert topic.config["message.timestamp.type"] == "LogAppendTime"


def test_every_event_is_declared_by_one_topic_and_every_declared_version_has_a_schema() -> None:
    owners = {e.name: [s for s, t in TOPICS.items() if e.name in t.events] for e in EVENTS.iterdir() if e.is_dir()}
    assert {n: o for n, o in owners.items() if len(o) != (len(TOPICS) if n in EVERYWHERE else 1)} == {}
    for topic in TOPICS.values():
        assert topic.events.keys() >= EVERYWHERE
        assert [t for t in topic.types() if not schema_path(CONTRACTS, t).exists()] == []


def test_no_schema_is_an_orphan() -> None:
    declared = {schema_path(CONTRACTS, t) for topic in TOPICS.values() for t in topic.types()}
    assert {p for p in EVENTS.glob("*/v*.schema.json") if ".sealed." not in p.name} == declared


def test_models_carry_what_the_topic_file_says() -> None:
    for service, topic in TOPICS.items():
        for ce_type in topic.types():
            model = by_type(ce_type)
            assert model is not None
            name = ce_type.removeprefix("kintsugi.").rsplit(".", 1)[0]
            assert model.service == ("*" if name in EVERYWHERE else service)
            assert model.protective == topic.events[name].protective


def test_a_consumer_reads_only_fields_that_exist_and_opens_only_what_it_has_keys_for() -> None:
    for topic in TOPICS.values():
        for consumer, reads in topic.consumers.items():
            assert consumer in TOPICS.keys() - {topic.service}
            for event, reading in reads.items():
                assert event in topic.events, f"{consumer} reads {event}, which {topic.topic} does not carry"
                properties = load(schema_path(CONTRACTS, f"kintsugi.{event}.v1"))["properties"]
                for field in reading.fields:
                    if field.startswith("sealed."):
                        purpose = field.removeprefix("sealed.")
                        assert purpose in properties["sealed"]["properties"]
                        assert purpose in TOPICS[consumer].purposes, f"{consumer} has no key for {purpose} of {event}"
                    else:
                        assert field in properties, f"{consumer} reads {event}.{field}, which does not exist"


def test_a_service_has_a_key_for_every_purpose_it_seals() -> None:
    for topic in TOPICS.values():
        sealed = {p for t in topic.types() if (m := by_type(t)) for p in m.purposes}
        assert sealed <= set(topic.purposes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("topic: [", "not YAML"),
        ("topic: intake", "topic: String should match pattern"),
        ("retention: 3", "retention: Extra inputs are not permitted"),
    ],
)
def test_a_broken_topic_file_is_named_with_its_mistakes(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "topics").mkdir()
    (tmp_path / "topics" / "odd.v1.yaml").write_text(text)
    with pytest.raises(ContractError, match=r"odd\.v1\.yaml") as refused:
        topic_files(tmp_path)
    assert said in str(refused.value)


def test_a_folder_without_topics_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="no topic files"):
        topic_files(tmp_path)
