"""Sends the figures of the Prometheus registry by OTLP too, so that both always say the same."""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator

import structlog
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import Metric as Family
from prometheus_client.samples import Sample

from kintsugi.telemetry.metrics import Metrics

_CONVENTIONAL = {
    "kintsugi_consumed_messages": ("messaging.client.consumed.messages", "{message}"),
    "kintsugi_sent_messages": ("messaging.client.sent.messages", "{message}"),
    "kintsugi_relay_duration_seconds": ("messaging.client.operation.duration", "s"),
    "kintsugi_batch_duration_seconds": ("messaging.process.duration", "s"),
    "kintsugi_http_request_duration_seconds": ("http.server.request.duration", "s"),
}
_LABELS = {
    "topic": "messaging.destination.name",
    "method": "http.request.method",
    "route": "http.route",
    "status": "http.response.status_code",
}
_SYSTEM = {"messaging.system": "kafka"}
_CUMULATIVE = AggregationTemporality.CUMULATIVE

_log = structlog.get_logger("kintsugi.telemetry")

Labels = tuple[tuple[str, str], ...]


class MetricsExport:
    """A thread that exports `metrics` every `interval_s` seconds. A collector that is away loses nothing but time:
    every export carries the totals since `start`."""

    def __init__(self, metrics: Metrics, exporter: MetricExporter, interval_s: float = 10.0) -> None:
        self._metrics = metrics
        self._exporter = exporter
        self._interval = interval_s
        self._started = time.time_ns()
        self._resource = Resource.create(
            {
                "service.name": metrics.service,
                "service.version": metrics.version,
                "service.namespace": "kintsugi",
            }
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kintsugi-metrics", daemon=True)

    @classmethod
    def from_environment(cls, metrics: Metrics) -> "MetricsExport | None":
        """The export to `OTEL_EXPORTER_OTLP_ENDPOINT` (or its metrics form), or None when neither is set."""
        if not (os.environ.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")):
            return None
        # Protobuf and an HTTP client: loaded only by a process that exports.
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        return cls(metrics, OTLPMetricExporter(timeout=5))

    def start(self) -> None:
        """Start to export."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Export once more and stop; False when `timeout_s` seconds were not enough. Blocks: use a thread."""
        self._stop.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def collect(self) -> MetricsData:
        """The registry as it stands, in OTLP's terms."""
        now = time.time_ns()
        found = [self._convert(family, now) for family in self._metrics.registry.collect()]
        scope = ScopeMetrics(
            InstrumentationScope("kintsugi", self._metrics.version), [each for each in found if each is not None], ""
        )
        return MetricsData([ResourceMetrics(self._resource, [scope], "")])

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self._export()
        self._export()
        self._exporter.shutdown()

    def _export(self) -> None:
        try:
            self._exporter.export(self.collect())
        except Exception as error:
            _log.warning("metrics_not_exported", cause=type(error).__name__)

    def _convert(self, family: Family, now: int) -> Metric | None:
        if not family.name.startswith("kintsugi_"):
            return None
        name, unit = _CONVENTIONAL.get(family.name, (family.name.replace("kintsugi_", "kintsugi.", 1), "1"))
        extra = _SYSTEM if name.startswith("messaging.") else {}
        data: Sum | Gauge | Histogram
        if family.type == "counter":
            data = Sum(list(self._points(family.samples, "_total", extra, now)), _CUMULATIVE, True)
        elif family.type == "gauge":
            data = Gauge(list(self._points(family.samples, "", extra, now)))
        elif family.type == "histogram":
            data = Histogram(list(self._distributions(family, extra, now)), _CUMULATIVE)
        else:
            return None
        return Metric(name, family.documentation, unit, data) if data.data_points else None

    def _points(
        self, samples: Iterable[Sample], suffix: str, extra: dict[str, str], now: int
    ) -> Iterator[NumberDataPoint]:
        for sample in samples:
            if sample.name.endswith(suffix):
                yield NumberDataPoint(_attributes(sample.labels, extra), self._started, now, sample.value)

    def _distributions(self, family: Family, extra: dict[str, str], now: int) -> Iterator[HistogramDataPoint]:
        bounds: defaultdict[Labels, list[tuple[float, float]]] = defaultdict(list)
        sums: dict[Labels, float] = {}
        for sample in family.samples:
            labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
            if sample.name.endswith("_bucket"):
                bounds[labels].append((float(sample.labels["le"]), sample.value))
            elif sample.name.endswith("_sum"):
                sums[labels] = sample.value
        for labels, cumulative in bounds.items():
            cumulative.sort()
            totals = [int(count) for _, count in cumulative]
            # Prometheus counts everything up to a bound, OTLP what lies between two.
            between = [after - before for before, after in zip([0, *totals], totals, strict=False)]
            yield HistogramDataPoint(
                attributes=_attributes(dict(labels), extra),
                start_time_unix_nano=self._started,
                time_unix_nano=now,
                count=totals[-1],
                sum=sums.get(labels, 0.0),
                bucket_counts=between,
                explicit_bounds=[bound for bound, _ in cumulative[:-1]],
                min=0.0,
                max=0.0,
            )


def _attributes(labels: dict[str, str], extra: dict[str, str]) -> dict[str, str]:
    return {**{_LABELS.get(key, key): value for key, value in labels.items()}, **extra}
