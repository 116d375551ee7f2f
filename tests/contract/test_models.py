"""Models and schemas say the same, producers are held to the letter, and consumers read what comes later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from functools import reduce
from typing import Any

import pytest
from kintsugi_contracts import generate
from kintsugi_contracts.base import Event, OpenEnum, Sealed
from kintsugi_contracts.catalog import Catalog
from kintsugi_events import (
    CaseClosed,
    Cause,
    CloseReason,
    ConsentWithdrawn,
    ContactProfileChanged,
    ContactProfileChangedContact,
    RiskRaised,
    Role,
    SafetyDeteriorated,
)
from pydantic import ValidationError

from tests.contract.folders import CONTRACTS, EVENTS, called, examples, json_of
from tests.contract.test_examples import Case, model_of, schema_takes, written

CATALOG = Catalog.installed()

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ACCEPTED = examples("accept")


def test_the_models_are_what_the_schemas_generate(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check", "--contracts", str(CONTRACTS)]) == 0, capsys.readouterr().err


def test_a_changed_schema_makes_the_models_stale(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for path in [*CONTRACTS.glob("events/*.json"), *CONTRACTS.glob("events/*/*.json"), *CONTRACTS.glob("topics/*")]:
        copy = tmp_path / path.relative_to(CONTRACTS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    changed = tmp_path / "events" / "case.closed" / "v1.schema.json"
    schema = json_of(changed)
    schema["required"].remove("approved_role")
    schema["properties"]["approved_role"] = {"type": ["boolean", "null"], "description": "x", "x-sensitivity": "public"}
    changed.write_text(json.dumps(schema))
    assert generate.main(["--check", "--contracts", str(tmp_path)]) == 1
    assert "intake.py is stale" in capsys.readouterr().err


JUNK = [
    None,
    True,
    0,
    -1,
    1.5,
    2**63,
    "",
    "x",
    "unknown",
    "2026-02-30T00:00:00Z",
    "2026-01-01",
    [],
    ["x"],
    {},
    {"a": 1},
]


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for key, part in inner for p in _places(part, (*path, key)))]


def _spoiled(value: Any) -> Iterator[Any]:
    """Every value one step away: a part replaced by each kind of junk, left out, repeated, or given a neighbour."""
    for *parents, last in filter(None, _places(value)):
        for change in [*JUNK, "delete", "add", "many"]:
            spoiled = deepcopy(value)
            parent = reduce(lambda part, key: part[key], parents, spoiled)
            if change == "delete":
                del parent[last]
            elif change == "many":
                parent[last] = parent[last] * 150 if isinstance(parent[last], list) else parent[last]
            elif change != "add":
                parent[last] = change
            elif isinstance(parent, dict):
                parent["added"] = "x"
            yield spoiled


def _takes(case: Case, value: Any) -> bool:
    """Whether a producer could have written this: the model reads it, and no code became `unknown` on the way."""
    raw = json.dumps(value)
    try:
        model = model_of(case).model_validate_json(raw)
    except ValidationError:
        return False
    return json.dumps(value).count('"unknown"') == written(model).decode().count('"unknown"')


@pytest.mark.parametrize("case", ACCEPTED, ids=called)
def test_model_and_schema_take_and_refuse_the_same_values(case: Case) -> None:
    told_apart = [v for v in _spoiled(case[1].document.data) if _takes(case, v) != schema_takes(case, v)]
    assert told_apart == []


@pytest.mark.parametrize("case", [c for c in ACCEPTED if not c[1].purpose], ids=called)
def test_a_consumer_ignores_what_a_later_release_adds(case: Case) -> None:
    model = model_of(case)
    assert issubclass(model, Event)
    value = case[1].document.data
    later = _with_additions(value)
    if "extensions" in value:
        later["extensions"] = value["extensions"]
    with pytest.raises(ValidationError):
        model.model_validate_json(json.dumps(later))
    assert model.decode(json.dumps(later), source="/xa/x", id="1") == model.decode(
        json.dumps(value), source="/xa/x", id="1"
    )


def _with_additions(value: Any) -> Any:
    if isinstance(value, dict):
        return {**{k: _with_additions(v) for k, v in value.items()}, "added_later": {"kid": "k"}}
    return [_with_additions(v) for v in value] if isinstance(value, list) else value


def test_a_consumer_reads_a_code_of_a_later_release_as_unknown() -> None:
    value = json_of(EVENTS / "case.closed/examples/accept/full.json") | {"reason": "a_code_of_next_year"}
    assert CaseClosed.decode(json.dumps(value)).reason is CloseReason.unknown


def test_a_producer_is_refused_raw_codes_local_times_and_unknown_fields() -> None:
    good: dict[str, Any] = {"reason": CloseReason.goals_met, "closed_at": NOON, "approved_role": Role.supervisor}
    assert CaseClosed(**good).closed_at == NOON
    for bad in (
        {"reason": "goals_met"},
        {"closed_at": NOON.replace(tzinfo=None)},
        {"closed_at": NOON.astimezone(timezone(timedelta(hours=3)))},
        {"closed_at": "2026-03-02T12:00:00Z"},
        {"preferred_name": "Amara"},
    ):
        with pytest.raises(ValidationError):
            CaseClosed(**(good | bad))


def test_an_event_cannot_be_changed() -> None:
    event = CaseClosed(reason=CloseReason.goals_met, closed_at=NOON, approved_role=Role.supervisor)
    with pytest.raises(ValidationError):
        event.reason = CloseReason.other


def test_an_error_names_the_field_and_never_the_value() -> None:
    with pytest.raises(ValidationError) as refused:
        CaseClosed.decode(b'{"reason": "goals_met", "closed_at": "Amara", "approved_role": "supervisor"}')
    assert "closed_at" in str(refused.value)
    assert "Amara" not in str(refused.value)


class TestSealedValues:
    raw = (EVENTS / "contact_profile.changed/examples/accept/full.json").read_bytes()

    def test_a_decoded_value_knows_where_it_was_sealed(self) -> None:
        sealed = ContactProfileChanged.decode(self.raw, source="/xa/intake", id="e1").sealed_as("contact")
        assert sealed is not None
        assert (sealed.source, sealed.id) == ("/xa/intake", "e1")
        assert (sealed.type, sealed.purpose) == (ContactProfileChanged.type, "contact")
        assert Sealed.model_validate_json(sealed.model_dump_json()) == sealed

    def test_only_key_and_ciphertext_go_onto_the_wire(self) -> None:
        event = ContactProfileChanged.decode(self.raw, source="/xa/intake", id="e1")
        assert json.loads(event.encode()) == json.loads(self.raw)

    def test_an_event_with_plaintext_cannot_be_written_or_evolved(self) -> None:
        event = ContactProfileChanged.decode(self.raw).model_copy(
            update={"sealed": {"contact": ContactProfileChangedContact(email="amara@mail.example")}}
        )
        with pytest.raises(TypeError, match="contact is not sealed yet") as refused:
            event.encode()
        assert "amara" not in str(refused.value)
        with pytest.raises(TypeError, match="contact is not sealed yet"):
            event.sealed_as("contact")

    def test_a_plaintext_on_the_wire_is_not_read(self) -> None:
        value = json.loads(self.raw)
        value["sealed"]["contact"] = {"email": "amara@mail.example"}
        with pytest.raises(ValidationError):
            ContactProfileChanged.decode(json.dumps(value))

    def test_a_producer_is_refused_another_purposes_plaintext(self) -> None:
        fields = dict(ContactProfileChanged.decode(self.raw)) | {"sealed": {}}
        contact = ContactProfileChangedContact(phone="+999 555 0100")
        assert ContactProfileChanged(**fields | {"sealed": {"contact": contact}}).sealed == {"contact": contact}
        for wrong in ({"identity": contact}, {"contact": Role.supervisor}, {"contact": {"kid": "k", "ct": "c"}}):
            with pytest.raises(ValidationError):
                ContactProfileChanged(**fields | {"sealed": wrong})


def test_a_deterioration_says_nothing_of_the_scores_in_clear() -> None:
    assert set(SafetyDeteriorated.model_fields) == {"assessment_id", "alert_due", "sealed"}


def test_protective_events_are_those_that_only_tighten() -> None:
    assert {m for m in CATALOG.event_types() if m.protective} == {ConsentWithdrawn, ContactProfileChanged, RiskRaised}


def test_the_class_of_an_event_follows_from_what_is_inside() -> None:
    classes = {m.type.split(".", 1)[1]: m.dataclassification for m in CATALOG.event_types()}
    assert classes["case.opened.v1"] == classes["assessment.completed.v1"] == "restricted"
    assert classes["referral.requested.v1"] == classes["contact_profile.changed.v1"] == "confidential"
    assert classes["case.closed.v1"] == "internal"


def test_causes_of_holds_are_those_the_contract_lists() -> None:
    listed = json_of(EVENTS / "common.schema.json")["$defs"]["Cause"]["enum"]
    assert [c.value for c in Cause] == listed
    assert CATALOG.by_type("kintsugi.input.held.v1") is not None
    assert issubclass(Cause, OpenEnum)
