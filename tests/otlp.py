"""A local OTLP/HTTP receiver: takes what processes export and hands the spans out, decoded from protobuf."""

import gzip
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

Value = str | int | bool

_KINDS = {
    trace_pb2.Span.SPAN_KIND_INTERNAL: "internal",
    trace_pb2.Span.SPAN_KIND_SERVER: "server",
    trace_pb2.Span.SPAN_KIND_CLIENT: "client",
    trace_pb2.Span.SPAN_KIND_PRODUCER: "producer",
    trace_pb2.Span.SPAN_KIND_CONSUMER: "consumer",
}


@dataclass(frozen=True)
class Span:
    """An exported span. Ids are lower-case hex; ``parent`` is empty for the first span of a trace.

    ``links`` are pairs of trace and span id. ``pid`` is the exporting process's own word, 0 where it says nothing.
    """

    service: str
    pid: int
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent: str
    attributes: dict[str, Value]
    links: tuple[tuple[str, str], ...]

    @property
    def operation(self) -> str:
        """``create``, ``process`` or ``send`` where it is about messages, else empty."""
        return str(self.attributes.get("messaging.operation.name", ""))

    @property
    def message(self) -> str:
        """The id of the event it is about, empty where it is about none."""
        return str(self.attributes.get("messaging.message.id", ""))

    @property
    def conversation(self) -> str:
        """The correlation id of that event."""
        return str(self.attributes.get("messaging.message.conversation_id", ""))


class Receiver:
    """``with Receiver() as receiver:`` listens on 127.0.0.1; ``endpoint`` is what OTEL_EXPORTER_OTLP_ENDPOINT takes.

    ``requests`` are the decoded requests for traces. Metrics are taken and dropped.
    """

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.receiver = self
        self._thread = threading.Thread(target=self._server.serve_forever, name="otlp receiver", daemon=True)

    @property
    def endpoint(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def spans(self) -> list[Span]:
        """Every span that came so far; one that was exported twice, once."""
        with self._lock:
            requests = list(self.requests)
        found: dict[str, Span] = {}
        for request in requests:
            for resource in request.resource_spans:
                said = _attributes(resource.resource.attributes)
                service, pid = str(said.get("service.name", "")), int(said.get("process.pid", 0))
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        found.setdefault(span.span_id.hex(), _span(service, pid, span))
        return list(found.values())

    def take(self, path: str, body: bytes) -> bytes:
        """One request; returns what to answer. Raises DecodeError for what is not OTLP."""
        if path == "/v1/traces":
            request = ExportTraceServiceRequest.FromString(body)
            with self._lock:
                self.requests.append(request)
        answer: bytes = ExportTraceServiceResponse().SerializeToString()
        return answer

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert isinstance(self.server, _Server)
        answer = self.server.receiver.take(self.path, body)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: what matters is what was received."""


def _span(service: str, pid: int, span: trace_pb2.Span) -> Span:
    return Span(
        service=service,
        pid=pid,
        name=span.name,
        kind=_KINDS.get(span.kind, "unspecified"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        attributes=_attributes(span.attributes),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
    )


def _attributes(pairs: Sequence[KeyValue]) -> dict[str, Value]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Value:
    if value.HasField("int_value"):
        return value.int_value
    if value.HasField("bool_value"):
        return value.bool_value
    return value.string_value
