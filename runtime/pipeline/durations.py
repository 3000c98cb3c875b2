"""Durations, counted in a fixed number of buckets."""

from __future__ import annotations

import threading
from bisect import bisect_left

from ..status import Histogram

BOUNDS_SECONDS = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
)  # fmt: skip
"""From the time of a resize to the deadline of a hung network, in the steps 1, 2, 5 that plots use."""


class Durations:
    """Counts durations. Any thread may add and read."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_SECONDS) + 1)
        self._total = 0.0
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        """Counts one duration."""
        with self._lock:
            self._counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
            self._total += seconds

    def histogram(self) -> Histogram:
        """Returns all durations so far, as a histogram."""
        with self._lock:
            return Histogram(BOUNDS_SECONDS, tuple(self._counts), self._total)
