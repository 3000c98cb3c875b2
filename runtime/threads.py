"""The number of CPU threads for inference: as many as a measurement shows to help, within the usable CPUs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.arrays import Frame
from .segmenter import Segmenter
from .steps import PreparedFrame

BUDGET_SECONDS = 1.5
_MOST_FRAMES = 15
_AS_FAST = 1.03
"""More threads must gain at least this factor, because other stages and other programs need the CPU too."""


@dataclass(frozen=True)
class ThreadChoice:
    """A number of threads, and the reason for it.

    Attributes:
        threads: threads for inference; None if it does not run on the CPU.
        cpus: number of CPUs that the process may use.
        times_ms: milliseconds of one inference, by the number of threads; empty if nothing was measured.
    """

    threads: int | None
    cpus: int
    times_ms: Mapping[int, float] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The choice as text: ``2 of 2 (1: 18.2 ms, 2: 10.9 ms)``."""
        times = ", ".join(f"{threads}: {ms:.1f} ms" for threads, ms in sorted(self.times_ms.items()))
        return f"{self.threads} of {self.cpus}" + (f" ({times})" if times else "")

    def summary(self) -> dict[str, Any]:
        """Returns the choice, ready for JSON."""
        return {
            "inference": self.threads,
            "cpus": self.cpus,
            "times_ms": {str(threads): ms for threads, ms in sorted(self.times_ms.items())},
        }


def candidates(cpus: int) -> list[int]:
    """Returns the numbers of threads to try, falling: all CPUs, then half of the number before, down to 1."""
    counts = [cpus]
    while counts[-1] > 1:
        counts.append((counts[-1] + 1) // 2)
    return counts


def choose(times_ms: Mapping[int, float]) -> int:
    """Returns the smallest number of threads that is about as fast as the fastest."""
    limit = min(times_ms.values()) * _AS_FAST
    return min(threads for threads, ms in times_ms.items() if ms <= limit)


def open_fastest(
    open_with: Callable[[int, Segmenter | None], Segmenter],
    cpus: int,
    budget_seconds: float = BUDGET_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Segmenter, ThreadChoice]:
    """Opens a segmenter with the number of threads that a measurement shows to be best.

    All CPUs are tried first, so that a short budget leads to the usual choice. A smaller number is tried only if it
    would finish in time even when it takes twice as long.

    Args:
        open_with: opens a segmenter with a number of threads; its second argument is an open one to copy, or None.
        cpus: number of CPUs that may be used.
        budget_seconds: time to measure, and to open all segmenters but the first.
        clock: gives seconds.

    Returns:
        The segmenter, and the choice. All other segmenters are closed. Nothing is measured if the device is not the
        CPU.

    Raises:
        EdgesegError: as for ``open_with``; BackendError if inference failed.
    """
    counts = candidates(cpus)
    segmenter = open_with(cpus, None)
    if not segmenter.backend.device.startswith("cpu"):
        return segmenter, ThreadChoice(None, cpus)
    times_ms: dict[int, float] = {}
    try:
        if len(counts) == 1:
            return segmenter, ThreadChoice(cpus, cpus)
        started_at, share = clock(), budget_seconds / len(counts)
        times_ms[cpus] = inference_ms(segmenter, share, clock)
        opening_seconds = 0.0
        for count in counts[1:]:
            left = budget_seconds - (clock() - started_at)
            # Two runs are needed, to warm up and to measure. Each may take twice the time of the number before.
            if left < opening_seconds + 2 * 2 * times_ms[min(times_ms)] / 1e3:
                break
            opened_at = clock()
            other = open_with(count, segmenter)
            opening_seconds = clock() - opened_at
            try:
                times_ms[count] = inference_ms(
                    other, min(share, budget_seconds - (clock() - started_at)), clock
                )
            except BaseException:
                other.close()
                raise
            if choose(times_ms) == count:
                segmenter, other = other, segmenter
            other.close()
    except BaseException:
        segmenter.close()
        raise
    return segmenter, ThreadChoice(choose(times_ms), cpus, times_ms)


def inference_ms(segmenter: Segmenter, seconds: float, clock: Callable[[], float] = time.monotonic) -> float:
    """Returns the median milliseconds of an inference, after one to warm up, over the frames within ``seconds``."""
    prepared = noise_frame(segmenter)
    until = clock() + seconds
    segmenter.infer(prepared)
    times: list[float] = []
    while not times or (len(times) < _MOST_FRAMES and clock() + times[-1] / 1e3 <= until):
        start = clock()
        segmenter.infer(prepared)
        times.append((clock() - start) * 1e3)
    return statistics.median(times)


def noise_frame(segmenter: Segmenter) -> PreparedFrame:
    """Returns a frame of noise to measure with, because some kernels are faster on zeros."""
    frame_bgr: Frame = np.random.default_rng(0).integers(
        0, 256, (*segmenter.bundle.input_size_hw, 3), np.uint8
    )
    return segmenter.prepare(frame_bgr, frame_id=0)
