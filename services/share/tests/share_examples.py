"""Fictional inputs for the tests of share: partners with keys of their own, a case with an identity, consents."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import kintsugi_events as e
from joserfc import jwe
from joserfc.jwk import ECKey
from kintsugi.agenda import Message, Outcome, Result
from kintsugi.testing import Given, Scenario
from kintsugi_contracts.base import Event
from kintsugi_country import Integrator, Pack, load
from kintsugi_share.contract import EventSchemas
from kintsugi_share.handlers import service
from kintsugi_share.partners import Partners, contracts_of
from kintsugi_share.records import Stream
from kintsugi_share.state import CaseFile

from tests.case_events import NOW, assessed, case_opened, closed, consent, withdrawn

__all__ = ["NOW", "assessed", "closed", "withdrawn"]

ROOT = Path(__file__).parents[3]
MINISTRY, FUND = "labour-ministry", "fund-office"
REGISTRY, COMPENSATION = "labour-registry", "compensation-fund"
WAGES, AWARDS = f"{REGISTRY}.wage-claims.v1", f"{COMPENSATION}.awards.v1"


@cache
def private_key(integrator: str) -> ECKey:
    """The key that only this partner has."""
    if integrator == REGISTRY:
        file = ROOT / "countries/xa/samples/integrators/labour-registry.private.jwk.json"
        return ECKey.import_key(json.loads(file.read_text()))
    return ECKey.generate_key("P-256")


@cache
def pack() -> Pack:
    """The pack of xa with a second partner, which receives other fields of the same cases."""
    xa = load(ROOT / "countries" / "xa")
    registry = xa.integrators[0]
    fund = Integrator.model_validate(
        {
            **registry.model_dump(),
            "name": COMPENSATION,
            "agency": FUND,
            "public_key": {
                name: value
                for name, value in private_key(COMPENSATION).as_dict(private=False).items()
                if name in ("kty", "crv", "x", "y")
            },
            "purposes": {
                "awards": {
                    **registry.purposes["wage-claims"].model_dump(),
                    "fields": ["opened_month", "area"],
                    "needs": [],
                }
            },
        }
    )
    return replace(xa, integrators=(registry, fund))


def partners(secret: bytes = b"s" * 32) -> Partners:
    """The keys and contracts of a test office."""
    return Partners("xa", secret, contracts_of(pack(), EventSchemas(ROOT / "contracts")))


def scenario() -> Scenario[CaseFile]:
    """The service on a Monday morning."""
    return Scenario(service, pack(), now=NOW, resources=partners())


def opened(**changes: Any) -> e.CaseOpened:
    """A case whose survivor gave a name and an alias."""
    identity = e.CaseOpenedIdentity(preferred_name="Amara", real_name="Amara Deniz Korhan", gender=e.Gender.feminine)
    return case_opened(**{"sealed": {"identity": identity}, **changes})


def agreed(agency: str | None = MINISTRY, **changes: Any) -> e.ConsentRecorded:
    """A consent to share with a partner."""
    return consent(agency, **changes)


def told(*events: Event) -> Given[CaseFile]:
    """A case of which the registry received its first record; ``events`` happened before the consent."""
    given = scenario().given(opened(), *events, agreed())
    return left(given)


def stream(given: Given[CaseFile], key: str = WAGES) -> Stream:
    """What share remembers of a stream."""
    return given.state.streams[key]


def entry(given: Given[CaseFile], key: str = WAGES) -> str:
    """The agenda entry of the record that is to leave now."""
    found = stream(given, key).next
    assert found is not None, f"nothing is owed to {key}"
    return found


def left(given: Given[CaseFile], key: str = WAGES) -> Given[CaseFile]:
    """The record that is owed now left, and its outcome was stored."""
    return given.when(Outcome(name=entry(given, key), result=Result.sent, attempt=1)).given


def record_of(given: Given[CaseFile], key: str = WAGES) -> dict[str, Any]:
    """The value that leaves now."""
    return dict(json.loads(message_of(given, key).body.get_secret_value()))


def message_of(given: Given[CaseFile], key: str = WAGES) -> Message:
    """The record that leaves now, with its key and headers."""
    message = given.prepared(entry(given, key))
    assert isinstance(message, Message), message
    return message


def opened_by(integrator: str, text: str) -> dict[str, Any]:
    """What a partner reads of a sealed value with its own key."""
    return dict(json.loads(jwe.decrypt_compact(text, private_key(integrator)).plaintext or b""))
