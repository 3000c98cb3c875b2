"""Whether frames of several sources are inferred together: where that is measurably faster."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import BackendError
from .segmenter import Segmenter
from .threads import candidates, noise_frame

MOST = 8
BUDGET_SECONDS = 1.5
_ROUNDS = 5
_WORTH_IT = 0.95
"""A batch makes its first frame wait for its last: it must save at least this share's rest of the time."""


@dataclass(frozen=True)
class BatchChoice:
    """How many frames are inferred at once, and why.

    Attributes:
        batch: the most.
        times_ms: milliseconds a frame, by the size of the batch; empty where none were measured.
        refused: what the backend said to a larger batch; empty where it said nothing.
    """

    batch: int
    times_ms: Mapping[int, float] = field(default_factory=dict)
    refused: str = ""

    @property
    def line(self) -> str:
        """For people: ``2 (1: 10.9 ms a frame, 2: 9.8)``."""
        times = ", ".join(
            f"{size}: {ms:.1f}" + ("" if number else " ms a frame")
            for number, (size, ms) in enumerate(sorted(self.times_ms.items()))
        )
        refused = f"; a larger one was refused: {self.refused}" if self.refused else ""
        return f"{self.batch}" + (f" ({times})" if times else "") + refused

    def summary(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"most": self.batch, "times_ms": {str(size): ms for size, ms in sorted(self.times_ms.items())}}


def choose(times_ms: Mapping[int, float]) -> int:
    """The largest batch that is worth it against the next smaller one that is."""
    best = min(times_ms)
    for size in sorted(times_ms):
        if times_ms[size] <= _WORTH_IT * times_ms[best]:
            best = size
    return best


def measure_batches(
    segmenter: Segmenter,
    sources: int,
    budget_seconds: float = BUDGET_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> BatchChoice:
    """Times single frames and batches in turn, on the frames' way into the network.

    Args:
        segmenter: open, and warm.
        sources: that will give frames: no batch is larger, nor than :data:`MOST`.
        budget_seconds: for all of it; a batch that would not be through in time is not tried.
        clock: gives seconds.

    Raises:
        BackendError: not even a single frame passes.
    """
    if sources < 2:
        return BatchChoice(1)
    started_at = clock()
    frame = noise_frame(segmenter)

    def frame_ms(size: int) -> float:
        start = clock()
        segmenter.infer_batch([frame] * size)
        return (clock() - start) * 1e3 / size

    frame_ms(1)  # the first of its size may make memory ready
    times: dict[int, list[float]] = {1: [frame_ms(1)]}
    refused = ""
    for size in sorted(candidates(min(sources, MOST)))[1:]:
        # One to make memory ready, one to measure.
        if clock() - started_at + 2 * size * times[1][0] / 1e3 > budget_seconds:
            break
        try:
            frame_ms(size)
        except BackendError as error:  # told to the user in the choice
            refused = str(error)
            break
        times[size] = [frame_ms(size)]
    for _ in range(_ROUNDS - 1):
        for size, measured in times.items():
            if clock() - started_at + size * measured[0] / 1e3 <= budget_seconds:
                measured.append(frame_ms(size))
    medians = {size: statistics.median(measured) for size, measured in times.items()}
    return BatchChoice(choose(medians), medians, refused)
