"""How ended spans leave the process: an allow-list of attributes, then a thread per destination."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from pydantic_core import to_json

from kintsugi.telemetry.context import TraceContext
from kintsugi.telemetry.span import Span

ALLOWED_ATTRIBUTES = frozenset(
    {
        "error.type",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "kintsugi.channel",
        "kintsugi.entry",
        "kintsugi.event.type",
        "kintsugi.input",
        "messaging.batch.message_count",
        "messaging.consumer.group.name",
        "messaging.destination.name",
        "messaging.destination.partition.id",
        "messaging.kafka.offset",
        "messaging.message.conversation_id",
        "messaging.message.id",
        "messaging.operation.name",
        "messaging.operation.type",
        "messaging.system",
    }
)
"""Every attribute a span may carry. None of them can name, locate or describe a person."""

_LONGEST_VALUE = 200
_QUEUE = 32_768
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_KINDS = {kind.name.lower(): kind for kind in SpanKind}
_OK = Status(StatusCode.UNSET)
_ERROR = Status(StatusCode.ERROR)


class AllowedAttributesOnly(SpanProcessor):
    """Passes spans on without any attribute, event, link attribute or status text that is not on the allow-list."""

    def __init__(self, *inner: SpanProcessor) -> None:
        self._inner = inner

    def on_end(self, span: ReadableSpan) -> None:
        attributes = span.attributes or {}
        clean = span
        if span.events or span.status.description or not _clean(attributes):
            clean = ReadableSpan(
                name=span.name,
                context=span.context,
                parent=span.parent,
                resource=span.resource,
                attributes={k: v for k, v in attributes.items() if _clean({k: v})},
                links=tuple(Link(link.context) for link in span.links),
                kind=span.kind,
                status=Status(span.status.status_code),
                start_time=span.start_time,
                end_time=span.end_time,
                instrumentation_scope=span.instrumentation_scope,
            )
        for processor in self._inner:
            processor.on_end(clean)

    def shutdown(self) -> None:
        for processor in self._inner:
            processor.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        flushed = [processor.force_flush(timeout_millis) for processor in self._inner]
        return all(flushed)


def _clean(attributes: Mapping[str, object]) -> bool:
    if not attributes.keys() <= ALLOWED_ATTRIBUTES:
        return False
    for value in attributes.values():
        if isinstance(value, str):
            if len(value) > _LONGEST_VALUE or not value.isascii() or not value.isprintable():
                return False
        elif not isinstance(value, int):
            return False
    return True


class SpanFile(SpanExporter):
    """Appends each span as one JSON line, so that a trace can be read with nothing but a text tool."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        self._lock = threading.Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        lines = b"".join(to_json(_as_line(span)) + b"\n" for span in spans)
        with self._lock:
            if self._file.closed:
                return SpanExportResult.FAILURE
            self._file.write(lines)
            self._file.flush()
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        with self._lock:
            self._file.close()


def _as_line(span: ReadableSpan) -> dict[str, object]:
    return {
        "service": span.resource.attributes.get("service.name"),
        "name": span.name,
        "kind": span.kind.name.lower(),
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
        "parent_span_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "failed": span.status.status_code is StatusCode.ERROR,
        "attributes": dict(span.attributes or {}),
        "links": [
            {"trace_id": f"{link.context.trace_id:032x}", "span_id": f"{link.context.span_id:016x}"}
            for link in span.links
        ],
    }


class SpanSink:
    """Hands ended spans to the exporters' threads. `offer` never blocks; a full queue drops the oldest."""

    def __init__(self, service: str, version: str, exporters: Sequence[SpanExporter]) -> None:
        self._resource = Resource.create(
            {"service.name": service, "service.version": version, "service.namespace": "kintsugi"}
        )
        self._scope = InstrumentationScope("kintsugi", version)
        self._processor = AllowedAttributesOnly(
            *(BatchSpanProcessor(each, max_queue_size=_QUEUE, schedule_delay_millis=500) for each in exporters)
        )

    def offer(self, span: Span) -> None:
        """Queue one ended span for export."""
        context = span.context
        state = TraceState.from_header([span.tracestate]) if span.tracestate else None
        parent = None
        if span.parent_span_id is not None:
            parent = _context(TraceContext(context.trace_id, span.parent_span_id, True), remote=True)
        self._processor.on_end(
            ReadableSpan(
                name=span.name,
                context=SpanContext(int(context.trace_id, 16), int(context.span_id, 16), False, _SAMPLED, state),
                parent=parent,
                resource=self._resource,
                attributes=span.attributes,
                links=tuple(Link(_context(each, remote=True)) for each in span.links),
                kind=_KINDS[span.kind],
                status=_ERROR if span.failed else _OK,
                start_time=span.started,
                end_time=span.ended,
                instrumentation_scope=self._scope,
            )
        )

    def flush(self, timeout_s: float) -> bool:
        """Export what is queued now; False when it took longer than `timeout_s` seconds."""
        return _within(timeout_s, lambda: self._processor.force_flush(int(timeout_s * 1000)))

    def shutdown(self, timeout_s: float) -> bool:
        """Export what is queued and stop; after `timeout_s` seconds the rest is given up and False is returned."""
        return _within(timeout_s, self._processor.shutdown)


def _within(timeout_s: float, work: Callable[[], object]) -> bool:
    """The SDK's own limits do not hold while an export is under way: wait for it from outside."""
    thread = threading.Thread(target=work, name="kintsugi-spans-stop", daemon=True)
    thread.start()
    thread.join(timeout_s)
    return not thread.is_alive()


def _context(context: TraceContext, *, remote: bool) -> SpanContext:
    flags = _SAMPLED if context.sampled else TraceFlags(0)
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), remote, flags)
