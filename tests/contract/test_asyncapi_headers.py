"""The headers in the AsyncAPI documents are those that the envelope writes and reads."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from kintsugi import envelope
from kintsugi.agenda import Message
from kintsugi.envelope import Envelope
from kintsugi_contracts.asyncapi.document import Party, of_party, platform
from kintsugi_contracts.asyncapi.headers import service_trait, stream_trait
from kintsugi_contracts.folder import load

from services.share.tests.share_examples import (
    MINISTRY,
    agreed,
    assessed,
    message_of,
    opened,
    scenario,
    told,
    withdrawn,
)

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CONTRACTS = Path(__file__).parents[2] / "contracts"


def test_one_trait_holds_every_header_a_service_writes() -> None:
    document = platform(load(CONTRACTS))
    written = [name for name, _ in envelope.encode(_envelope(traceparent=TRACE, tracestate="a=b"))]
    headers = document["components"]["messageTraits"]["cloudevent"]["headers"]
    assert list(headers["properties"]) == written
    assert headers["required"] == [name for name in written if not name.startswith("trace")]
    for name, message in document["components"]["messages"].items():
        if "payload" in message and message["name"].startswith("kintsugi.") and ".share." not in message["name"]:
            assert message["traits"] == [{"$ref": "#/components/messageTraits/cloudevent"}], name
            assert message["headers"]["properties"].keys() == {"ce_type", "ce_dataschema"}, name


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"traceparent": TRACE},
        {"tracestate": "vendor=1"},
        {"sequence": envelope.MAX_SEQUENCE},
        {"depth": envelope.MAX_DEPTH},
        {"depth": 9},
        {"depth": 10},
        {"seen": {f"s{i:02d}": i + 1 for i in range(envelope.MAX_SOURCES)}},
        {"seen": {"assessment": 2, "intake": 7}},
        {"id": "~" * envelope.MAX_ID},
        {"time": datetime(2026, 3, 2, 9, 12, 0, 123456, UTC)},
    ],
)
def test_what_the_envelope_writes_keeps_to_the_trait(change: dict[str, Any]) -> None:
    said = {name: value.decode() for name, value in envelope.encode(_envelope(**change))}
    assert list(Draft7Validator(service_trait()["headers"]).iter_errors(said)) == []
    assert (
        envelope.decode(_encoded(said), topic="xa.intake.v1", key=said["ce_subject"].encode(), value=b"{}").fault
        is None
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_specversion", "0.3"),
        ("ce_id", "~" * (envelope.MAX_ID + 1)),
        ("ce_id", "two words"),
        ("ce_id", ""),
        ("ce_source", "xa/intake"),
        ("ce_subject", "Case/1"),
        ("ce_subject", f"case/{'~' * 151}"),
        ("ce_sequence", "-1"),
        ("ce_sequence", "1" * 17),
        ("ce_seen", "intake"),
        ("ce_seen", " ".join(f"s{i:02d}:1" for i in range(envelope.MAX_SOURCES + 1))),
        ("ce_depth", str(envelope.MAX_DEPTH + 1)),
        ("ce_depth", ""),
        ("ce_time", "yesterday"),
        ("ce_time", "2026-03-02T09:12:00"),
        ("content-type", "text/plain"),
    ],
)
def test_what_the_envelope_refuses_the_trait_refuses_too(name: str, value: str) -> None:
    said = {key: raw.decode() for key, raw in envelope.encode(_envelope())} | {name: value}
    parsed = envelope.decode(_encoded(said), topic="xa.intake.v1", key=said["ce_subject"].encode(), value=b"{}")
    assert parsed.fault is not None
    assert not Draft7Validator(service_trait()["headers"]).is_valid(said)


def test_the_key_and_the_flow_are_where_the_document_says() -> None:
    trait = service_trait()
    assert trait["correlationId"]["location"] == "$message.header#/ce_correlationid"
    assert trait["contentType"] == envelope.CONTENT_TYPE
    key, subject = trait["bindings"]["kafka"]["key"], trait["headers"]["properties"]["ce_subject"]
    assert key["pattern"] == subject["pattern"]


def test_nothing_on_a_partner_s_stream_joins_partners() -> None:
    headers = stream_trait()["headers"]
    joining = {"ce_correlationid", "ce_causationid", "ce_sequence", "ce_seen", "ce_depth", "traceparent", "tracestate"}
    assert not joining & headers["properties"].keys()


def test_what_share_sends_to_a_partner_keeps_to_the_partner_s_document() -> None:
    """The record and the tombstone that the service prepares, against what the partner's document promises."""
    messages = of_party(load(CONTRACTS), Party("labour-registry", "xa"))["components"]["messages"]
    given = told(assessed("legal_aid"))
    first = message_of(scenario().given(opened(), agreed()))
    asked_back = given.when(withdrawn(MINISTRY)).given
    tombstone = asked_back.prepared(next(iter(asked_back.state.purges.values())).entry)
    assert isinstance(tombstone, Message)

    record = messages["xa.share.labour-registry.wage-claims.v1"]
    forget = messages["xa-share-labour-registry-wage-claims.forget"]
    general = stream_trait()["headers"]
    own = general | {"properties": general["properties"] | record["headers"]["properties"]}
    for message, headers in ((first, own), (tombstone, forget["headers"])):
        assert list(Draft7Validator(headers).iter_errors(dict(message.headers))) == []
        assert message.headers.keys() == headers["properties"].keys()
    key = Draft7Validator(forget["bindings"]["kafka"]["key"])
    assert key.is_valid(tombstone.subject.get_secret_value())
    assert not Draft7Validator(own).is_valid(dict(tombstone.headers))


def _envelope(**change: Any) -> Envelope:
    said: dict[str, Any] = {
        "id": "0199f3a2-7c1e-7b64-8f0d-3a5b1c9e2d47",
        "source": "/xa/intake",
        "type": "kintsugi.case.opened.v1",
        "time": datetime(2026, 3, 2, 9, 12, tzinfo=UTC),
        "subject": "case/3f0c2a9e-8d41-4f6b-9a57-2f1c6f0e7b12",
        "sequence": 1,
        "correlationid": "0199f3a2-7c1e-7b64-8f0d-3a5b1c9e2d47",
        "causationid": "0199f3a2-7c1e-7b64-8f0d-3a5b1c9e2d47",
        "dataschema": "https://schemas.kintsugi.example/events/case.opened/v1.schema.json",
    }
    return Envelope(**(said | change))


def _encoded(said: dict[str, str]) -> list[tuple[str, bytes]]:
    return [(name, value.encode()) for name, value in said.items()]
