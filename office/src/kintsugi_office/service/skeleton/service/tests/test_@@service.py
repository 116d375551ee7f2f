"""The behaviour of @@service, without Kafka, database or mocks."""

from __future__ import annotations

from kintsugi.testing import Scenario, example
from @@events import @@Event
from kintsugi_events import @@imported
from @@package.handlers import service

scenario = Scenario(service)


def test_@@{cause_name}_is_followed_by_@@{event_name}() -> None:
    scenario.given(@@given).when(example(@@Cause)).then(@@Event)


def test_what_was_recorded_is_remembered() -> None:
    case = scenario.given(@@given).when(example(@@Cause)).then(@@Event)
    assert len(case.state.@@nouns) == 1
