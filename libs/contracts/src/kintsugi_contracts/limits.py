"""The limits of a record: what its writer keeps to and its reader refuses, whoever implements a contract."""

from __future__ import annotations

MAX_ID = 200
"""Characters of `ce_id`."""
MAX_SEQUENCE = 2**53
MAX_VALUE_BYTES = 256 * 1024
MAX_HEADER_BYTES = 16 * 1024
"""Of all headers of a record together."""
MAX_DEPTH = 32
"""Causes behind an event."""
MAX_SOURCES = 64
"""Sources that `ce_seen` names."""
CONTENT_TYPE = "application/json"
