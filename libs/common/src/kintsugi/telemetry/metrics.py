"""The figures of one service, in a registry of its own so that several services fit in one process."""

from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# A second series per counter that only says when this process started.
disable_created_metrics()  # type: ignore[no-untyped-call]

_BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Typed methods, one per figure. Labels come from closed lists; no label holds a subject or a person.

    Counters count what happened since this process started; gauges say what stands now.
    """

    def __init__(self, service: str, version: str = "0") -> None:
        self.service = service
        self.version = version
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        ProcessCollector(registry=self.registry)
        gauge("kintsugi_build_info", "Service and version, always 1", ["service", "version"]).labels(
            service, version
        ).set(1)
        self._inputs = counter("kintsugi_inputs", "Inputs by what became of them", ["status", "cause"])
        self._emitted = counter("kintsugi_events_emitted", "Own events committed to the outbox", ["type"])
        self._sends = counter("kintsugi_sends", "Attempts to reach someone outside", ["channel", "outcome"])
        self._holds = counter("kintsugi_holds", "Subjects put on hold", ["cause"])
        self._commands = counter("kintsugi_commands", "Commands by outcome", ["command", "outcome"])
        self._consumed = counter("kintsugi_consumed_messages", "Records taken from Kafka", ["topic"])
        self._sent = counter("kintsugi_sent_messages", "Records acknowledged by Kafka", ["topic"])
        self._aborts = counter("kintsugi_batch_aborts", "Batches rolled back, by cause", ["cause"])
        self._batch_size = histogram("kintsugi_batch_size", "Records in a batch", buckets=_BATCH_SIZES)
        self._batch_seconds = histogram(
            "kintsugi_batch_duration_seconds", "From reading a batch to its commit", buckets=_SECONDS
        )
        self._relay_seconds = histogram(
            "kintsugi_relay_duration_seconds", "One relay pass that sent something", buckets=_SECONDS
        )
        self._request_seconds = histogram(
            "kintsugi_http_request_duration_seconds",
            "HTTP requests",
            ["method", "route", "status"],
            buckets=_SECONDS,
        )
        self._outbox_unsent = gauge("kintsugi_outbox_unsent", "Outbox rows not yet acknowledged")
        self._outbox_oldest = gauge("kintsugi_outbox_oldest_seconds", "Age of the oldest unsent row, else 0")
        self._lag = gauge("kintsugi_lag", "Records not yet read, by topic", ["topic"])
        self._held_now = gauge("kintsugi_held", "Subjects on hold")
        self._waiting = gauge("kintsugi_waiting", "Inputs that wait for an earlier event")
        self._dead = gauge("kintsugi_dead_letters", "Dead letters not yet discarded")
        self._overdue = gauge("kintsugi_deadlines_overdue_seconds", "How late the oldest due deadline is")

    def inputs(self, status: str, cause: str = "", count: int = 1) -> None:
        """`count` inputs ended as `status`: applied, ignored, duplicate, waiting, held, discarded or dead."""
        self._inputs.labels(status, cause).inc(count)

    def emitted(self, type: str, count: int = 1) -> None:
        """`count` own events of `type` were committed."""
        self._emitted.labels(type).inc(count)

    def sends(self, channel: str, outcome: str, count: int = 1) -> None:
        """`count` attempts over `channel` ended as `outcome`."""
        self._sends.labels(channel, outcome).inc(count)

    def held(self, cause: str) -> None:
        """A subject was put on hold."""
        self._holds.labels(cause).inc()

    def command(self, command: str, outcome: str) -> None:
        """A command was answered: accepted, repeated, or the code of its refusal."""
        self._commands.labels(command, outcome).inc()

    def consumed(self, topic: str, count: int) -> None:
        """`count` records were taken from `topic`."""
        self._consumed.labels(topic).inc(count)

    def sent(self, topic: str, count: int) -> None:
        """Kafka acknowledged `count` records on `topic`."""
        self._sent.labels(topic).inc(count)

    def batch(self, size: int, seconds: float) -> None:
        """A batch of `size` records was committed after `seconds`."""
        self._batch_size.observe(size)
        self._batch_seconds.observe(seconds)

    def batch_aborted(self, cause: str) -> None:
        """A batch was rolled back and will be tried again."""
        self._aborts.labels(cause).inc()

    def relay_pass(self, seconds: float) -> None:
        """A relay pass that sent at least one record took `seconds`."""
        self._relay_seconds.observe(seconds)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """An HTTP request was answered. `route` is the template, never the path."""
        self._request_seconds.labels(method, route, str(status)).observe(seconds)

    def set_outbox(self, unsent: int, oldest_seconds: float) -> None:
        """What the outbox holds now."""
        self._outbox_unsent.set(unsent)
        self._outbox_oldest.set(oldest_seconds)

    def set_lag(self, topic: str, records: int) -> None:
        """How many records of `topic` are still to be read."""
        self._lag.labels(topic).set(records)

    def set_held(self, subjects: int) -> None:
        """How many subjects are on hold."""
        self._held_now.set(subjects)

    def set_waiting(self, inputs: int) -> None:
        """How many inputs wait for an earlier event."""
        self._waiting.set(inputs)

    def set_dead_letters(self, records: int) -> None:
        """How many dead letters stand."""
        self._dead.set(records)

    def set_deadlines_overdue(self, seconds: float) -> None:
        """How late the oldest due deadline is, in seconds of the business clock; 0 when none is."""
        self._overdue.set(seconds)

    def render(self) -> bytes:
        """The Prometheus text exposition, to be served as `CONTENT_TYPE`."""
        return generate_latest(self.registry)
