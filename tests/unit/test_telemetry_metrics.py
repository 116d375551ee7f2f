"""The figures of a service, as Prometheus reads them and as they go out by OTLP."""

import time

from kintsugi.telemetry.metrics import Metrics
from kintsugi.telemetry.otlp_metrics import MetricsExport
from opentelemetry.sdk.metrics.export import (
    Histogram,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    Sum,
)


def test_what_happened_is_counted_and_what_stands_is_shown() -> None:
    metrics = Metrics("referral", "1.2.3")
    metrics.inputs("applied", count=40)
    metrics.inputs("held", "handler_raised")
    metrics.emitted("kintsugi.referral.proposed.v1", 3)
    metrics.sends("email", "delivered")
    metrics.held("handler_raised")
    metrics.inputs("dead", "sequence_reused")
    metrics.command("choose_option", "accepted")
    metrics.consumed("xa.intake.v1", 41)
    metrics.sent("xa.referral.v1", 3)
    metrics.batch(41, 0.012)
    metrics.batch_aborted("40001")
    metrics.relay_pass(0.004)
    metrics.request("POST", "/referrals/{id}/choice", 201, 0.02)
    metrics.set_outbox(7, 1.5)
    metrics.set_outbox(2, 0.5)
    metrics.set_lag("xa.intake.v1", 9)
    metrics.set_held(1)
    metrics.set_waiting(4)
    metrics.set_dead_letters(2)
    metrics.set_deadlines_overdue(12)
    lines = metrics.render().decode().splitlines()
    for line in (
        'kintsugi_build_info{service="referral",version="1.2.3"} 1.0',
        'kintsugi_inputs_total{cause="",status="applied"} 40.0',
        'kintsugi_inputs_total{cause="handler_raised",status="held"} 1.0',
        'kintsugi_events_emitted_total{type="kintsugi.referral.proposed.v1"} 3.0',
        'kintsugi_sends_total{channel="email",outcome="delivered"} 1.0',
        'kintsugi_holds_total{cause="handler_raised"} 1.0',
        'kintsugi_inputs_total{cause="sequence_reused",status="dead"} 1.0',
        'kintsugi_commands_total{command="choose_option",outcome="accepted"} 1.0',
        'kintsugi_batch_aborts_total{cause="40001"} 1.0',
        'kintsugi_batch_size_bucket{le="50.0"} 1.0',
        'kintsugi_batch_size_bucket{le="20.0"} 0.0',
        "kintsugi_outbox_unsent 2.0",
        "kintsugi_outbox_oldest_seconds 0.5",
        'kintsugi_lag{topic="xa.intake.v1"} 9.0',
        "kintsugi_held 1.0",
        "kintsugi_waiting 4.0",
        "kintsugi_dead_letters 2.0",
        "kintsugi_deadlines_overdue_seconds 12.0",
    ):
        assert line in lines
    assert not any("_created" in line for line in lines)


def test_two_services_in_one_process_do_not_mix() -> None:
    intake, notify = Metrics("intake"), Metrics("notify")
    intake.inputs("applied")
    assert "applied" not in notify.render().decode()


class Kept(MetricExporter):
    """Keeps what is exported."""

    def __init__(self) -> None:
        super().__init__()
        self.exports: list[MetricsData] = []
        self.closed = False

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: object) -> MetricExportResult:
        self.exports.append(metrics_data)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: object) -> None:
        self.closed = True


def by_name(data: MetricsData) -> dict[str, Metric]:
    return {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}


def test_otlp_says_the_same_under_the_conventional_names() -> None:
    metrics = Metrics("referral", "1.2.3")
    metrics.inputs("applied", count=40)
    metrics.consumed("xa.intake.v1", 41)
    for seconds in (0.003, 0.004, 0.2, 99):
        metrics.batch(10, seconds)
    exporter = Kept()
    export = MetricsExport(metrics, exporter, interval_s=0.05)
    export.start()
    time.sleep(0.2)
    assert export.stop()
    assert exporter.closed
    assert len(exporter.exports) >= 2
    data = exporter.exports[-1]
    assert data.resource_metrics[0].resource.attributes["service.name"] == "referral"
    found = by_name(data)
    consumed = found["messaging.client.consumed.messages"].data
    assert isinstance(consumed, Sum)
    (point,) = consumed.data_points
    assert isinstance(point, NumberDataPoint)
    assert point.value == 41
    assert point.attributes == {"messaging.destination.name": "xa.intake.v1", "messaging.system": "kafka"}
    inputs = found["kintsugi.inputs"].data
    assert isinstance(inputs, Sum)
    assert inputs.data_points[0].value == 40
    duration = found["messaging.process.duration"].data
    assert isinstance(duration, Histogram)
    (spread,) = duration.data_points
    counted = dict(zip([*spread.explicit_bounds, float("inf")], spread.bucket_counts, strict=True))
    assert {bound: count for bound, count in counted.items() if count} == {0.005: 2, 0.25: 1, float("inf"): 1}
    assert spread.count == 4
    assert abs(spread.sum - 99.207) < 1e-9
    assert not any(name.startswith("process_") for name in found)
