"""Patterns that mean the same in every language: what RE2 and its kin (Go, Rust) refuse or read in another way.

JSON Schema's patterns are read by whatever engine a partner's language has. Two families matter: those that backtrack
(Python, Java, JavaScript) and those that do not (RE2, Go, Rust), which know neither look-around nor references back,
and of which RE2 and Go count no further than `MOST` repeats.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any

from pydantic import StringConstraints, TypeAdapter
from pydantic_core import SchemaError

MOST = 1000
"""How often RE2 and Go repeat a part, repeats inside repeats multiplied."""

_BOUNDS = re.compile(r"\{(?P<least>[0-9]+)(?P<open>,(?P<most>[0-9]+)?)?\}")
_LONG = re.compile(r"(?P<part>\[[^\[\]\\]+\])\{(?P<least>[0-9]+),(?P<most>[0-9]+)\}")


class _Refused(Exception):
    """The text says which part, and why."""


@cache
def refusal(pattern: str) -> str | None:
    """Why RE2, Go or Rust refuse a pattern that Python takes, or read it differently; None when they do not."""
    try:
        _sequence(pattern, 0)
    except _Refused as refused:
        return str(refused)
    constrained: Any = Annotated[str, StringConstraints(pattern=pattern)]
    try:
        TypeAdapter(constrained)  # pydantic's engine is Rust's
    except SchemaError as error:
        return " ".join(str(error).split())[:160]
    return None


def unrolled(pattern: str) -> str:
    """The same pattern with each class that is repeated more than `MOST` times written as several repeats.

    `X{342,20000}` becomes `X{342}(X{0,999}|X{1000}(X{0,999}|…))`: one length leads through it in one way, so that
    engines that backtrack are not slower than before, and it takes the same strings.
    """
    return _LONG.sub(_unrolled, pattern)


def _unrolled(repeat: re.Match[str]) -> str:
    part, least, most = repeat["part"], int(repeat["least"]), int(repeat["most"])
    if most <= MOST or least > most:
        return repeat[0]
    fixed = [f"{part}{{{MOST}}}"] * (least // MOST) + ([f"{part}{{{least % MOST}}}"] if least % MOST else [])
    free, inner = divmod(most - least, MOST)
    if inner == 0 and free:
        free, inner = free - 1, MOST
    tail = f"{part}{{0,{inner}}}" if most > least else ""
    for _ in range(free):
        tail = f"({part}{{0,{MOST - 1}}}|{part}{{{MOST}}}{tail})"
    return "".join(fixed) + tail


def _sequence(pattern: str, at: int) -> tuple[int, int]:
    """Reads up to the bracket that closes, or the end: where that is, and the most repeats inside.

    `pattern` is one that Python compiles.
    """
    most = 1
    while at < len(pattern) and pattern[at] != ")":
        begin = at
        at, inside = _one(pattern, at)
        times, at = _times(pattern, begin, at)
        inside *= times
        if inside > MOST:
            raise _Refused(
                f"`{pattern[begin:at]}` repeats {inside} times, repeats inside repeats multiplied, of at most {MOST}"
            )
        most = max(most, inside)
    return at, most


def _one(pattern: str, at: int) -> tuple[int, int]:
    """Reads one part without its repeat."""
    match pattern[at]:
        case "(":
            if pattern.startswith("(?", at) and not pattern.startswith("(?:", at):
                raise _Refused(f"`{pattern[at : at + 4]}…`: look-around, flags and names are not known everywhere")
            at, most = _sequence(pattern, at + (3 if pattern.startswith("(?:", at) else 1))
            return at + 1, most
        case "[":
            return _class(pattern, at), 1
        case "\\":
            if pattern[at + 1].isdigit() and pattern[at + 1] != "0":
                raise _Refused(f"`{pattern[at : at + 2]}` refers back to a group")
            return at + 2, 1
        case "{":
            raise _Refused(f"`{pattern[at : at + 5]}`: a brace that bounds nothing; write \\{{ or {{0,n}}")
        case _:
            return at + 1, 1


def _times(pattern: str, begin: int, at: int) -> tuple[int, int]:
    """How often the part before is repeated at most, or at least where nothing bounds it; and where that ends."""
    bounds = _BOUNDS.match(pattern, at)
    if bounds is None and pattern[at : at + 1] not in ("*", "+", "?"):
        return 1, at
    end = bounds.end() if bounds else at + 1
    if pattern[end : end + 1] == "?":
        end += 1
    elif pattern[end : end + 1] in ("*", "+") or _BOUNDS.match(pattern, end):
        raise _Refused(f"`{pattern[begin : end + 1]}`: a repeat of a repeat, or one that gives nothing back")
    times = int(bounds["most"] or bounds["least"]) if bounds else 1
    return max(times, 1), end


def _class(pattern: str, at: int) -> int:
    """Where a class ends. Nested classes and operations on them are read in another way by each language."""
    end = at + 1
    end += pattern.startswith("^", end)
    begin = end
    while pattern[end] != "]" or end == begin:
        if pattern[end] == "[" or pattern[end : end + 2] in ("&&", "--", "~~", "||"):
            raise _Refused(f"`{pattern[at : end + 2]}…`: {pattern[end]} in a class needs a \\ before it")
        end += 2 if pattern[end] == "\\" else 1
    return end + 1
