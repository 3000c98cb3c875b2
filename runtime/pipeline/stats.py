"""The statistics of a run: frames, drops, rates, milliseconds of each stage, latency and class shares."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.labels import LabelMap
from ..result import Segmentation
from ..status import DurationHistogram

WINDOW = 10_000
"""The number of latest frames for percentiles, so that a run of days needs no more memory than one of minutes."""

BOUNDS_SECONDS = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
)  # fmt: skip
"""From the time of a resize to the deadline of a hung network, in the steps 1, 2, 5 that plots use."""

_RATE_FRAMES = 30


class RunStats:
    """Collects the results of a run. Any thread may write and read.

    Args:
        labels: the classes, in order of their ids.
    """

    def __init__(self, labels: LabelMap) -> None:
        self._labels = labels
        self._lock = threading.Lock()
        self._stages: dict[str, _Latest] = {}
        self._latency = _Latest()
        self._finished: deque[float] = deque(maxlen=_RATE_FRAMES)
        self._captured_at = self._first_at = self._last_at = 0.0
        self._shares = np.zeros(len(labels), np.float64)
        self._valid = 0
        self._invalid: Counter[str] = Counter()
        self._newest_shares: npt.NDArray[np.float64] | None = None
        self._durations: dict[str, _Durations] = {}
        self._findings: dict[str, Counter[str]] = {}
        self._late = _Durations()
        self.frames = self.deadline_misses = 0

    def record(
        self, result: Segmentation, finished_at: float, shares: npt.NDArray[np.float64] | None = None
    ) -> npt.NDArray[np.float64]:
        """Counts a result.

        Args:
            result: the result of one frame.
            finished_at: ``edgeseg.now()`` in seconds when its class map was finished.
            shares: the return value of an earlier call for the same result; None to compute it.

        Returns:
            The share of the frame that each class covers, float64 [C].
        """
        shares = result.shares(len(self._labels)) if shares is None else shares
        with self._lock:
            if self.frames == 0:
                self._first_at, self._captured_at = finished_at, result.captured_at
            self._last_at = finished_at
            self.frames += 1
            self._finished.append(finished_at)
            latency_ms = (finished_at - result.captured_at) * 1e3
            self._latency.append(latency_ms)
            self._late.add(latency_ms / 1e3)
            for stage, milliseconds in result.timings_ms.items():
                if stage not in self._stages:
                    self._stages[stage], self._durations[stage] = _Latest(), _Durations()
                self._stages[stage].append(milliseconds)
                self._durations[stage].add(milliseconds / 1e3)
            for name, finding in result.findings.items():
                self._findings.setdefault(name, Counter())[finding.reason] += 1
            self._newest_shares = shares if result.valid else None
            if result.valid:
                self._valid += 1
                self._shares += shares
            else:
                self._invalid[result.reason] += 1
        return shares

    @property
    def recent_fps(self) -> float:
        """Frames a second over the latest frames; 0 before the second frame."""
        with self._lock:
            return (
                _rate(len(self._finished), self._finished[0], self._finished[-1]) if self._finished else 0.0
            )

    def fps_at(self, now: float) -> float:
        """Returns :attr:`recent_fps`, lowered if the last frame is long ago. ``now`` is :func:`edgeseg.now`."""
        fps = self.recent_fps
        with self._lock:
            pause = now - self._last_at
        return min(fps, 2 / pause) if pause > 0 else fps

    @property
    def invalid(self) -> Mapping[str, int]:
        """The number of results that were not valid, by their reason."""
        with self._lock:
            return dict(self._invalid)

    @property
    def findings(self) -> Mapping[str, Mapping[str, int]]:
        """The number of findings of each name, by their reason; those that were valid by an empty text."""
        with self._lock:
            return {name: dict(counts) for name, counts in self._findings.items()}

    @property
    def latency_ms(self) -> Mapping[str, float]:
        """Milliseconds from capture to class map: p50, p90, p99; empty before the first result."""
        with self._lock:
            return self._latency.percentiles()

    @property
    def class_share(self) -> Mapping[str, float]:
        """The share of the newest frame that each class covers, by name; empty if its result is not valid."""
        with self._lock:
            shares = self._newest_shares
        return {} if shares is None else dict(zip(self._labels.names, shares.tolist(), strict=True))

    def histograms(self) -> Mapping[str, DurationHistogram]:
        """The durations of each stage, and ``latency``, from capture to class map."""
        with self._lock:
            stages = dict(self._durations)
        return {
            **{name: each.histogram() for name, each in stages.items()},
            "latency": self._late.histogram(),
        }

    def summary(self) -> dict[str, Any]:
        """Returns all statistics, ready for JSON. Times are in milliseconds, shares from 0 to 1."""
        with self._lock:
            mean_shares = self._shares / max(1, self._valid)
            return {
                "frames": self.frames,
                "invalid_frames": self.frames - self._valid,
                "invalid": dict(self._invalid),
                "deadline_misses": self.deadline_misses,
                "fps": self._rate(),
                "stages_ms": {stage: values.percentiles() for stage, values in self._stages.items()},
                "latency_ms": self._latency.percentiles(),
                "class_share": dict(zip(self._labels.names, mean_shares.tolist(), strict=True)),
                "findings": {
                    name: {reason or "valid": count for reason, count in counts.items()}
                    for name, counts in self._findings.items()
                },
            }

    def _rate(self) -> float:
        """Returns results a second since the first result; with a single result, since its capture."""
        if self.frames == 1 and self._last_at > self._captured_at:
            return 1 / (self._last_at - self._captured_at)
        return _rate(self.frames, self._first_at, self._last_at)


class _Durations:
    """Durations, counted in a fixed number of buckets. Any thread may add and read."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_SECONDS) + 1)
        self._total = 0.0
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        with self._lock:
            self._counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
            self._total += seconds

    def histogram(self) -> DurationHistogram:
        with self._lock:
            return DurationHistogram(BOUNDS_SECONDS, tuple(self._counts), self._total)


def _rate(frames: int, first_at: float, last_at: float) -> float:
    return (frames - 1) / (last_at - first_at) if last_at > first_at else 0.0


class _Latest:
    """The latest values, in memory that is allocated once."""

    def __init__(self) -> None:
        self._values = np.empty(WINDOW, np.float64)
        self._count = 0

    def append(self, value: float) -> None:
        self._values[self._count % WINDOW] = value
        self._count += 1

    def percentiles(self) -> dict[str, float]:
        if not self._count:
            return {}
        p50, p90, p99 = np.percentile(self._values[: self._count], (50, 90, 99))
        return {"p50": float(p50), "p90": float(p90), "p99": float(p99)}
