"""A soak: the pipeline for some minutes, its first minute against its last, and the slope of its memory.

``python -m edgeseg.benchmarks.soak BUNDLE`` runs capture, inference and decode like ``edgeseg run``.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..core.arrays import Frame
from ..core.errors import UsageError
from ..core.source import Source
from ..runtime.bundle import Bundle
from ..runtime.pipeline import Pipeline
from ..runtime.segmenter import Segmenter
from ..runtime.sinks.base import Output, Sink
from .describe import describe_machine
from .frames import parse_frame, read_frames
from .plots import FAINT, INK, SERIES, new_figure, plain_axes, png
from .program import Results, run_program, write_results
from .tables import Table, number
from .worker import memory_mb

_SAMPLE_SECONDS = 0.5
_MOST_FRAMES_A_SECOND = 1000
_FEWEST_FRAMES = 10
"""Of a stretch. On a slow machine a stretch is longer than requested, so that it has this many frames."""

_SLOWER = 1.05
"""Above this factor the last minute counts as slower."""

_LEAK_MB_PER_HOUR, _LEAK_MB = 20.0, 2.0
"""A slope or a growth below these is the allocator's noise; a leak of one class map for each frame is gigabytes."""


class LoopSource(Source):
    """The same frames in a loop, as fast as they are read, until the time is over and there are enough."""

    def __init__(self, frames: Frame, seconds: float) -> None:
        self.name = "soak"
        self._frames, self._seconds = frames, seconds
        self._next, self._ends_at = 0, 0.0

    def read(self) -> Frame | None:
        now = time.monotonic()
        self._ends_at = self._ends_at or now + self._seconds
        if now >= self._ends_at and self._next >= 3 * _FEWEST_FRAMES:
            return None
        frame: Frame = self._frames[self._next % len(self._frames)].copy()
        self._next += 1
        return frame

    def close(self) -> None:
        """Does nothing, because nothing is open."""


class ClockSink(Sink):
    """A sink that records the time of each result, in preallocated memory, so that measuring does not look like a leak.

    The time of a frame is its time in the stages, without the wait: with such a fast source the queues are always full.
    """

    name = "clock"

    def __init__(self, seconds: float) -> None:
        room = int(seconds * _MOST_FRAMES_A_SECOND) + 3 * _FEWEST_FRAMES
        self._at, self._ms = np.ones(room, np.float32), np.ones(room, np.float32)
        self._count = 0
        self._start = time.monotonic()

    def write(self, output: Output) -> None:
        if self._count < len(self._at):
            self._at[self._count] = time.monotonic() - self._start
            self._ms[self._count] = sum(output.result.timings_ms.values())
            self._count += 1

    def close(self, commit: bool) -> None:
        """Does nothing, because nothing is open."""

    @property
    def seconds(self) -> npt.NDArray[np.float32]:
        """The times of the results, in seconds."""
        return self._at[: self._count]

    @property
    def milliseconds(self) -> npt.NDArray[np.float32]:
        """The time of each frame in all stages together."""
        return self._ms[: self._count]


@dataclass(frozen=True)
class Stretch:
    """One stretch of the soak: frames per second, and milliseconds for each frame."""

    fps: float
    p50: float
    p99: float
    frames: int


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints and writes; returns the exit status."""
    return run_program("soak", __doc__ or "", _configure, _run, argv)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--minutes", type=float, default=10, metavar="M", help="default: %(default)s")
    parser.add_argument("--source", metavar="S", help="real frames; default: the aerial world")
    parser.add_argument("--frame", metavar="WxH", help="default: 1280x720, or the frames' own size")
    parser.add_argument("--variant", metavar="V", help="default: the bundle's own choice")
    parser.add_argument("--backend", default="onnxruntime", help="default: %(default)s")


def _run(args: argparse.Namespace) -> None:
    if not 0.05 <= args.minutes <= 7 * 24 * 60:
        raise UsageError(f"--minutes {args.minutes:g}: expected 0.05 minutes to a week")
    machine = describe_machine()
    bundle = Bundle.load(args.bundle)
    frames, source = read_frames(args.source, None if args.frame is None else parse_frame(args.frame))
    clock, memory, invalid = soak(bundle, frames, args)
    stretch = min(60.0, 60 * args.minutes / 3)
    parts = first_and_last(clock.seconds, clock.milliseconds, stretch)
    settled = memory[memory[:, 0] >= min(stretch, memory[-1, 0] / 3)]
    slope = slope_mb_per_hour(settled)
    span = float(settled[-1, 0] - settled[0, 0])
    words = verdict(parts, slope, span, stretch, invalid)
    result: dict[str, Any] = {
        "benchmark": "soak",
        "machine": machine,
        "bundle": bundle.name,
        "source": source,
        "minutes": args.minutes,
        "threads": args.threads,
        "stretch_s": stretch,
        "first": asdict(parts[0]),
        "last": asdict(parts[1]),
        "memory_slope_mb_per_hour": slope,
        "memory_mb": [[round(float(at), 1), round(float(held), 2)] for at, held in memory],
        "verdict": words,
    }
    table = Table(
        ["", "frames a second", "p50 ms", "p99 ms", "frames"],
        [
            [name, number(part.fps, 2), number(part.p50, 2), number(part.p99, 2), str(part.frames)]
            for name, part in zip((f"first {stretch:g} s", f"last {stretch:g} s"), parts, strict=True)
        ],
    )
    height, width = frames.shape[1:3]
    title = f"Soak: {bundle.name} for {args.minutes:g} minutes on {width} x {height} frames"
    images = {"soak.png": ("Milliseconds a frame and memory over time", lambda: plot(clock, memory, title))}
    write_results(args, Results("soak", title, result, [table], words, images))


def soak(
    bundle: Bundle, frames: Frame, args: argparse.Namespace
) -> tuple[ClockSink, npt.NDArray[np.float64], int]:
    """Runs the pipeline; returns the clock, (seconds, MB) by sample, and the number of results that were not valid."""
    seconds = 60 * args.minutes
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    cv2.setNumThreads(args.threads)
    with Segmenter(bundle, args.variant, args.backend, threads=args.threads) as segmenter:
        segmenter.warmup()
        source, clock = LoopSource(frames, seconds), ClockSink(seconds)
        with MemoryLog(seconds) as memory:
            report = Pipeline(source, segmenter, [clock]).run()
        for error in report.failures.values():
            raise error
    return clock, memory.samples, int(report.stats["invalid_frames"])


class MemoryLog:
    """A log of this process's resident memory, sampled by a thread into memory allocated before."""

    def __init__(self, seconds: float) -> None:
        self._samples = np.ones((int(seconds / _SAMPLE_SECONDS) + 1000, 2), np.float64)
        self._count = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> MemoryLog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    @property
    def samples(self) -> npt.NDArray[np.float64]:
        """Returns float64 [n, 2]: seconds, and MB."""
        return self._samples[: self._count]

    def _sample(self) -> None:
        start = time.monotonic()
        while self._count < len(self._samples):
            self._samples[self._count] = time.monotonic() - start, memory_mb()["memory_mb"]
            self._count += 1
            if self._ending.wait(_SAMPLE_SECONDS):
                return


def first_and_last(
    seconds: npt.NDArray[Any], milliseconds: npt.NDArray[Any], stretch_s: float
) -> tuple[Stretch, Stretch]:
    """Returns the first stretch and the last, each with ten frames or more."""
    begins, ends = float(seconds[_FEWEST_FRAMES - 1]), float(seconds[-_FEWEST_FRAMES])
    parts = []
    for inside in (
        seconds <= max(begins, seconds[0] + stretch_s),
        seconds >= min(ends, seconds[-1] - stretch_s),
    ):
        taken = milliseconds[inside]
        p50, p99 = np.percentile(taken, (50, 99))
        at = seconds[inside]
        parts.append(Stretch((len(at) - 1) / float(at[-1] - at[0]), float(p50), float(p99), len(taken)))
    return parts[0], parts[1]


def slope_mb_per_hour(samples: npt.NDArray[np.float64]) -> float:
    """Returns the slope of memory over time by least squares, from samples (seconds, MB)."""
    seconds = samples[:, 0] - samples[:, 0].mean()
    spread = float((seconds**2).sum())
    return 3600 * float((seconds * samples[:, 1]).sum()) / spread if spread else 0.0


def verdict(
    parts: tuple[Stretch, Stretch], slope: float, span_s: float, stretch_s: float, invalid: int
) -> list[str]:
    """Returns the conclusions from the soak, in words."""
    first, last = parts
    ratio = last.p50 / first.p50
    if ratio > _SLOWER:
        pace = "slower than"
    else:
        pace = "faster than" if ratio < 1 / _SLOWER else "as fast as"
    grown = slope * span_s / 3600
    does = "grows" if grows(slope, span_s) else "does not grow"
    return [
        f"The last {stretch_s:g} s are {pace} the first: at the median {last.p50:.1f} ms a frame against"
        f" {first.p50:.1f}, at p99 {last.p99:.1f} against {first.p99:.1f}; {last.fps:.1f} frames a second against"
        f" {first.fps:.1f}.",
        f"Memory {does}: {grown:+.2f} MB over the {span_s / 60:.1f} minutes after it"
        f" settled, a slope of {slope:+.1f} MB an hour.",
        f"{invalid} results were not valid.",
    ]


def grows(slope: float, span_s: float) -> bool:
    """Returns True if memory grows: a slope in MB per hour, over ``span_s``, that exceeds an allocator's noise."""
    return slope > _LEAK_MB_PER_HOUR and slope * span_s / 3600 > _LEAK_MB


def plot(clock: ClockSink, memory: npt.NDArray[np.float64], title: str) -> bytes:
    """Plots milliseconds for each frame above, and memory below."""
    figure = new_figure(8.6, 5.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    minutes, taken = clock.seconds / 60, clock.milliseconds
    step = max(1, len(taken) // 6000)
    above.plot(minutes[::step], taken[::step], ".", markersize=1.5, color=SERIES[0], alpha=0.5)
    above.set_ylim(0, 1.3 * float(np.percentile(taken, 99)))
    above.set_ylabel("ms a frame", fontsize=9, color=INK)
    below.plot(memory[:, 0] / 60, memory[:, 1], color=FAINT, linewidth=1.6)
    below.set_ylim(0, 1.15 * float(memory[:, 1].max()))
    below.set_ylabel("MB resident", fontsize=9, color=INK)
    below.set_xlabel("minutes", fontsize=9, color=INK)
    for axes in (above, below):
        plain_axes(axes, grid="both")
    above.set_title(title, loc="left", fontsize=12, color=INK, fontweight="bold")
    return png(figure)


if __name__ == "__main__":
    sys.exit(main())
