"""What the preview page costs a run: rate, latency and CPU with no page, and with 0, 1 and 4 who watch.

``python -m edgeseg.benchmarks.preview BUNDLE --source FILE.mp4`` plays a video as a file, as fast as it goes, and as a
camera. Those who watch are processes of their own on this machine, which take pictures as pages do but draw none. Every
case is run in turn, and its figures are the medians over the rounds. The CPU is what the run's process used, without
those who watch: what others do on the machine moves it least.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2

from ..runtime.cpu import usable_cpus
from ..runtime.errors import OutputError, UsageError
from ..runtime.labels import LabelMap
from ..runtime.pipeline import Pipeline
from ..runtime.pipeline.stats import RunStats
from ..runtime.preview.options import PreviewOptions
from ..runtime.preview.server import PreviewServer
from ..runtime.segmenter import Segmenter
from ..runtime.sources.video import VideoSource
from ..runtime.status import Status
from ..runtime.threads import decode_threads
from .describe import describe_machine
from .front import conclude, run_front
from .sources import Looped
from .tables import Table, number

_CASES = ("no page", "0 pages", "1 page", "4 pages", "1 stream")
_FIGURES = ("files_fps", "live_fps", "p50_ms", "p99_ms", "cpu_percent", "pictures_fps")
_CLIENT = """
import sys, urllib.request
from websockets.sync.client import connect
url, seconds = sys.argv[1], float(sys.argv[2])
import time
until, pictures = time.monotonic() + seconds, 0
try:
    if url.startswith("ws"):
        with connect(url, max_size=None) as socket:
            while time.monotonic() < until:
                if isinstance(socket.recv(5), bytes):
                    pictures += 1
                    socket.send('{"drawn": true}')
    else:
        with urllib.request.urlopen(url, timeout=5) as stream:
            while time.monotonic() < until:
                pictures += stream.read1(1 << 16).count(b"--edgeseg-frame")
except Exception as error:
    sys.exit(f"a viewer failed: {error!r}")
print(pictures / seconds)
"""


class _Page:
    """A preview page and those who watch it."""

    def __init__(self, labels: LabelMap, case: str, seconds: float) -> None:
        self._pipeline: Pipeline | None = None
        self.server = PreviewServer(PreviewOptions(), labels, self._status, say=lambda line: None)
        self.sink = self.server.sink(0)
        self.server.start()
        count, kind = case.split()
        url = self.server.url
        url = f"{url}stream.mjpg" if kind == "stream" else f"{url.replace('http', 'ws', 1)}live"
        command = [sys.executable, "-c", _CLIENT, url, str(seconds)]
        self._clients = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(int(count))
        ]

    def attach(self, pipeline: Pipeline) -> None:
        """Names the run that is watched."""
        self._pipeline = pipeline

    def watched(self) -> bool:
        """Whether all have seen what they came for."""
        return all(client.poll() is not None for client in self._clients)

    def pictures_fps(self) -> float:
        """How many pictures a second each of those who watch was given."""
        rates = []
        for client in self._clients:
            told, _ = client.communicate(timeout=60)
            if client.returncode:
                raise OutputError("a viewer failed; what it said is above")
            rates.append(float(told))
        return statistics.mean(rates) if rates else 0.0

    def _status(self) -> Status:
        while self._pipeline is None:
            time.sleep(0.01)
        return self._pipeline.status()


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints and writes; returns the exit status."""
    return run_front("preview", __doc__ or "", _configure, _run, argv)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--source", type=Path, required=True, metavar="FILE", help="a video")
    parser.add_argument(
        "--seconds", type=float, default=6.0, metavar="S", help="for each run; default: %(default)s"
    )
    parser.add_argument("--fps", type=float, default=15.0, help="of the camera; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default: %(default)s")
    parser.add_argument("--variant", metavar="V", help="default: the bundle's own choice")
    parser.add_argument("--backend", default="onnxruntime", help="default: %(default)s")


def _run(args: argparse.Namespace) -> None:
    if args.rounds < 1 or min(args.seconds, args.fps) <= 0:
        raise UsageError("--rounds, --seconds, --fps: expected 1 or more of the first, and more than 0")
    if not args.source.is_file():
        raise UsageError(f"--source {args.source}: expected a video file")
    with VideoSource(args.source) as video:
        first = video.read()
    if first is None:
        raise UsageError(f"--source {args.source}: there is no frame in it")
    machine = describe_machine()
    measured: dict[str, list[dict[str, float]]] = {case: [] for case in _CASES}
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        beside = decode_threads(args.threads, usable_cpus())
        with Segmenter(
            args.bundle, args.variant, args.backend, threads=args.threads, decode_threads=beside
        ) as segmenter:
            for turn in range(args.rounds):
                # Each round begins elsewhere, so that no case always follows the same one.
                for case in _CASES[turn % len(_CASES) :] + _CASES[: turn % len(_CASES)]:
                    measured[case].append(_measure(segmenter, args.source, case, args.fps, args.seconds))
            name, variant, device = segmenter.bundle.name, segmenter.variant.name, segmenter.backend.device
    finally:
        cv2.setNumThreads(before)
    rows = [
        {
            "case": case,
            **{figure: statistics.median(run[figure] for run in runs) for figure in _FIGURES},
            "files_fps_span": [min(run["files_fps"] for run in runs), max(run["files_fps"] for run in runs)],
        }
        for case, runs in measured.items()
    ]
    height, width = first.shape[:2]
    result: dict[str, Any] = {
        "benchmark": "preview",
        "machine": machine,
        "bundle": name,
        "variant": variant,
        "backend": f"{args.backend} on {device}",
        "threads": args.threads,
        "frame_hw": [height, width],
        "camera_fps": args.fps,
        "seconds": args.seconds,
        "rounds": args.rounds,
        "rows": rows,
    }
    title = f"The preview page beside a run: {name} ({variant}), {width} x {height}"
    conclude(args, "preview", title, result, [_table(rows, args.fps)], read_out(rows), {})


def read_out(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What the figures say; nothing of a difference that the rounds themselves have."""
    alone, *watched = rows
    words = []
    for row in watched:
        more = row["cpu_percent"] - alone["cpu_percent"]
        words.append(f"Beside a camera, {row['case']} takes {more:+.0f} % of a processor.")
        low, high = row["files_fps_span"]
        least, most = alone["files_fps_span"]
        if low <= most and least <= high:
            words.append(
                f"How much {row['case']} slows a file, these rounds cannot tell: {low:.1f} to {high:.1f} frames a"
                f" second, and {least:.1f} to {most:.1f} without the preview."
            )
        else:
            share = row["files_fps"] / alone["files_fps"]
            words.append(f"With {row['case']} a file runs at {share:.0%} of the rate without the preview.")
    return words


def _measure(segmenter: Segmenter, path: Path, case: str, fps: float, seconds: float) -> dict[str, float]:
    files = _play(segmenter, Looped(path), case, seconds)
    camera = _play(segmenter, Looped(path, fps), case, seconds)
    return {
        "files_fps": files["fps"],
        "live_fps": camera["fps"],
        "p50_ms": camera["latency_ms"]["p50"],
        "p99_ms": camera["latency_ms"]["p99"],
        "cpu_percent": camera["cpu_percent"],
        "pictures_fps": camera["pictures_fps"],
    }


def _play(segmenter: Segmenter, source: Looped, case: str, seconds: float) -> dict[str, Any]:
    segmenter.warmup()
    with ExitStack() as stack:
        stack.callback(source.close)
        page = None
        if case != _CASES[0]:
            page = _Page(segmenter.labels, case, seconds)
            stack.callback(page.server.close)
        until = time.monotonic() + seconds

        def end_in_time(stats: RunStats) -> None:
            if time.monotonic() > until and (page is None or page.watched()):
                pipeline.stop()

        pipeline = Pipeline(source, segmenter, [page.sink] if page else [], on_result=end_in_time)
        if page is not None:
            page.attach(pipeline)
        began, cpu_began = time.monotonic(), time.process_time()
        report = pipeline.run()
        cpu_percent = 100 * (time.process_time() - cpu_began) / (time.monotonic() - began)
        pictures_fps = page.pictures_fps() if page else 0.0
    for error in report.failures.values():
        raise error
    return {**report.stats, "pictures_fps": pictures_fps, "cpu_percent": cpu_percent}


def _table(rows: Sequence[dict[str, Any]], fps: float) -> Table:
    heads = (
        "watched by", "file: frames a second", f"camera at {fps:.0f}: frames a second", "ms p50", "p99",
        "its CPU, %", "pictures a second, each",
    )  # fmt: skip
    return Table(
        heads,
        [
            (
                row["case"],
                *(number(row[figure]) for figure in _FIGURES[:-1]),
                number(row["pictures_fps"]) if row["pictures_fps"] else "–",
            )
            for row in rows
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
