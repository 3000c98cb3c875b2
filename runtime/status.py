"""The status of a run at one moment. Events, the preview page, metrics and systemd all use it.

:meth:`edgeseg.runtime.pipeline.Pipeline.status` makes it. Everything here is plain data. Times are in seconds,
ages by :func:`edgeseg.now`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

STARTING, RUNNING, STOPPING = "starting", "running", "stopping"


@dataclass(frozen=True)
class DurationHistogram:
    """Durations, counted in buckets.

    Attributes:
        bounds: upper bounds of the buckets in seconds, rising; one more bucket has no bound.
        counts: number of durations in each single bucket; one more entry than there are bounds.
        total: the sum of all durations, in seconds.
    """

    bounds: Sequence[float]
    counts: Sequence[int]
    total: float


@dataclass(frozen=True)
class SinkStatus:
    """The status of a sink.

    Attributes:
        name: the name to show.
        written: number of outputs that it has written.
        dropped: number of outputs that were dropped because it was too slow.
        errors: number of its failures.
        disabled: True if it gets no more outputs.
        problem: its last error; else empty.
    """

    name: str
    written: int
    dropped: int
    errors: int = 0
    disabled: bool = False
    problem: str = ""


@dataclass(frozen=True)
class FindingStatus:
    """The status of a kind of finding, such as the landing spot.

    Attributes:
        valid: True if the newest one may be acted on *now*.
        reason: the reason if not valid, a word; empty if valid.
        caption: one line for people.
        facts: its numbers, ready for JSON.
        counts: number of findings so far, by their reason; those that were valid by an empty text.
        blind_to: what it cannot know, whatever its reason says; empty if there is nothing to warn of.
    """

    valid: bool
    reason: str
    caption: str
    facts: Mapping[str, Any]
    counts: Mapping[str, int]
    blind_to: str = ""


@dataclass(frozen=True)
class SourceStatus:
    """The status of a source and its newest result.

    Attributes:
        number: the source's number, from 1; 0 if there is only one.
        name: the name to show, without credentials.
        live: True if it drops frames that are not read in time.
        connected: True if the device or server is there.
        problem: the reason if not connected, in one line; else empty.
        reconnects: number of times it came back.
        valid: True if the newest class map may be acted on *now*.
        reason: the reason if not valid, a word of :mod:`edgeseg.runtime.reasons`; empty if valid.
        age_seconds: seconds since the frame of the newest valid result was captured; None if there was none.
        frame_id: the frame id of the newest result; None if there was none.
        size_hw: height and width of the newest frame in pixels; None if there was none.
        fps: results a second, over the latest frames.
        captured: number of frames read.
        results: number of results so far.
        invalid: number of results that were not valid, by their reason.
        dropped: number of frames dropped for newer ones.
        missing: number of frames that the source lacks, for example in a damaged video.
        deadline_misses: number of results later than ``--deadline-ms``.
        latency_ms: latest milliseconds from capture to class map: ``p50``, ``p90``, ``p99``; empty before a result.
        class_share: the share of the newest frame that each class covers, 0 to 1, by name; empty if not valid.
        sinks: the status of its sinks.
        findings: the status of each kind of finding, by name.
    """

    number: int
    name: str
    live: bool
    connected: bool
    problem: str
    reconnects: int
    valid: bool
    reason: str
    age_seconds: float | None
    frame_id: int | None
    size_hw: tuple[int, int] | None
    fps: float
    captured: int
    results: int
    invalid: Mapping[str, int]
    dropped: int
    deadline_misses: int
    latency_ms: Mapping[str, float]
    class_share: Mapping[str, float]
    sinks: Sequence[SinkStatus] = ()
    missing: int = 0
    findings: Mapping[str, FindingStatus] = field(default_factory=dict)


@dataclass(frozen=True)
class Board:
    """The values of the board's sensors.

    Attributes:
        temperatures: degrees Celsius by sensor, such as ``cpu-thermal``; empty if none can be read.
        throttled: the limits that slow the board now, as text, such as ``cpu at 1.2 of 2.0 GHz``; empty if none.
    """

    temperatures: Mapping[str, float] = field(default_factory=dict)
    throttled: Sequence[str] = ()


@dataclass(frozen=True)
class Status:
    """The status of a run at one moment.

    Attributes:
        state: ``starting`` until the network has warmed up, ``running``, or ``stopping``.
        ready: True if every source has a valid result now; ``/readyz`` gives it.
        uptime_seconds: seconds since the run began.
        sources: the status of the sources, in order of their numbers.
        stages: durations of each stage for a frame, by its name: ``preprocess``, ``inference``, ``decode``; and
            ``latency``, from capture to class map.
        inference_errors: number of errors by kind: ``raised``, ``not-finite``, ``out-of-memory``, ``hung``.
        bundle: the bundle's name.
        variant: the name of the variant that runs now.
        backend: the backend's name.
        device: the backend's device.
        precision: the precision that the backend computes in.
        degraded: text about the step that runs instead of what was asked for; empty if all runs as asked.
        deadline_ms: the deadline that was asked for; None if there is none.
        board: temperature and throttling.
    """

    state: str
    ready: bool
    uptime_seconds: float
    sources: Sequence[SourceStatus]
    stages: Mapping[str, DurationHistogram]
    inference_errors: Mapping[str, int]
    bundle: str
    variant: str
    backend: str
    device: str
    precision: str
    degraded: str = ""
    deadline_ms: float | None = None
    board: Board = field(default_factory=Board)
