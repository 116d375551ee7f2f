"""One span while it is open: a small record, far cheaper than the SDK's own."""

import os
import random
import time
from typing import Literal

from kintsugi.telemetry.context import TraceContext

Attribute = str | int | bool
Kind = Literal["server", "client", "producer", "consumer", "internal"]

# Trace ids only have to be distinct, not secret; the system's generator costs ten times as much.
ids = random.Random()  # noqa: S311
os.register_at_fork(after_in_child=ids.seed)


class Span:
    """A sampled span that has not ended. `traceparent` is what travels on; pass the span to `Tracing.end`.

    Times are nanoseconds since the epoch.
    """

    __slots__ = (
        "attributes",
        "context",
        "ended",
        "failed",
        "kind",
        "links",
        "name",
        "parent_span_id",
        "started",
        "tracestate",
    )

    def __init__(
        self,
        name: str,
        kind: Kind,
        parent: TraceContext | None,
        links: tuple[TraceContext, ...],
        attributes: dict[str, Attribute],
        tracestate: str | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        trace_id = parent.trace_id if parent else f"{ids.getrandbits(128) or 1:032x}"
        self.context = TraceContext(trace_id, f"{ids.getrandbits(64) or 1:016x}", True)
        self.parent_span_id = parent.span_id if parent else None
        self.links = links
        self.attributes = attributes
        self.tracestate = tracestate
        self.started = time.time_ns()
        self.ended = 0
        self.failed = False

    @property
    def trace_id(self) -> str:
        """32 hex digits, for logs and for people."""
        return self.context.trace_id

    @property
    def span_id(self) -> str:
        """16 hex digits."""
        return self.context.span_id

    @property
    def traceparent(self) -> str:
        """The W3C header value that makes this span the parent of whatever carries it."""
        return f"00-{self.context.trace_id}-{self.context.span_id}-01"

    def set(self, key: str, value: Attribute) -> None:
        """Add an attribute; one that is not on the allow-list is dropped before export."""
        self.attributes[key] = value
