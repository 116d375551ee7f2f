"""What is traced, what is not, and what a span may say."""

import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from kintsugi.telemetry.context import TraceContext, parse_traceparent
from kintsugi.telemetry.tracing import Span, Tracing
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

SAMPLED = f"00-{'a' * 32}-{'b' * 16}-01"
UNSAMPLED = f"00-{'a' * 32}-{'b' * 16}-00"


def consume(tracing: Tracing, traceparent: str | None, *, link_only: bool = False) -> Span | None:
    return tracing.process(
        traceparent,
        "vendor=1",
        topic="xa.intake.v1",
        partition=3,
        offset=41,
        message_id="0190b6a4-0000-7000-8000-000000000001",
        conversation_id="0190b6a4-0000-7000-8000-000000000000",
        group="xa.referral",
        link_only=link_only,
    )


def emit(tracing: Tracing, parent: Span | None, incoming: str | None) -> str | None:
    return tracing.create(
        parent,
        incoming,
        topic="xa.referral.v1",
        message_id="0190b6a4-0000-7000-8000-000000000002",
        conversation_id=None,
        type="kintsugi.referral.proposed.v1",
    )


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def spans(tracing: Tracing, exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    assert tracing.flush()
    return {span.name: span for span in exporter.get_finished_spans()}


def test_a_chain_over_three_services_is_one_trace_with_true_parents(exporter: InMemorySpanExporter) -> None:
    intake, referral, notify = (Tracing(name, exporter=exporter) for name in ("intake", "referral", "notify"))
    request = intake.root("POST /cases", "server")
    opened = emit(intake, request, None)
    intake.end(request)
    processed = consume(referral, opened)
    proposed = emit(referral, processed, opened)
    referral.end(processed)
    assert request is not None
    assert processed is not None
    assert opened is not None
    told = consume(notify, proposed)
    notify.end(told)
    for tracing in (intake, referral, notify):
        tracing.flush()
    finished = exporter.get_finished_spans()
    by_id = {f"{span.context.span_id:016x}": span for span in finished}
    assert {f"{span.context.trace_id:032x}" for span in finished} == {request.trace_id}
    assert told is not None
    path = [told.span_id]
    while (parent := by_id[path[-1]].parent) is not None:
        path.append(f"{parent.span_id:016x}")
    assert [by_id[each].name for each in path] == [
        "process xa.intake.v1",
        "create xa.referral.v1",
        "process xa.intake.v1",
        "create xa.referral.v1",
        "POST /cases",
    ]
    assert by_id[path[0]].resource.attributes["service.name"] == "notify"


def test_spans_follow_the_messaging_conventions(exporter: InMemorySpanExporter) -> None:
    tracing = Tracing("referral", exporter=exporter)
    span = consume(tracing, SAMPLED)
    emit(tracing, span, SAMPLED)
    tracing.end(span)
    sent = tracing.send([SAMPLED, UNSAMPLED, None], "xa.referral.v1", 3)
    tracing.end(sent)
    found = spans(tracing, exporter)
    process = found["process xa.intake.v1"]
    assert process.kind is SpanKind.CONSUMER
    assert dict(process.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "xa.intake.v1",
        "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": 41,
        "messaging.consumer.group.name": "xa.referral",
        "messaging.message.id": "0190b6a4-0000-7000-8000-000000000001",
        "messaging.message.conversation_id": "0190b6a4-0000-7000-8000-000000000000",
    }
    assert process.context.trace_state.get("vendor") == "1"
    create = found["create xa.referral.v1"]
    assert create.kind is SpanKind.PRODUCER
    assert create.attributes is not None
    assert create.attributes["messaging.operation.type"] == "create"
    assert create.attributes["kintsugi.event.type"] == "kintsugi.referral.proposed.v1"
    send = found["send xa.referral.v1"]
    assert send.parent is None
    assert [link.context.span_id for link in send.links] == [int("b" * 16, 16)]
    assert send.attributes is not None
    assert send.attributes["messaging.batch.message_count"] == 3


@pytest.mark.parametrize(
    "incoming", [None, UNSAMPLED, "00-zz", f"00-{'0' * 32}-{'b' * 16}-01", f"ff-{'a' * 32}-{'b' * 16}-01"]
)
def test_an_unsampled_input_makes_no_span_and_passes_its_traceparent_on(
    exporter: InMemorySpanExporter, incoming: str | None
) -> None:
    tracing = Tracing("referral", exporter=exporter)
    span = consume(tracing, incoming)
    assert span is None
    assert emit(tracing, span, incoming) == incoming
    tracing.end(span)
    assert spans(tracing, exporter) == {}


def test_without_a_destination_nothing_is_made_and_the_traceparent_passes() -> None:
    tracing = Tracing("referral")
    assert not tracing.enabled
    assert tracing.root("POST /cases", "server") is None
    assert consume(tracing, SAMPLED) is None
    assert tracing.send([SAMPLED], "xa.referral.v1", 1) is None
    assert emit(tracing, None, SAMPLED) == SAMPLED


def test_the_ratio_decides_for_whole_chains(exporter: InMemorySpanExporter) -> None:
    assert Tracing("intake", 0.0, exporter).root("GET", "server") is None
    tenth = Tracing("intake", 0.1, exporter)
    sampled = sum(tenth.root("GET", "server") is not None for _ in range(4000))
    assert 280 < sampled < 520
    assert all(consume(tenth, SAMPLED) is not None for _ in range(50))
    with pytest.raises(ValueError, match="between 0 and 1"):
        Tracing("intake", 10)


def test_a_step_of_another_chain_is_linked_and_not_a_child(exporter: InMemorySpanExporter) -> None:
    tracing = Tracing("referral", exporter=exporter)
    late = consume(tracing, SAMPLED, link_only=True)
    human = tracing.root("POST /referrals/{id}/choice", "server", links=[SAMPLED, "nonsense", None])
    for span in (late, human):
        assert span is not None
        assert span.trace_id != "a" * 32
        assert span.parent_span_id is None
        assert span.links == (TraceContext("a" * 32, "b" * 16, True),)


def test_nothing_outside_the_allow_list_leaves_the_process(exporter: InMemorySpanExporter, tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    tracing = Tracing("intake", exporter=exporter, span_file=file)
    span = tracing.root("POST /cases", "server")
    assert span is not None
    span.set("survivor.name", "Amina Okafor")
    span.set("messaging.message.id", "Amina\nOkafor")
    span.set("messaging.destination.name", "Amina Okafor " * 40)
    span.set("http.route", "/cases")
    tracing.end(span, "invalid_state")
    found = spans(tracing, exporter)["POST /cases"]
    assert dict(found.attributes or {}) == {"http.route": "/cases", "error.type": "invalid_state"}
    assert found.status.status_code is StatusCode.ERROR
    assert found.status.description is None
    assert tracing.shutdown()
    assert b"Amina" not in file.read_bytes()


def test_the_span_file_holds_one_readable_line_per_span(tmp_path: Path) -> None:
    file = tmp_path / "spans" / "referral.jsonl"
    tracing = Tracing("referral", span_file=file)
    span = consume(tracing, SAMPLED)
    tracing.end(span)
    assert tracing.shutdown()
    assert span is not None
    (line,) = [json.loads(each) for each in file.read_text().splitlines()]
    assert line["service"] == "referral"
    assert (line["trace_id"], line["parent_span_id"], line["span_id"]) == ("a" * 32, "b" * 16, span.span_id)
    assert line["end_ns"] >= line["start_ns"] > 1_600_000_000_000_000_000
    assert line["attributes"]["messaging.kafka.offset"] == 41


class Stuck(SpanExporter):
    """An exporter whose collector never answers."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.free.wait(30)
        return SpanExportResult.FAILURE


def test_shutdown_is_bounded_when_the_collector_hangs() -> None:
    exporter = Stuck()
    tracing = Tracing("intake", exporter=exporter)
    tracing.end(tracing.root("POST /cases", "server"))
    try:
        assert tracing.shutdown(timeout_s=0.2) is False
    finally:
        exporter.free.set()
    assert tracing.root("POST /cases", "server") is None


def test_a_traceparent_of_a_later_version_is_read_and_an_overlong_one_is_not() -> None:
    assert parse_traceparent(f"01-{'a' * 32}-{'b' * 16}-03-more") == TraceContext("a" * 32, "b" * 16, True)
    assert parse_traceparent(f"{SAMPLED}-more") is None
    assert parse_traceparent(f"01-{'a' * 32}-{'b' * 16}-01-{'c' * 300}") is None


class Receiver(BaseHTTPRequestHandler):
    """An OTLP collector that keeps what it gets."""

    received: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        self.received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_an_endpoint_in_the_environment_receives_the_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
        assert not Tracing.from_environment("intake").enabled
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        tracing = Tracing.from_environment("intake")
        request = tracing.root("POST /cases", "server")
        opened = parse_traceparent(emit(tracing, request, None))
        tracing.end(request)
        assert tracing.shutdown(10)
    finally:
        server.shutdown()
        server.server_close()
    ((path, body),) = Receiver.received
    assert path == "/v1/traces"
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    assert opened is not None
    assert request is not None
    assert {(span.name, span.span_id.hex(), span.parent_span_id.hex()) for span in resource.scope_spans[0].spans} == {
        ("POST /cases", request.span_id, ""),
        ("create xa.referral.v1", opened.span_id, request.span_id),
    }
