"""What a run is doing at one moment: the one picture that events, the preview page, metrics and systemd are fed from.

:meth:`edgeseg.runtime.pipeline.Pipeline.status` makes it; everything here is plain data. Times are in seconds,
ages by :func:`edgeseg.now`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

STARTING, RUNNING, STOPPING = "starting", "running", "stopping"


@dataclass(frozen=True)
class Histogram:
    """How long something took, in buckets.

    Attributes:
        bounds: upper bounds of the buckets in seconds, rising; one more bucket has no bound.
        counts: how many fell into each bucket alone, one more than there are bounds.
        total: the sum of all, in seconds.
    """

    bounds: Sequence[float]
    counts: Sequence[int]
    total: float


@dataclass(frozen=True)
class SinkStatus:
    """A sink.

    Attributes:
        name: for people.
        written: outputs that it took.
        dropped: outputs that it was too slow for.
        errors: how often it failed.
        disabled: whether it gets no more.
        problem: its last error; else empty.
    """

    name: str
    written: int
    dropped: int
    errors: int = 0
    disabled: bool = False
    problem: str = ""


@dataclass(frozen=True)
class SourceStatus:
    """A source and its newest result.

    Attributes:
        number: from 1; 0 where there is but one.
        name: for people; without credentials.
        live: whether it drops frames that are not taken in time.
        connected: whether the device or server is there.
        problem: why not, in one line; else empty.
        reconnects: how often it came back.
        valid: whether the newest class map may be acted on *now*.
        reason: why not, a word of :mod:`edgeseg.runtime.reasons`; empty where valid.
        age_seconds: since the frame of the newest valid result was captured; None where there was none.
        frame_id: of the newest result; None where there was none.
        size_hw: of the newest frame; None where there was none.
        fps: results a second, lately.
        captured: frames read.
        results: results so far.
        invalid: results that were not valid, by their reason.
        dropped: frames that gave way to newer ones.
        missing: frames that the source lacks, as a damaged film does.
        deadline_misses: results later than ``--deadline-ms``.
        latency_ms: from capture to class map: ``p50``, ``p90``, ``p99``, lately; empty before the first result.
        class_share: the share of the newest frame that each class covers, 0 to 1, by name; empty where not valid.
        sinks: where its results go.
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


@dataclass(frozen=True)
class Board:
    """What the board's sensors say.

    Attributes:
        temperatures: degrees Celsius by sensor, such as ``cpu-thermal``; empty where none can be read.
        throttled: what holds the board back now, for people, such as ``cpu at 1.2 of 2.0 GHz``; empty where nothing.
    """

    temperatures: Mapping[str, float] = field(default_factory=dict)
    throttled: Sequence[str] = ()


@dataclass(frozen=True)
class Status:
    """A run at one moment.

    Attributes:
        state: ``starting`` until the network has warmed up, ``running``, or ``stopping``.
        ready: whether every source has a valid result now; what ``/readyz`` says.
        uptime_seconds: since the run began.
        sources: in order of their numbers.
        stages: how long each stage took for a frame, by its name: ``preprocess``, ``inference``, ``decode``; and
            ``latency``, from capture to class map.
        inference_errors: how often inference failed, by kind: ``raised``, ``not-finite``, ``out-of-memory``, ``hung``.
        bundle: name.
        variant: that runs now.
        backend: name.
        device: of the backend.
        precision: that the backend computes in.
        degraded: what runs instead of what was asked for, for people; empty where all is as asked.
        deadline_ms: as asked for; None where there is none.
        board: temperature and throttling.
    """

    state: str
    ready: bool
    uptime_seconds: float
    sources: Sequence[SourceStatus]
    stages: Mapping[str, Histogram]
    inference_errors: Mapping[str, int]
    bundle: str
    variant: str
    backend: str
    device: str
    precision: str
    degraded: str = ""
    deadline_ms: float | None = None
    board: Board = field(default_factory=Board)
