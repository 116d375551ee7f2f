"""What notify takes is what the topic files say it reads."""

from pathlib import Path

import pytest
from kintsugi_contracts.catalog import EVERY
from kintsugi_contracts.consumes import of_service
from kintsugi_contracts.topic_file import topic_files
from kintsugi_notify.handlers import service

TOPICS = topic_files(Path(__file__).parents[3] / "contracts")
CONSUMER = of_service("notify")
assert CONSUMER is not None
READS = CONSUMER.spec.events.keys()


@pytest.mark.parametrize("source", ["intake", "assessment", "referral"])
def test_notify_takes_exactly_the_events_it_is_listed_for(source: str) -> None:
    taken = {event for event in (*service.events, *service.evolve.registry) if event is not object}
    short = {
        event.type.removeprefix("kintsugi.").removesuffix(".v1")
        for event in taken
        if getattr(event, "service", None) in (source, EVERY)
    }
    assert short == set(READS & TOPICS[source].events.keys())


def test_notify_opens_only_what_it_holds_keys_for() -> None:
    opened = {purpose for preparation in service.preparations.values() for purpose in preparation.reads}
    assert opened <= set(TOPICS["notify"].purposes)
