"""What a run measured: frames, drops, rates, milliseconds of each stage, latency and class shares."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from .labels import LabelMap
from .result import Segmentation

WINDOW = 10_000
"""Percentiles are over this many latest frames, so that a run of days needs no more memory than one of minutes."""

_RATE_FRAMES = 30


class RunStats:
    """Collects the results of a run. Any thread may write and read.

    Args:
        labels: the classes, in order of their ids.
    """

    def __init__(self, labels: LabelMap) -> None:
        self._labels = labels
        self._lock = threading.Lock()
        self._stages: dict[str, deque[float]] = {}
        self._latency: deque[float] = deque(maxlen=WINDOW)
        self._finished: deque[float] = deque(maxlen=_RATE_FRAMES)
        self._first_at = self._last_at = 0.0
        self._shares = np.zeros(len(labels), np.float64)
        self._valid = 0
        self.frames = 0

    def record(self, result: Segmentation, finished_at: float) -> npt.NDArray[np.float64]:
        """Takes in a result.

        Args:
            result: of one frame.
            finished_at: ``time.monotonic()`` when its class map was there.

        Returns:
            The share of the frame that each class covers, float64 [C].
        """
        shares = result.shares(len(self._labels))
        with self._lock:
            if self.frames == 0:
                self._first_at = finished_at
            self._last_at = finished_at
            self.frames += 1
            self._finished.append(finished_at)
            self._latency.append((finished_at - result.captured_at) * 1e3)
            for stage, milliseconds in result.timings_ms.items():
                self._stages.setdefault(stage, deque(maxlen=WINDOW)).append(milliseconds)
            if result.valid:
                self._valid += 1
                self._shares += shares
        return shares

    @property
    def recent_fps(self) -> float:
        """Frames a second over the last frames; 0 before the second frame."""
        with self._lock:
            return (
                _rate(len(self._finished), self._finished[0], self._finished[-1]) if self._finished else 0.0
            )

    def summary(self) -> dict[str, Any]:
        """Everything measured, ready for JSON. Times are in milliseconds, shares from 0 to 1."""
        with self._lock:
            mean_shares = self._shares / max(1, self._valid)
            return {
                "frames": self.frames,
                "invalid_frames": self.frames - self._valid,
                "fps": _rate(self.frames, self._first_at, self._last_at),
                "stages_ms": {stage: _percentiles(values) for stage, values in self._stages.items()},
                "latency_ms": _percentiles(self._latency),
                "class_share": dict(zip(self._labels.names, mean_shares.tolist(), strict=True)),
            }


def _rate(frames: int, first_at: float, last_at: float) -> float:
    return (frames - 1) / (last_at - first_at) if last_at > first_at else 0.0


def _percentiles(values: deque[float]) -> dict[str, float]:
    if not values:
        return {}
    p50, p90, p99 = np.percentile(np.fromiter(values, np.float64), (50, 90, 99))
    return {"p50": float(p50), "p90": float(p90), "p99": float(p99)}
