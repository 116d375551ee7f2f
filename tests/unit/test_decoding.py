"""Reading a record's value: an event, a fault with its cause, or nothing that concerns the service."""

from dataclasses import replace
from datetime import UTC, datetime

import kintsugi_events as e
import pytest
from kintsugi.decoding import IGNORED, decode_event
from kintsugi.envelope import Envelope
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.causes import Cause
from kintsugi_referral.handlers import service

CATALOG = Catalog.installed()

ENVELOPE = Envelope(
    id="0197a3f2-7c1e-7b3a-9a44-000000000001",
    source="/xa/intake",
    type=e.CaseClosed.type,
    time=datetime(2026, 3, 2, tzinfo=UTC),
    subject="case/5f0c2a8e-6b1d-4c39-9d57-0f4a8b6c2e11",
    sequence=1,
)
GOOD = b'{"reason":"goals_met","closed_at":"2027-03-02T11:00:00Z","approved_role":"supervisor"}'


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (None, Cause.unreadable_body),
        (GOOD.decode().encode("utf-16"), Cause.unreadable_body),
        (GOOD.replace(b"goals_met", b"goals_met\x00"), Cause.unreadable_body),
        (GOOD.replace(b"goals_met", rb"goals_met\u0000"), Cause.contract_violation),
        (GOOD.replace(b"reason", b"raison"), Cause.contract_violation),
    ],
    ids=["null", "UTF-16", "raw NUL", "escaped NUL", "missing field"],
)
def test_a_value_that_is_not_json_is_unreadable_and_json_that_is_not_the_event_violates_its_contract(
    value: bytes | None, cause: Cause
) -> None:
    decoded = decode_event(CATALOG, service, ENVELOPE, value)

    assert (decoded.event, decoded.fault) == (None, cause)


def test_a_good_value_becomes_its_event() -> None:
    decoded = decode_event(CATALOG, service, ENVELOPE, GOOD)

    assert isinstance(decoded.event, e.CaseClosed)
    assert decoded.fault is None


def test_a_type_nobody_here_reads_is_ignored_whatever_its_body() -> None:
    unknown = replace(ENVELOPE, type="kintsugi.weather.changed.v1")

    assert decode_event(CATALOG, service, unknown, b"\x00") is IGNORED
