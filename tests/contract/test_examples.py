"""Every example does what its folder says, for the schema and for the model alike."""

from __future__ import annotations

import json

import pytest
from kintsugi_contracts.base import Event
from kintsugi_contracts.catalog import Catalog
from kintsugi_contracts.folder import Example, Version
from pydantic import BaseModel, ValidationError

from tests.contract.folders import FOLDER, called, examples

CATALOG = Catalog.installed()

Case = tuple[Version, Example]


def model_of(case: Case) -> type[BaseModel]:
    """The model an example is for: the event's, or that of a sealed purpose."""
    version, example = case
    event = CATALOG.by_type(version.type)
    assert event is not None
    return event.purposes[example.purpose] if example.purpose else event


def schema_takes(case: Case, value: object) -> bool:
    """Whether the schema an example is for takes a value."""
    version, example = case
    return FOLDER.validator(version.sealed[example.purpose] if example.purpose else version.document).is_valid(value)


def written(value: BaseModel) -> bytes:
    """A model as it goes onto the wire."""
    return value.encode() if isinstance(value, Event) else value.model_dump_json(exclude_none=True).encode()


@pytest.mark.parametrize("case", examples("accept"), ids=called)
def test_an_accepted_example_survives_a_round_through_the_model(case: Case) -> None:
    value = case[1].document.data
    assert schema_takes(case, value)
    model = model_of(case).model_validate_json(case[1].document.text)
    again = written(model)
    assert model_of(case).model_validate_json(again) == model
    assert (json.loads(again) | _defaults(model)).keys() == (value | _defaults(model)).keys()


def _defaults(model: BaseModel) -> dict[str, object]:
    empty = {name for name in type(model).model_fields if getattr(model, name) in ((), {})}
    dumped: dict[str, object] = json.loads(model.model_dump_json(include=empty))
    return dumped


@pytest.mark.parametrize("case", examples("reject"), ids=called)
def test_a_producer_cannot_write_a_refused_example(case: Case) -> None:
    example = case[1]
    try:
        value = model_of(case).model_validate_json(example.document.text)
    except ValidationError:
        return
    # Reading takes a code of a later release as `unknown`, so what a producer holds is never the code it was given.
    assert json.loads(written(value)) != example.document.data
    assert example.keyword in {"enum", "anyOf"}
