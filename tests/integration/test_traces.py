"""One case through five service processes that export to a collector: what their spans say of it, together.

The log is the witness: every event on a topic names its cause, so every span's parent can be checked against it.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from kintsugi_country import load
from kintsugi_country.samples import load_script
from kintsugi_office import topics
from kintsugi_office.project import Layout
from kintsugi_sandbox import clock, running
from kintsugi_sandbox.demo.desk import Desk, Ledger
from kintsugi_sandbox.demo.provider import Inbox
from kintsugi_sandbox.supervisor import Office

from tests.otlp import Receiver, Span

pytestmark = pytest.mark.timeout(300)

READERS = {
    "intake": {"assessment", "referral", "notify", "share"},
    "assessment": {"referral", "notify", "share"},
    "referral": {"notify", "share"},
    "notify": set[str](),
    "share": {"notify"},
}
"""Who processes the events of a service."""

NAME, REAL_NAME, GENDER = "Quillonette", "Vashtiara Quillon", "stargazer-femme"
EMAIL, PHONE, CODE_WORD = "quillonette@mailbox.example", "+999 70 555 0142", "cobalt heron"
COMMUNITY, NOTE, BIRTHDATE = "Brackwater weavers", "She hid in the zinnia kiln", "1987-05-23"


@dataclass(frozen=True)
class Logged:
    """An event as it stands on its topic."""

    service: str
    type: str
    id: str
    cause: str
    flow: str
    traceparent: str
    data: dict[str, Any]


class Told:
    """What happened by the log and by the spans, once all processes had ended."""

    def __init__(self, events: list[Logged], receiver: Receiver, pids: dict[str, int], links: list[str]) -> None:
        self.events = {event.id: event for event in events}
        self.received = b"".join(request.SerializeToString() for request in receiver.requests)
        self.pids = pids
        self.provider_links = links
        """What the agency found in its mail: whoever holds one may answer."""
        self.mail = b""
        self.spans = receiver.spans()
        self.by_id = {(span.trace_id, span.span_id): span for span in self.spans}
        self.created = {span.message: span for span in self.spans if span.operation == "create"}
        self.processed = {(span.service, span.message): span for span in self.spans if span.operation == "process"}

    def event(self, type_: str, **data: Any) -> Logged:
        """The one event of this type whose data are so."""
        [found] = [
            event
            for event in self.events.values()
            if event.type == type_ and all(event.data.get(name) == value for name, value in data.items())
        ]
        return found

    def path(self, event: Logged) -> list[str]:
        """From the first span of the trace down to the one that made this event, one line each."""
        return [self._line(span) for span in reversed(self._upward(event))]

    def start(self, event: Logged) -> Span:
        """The first span of the trace this event belongs to."""
        return self._upward(event)[-1]

    def _upward(self, event: Logged) -> list[Span]:
        span = self.created[event.id]
        up = [span]
        while span.parent:
            span = self.by_id[(span.trace_id, span.parent)]
            up.append(span)
        return up

    def _line(self, span: Span) -> str:
        if span.operation in ("create", "process"):
            return f"{span.service}: {span.operation} {self.events[span.message].type}"
        return f"{span.service}: {span.name}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def told(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Told]:
    """Plays the case once, ends every process in order, so that each exports what it has left, and reads it all."""
    layout = Layout.at(tmp_path_factory.mktemp("traced") / "office")
    with Receiver() as receiver:
        exporting = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "process",
            "KINTSUGI_TRACE_RATIO": "1",
            "NO_PROXY": "127.0.0.1",
        }
        office = Office(layout, profile="demo", extra=dict.fromkeys(READERS, exporting))
        async with office:
            address = await _play(office)
            events = await _log(office)
            pids = {name: int(office.children[name].describe().pid or 0) for name in READERS}
        told = Told(events, receiver, pids, Inbox(layout.mail).links(address))
        told.mail = b"".join(file.read_bytes() for file in layout.mail.glob("*.eml"))
    yield told
    running.empty(layout)


async def _play(office: Office) -> str:
    """The four chains, each begun by a person once the one before has ended. Returns the agency's address."""
    folder = office.project / "countries" / office.country
    pack = load(folder)
    script = load_script(folder, pack.directory, pack.baseline_instrument)
    ledger = Ledger(office.layout.data / "ledger.jsonl")
    worker, provider = Desk(office, ledger, "caseworker"), Desk(office, ledger, None)

    async def do(service: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await worker.change(service, path, "traced", {}, json=body)
        await clock.quiet(office, within=120)
        said: dict[str, Any] = answer.json()
        return said

    try:
        await clock.set_clock(office, datetime.combine(script.begins_on, time(10), tzinfo=pack.zone))
        ref = (await do("intake", "/cases", _somebody(office.country)))["case_ref"]
        [assessment] = (await worker.read("assessment", "/assessments", limit=10)).json()["assessments"]
        scores = {item.id: 4 for item in pack.baseline_instrument.items} | {"safety.home": 1, "safety.contact": 1}
        finished = {"answers": scores, "context": "current_living", "finish": True}
        await do("assessment", f"/assessments/{assessment['assessment_id']}/answers", finished)
        [referral] = (await worker.read("referral", "/referrals", case_ref=ref)).json()["referrals"]
        option = referral["options"][0]
        sharing = {"purpose": "sharing", "agency": option["agency"]}
        await do("intake", f"/cases/{ref}/consents", {**sharing, **_GRANTED})
        choice = {"choice": "option", "option_id": option["option_id"]}
        await do("referral", f"/referrals/{referral['referral_id']}/choice", choice)
        address = str(pack.directory.agency(option["agency"]).email)
        for link in Inbox(office.layout.mail).links(address):
            await provider.read("referral", "/provider/" + link.rsplit("/", 1)[1])
        await do("intake", f"/cases/{ref}/consents", {**sharing, "decision": "withdrawn"})
        return address
    finally:
        ledger.close()
        await worker.close()
        await provider.close()


_GRANTED = {"decision": "granted", "text_version": "1.0", "language": "en", "obtained_from": "individual"}


def _somebody(country: str) -> dict[str, Any]:
    """A survivor in danger who may be written to, with something to leak in every field that takes words."""
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    return {
        "office": "harbour",
        "channel": "walk_in",
        "immediate_danger": "yes",
        "identity": {
            "preferred_name": NAME,
            "real_name": REAL_NAME,
            "gender": "self_described",
            "gender_self_description": GENDER,
            "birthdate": BIRTHDATE,
            "excluded_communities": [COMMUNITY],
        },
        "age_basis": "declared",
        "age_band": "adult",
        "languages": ["en"],
        "area": f"{country.upper()}-HB",
        "notes": NOTE,
        "contact_profile": {
            "contact_by": "organisation",
            "language": "en",
            "windows": [{"weekday": day, "start": "00:00", "end": "24:00"} for day in days],
            "channels": [{"kind": "email", "verified": True, "safe": True}],
            "email": EMAIL,
            "phone": PHONE,
            "code_word": CODE_WORD,
        },
        "consents": [{"purpose": purpose, **_GRANTED} for purpose in ("casework", "contact")],
    }


async def _log(office: Office) -> list[Logged]:
    """Every event on the country's topics, from their beginning to their end."""
    plans = topics.planned(office.project / "contracts", office.country)
    consumer = AIOKafkaConsumer(**office.cluster.client(), enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(plan.name, number) for plan in plans for number in range(plan.partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(places)
        found: list[Logged] = []
        while len(found) < sum(ends.values()):
            for batch in (await asyncio.wait_for(consumer.getmany(timeout_ms=500), 60)).values():
                found += [_logged(record) for record in batch]
        return found
    finally:
        await consumer.stop()


def _logged(record: Any) -> Logged:
    said = {name: value.decode() for name, value in record.headers}
    return Logged(
        service=said["ce_source"].rpartition("/")[2],
        type=said["ce_type"].removeprefix("kintsugi.").removesuffix(".v1"),
        id=said["ce_id"],
        cause=said["ce_causationid"],
        flow=said["ce_correlationid"],
        traceparent=said.get("traceparent", ""),
        data=json.loads(record.value),
    )


def test_opening_a_case_is_one_trace_to_the_scheduled_assessment_and_to_the_alerted_staff(told: Told) -> None:
    assert told.path(told.event("assessment.scheduled")) == [
        "intake: POST /cases",
        "intake: create case.opened",
        "assessment: process case.opened",
        "assessment: create assessment.scheduled",
    ]
    alerted = told.event("notification.sent", audience="staff")
    assert told.path(alerted) == [
        "intake: POST /cases",
        "intake: create risk.raised",
        "notify: process risk.raised",
        "notify: send staff_alert",
        "notify: create notification.sent",
    ]
    assert told.start(alerted) == told.start(told.event("assessment.scheduled"))


def test_the_answers_are_one_trace_to_the_task_for_staff_and_the_notice_to_the_survivor(told: Told) -> None:
    proposed = [
        "assessment: POST /assessments/{assessment_id}/answers",
        "assessment: create assessment.completed",
        "referral: process assessment.completed",
        "referral: create referral.proposed",
        "notify: process referral.proposed",
    ]
    task = told.event("staff_task.created", kind="present_options")
    assert told.path(task) == [*proposed, "notify: create staff_task.created"]
    noticed = told.event("notification.sent", audience="survivor")
    assert told.path(noticed) == [*proposed, "notify: send survivor_notice", "notify: create notification.sent"]


def test_a_choice_is_one_trace_to_the_notified_provider(told: Told) -> None:
    notified = told.event("notification.sent", template="provider_request")
    assert told.path(notified) == [
        "referral: POST /referrals/{referral_id}/choice",
        "referral: create referral.requested",
        "notify: process referral.requested",
        "notify: send provider_request",
        "notify: create notification.sent",
    ]


def test_a_withdrawal_is_one_trace_to_the_cancelled_referral_and_to_the_purge_the_provider_is_asked_for(
    told: Told,
) -> None:
    withdrawn = [
        "intake: POST /cases/{ref}/consents",
        "intake: create consent.withdrawn",
        "referral: process consent.withdrawn",
    ]
    cancelled = told.event("referral.status_changed", status="cancelled")
    assert told.path(cancelled) == [*withdrawn, "referral: create referral.status_changed"]
    asked = told.event("notification.sent", template="purge_request")
    assert told.path(asked) == [
        *withdrawn,
        "referral: create purge.requested",
        "notify: process purge.requested",
        "notify: send purge_request",
        "notify: create notification.sent",
    ]


def test_each_step_of_a_person_starts_a_trace_that_links_to_the_event_it_follows(told: Told) -> None:
    granted = told.event("consent.recorded", purpose="sharing")
    followed = {
        told.event("assessment.completed").id: told.event("assessment.scheduled"),
        told.event("referral.requested").id: told.event("referral.proposed"),
        told.event("disclosure.made").id: told.event("referral.requested"),
        told.event("consent.withdrawn").id: granted,
    }
    for first, before in followed.items():
        step, made = told.start(told.events[first]), told.created[before.id]
        assert step.links == ((made.trace_id, made.span_id),)
        assert step.trace_id != made.trace_id
    opened = told.start(told.event("case.opened"))
    assert opened.links == ()
    [(trace, _)] = told.start(granted).links
    assert trace == opened.trace_id, "intake itself has said nothing of the case since it was opened"
    assert len({told.start(event).trace_id for event in told.events.values()}) == 6


def test_one_correlation_id_joins_all_traces_of_a_case(told: Told) -> None:
    flow = told.event("case.opened").id
    assert {event.flow for event in told.events.values()} == {flow}
    about_messages = [span for span in told.spans if span.operation in ("create", "process")]
    assert {span.conversation for span in about_messages} == {flow}
    assert len({span.trace_id for span in about_messages}) == 6


def test_every_event_has_one_create_span_under_what_caused_it_by_the_log(told: Told) -> None:
    made = Counter(span.message for span in told.spans if span.operation == "create")
    assert made == Counter(told.events.keys()), "a span for each event, none for what never left"
    for event in told.events.values():
        span = told.created[event.id]
        assert (span.name, span.kind, span.service) == (f"create xa.{event.service}.v1", "producer", event.service)
        assert event.traceparent == f"00-{span.trace_id}-{span.span_id}-01"
        parent = told.by_id[(span.trace_id, span.parent)]
        assert parent.service == event.service
        if event.cause.startswith("request/"):
            assert (parent.kind, parent.parent) == ("server", "")
        elif event.cause.startswith("outcome/"):
            assert parent.kind == "client"
            about = told.by_id[(parent.trace_id, parent.parent)]
            assert about == told.processed[("notify", event.data["about"]["event_id"])]
        else:
            assert parent == told.processed[(event.service, event.cause)]


def test_every_reader_has_one_process_span_under_the_create_span_of_another_process(told: Told) -> None:
    expected = Counter((reader, event.id) for event in told.events.values() for reader in READERS[event.service])
    assert Counter((span.service, span.message) for span in told.spans if span.operation == "process") == expected
    for (reader, message), span in told.processed.items():
        event, made = told.events[message], told.created[message]
        assert (span.trace_id, span.parent) == (made.trace_id, made.span_id)
        assert (span.name, span.kind) == (f"process xa.{event.service}.v1", "consumer")
        assert span.attributes["messaging.consumer.group.name"] == f"xa.{reader}"
        assert span.pid != made.pid


def test_the_spans_come_from_five_processes(told: Told) -> None:
    assert {span.service: span.pid for span in told.spans} == told.pids
    assert len(set(told.pids.values())) == 5
    assert len({(span.service, span.pid) for span in told.spans}) == 5


def test_the_relay_links_each_send_to_the_events_it_carries(told: Told) -> None:
    sends = [span for span in told.spans if span.operation == "send"]
    assert all(not span.parent and span.kind == "client" for span in sends)
    carried = {(span.service, span.name, link) for span in sends for link in span.links}
    for event in told.events.values():
        made = told.created[event.id]
        assert (event.service, f"send xa.{event.service}.v1", (made.trace_id, made.span_id)) in carried
    assert sum(int(span.attributes["messaging.batch.message_count"]) for span in sends) == len(told.events)


def test_nothing_personal_and_no_link_of_a_provider_leaves_in_a_span(told: Told) -> None:
    assert EMAIL.encode() in told.mail
    assert CODE_WORD.encode() in told.mail, "the services had what must not leak"
    assert len(told.provider_links) == 2
    tokens = [link.rsplit("/", 1)[1] for link in told.provider_links]
    assert "GET /provider/{token}" in {span.name for span in told.spans}
    canaries = [NAME, REAL_NAME, GENDER, EMAIL, PHONE, CODE_WORD, COMMUNITY, NOTE, BIRTHDATE, *tokens]
    exported = told.received.lower()
    assert b"post /cases" in exported
    assert [each for each in canaries if each.lower().encode() in exported] == []
