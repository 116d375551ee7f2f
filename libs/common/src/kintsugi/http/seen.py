"""The headers that carry versions: `Kintsugi-Seen` (what was seen of a subject) and `ETag` / `If-Match`."""

import re
from collections.abc import Mapping

from kintsugi.http.problems import Problem

SEEN_HEADER = "Kintsugi-Seen"
WAIT_SECONDS = 2.0
"""How long a request waits for its service to have seen what its caller has."""
LOOK_SECONDS = 0.02

_ENTRY = re.compile(r"([a-z][a-z0-9_-]{0,39}):([1-9][0-9]{0,15})")
_ETAG = re.compile(r'"([0-9]{1,18})"')
_LARGEST_SEQUENCE = 2**53
_MOST_SOURCES = 32


def parse_seen(header: str | None) -> dict[str, int]:
    """Read `intake:7 assessment:2`: per source the sequence of this subject that the caller has seen.

    No header means nothing was seen. A malformed one is refused with 400 `seen_malformed`.
    """
    if header is None or not header.strip():
        return {}
    entries = header.split()
    seen: dict[str, int] = {}
    for entry in entries[: _MOST_SOURCES + 1]:
        match = _ENTRY.fullmatch(entry)
        if match is None or match[1] in seen or int(match[2]) > _LARGEST_SEQUENCE:
            raise _malformed_seen()
        seen[match[1]] = int(match[2])
    if len(seen) > _MOST_SOURCES:
        raise _malformed_seen()
    return seen


def format_seen(seen: Mapping[str, int]) -> str:
    """The header value, in alphabetical order of the sources; sources of which nothing was seen are left out."""
    return " ".join(f"{source}:{sequence}" for source, sequence in sorted(seen.items()) if sequence > 0)


def behind(wanted: Mapping[str, int], have: Mapping[str, int]) -> dict[str, int]:
    """What of `wanted` is ahead of `have`; empty when the caller's reads are covered."""
    return {source: sequence for source, sequence in wanted.items() if sequence > have.get(source, 0)}


def not_caught_up(missing: Mapping[str, int], retry_after_s: int = 1) -> Problem:
    """The answer to a caller that has seen more than this service after the wait has ended."""
    return Problem(
        503,
        "not_caught_up",
        "This service has not yet seen what you have seen",
        "It still waits for events of other services about this subject.",
        "Wait for the seconds named in Retry-After, then send the same request again.",
        {"missing": format_seen(missing)},
        headers={"Retry-After": str(retry_after_s)},
    )


def etag(version: int) -> str:
    """The strong entity tag of a row version."""
    return f'"{version}"'


def parse_if_match(header: str | None, *, required: bool = True) -> int | None:
    """The row version the caller wants to change, or None for any (`*`, or no header where it is not required).

    A missing header is refused with 428 `if_match_required`, a malformed or weak one with 400 `if_match_malformed`.
    """
    if header is None:
        if not required:
            return None
        raise Problem(
            428,
            "if_match_required",
            "This change must name the version it was made from",
            "The request has no If-Match header.",
            "Read the resource, then send its ETag as If-Match.",
        )
    if header.strip() == "*":
        return None
    match = _ETAG.fullmatch(header.strip())
    if match is None:
        raise Problem(
            400,
            "if_match_malformed",
            "The If-Match header cannot be read",
            'It must be one strong entity tag, like "12", or *.',
            "Send the ETag of the last answer unchanged.",
        )
    return int(match[1])


def version_changed(current: int) -> Problem:
    """The answer to a change made from another version than the one that stands."""
    return Problem(
        412,
        "version_changed",
        "Someone else has changed this since you read it",
        "The version named in If-Match is not the one that stands.",
        "Read the resource again, look at the change, then send yours with the new ETag.",
        headers={"ETag": etag(current)},
    )


def _malformed_seen() -> Problem:
    return Problem(
        400,
        "seen_malformed",
        f"The {SEEN_HEADER} header cannot be read",
        "It must be pairs like intake:7 joined by spaces, each source once.",
        f"Send the {SEEN_HEADER} of the last answer unchanged.",
    )
