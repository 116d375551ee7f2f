"""Refused input, described from the schema alone: neither values nor unknown names of the request are repeated."""

from collections.abc import Iterable, Mapping
from typing import Any

_RULES = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "enum": "is not one of the allowed values",
    "literal_error": "is not one of the allowed values",
    "string_type": "must be text",
    "string_too_long": "is too long",
    "string_too_short": "is too short",
    "string_pattern_mismatch": "does not have the required form",
    "string_unicode": "is not valid Unicode",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "uuid_type": "must be a UUID",
    "uuid_parsing": "must be a UUID",
    "uuid_version": "must be a UUID of the required version",
    "date_type": "must be a date as YYYY-MM-DD",
    "date_parsing": "must be a date as YYYY-MM-DD",
    "date_from_datetime_parsing": "must be a date as YYYY-MM-DD",
    "datetime_type": "must be a date and time with offset, in RFC 3339 form",
    "datetime_parsing": "must be a date and time with offset, in RFC 3339 form",
    "datetime_from_date_parsing": "must be a date and time with offset, in RFC 3339 form",
    "timezone_aware": "must carry a time zone offset",
    "list_type": "must be a list",
    "too_long": "has too many entries",
    "too_short": "has too few entries",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "greater_than": "is too small",
    "greater_than_equal": "is too small",
    "less_than": "is too large",
    "less_than_equal": "is too large",
    "union_tag_invalid": "is not a known kind",
    "union_tag_not_found": "does not say its kind",
}
_LIMITS = ("ge", "gt", "le", "lt", "min_length", "max_length", "multiple_of", "pattern", "expected")
_PLACES = frozenset({"body", "query", "path", "header", "cookie"})
_MOST = 50


def described(errors: Iterable[Any], openapi: Mapping[str, Any]) -> list[dict[str, Any]]:
    """At most 50 entries of `where`, `rule`, `says` and, when the schema sets them, `limits`.

    A name of the request appears in `where` only when the published `openapi` document holds it; any other, which
    may be a person's, is shown as `?`.
    """
    known = frozenset(_names(openapi)) | _PLACES
    entries = []
    for error in list(errors)[:_MOST]:
        kind = str(error.get("type", "refused"))
        context = error.get("ctx") or {}
        limits = {name: context[name] for name in _LIMITS if isinstance(context.get(name), str | int | float)}
        entry: dict[str, Any] = {
            "where": "/".join(_part(part, known) for part in error.get("loc", ())) or "request",
            "rule": kind if kind in _RULES else "refused",
            "says": _RULES.get(kind, "cannot be accepted here"),
        }
        if limits:
            entry["limits"] = limits
        entries.append(entry)
    return entries


def _part(part: object, known: frozenset[str]) -> str:
    if isinstance(part, int):
        return str(part)
    return part if isinstance(part, str) and part in known else "?"


def _names(node: object) -> Iterable[str]:
    """Every property, parameter and schema name in a document."""
    if isinstance(node, Mapping):
        for key in ("properties", "schemas"):
            found = node.get(key)
            if isinstance(found, Mapping):
                yield from (name for name in found if isinstance(name, str))
        if "in" in node and isinstance(node.get("name"), str):
            yield node["name"]
        for value in node.values():
            yield from _names(value)
    elif isinstance(node, list):
        for value in node:
            yield from _names(value)
