"""How a run went, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .sink_worker import described
from .stages import Stages
from .stats import RunStats
from .streams import Lane

BUSY = 0.85
"""From this share of the time on, a stage is what a run waits for; below, something outside of it is."""


@dataclass(frozen=True)
class RunReport:
    """How a run went.

    Attributes:
        stats: what :meth:`RunStats.summary` gives, with ``captured``, ``dropped``, ``missing`` (from a damaged film),
            ``sinks``, ``busy`` (the share of the time that each stage worked) and ``bottleneck`` (the busiest; empty
            where the run waited for the world) added. One source is named in ``source``;
            several have an entry each in ``sources``, with the same keys, ``error`` among them.
        failures: the error of each sink that failed, and of each source that failed beside others, by its name.
        kept: what the sinks whose output is whole have left.
        lost: the names of the live sources that are gone for good.
        ended_by: what ended a run with a live source before it was asked to end; else None.
        stuck: whether a source, inference or a sink has not answered to the end: its thread is still inside a library,
            so that neither the segmenter nor the sources may be closed, and only the end of the process frees them.
    """

    stats: Mapping[str, Any]
    failures: Mapping[str, Exception]
    kept: Sequence[str] = ()
    lost: Sequence[str] = ()
    ended_by: BaseException | None = None
    stuck: bool = False


def make_report(
    lanes: Sequence[Lane],
    total: RunStats,
    stages: Stages,
    seconds: float,
    ended_by: BaseException | None = None,
    stuck: bool = False,
) -> RunReport:
    """Sums a run up.

    Args:
        lanes: of its streams.
        total: the statistics over all.
        stages: whose work was measured.
        seconds: for which it was.
        ended_by, stuck: of the report.
    """
    failures: dict[str, Exception] = {}
    for lane in lanes:
        if lane.error is not None:
            failures[lane.name] = lane.error
        for worker in lane.workers:
            if worker.failure is not None:
                name = worker.sink.name
                failures[f"{name} of {lane.name}" if name in failures else name] = worker.failure
    stats: dict[str, Any]
    if len(lanes) == 1:
        stats = {"source": lanes[0].name, **_counts(lanes[0]), **total.summary(), "sinks": _sinks(lanes[0])}
    else:
        sources = [
            {
                "source": lane.name,
                **_counts(lane),
                **lane.stats.summary(),
                "sinks": _sinks(lane),
                "error": str(lane.error) if lane.error else None,
            }
            for lane in lanes
        ]
        counts = {key: sum(source[key] for source in sources) for key in ("captured", "dropped", "missing")}
        stats = {**counts, **total.summary(), "sources": sources}
    workers = [worker for lane in lanes for worker in lane.workers]
    unused = {id(worker.stage) for worker in workers if worker.sink.idle and not worker.written}
    busy = {
        stage.name: min(1.0, stage.busy_seconds / seconds) if seconds > 0 else 0.0
        for stage in stages.all
        if id(stage) not in unused
    }
    busiest = max(busy, key=lambda name: busy[name])
    stats |= {"busy": busy, "bottleneck": busiest if busy[busiest] >= BUSY else ""}
    stats |= {"inference_errors": dict(stages.network.errors), "steps": stages.degrader.results}
    kept = [worker.kept_as for lane in lanes for worker in lane.workers if worker.kept_as]
    lost = [lane.name for lane in lanes if lane.live and lane.error is not None]
    return RunReport(stats, failures, kept, lost, ended_by, stuck)


def _counts(lane: Lane) -> dict[str, int]:
    reconnects = getattr(lane.source, "reconnects", 0)
    return {
        "captured": lane.frames_read,
        "dropped": lane.dropped,
        "missing": lane.missing,
        "reconnects": reconnects,
    }


def _sinks(lane: Lane) -> dict[str, Any]:
    return {
        worker.sink.name: {
            "written": worker.written,
            "dropped": worker.dropped,
            "errors": worker.errors,
            "error": described(worker.failure) if worker.failure else None,
        }
        for worker in lane.workers
    }
