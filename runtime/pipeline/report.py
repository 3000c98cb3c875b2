"""The pipeline's report, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .sink_worker import SinkWorker, described
from .stages import Stages
from .stats import RunStats
from .streams import Channel

BUSY = 0.85
"""A stage that is busy for at least this share of the time limits the run. Below it, something outside limits it."""


@dataclass(frozen=True)
class RunReport:
    """The result of a run.

    Attributes:
        stats: the keys of :meth:`RunStats.summary`, and ``captured``, ``dropped``, ``missing`` (from a damaged video),
            ``sinks``, ``busy`` (the share of the time that each stage worked) and ``bottleneck`` (the busiest stage;
            empty if the run waited for something outside it). A single source is named in ``source``, and ``live`` says
            whether it is a camera or server. Several sources have one entry each in ``sources``, with the same keys
            and ``error``. A sink that was never used is left out.
        failures: the error of each sink that failed, by its name; also of each failed source if there are several.
        kept: the outputs that are whole, as their sinks name them.
        lost: the names of the live sources that failed for good.
        ended_by: the error that ended a run with a live source before it was asked to end; else None.
        stuck: True if a source, inference or a sink did not answer until the end. Its thread is still inside a library:
            do not close the segmenter or the sources; only the end of the process frees them.
    """

    stats: Mapping[str, Any]
    failures: Mapping[str, Exception]
    kept: Sequence[str] = ()
    lost: Sequence[str] = ()
    ended_by: BaseException | None = None
    stuck: bool = False


def make_report(
    channels: Sequence[Channel],
    total: RunStats,
    stages: Stages,
    seconds: float,
    ended_by: BaseException | None = None,
    stuck: bool = False,
) -> RunReport:
    """Makes the report of a run.

    Args:
        channels: the run's streams.
        total: the statistics over all streams.
        stages: the measured stages.
        seconds: the time over which they were measured.
        ended_by, stuck: as in the report.
    """
    failures: dict[str, Exception] = {}
    for channel in channels:
        if channel.error is not None:
            failures[channel.name] = channel.error
        for worker in channel.workers:
            if worker.failure is not None:
                name = worker.sink.name
                failures[f"{name} of {channel.name}" if name in failures else name] = worker.failure
    stats: dict[str, Any]
    if len(channels) == 1:
        stats = {
            "source": channels[0].name,
            "live": channels[0].live,
            **_counts(channels[0]),
            **total.summary(),
            "sinks": _sinks(channels[0]),
        }
    else:
        sources = [
            {
                "source": channel.name,
                "live": channel.live,
                **_counts(channel),
                **channel.stats.summary(),
                "sinks": _sinks(channel),
                "error": str(channel.error) if channel.error else None,
            }
            for channel in channels
        ]
        counts = {key: sum(source[key] for source in sources) for key in ("captured", "dropped", "missing")}
        stats = {**counts, **total.summary(), "sources": sources}
    workers = [worker for channel in channels for worker in channel.workers]
    unused = {id(worker.stage) for worker in workers if _is_unused(worker)}
    busy = {
        stage.name: min(1.0, stage.busy_seconds / seconds) if seconds > 0 else 0.0
        for stage in stages.all
        if id(stage) not in unused
    }
    busiest = max(busy, key=lambda name: busy[name])
    stats |= {"busy": busy, "bottleneck": busiest if busy[busiest] >= BUSY else ""}
    stats |= {"inference_errors": dict(stages.network.errors), "steps": stages.degrader.results}
    kept = [worker.kept_as for channel in channels for worker in channel.workers if worker.kept_as]
    lost = [channel.name for channel in channels if channel.live and channel.error is not None]
    return RunReport(stats, failures, kept, lost, ended_by, stuck)


def _counts(channel: Channel) -> dict[str, int]:
    reconnects = getattr(channel.source, "reconnects", 0)
    return {
        "captured": channel.frames_read,
        "dropped": channel.dropped,
        "missing": channel.missing,
        "reconnects": reconnects,
    }


def _sinks(channel: Channel) -> dict[str, Any]:
    return {
        worker.sink.name: {
            "written": worker.written,
            "dropped": worker.dropped,
            "errors": worker.errors,
            "error": described(worker.failure) if worker.failure else None,
        }
        for worker in channel.workers
        if not _is_unused(worker)
    }


def _is_unused(worker: SinkWorker) -> bool:
    """True for a sink that was never used, such as a recording that nobody began from the preview page."""
    return worker.sink.idle and not worker.written and not worker.errors and worker.failure is None
