"""Topics are made from their files, once, and never change their partitions."""

import secrets
from dataclasses import replace
from pathlib import Path

import pytest
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


def test_the_project_plans_one_topic_per_service() -> None:
    plans = topics.planned(Path(__file__).parents[2] / "contracts", "xa")
    assert [plan.name for plan in plans] == sorted(f"xa.{plan.service}.v1" for plan in plans)
    assert {plan.partitions for plan in plans} == {12}


def test_a_topic_file_without_partitions_is_named(tmp_path: Path) -> None:
    (tmp_path / "topics").mkdir()
    (tmp_path / "topics" / "intake.v1.yaml").write_text('topic: "{country}.intake.v1"\nservice: intake\nconfig: {}\n')
    with pytest.raises(TopicRefused, match=r"intake\.v1\.yaml.*partitions"):
        topics.planned(tmp_path, "xa")
