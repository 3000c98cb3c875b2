"""Rate and latency by the number of sources that share one network, batched and not.

``python -m edgeseg.benchmarks.sources BUNDLE --source FILE.mp4`` plays a video several times at once. As files, which
are read as fast as possible, they give the rate. As cameras, which have a fixed frame rate and drop late frames, they
give the latency from capture to mask. Every case is run in turn, and its figures are the medians over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..core.errors import UsageError
from ..core.source import Source
from ..runtime.cpu import Threads, usable_cpus
from ..runtime.pipeline import Pipeline, PipelineOptions, Stream
from ..runtime.pipeline.stats import RunStats
from ..runtime.segmenter import Segmenter
from ..runtime.sources.video.source import VideoSource
from .describe import describe_machine
from .program import Results, run_program, write_results
from .tables import Table, number

_FIGURES = ("files_fps", "live_fps", "live_dropped", "p50_ms", "p90_ms", "p99_ms")


class Looped(Source):
    """A video in an endless loop, as a file or as a camera.

    Args:
        path: of the video.
        fps: the frame rate of the camera; a file if None.
        phase: the delay of its frames against other sources, as a share of the time between two frames.
    """

    def __init__(self, path: Path, fps: float | None = None, phase: float = 0.0) -> None:
        self.name, self.live = path.name, fps is not None
        self._path, self._video = path, VideoSource(path)
        self._pause = 1 / fps if fps else 0.0
        self._due = time.monotonic() + phase * self._pause

    def read(self) -> npt.NDArray[np.uint8] | None:
        """Returns the next frame, uint8 [H, W, 3] BGR."""
        frame_bgr = self._video.read()
        if frame_bgr is None:
            self._video.close()
            self._video = VideoSource(self._path)
            frame_bgr = self._video.read()
        if self.live:
            time.sleep(max(0.0, self._due - time.monotonic()))
            self._due = max(self._due, time.monotonic() - self._pause) + self._pause
        return frame_bgr

    def close(self) -> None:
        """Closes the video."""
        self._video.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints and writes; returns the exit status."""
    return run_program("sources", __doc__ or "", _configure, _run, argv)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--source", type=Path, required=True, metavar="FILE", help="a video")
    parser.add_argument("--most", type=int, default=8, metavar="N", help="sources; default: %(default)s")
    parser.add_argument(
        "--seconds", type=float, default=4.0, metavar="S", help="for each run; default: %(default)s"
    )
    parser.add_argument("--fps", type=float, default=25.0, help="of the cameras; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default: %(default)s")
    parser.add_argument("--variant", metavar="V", help="default: the bundle's own choice")
    parser.add_argument("--backend", default="onnxruntime", help="default: %(default)s")


def _run(args: argparse.Namespace) -> None:
    if args.most < 1 or args.rounds < 1 or min(args.seconds, args.fps) <= 0:
        raise UsageError(
            "--most, --rounds, --seconds, --fps: expected 1 or more of the first two, and more than 0"
        )
    if not args.source.is_file():
        raise UsageError(f"--source {args.source}: expected a video file")
    with VideoSource(args.source) as video:
        first = video.read()
    assert first is not None
    machine = describe_machine()
    cases = [(count, batch) for count in counts(args.most) for batch in ((1, count) if count > 1 else (1,))]
    measured: dict[tuple[int, int], list[dict[str, float]]] = {case: [] for case in cases}
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        threads = Threads.for_pipeline(args.threads, usable_cpus())
        with Segmenter(args.bundle, args.variant, args.backend, threads=threads) as segmenter:
            for turn in range(args.rounds):
                # Each round begins with another case, so that no case always follows the same one.
                for case in cases[turn % len(cases) :] + cases[: turn % len(cases)]:
                    measured[case].append(_measure(segmenter, args.source, *case, args.fps, args.seconds))
            variant, device = segmenter.variant.name, segmenter.backend.device
            name = segmenter.bundle.name
    finally:
        cv2.setNumThreads(before)
    rows = [
        {
            "sources": count,
            "batch": batch,
            **{figure: statistics.median(run[figure] for run in runs) for figure in _FIGURES},
        }
        for (count, batch), runs in measured.items()
    ]
    result: dict[str, Any] = {
        "benchmark": "sources",
        "machine": machine,
        "bundle": name,
        "variant": variant,
        "backend": f"{args.backend} on {device}",
        "threads": args.threads,
        "frame_hw": list(first.shape[:2]),
        "camera_fps": args.fps,
        "seconds": args.seconds,
        "rounds": args.rounds,
        "rows": rows,
    }
    height, width = first.shape[:2]
    title = f"Several sources, one network: {name} ({variant}), {width} x {height}"
    write_results(
        args, Results("sources", title, result, [_table(rows, args.fps)], read_out(rows, args.fps), {})
    )


def counts(most: int) -> list[int]:
    """Returns the numbers of sources to try: 1, 2, 4 and so on, and ``most``."""
    return sorted({2**power for power in range(most.bit_length()) if 2**power <= most} | {most})


def read_out(rows: Sequence[dict[str, Any]], fps: float) -> list[str]:
    """Returns the conclusions from the figures."""
    single, many = [row for row in rows if row["batch"] == 1], [row for row in rows if row["batch"] > 1]
    first, last = single[0], single[-1]
    words = [
        f"{last['sources']} files one frame at a time give {last['files_fps'] / first['files_fps']:.2f} times the"
        f" rate of {first['sources']}: {last['files_fps']:.1f} frames a second in all."
    ]
    if many:
        alone = {row["sources"]: row["files_fps"] for row in single}
        gains = [row["files_fps"] / alone[row["sources"]] for row in many]
        span = " to ".join(sorted({f"{gain:.2f}" for gain in (min(gains), max(gains))}))
        words.append(f"Batches give {span} times the rate of single frames.")
    kept = [row["sources"] for row in single if row["live_dropped"] < 0.02]
    words.append(
        f"{max(kept)} cameras at {fps:.0f} frames a second lose less than 2 % of their frames."
        if kept
        else f"Even one camera at {fps:.0f} frames a second loses frames."
    )
    return words


def _measure(
    segmenter: Segmenter, path: Path, count: int, batch: int, fps: float, seconds: float
) -> dict[str, float]:
    files = _play(segmenter, [Looped(path) for _ in range(count)], batch, seconds)
    cameras = _play(segmenter, [Looped(path, fps, number / count) for number in range(count)], batch, seconds)
    latency = cameras["latency_ms"]
    return {
        "files_fps": files["fps"],
        "live_fps": cameras["fps"],
        "live_dropped": cameras["dropped"] / max(1, cameras["captured"]),
        **{f"{p}_ms": latency[p] for p in ("p50", "p90", "p99")},
    }


def _play(segmenter: Segmenter, sources: Sequence[Source], batch: int, seconds: float) -> dict[str, Any]:
    segmenter.warmup()
    until, stopping = time.monotonic() + seconds, threading.Event()

    def end_in_time(stats: RunStats) -> None:
        if time.monotonic() > until and stats.frames > len(sources):
            stopping.set()

    streams = [Stream(source) for source in sources]
    options = PipelineOptions(batch=batch, stopping=stopping, on_result=end_in_time)
    try:
        report = Pipeline(streams, segmenter, options=options).run()
    finally:
        for source in sources:
            source.close()
    for error in report.failures.values():
        raise error
    return dict(report.stats)


def _table(rows: Sequence[dict[str, Any]], fps: float) -> Table:
    heads = (
        "sources", "at once", "files: frames a second", "each",
        f"cameras at {fps:.0f}: frames a second", "each", "dropped", "ms p50", "p90", "p99",
    )  # fmt: skip
    return Table(
        heads,
        [
            (
                str(row["sources"]),
                str(row["batch"]),
                number(row["files_fps"]),
                number(row["files_fps"] / row["sources"]),
                number(row["live_fps"]),
                number(row["live_fps"] / row["sources"]),
                f"{row['live_dropped']:.1%}",
                *(number(row[f"{p}_ms"]) for p in ("p50", "p90", "p99")),
            )
            for row in rows
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
