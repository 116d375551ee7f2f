"""Every example does what its folder says, for the schema and for the model alike."""

from __future__ import annotations

import json

import pytest
from kintsugi.contracts.base import Event
from kintsugi.contracts.registry import by_type
from pydantic import BaseModel, ValidationError

from tests.contract.rules import EVENTS, Example, examples, load, schema_files, validator

ACCEPTED, REFUSED = examples("accept"), examples("reject")


def model_of(example: Example) -> type[BaseModel]:
    """The model an example is for: the event's, or that of a sealed purpose."""
    event = by_type(f"kintsugi.{example.path.parents[2].name}.v1")
    assert event is not None
    return event.purposes[example.purpose] if example.purpose else event


def written(value: BaseModel) -> bytes:
    """A model as it goes onto the wire."""
    return value.encode() if isinstance(value, Event) else value.model_dump_json(exclude_none=True).encode()


@pytest.mark.parametrize("path", schema_files(), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_schema_has_an_example_it_takes_and_one_it_refuses(path: object) -> None:
    assert any(e.schema == path for e in ACCEPTED)
    assert any(e.schema == path for e in REFUSED)


def test_no_example_is_for_a_schema_that_does_not_exist() -> None:
    assert [e.name for e in ACCEPTED + REFUSED if not e.schema.exists()] == []
    assert len(ACCEPTED + REFUSED) == len(list(EVENTS.glob("*/examples/**/*.json")))


@pytest.mark.parametrize("example", ACCEPTED, ids=lambda e: e.name)
def test_an_accepted_example_survives_a_round_through_the_model(example: Example) -> None:
    value = load(example.path)
    assert [e.message for e in validator(example.schema).iter_errors(value)] == []
    model = model_of(example).model_validate_json(example.path.read_bytes())
    assert json.loads(written(model)) | _defaults(model) == value | _defaults(model)


def _defaults(model: BaseModel) -> dict[str, object]:
    empty = {name for name in type(model).model_fields if getattr(model, name) in ((), {})}
    dumped: dict[str, object] = json.loads(model.model_dump_json(include=empty))
    return dumped


@pytest.mark.parametrize("example", REFUSED, ids=lambda e: e.name)
def test_a_refused_example_fails_on_the_keyword_it_is_named_after(example: Example) -> None:
    assert {e.validator for e in validator(example.schema).iter_errors(load(example.path))} == {example.keyword}


@pytest.mark.parametrize("example", REFUSED, ids=lambda e: e.name)
def test_a_producer_cannot_write_a_refused_example(example: Example) -> None:
    model = model_of(example)
    try:
        value = model.model_validate_json(example.path.read_bytes())
    except ValidationError:
        return
    # Reading takes a code of a later release as `unknown`, so what a producer holds is never the code it was given.
    assert json.loads(written(value)) != load(example.path)
    assert example.keyword in {"enum", "anyOf"}
