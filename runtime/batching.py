"""The choice of a batch size: frames of several sources are inferred together if a measurement shows a gain."""

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
_FASTER = 0.95
"""A batch delays its first frame, so its time a frame must be at most this share of that of a smaller batch."""


@dataclass(frozen=True)
class BatchChoice:
    """A batch size, and the reason for it.

    Attributes:
        batch: the largest number of frames inferred at once.
        times_ms: milliseconds a frame, by the size of the batch; empty if nothing was measured.
        refused: the backend's error for a larger batch; empty if there was none.
    """

    batch: int
    times_ms: Mapping[int, float] = field(default_factory=dict)
    refused: str = ""

    @property
    def line(self) -> str:
        """The choice as text: ``2 (1: 10.9 ms a frame, 2: 9.8)``."""
        times = ", ".join(
            f"{size}: {ms:.1f}" + ("" if number else " ms a frame")
            for number, (size, ms) in enumerate(sorted(self.times_ms.items()))
        )
        refused = f"; a larger one was refused: {self.refused}" if self.refused else ""
        return f"{self.batch}" + (f" ({times})" if times else "") + refused

    def summary(self) -> dict[str, Any]:
        """Returns the choice, ready for JSON."""
        return {"most": self.batch, "times_ms": {str(size): ms for size, ms in sorted(self.times_ms.items())}}


def choose(times_ms: Mapping[int, float]) -> int:
    """Returns the batch size: a larger one is chosen only if it is clearly faster than the best smaller one."""
    best = min(times_ms)
    for size in sorted(times_ms):
        if times_ms[size] <= _FASTER * times_ms[best]:
            best = size
    return best


def measure_batches(
    segmenter: Segmenter,
    sources: int,
    budget_seconds: float = BUDGET_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> BatchChoice:
    """Measures single frames and batches in turn, with the copy of the frames into the batch.

    Args:
        segmenter: open, and warmed up.
        sources: number of sources. No batch is larger than this, or than :data:`MOST`.
        budget_seconds: time for the whole measurement; a batch that would not finish in time is not tried.
        clock: gives seconds.

    Raises:
        BackendError: inference of a single frame failed.
    """
    if sources < 2:
        return BatchChoice(1)
    started_at = clock()
    frame = noise_frame(segmenter)

    def frame_ms(size: int) -> float:
        start = clock()
        segmenter.infer_batch([frame] * size)
        return (clock() - start) * 1e3 / size

    frame_ms(1)  # not measured: the first run of a size may allocate memory
    times: dict[int, list[float]] = {1: [frame_ms(1)]}
    refused = ""
    for size in sorted(candidates(min(sources, MOST)))[1:]:
        # Two runs are needed: the first may allocate memory, the second is measured.
        if clock() - started_at + 2 * size * times[1][0] / 1e3 > budget_seconds:
            break
        try:
            frame_ms(size)
        except BackendError as error:  # the choice shows it to the user
            refused = str(error)
            break
        times[size] = [frame_ms(size)]
    for _ in range(_ROUNDS - 1):
        for size, measured in times.items():
            if clock() - started_at + size * measured[0] / 1e3 <= budget_seconds:
                measured.append(frame_ms(size))
    medians = {size: statistics.median(measured) for size, measured in times.items()}
    return BatchChoice(choose(medians), medians, refused)
