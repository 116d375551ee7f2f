"""A country's own fields, held to the schema in its pack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator


def refused_extension(given: Mapping[str, Any], country: str, schema: Mapping[str, Any]) -> str | None:
    """The rule and the place that the extensions break, None where they break none. Values are never repeated."""
    if not given:
        return None
    if set(given) != {country}:
        return "another country's code"
    for error in Draft202012Validator(schema).iter_errors(given[country]):
        return f"rule '{error.validator}'"
    return None
