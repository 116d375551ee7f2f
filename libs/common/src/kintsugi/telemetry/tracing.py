"""Spans where a flow crosses a border: a request, a deadline, a consumed record, an emitted event, a relay pass.

Sampling is decided before anything is made, once per chain, where the chain starts. An unsampled input makes no
span and passes its `traceparent` on. A made span is a small record; the SDK sees it only when it has ended, and
exports it from threads of its own.
"""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from opentelemetry.sdk.trace.export import SpanExporter

from kintsugi.telemetry.context import TraceContext, parse_traceparent
from kintsugi.telemetry.export import SpanFile, SpanSink
from kintsugi.telemetry.span import Attribute, Kind, Span, ids

__all__ = ["Span", "Tracing"]

_MOST_LINKS = 128


class Tracing:
    """The spans of one service.

    `ratio` is the share of chains, 0 to 1, that are traced. With neither `exporter` nor `span_file` every call
    returns at once and nothing is ever made.
    """

    def __init__(
        self,
        service: str,
        ratio: float = 1.0,
        exporter: SpanExporter | None = None,
        span_file: Path | None = None,
        *,
        version: str = "0",
    ) -> None:
        if not 0 <= ratio <= 1:
            raise ValueError(f"the trace ratio of {service} is {ratio}; set it between 0 and 1")
        exporters: list[SpanExporter] = [exporter] if exporter else []
        if span_file:
            exporters.append(SpanFile(span_file))
        self.service = service
        self._ratio = ratio
        self._sink = SpanSink(service, version, exporters) if exporters else None

    @classmethod
    def from_environment(
        cls, service: str, ratio: float = 1.0, span_file: Path | None = None, *, version: str = "0"
    ) -> "Tracing":
        """Export by OTLP over HTTP when `OTEL_EXPORTER_OTLP_ENDPOINT` (or its traces form) is set, else not."""
        endpoint = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        exporter: SpanExporter | None = None
        if endpoint:
            # Protobuf and an HTTP client: loaded only by a process that exports.
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            exporter = OTLPSpanExporter(timeout=5)
        return cls(service, ratio, exporter, span_file, version=version)

    @property
    def enabled(self) -> bool:
        """Whether any span can ever leave this process."""
        return self._sink is not None

    def root(
        self,
        name: str,
        kind: Kind,
        links: Iterable[str | None] = (),
        attributes: Mapping[str, Attribute] | None = None,
    ) -> Span | None:
        """Start a new trace, or None when this chain is not sampled.

        `links` are the `traceparent`s of what came before a human or timed step; malformed ones are left out.
        """
        if self._sink is None or ids.random() >= self._ratio:
            return None
        return Span(name, kind, None, _contexts(links), dict(attributes or {}))

    def resume(
        self,
        traceparent: str | None,
        name: str,
        kind: Kind,
        *,
        tracestate: str | None = None,
        link_only: bool = False,
        attributes: Mapping[str, Attribute] | None = None,
    ) -> Span | None:
        """Continue the trace a stored or received `traceparent` belongs to; None unless that trace is sampled.

        `link_only` starts a new trace that links to it: for a step that is not part of the same automatic chain.
        """
        if self._sink is None:
            return None
        context = parse_traceparent(traceparent)
        if context is None or not context.sampled:
            return None
        if link_only:
            return Span(name, kind, None, (context,), dict(attributes or {}))
        return Span(name, kind, context, (), dict(attributes or {}), tracestate)

    def child(
        self, parent: Span | None, name: str, kind: Kind, attributes: Mapping[str, Attribute] | None = None
    ) -> Span | None:
        """Start a span under `parent`; None under None."""
        if parent is None:
            return None
        return Span(name, kind, parent.context, (), dict(attributes or {}), parent.tracestate)

    def process(
        self,
        traceparent: str | None,
        tracestate: str | None,
        *,
        topic: str,
        partition: int,
        offset: int,
        message_id: str,
        conversation_id: str | None,
        group: str,
        link_only: bool = False,
    ) -> Span | None:
        """Start the CONSUMER span `process {topic}` of one record, under the event that made it."""
        if self._sink is None or traceparent is None or traceparent.endswith("-00"):
            return None
        span = self.resume(traceparent, f"process {topic}", "consumer", tracestate=tracestate, link_only=link_only)
        if span is not None:
            span.attributes = {
                "messaging.system": "kafka",
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.name": topic,
                "messaging.destination.partition.id": str(partition),
                "messaging.kafka.offset": offset,
                "messaging.consumer.group.name": group,
                "messaging.message.id": message_id,
            }
            if conversation_id is not None:
                span.attributes["messaging.message.conversation_id"] = conversation_id
        return span

    def create(
        self,
        parent: Span | None,
        incoming_traceparent: str | None,
        *,
        topic: str,
        message_id: str,
        conversation_id: str | None,
        type: str,
        into: list[Span] | None = None,
    ) -> str | None:
        """Make the PRODUCER span `create {topic}` of one emitted event and return its `traceparent`.

        The outbox row stores the result, so that whoever consumes the event becomes a child of this span. Without
        a sampled parent the incoming `traceparent` is returned as it came. With `into` the span is kept there, over
        but not exported, until the event is certain: pass it to `end` then, or drop it.
        """
        if parent is None or self._sink is None:
            return incoming_traceparent
        attributes: dict[str, Attribute] = {
            "messaging.system": "kafka",
            "messaging.operation.name": "create",
            "messaging.operation.type": "create",
            "messaging.destination.name": topic,
            "messaging.message.id": message_id,
            "kintsugi.event.type": type,
        }
        if conversation_id is not None:
            attributes["messaging.message.conversation_id"] = conversation_id
        span = Span(f"create {topic}", "producer", parent.context, (), attributes, parent.tracestate)
        if into is None:
            self.end(span)
        else:
            span.ended = time.time_ns()
            into.append(span)
        return span.traceparent

    def send(self, traceparents: Iterable[str | None], topic: str, count: int) -> Span | None:
        """Start the relay's span `send {topic}` over `count` records, linked to at most 128 sampled ones of them.

        None when none of them is sampled.
        """
        if self._sink is None:
            return None
        links = tuple(context for context in _contexts(traceparents) if context.sampled)[:_MOST_LINKS]
        if not links:
            return None
        attributes: dict[str, Attribute] = {
            "messaging.system": "kafka",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": topic,
            "messaging.batch.message_count": count,
        }
        return Span(f"send {topic}", "client", None, links, attributes)

    def end(self, span: Span | None, error_code: str | None = None) -> None:
        """End a span and queue it for export. `error_code` is a code from a closed list, never a message."""
        if span is None or self._sink is None:
            return
        if error_code is not None:
            span.attributes["error.type"] = error_code
            span.failed = True
        span.ended = span.ended or time.time_ns()
        self._sink.offer(span)

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Export what has ended so far; False when `timeout_s` seconds were not enough. Blocks: use a thread."""
        return self._sink is None or self._sink.flush(timeout_s)

    def shutdown(self, timeout_s: float = 5.0) -> bool:
        """Export the rest and stop the threads; False when some spans were given up. Blocks: use a thread."""
        sink, self._sink = self._sink, None
        return sink is None or sink.shutdown(timeout_s)


def _contexts(traceparents: Iterable[str | None]) -> tuple[TraceContext, ...]:
    parsed = (parse_traceparent(each) for each in traceparents)
    return tuple(context for context in parsed if context is not None)
