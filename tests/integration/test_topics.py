"""Topics are made from their files, once, and never change their partitions."""

import secrets
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from kintsugi_office import topics
from kintsugi_office.topics import TopicPlan, TopicRefused

from tests.infrastructure import Infrastructure


@pytest.fixture
def plan() -> TopicPlan:
    config = {"cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": "327680"}
    return TopicPlan(f"t{secrets.token_hex(4)}.intake.v1", "intake", 3, config, ("contact",))


async def _setting(infrastructure: Infrastructure, topic: str, name: str) -> str:
    admin = AIOKafkaAdminClient(**infrastructure.cluster.client())
    await admin.start()
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    await admin.close()
    values = {entry[0]: entry[1] for answer in answers for resource in answer.resources for entry in resource[4]}
    return str(values[name])


async def test_a_second_run_makes_nothing(infrastructure: Infrastructure, plan: TopicPlan) -> None:
    assert await topics.ensure(infrastructure.cluster, [plan]) == [plan.name]
    assert await topics.ensure(infrastructure.cluster, [plan]) == []
    assert await _setting(infrastructure, plan.name, "retention.ms") == "-1"


async def test_a_changed_setting_reaches_the_broker(infrastructure: Infrastructure, plan: TopicPlan) -> None:
    await topics.ensure(infrastructure.cluster, [plan])
    await topics.ensure(infrastructure.cluster, [replace(plan, config={**plan.config, "max.message.bytes": "4096"})])
    assert await _setting(infrastructure, plan.name, "max.message.bytes") == "4096"
    assert await _setting(infrastructure, plan.name, "retention.ms") == "-1"


async def test_another_number_of_partitions_is_refused(infrastructure: Infrastructure, plan: TopicPlan) -> None:
    await topics.ensure(infrastructure.cluster, [plan])
    other = replace(plan, name=f"{plan.name}-other")
    with pytest.raises(TopicRefused, match="has 3 partitions, its file says 12"):
        await topics.ensure(infrastructure.cluster, [other, replace(plan, partitions=12)])
    assert await topics.ensure(infrastructure.cluster, [other]) == [other.name], "nothing was made before the refusal"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"retention.ms": "-1"}, {"retention.ms": "604800000"}),
        ({"retention.ms": "604800000"}, {"retention.ms": "86400000"}),
        ({"retention.bytes": "2000000"}, {"retention.bytes": "1000000"}),
        ({"delete.retention.ms": "2000"}, {"delete.retention.ms": "1000"}),
        ({"cleanup.policy": "delete"}, {"cleanup.policy": "compact"}),
        ({"cleanup.policy": "delete"}, {"cleanup.policy": "compact,delete"}),
        ({"cleanup.policy": "compact"}, {"cleanup.policy": "delete"}),
    ],
)
async def test_a_topic_never_keeps_less_than_before(
    infrastructure: Infrastructure, plan: TopicPlan, before: dict[str, str], after: dict[str, str]
) -> None:
    (name,) = after
    await topics.ensure(infrastructure.cluster, [replace(plan, config=before)])
    with pytest.raises(TopicRefused, match=f"{name} from {before[name]} to {after[name]}"):
        await topics.ensure(infrastructure.cluster, [replace(plan, config=after)])
    assert await _setting(infrastructure, plan.name, name) == before[name]


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("delete.retention.ms", "172800000", "86400000"), ("cleanup.policy", "compact", "delete")],
)
async def test_a_file_that_names_a_setting_no_more_lowers_nothing_either(
    infrastructure: Infrastructure, plan: TopicPlan, name: str, before: str, after: str
) -> None:
    await topics.ensure(infrastructure.cluster, [replace(plan, config={name: before})])
    with pytest.raises(TopicRefused, match=f"does not name {name}, which goes from {before} to {after}"):
        await topics.ensure(infrastructure.cluster, [replace(plan, config={})])
    assert await _setting(infrastructure, plan.name, name) == before


def test_what_the_broker_says_in_hours_is_compared_in_milliseconds() -> None:
    own = ("retention.ms", "-1", 1)
    assert topics.fallback([own, ("log.retention.hours", "168", 5)]) == "604800000"
    assert topics.fallback([own, ("log.retention.minutes", "2", 4), ("log.retention.hours", "168", 5)]) == "120000"
    assert topics.fallback([own, ("log.retention.ms", "-1", 4), ("log.retention.hours", "168", 5)]) == "-1"
    assert topics.fallback([own]) is None


async def test_settings_that_the_broker_refuses_are_told_at_once(
    infrastructure: Infrastructure, plan: TopicPlan
) -> None:
    await topics.ensure(infrastructure.cluster, [plan])
    with pytest.raises(TopicRefused, match=f"refused the settings of {plan.name}"):
        await topics.ensure(infrastructure.cluster, [replace(plan, config={**plan.config, "max.message.bytes": "-5"})])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"retention.ms": "86400000"}, {"retention.ms": "604800000"}),
        ({"retention.ms": "604800000"}, {"retention.ms": "-1"}),
        ({"retention.ms": "86400000", "segment.ms": "600000"}, {"retention.ms": "-1"}),
        ({"cleanup.policy": "compact", "max.compaction.lag.ms": "2000"}, {"cleanup.policy": "compact"}),
    ],
)
async def test_it_may_keep_more_and_what_its_file_does_not_name_is_the_broker_s(
    infrastructure: Infrastructure, plan: TopicPlan, before: dict[str, str], after: dict[str, str]
) -> None:
    await topics.ensure(infrastructure.cluster, [replace(plan, config=before)])
    await topics.ensure(infrastructure.cluster, [replace(plan, config=after)])
    assert (await topics.drift(infrastructure.cluster, [replace(plan, config=after)])).changed == {}
    for name, value in after.items():
        assert await _setting(infrastructure, plan.name, name) == value


def test_the_project_plans_one_topic_per_service() -> None:
    plans = topics.planned(Path(__file__).parents[2] / "contracts", "xa")
    assert [plan.name for plan in plans] == sorted(f"xa.{plan.service}.v1" for plan in plans)
    assert {plan.partitions for plan in plans} == {12}


def test_a_topic_file_without_partitions_is_named(tmp_path: Path) -> None:
    (tmp_path / "topics").mkdir()
    (tmp_path / "topics" / "intake.v1.yaml").write_text('topic: "{country}.intake.v1"\nservice: intake\nconfig: {}\n')
    with pytest.raises(TopicRefused, match=r"intake\.v1\.yaml lacks producer, partitions"):
        topics.planned(tmp_path, "xa")


def _file(path: Path, **changed: object) -> None:
    content = {
        "topic": "{country}.intake.v1",
        "service": "intake",
        "producer": "intake",
        "partitions": 1,
        "config": {},
        "consumers": {"notify": {}},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content | changed), encoding="utf-8")


@pytest.mark.parametrize("name", ["admin", "integrator", "integrator.labour-registry", "*", "Intake", "xb.intake"])
def test_a_file_cannot_name_the_administrator_a_partner_or_a_pattern(tmp_path: Path, name: str) -> None:
    tried: tuple[dict[str, object], ...] = ({"producer": name}, {"consumers": {name: {}}}, {"readers": [name]})
    for changed in tried:
        _file(tmp_path / "topics" / "intake.v1.yaml", **changed)
        with pytest.raises(TopicRefused, match="cannot be a user"):
            topics.planned(tmp_path, "xa")


STREAM = "xa.share.labour-registry.wage-claims.v1"


def test_a_partner_s_stream_is_read_by_that_partner_and_its_readers(tmp_path: Path) -> None:
    file = tmp_path / "share" / "xa" / "labour-registry" / "wage-claims" / "topic.yaml"
    _file(file, topic=STREAM, producer="share", consumers={"labour-registry": {}}, readers=["office"])
    (plan,) = topics.streams(tmp_path, "xa")
    assert (plan.name, plan.producer) == (STREAM, "share")
    assert plan.readers == ("integrator.labour-registry", "office")
    assert topics.streams(tmp_path, "xb") == [], "each country has its own"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"consumers": {"labour-registry": {}, "harbour-clinic": {}}}, "harbour-clinic cannot consume it"),
        ({"consumers": {"notify": {}}}, "notify cannot consume it"),
        ({"topic": "xa.intake.v1"}, "does not belong here"),
        ({"topic": "xa.share.harbour-clinic.wage-claims.v1"}, "does not belong here"),
    ],
)
def test_a_stream_that_others_could_read_is_refused(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    file = tmp_path / "share" / "xa" / "labour-registry" / "wage-claims" / "topic.yaml"
    _file(file, **{"topic": STREAM, "producer": "share", "consumers": {"labour-registry": {}}} | changed)
    with pytest.raises(TopicRefused, match=said):
        topics.streams(tmp_path, "xa")
