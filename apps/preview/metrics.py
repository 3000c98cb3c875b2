"""The run's metrics for Prometheus: in base units, ``_total`` for counters, sources by number and never by URL."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from ...runtime.status import DurationHistogram, SinkStatus, SourceStatus, Status

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_OPENMETRICS = "application/openmetrics-text"


class Metrics:
    """Gives the newest status to Prometheus.

    Args:
        status: returns the newest status; None if the run does not answer.
        viewers: returns the number of viewers now, and of viewers dropped for being slow.
    """

    def __init__(self, status: Callable[[], Status | None], viewers: Callable[[], tuple[int, int]]) -> None:
        from prometheus_client import CollectorRegistry, ProcessCollector

        self._status = status
        self._viewers = viewers
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def page(self, accept: str = "") -> tuple[bytes, str]:
        """The page in the requested form, and its content type."""
        from prometheus_client.exposition import choose_encoder

        # The library compares the version in the header with numbers, and fails if it is not a number.
        encode, content_type = choose_encoder(_OPENMETRICS if _OPENMETRICS in accept else "")
        return encode(self._registry), content_type

    def describe(self) -> list[Metric]:
        """Returns no names: they depend on the run."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics at one moment."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        status = self._status()
        answers = GaugeMetricFamily("seg_up", "Whether the run answers.")
        answers.add_metric([], status is not None)
        yield answers
        watching, slow = self._viewers()
        viewers = GaugeMetricFamily("seg_preview_clients", "Those who watch the preview now.")
        viewers.add_metric([], watching)
        yield viewers
        dropped = CounterMetricFamily("seg_preview_clients_dropped", "Viewers dropped for being slow.")
        dropped.add_metric([], slow)
        yield dropped
        if status is not None:
            yield from _of_run(status)
            yield from _of_sources(status.sources)
            yield from _of_sinks(status.sources)
            yield _stages(status)


def _of_run(status: Status) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    build = InfoMetricFamily("seg_build", "What runs.")
    facts = {name: getattr(status, name) for name in ("bundle", "variant", "backend", "device", "precision")}
    build.add_metric([], {"version": _version(), **facts})
    yield build
    for name, text, value in (
        ("seg_ready", "Whether every source has a valid result now.", float(status.ready)),
        ("seg_degraded", "Whether less runs than was asked for.", float(bool(status.degraded))),
        ("seg_throttled", "Whether something holds the board back.", float(bool(status.board.throttled))),
        ("seg_uptime_seconds", "Since the run began.", status.uptime_seconds),
    ):
        yield GaugeMetricFamily(name, text, value=value)
    if status.deadline_ms is not None:
        yield GaugeMetricFamily("seg_deadline_seconds", "As asked for.", value=status.deadline_ms / 1e3)
    errors = CounterMetricFamily("seg_inference_errors", "Inferences that failed.", labels=["kind"])
    for kind, count in status.inference_errors.items():
        errors.add_metric([kind], count)
    yield errors
    temperature = GaugeMetricFamily("seg_temperature_celsius", "Of the board's sensors.", labels=["sensor"])
    for sensor, celsius in status.board.temperatures.items():
        temperature.add_metric([sensor], celsius)
    yield temperature


def _of_sources(sources: Sequence[SourceStatus]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    gauges: tuple[tuple[str, str, Callable[[SourceStatus], float | None]], ...] = (
        ("seg_source_up", "Whether the source is there.", lambda source: source.connected),
        ("seg_result_valid", "Whether the newest result may be acted on.", lambda source: source.valid),
        (
            "seg_frame_age_seconds",
            "Since the frame of the newest valid result was captured.",
            lambda source: source.age_seconds,
        ),
        ("seg_results_per_second", "Lately.", lambda source: source.fps),
    )
    for name, text, value_of in gauges:
        gauge = GaugeMetricFamily(name, text, labels=["source"])
        for source in sources:
            value = value_of(source)
            if value is not None:
                gauge.add_metric([str(source.number)], value)
        yield gauge
    counters: tuple[tuple[str, str, Callable[[SourceStatus], float]], ...] = (
        ("seg_frames_captured", "Frames read.", lambda source: source.captured),
        ("seg_results", "Results, valid or not.", lambda source: source.results),
        ("seg_frames_missing", "Frames that a damaged film lacks.", lambda source: source.missing),
        ("seg_source_reconnects", "How often the source came back.", lambda source: source.reconnects),
        (
            "seg_deadline_misses",
            "Results later than the deadline.",
            lambda source: source.deadline_misses,
        ),
    )
    for name, text, count_of in counters:
        counter = CounterMetricFamily(name, text, labels=["source"])
        for source in sources:
            counter.add_metric([str(source.number)], count_of(source))
        yield counter
    dropped = CounterMetricFamily(
        "seg_frames_dropped", "Frames that were captured and not inferred.", labels=["source", "reason"]
    )
    invalid = CounterMetricFamily(
        "seg_results_invalid", "Results that may not be acted on.", labels=["source", "reason"]
    )
    for source in sources:
        dropped.add_metric([str(source.number), "newer-frame"], source.dropped)
        for reason, count in source.invalid.items():
            invalid.add_metric([str(source.number), reason], count)
    yield dropped
    yield invalid
    yield from _of_findings(sources)


def _of_findings(sources: Sequence[SourceStatus]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    valid = GaugeMetricFamily(
        "seg_finding_valid",
        "Whether the newest landing spot, or the like, may be acted on. It is blind to slope and what was not taught.",
        labels=["source", "finding"],
    )
    counts = CounterMetricFamily(
        "seg_findings",
        "Findings so far, by their reason; valid ones have none.",
        labels=["source", "finding", "reason"],
    )
    for source in sources:
        for name, finding in source.findings.items():
            valid.add_metric([str(source.number), name], finding.valid)
            for reason, count in finding.counts.items():
                counts.add_metric([str(source.number), name, reason], count)
    yield from (valid, counts)


def _of_sinks(sources: Sequence[SourceStatus]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    labels = ["source", "sink"]
    written = CounterMetricFamily("seg_sink_written", "Outputs that a sink took.", labels=labels)
    dropped = CounterMetricFamily("seg_sink_dropped", "Outputs that a sink was too slow for.", labels=labels)
    errors = CounterMetricFamily("seg_sink_errors", "How often a sink failed.", labels=labels)
    disabled = GaugeMetricFamily("seg_sink_disabled", "Whether a sink gets no more.", labels=labels)
    for source in sources:
        for kind, sink in zip(_kinds(source.sinks), source.sinks, strict=True):
            names = [str(source.number), kind]
            written.add_metric(names, sink.written)
            dropped.add_metric(names, sink.dropped)
            errors.add_metric(names, sink.errors)
            disabled.add_metric(names, sink.disabled)
    yield from (written, dropped, errors, disabled)


def _kinds(sinks: Sequence[SinkStatus]) -> list[str]:
    """A word for each sink, without path or address, numbered if there are several of a kind."""
    seen: Counter[str] = Counter()
    kinds = []
    for sink in sinks:
        if sink.name.startswith("shared memory "):
            kind = "shared-memory"
        else:
            kind = (sink.name.split() or ["sink"])[0].split(":")[0]
        seen[kind] += 1
        kinds.append(kind if seen[kind] == 1 else f"{kind}-{seen[kind]}")
    return kinds


def _stages(status: Status) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(
        "seg_stage_duration_seconds", "How long a stage took for a frame.", labels=["stage"]
    )
    for stage, histogram in status.stages.items():
        family.add_metric([stage], buckets=_buckets(histogram), sum_value=histogram.total)
    return family


def _buckets(histogram: DurationHistogram) -> list[tuple[str, float]]:
    """Cumulative buckets, as Prometheus requires."""
    buckets, so_far = [], 0
    for bound, count in zip([*histogram.bounds, math.inf], histogram.counts, strict=True):
        so_far += count
        buckets.append(("+Inf" if bound == math.inf else repr(float(bound)), float(so_far)))
    return buckets


def _version() -> str:
    try:
        return version("edgeseg")
    except PackageNotFoundError:
        return "unknown"
