"""What each sink costs a frame, and what lossless forms of a frame there are.

``python -m edgeseg.benchmarks.sinks BUNDLE --source FILE.mp4`` segments the first frames of a video once, then hands
them to each sink in turn, round by round: the milliseconds that its thread is busy with a frame, waiting for the disk
included, and the bytes that it leaves. The frames are then packed in the form of recordings and in others, and read
back.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..runtime.errors import UsageError
from ..runtime.labels import LabelMap
from ..runtime.overlay import Overlay
from ..runtime.preprocess import Frame
from ..runtime.recording.pixels import pack, unpack
from ..runtime.recording.sink import RecordingSink
from ..runtime.run.opening import opencv_in_one_thread
from ..runtime.segmenter import Segmenter
from ..runtime.sinks.base import Output, Sink
from ..runtime.sinks.events import EventsSink
from ..runtime.sinks.mask_arrays import MaskArraysSink
from ..runtime.sinks.masks import LiveMasksSink, MasksSink
from ..runtime.sinks.shared_memory import SharedMemorySink
from ..runtime.sinks.video import SegmentedVideoSink, VideoSink
from ..runtime.sources.video import VideoSource
from .describe import describe_machine
from .front import conclude, run_front
from .tables import Table, number

_FPS = 25.0
_SEGMENT_SECONDS = 2.0

Maker = Callable[[Path, LabelMap], Sink]

SINKS: dict[str, Maker] = {
    "--save": lambda folder, labels: VideoSink(folder / "v.mp4", _FPS),
    "--save --segment 2": lambda folder, labels: SegmentedVideoSink(folder / "v.mp4", _FPS, _SEGMENT_SECONDS),
    "--masks of a file": lambda folder, labels: MasksSink(folder / "m", labels),
    "--masks of a camera": lambda folder, labels: LiveMasksSink(folder / "m", labels),
    "--masks-format npz": lambda folder, labels: MaskArraysSink(folder / "m", labels, _SEGMENT_SECONDS),
    "--events FILE": lambda folder, labels: EventsSink(str(folder / "e.jsonl"), labels),
    "--events udp://": lambda folder, labels: EventsSink("udp://127.0.0.1:9", labels),
    "--shm": lambda folder, labels: SharedMemorySink(f"edgeseg-benchmark-{os.getpid()}", labels),
    "--shm --shm-frames": lambda folder, labels: SharedMemorySink(
        f"edgeseg-benchmark-{os.getpid()}", labels, with_frames=True
    ),
    "--record": lambda folder, labels: RecordingSink(folder / "r", labels, {}),
}


class Packing(NamedTuple):
    """A form of frames on the disk, told by its milliseconds and bytes."""

    pack_ms: float
    unpack_ms: float
    share: float
    exact: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints and writes; returns the exit status."""
    return run_front("sinks", __doc__ or "", _configure, _run, argv)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--source", type=Path, required=True, metavar="FILE", help="a video")
    parser.add_argument("--frames", type=int, default=100, metavar="N", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--disk", type=Path, metavar="DIR", help="where to write; default: a temporary folder"
    )


def _run(args: argparse.Namespace) -> None:
    if min(args.frames, args.rounds) < 1:
        raise UsageError("--frames and --rounds: expected 1 or more of each")
    if not args.source.is_file():
        raise UsageError(f"--source {args.source}: expected a video file")
    machine = describe_machine()
    with opencv_in_one_thread(), Segmenter(args.bundle, threads=args.threads) as segmenter:
        outputs = segmented(segmenter, args.source, args.frames)
        labels, name = segmenter.labels, segmenter.bundle.name
        rows: list[dict[str, Any]] = [
            {"sink": sink, **figures}
            for sink, figures in measure_sinks(SINKS, outputs, labels, args.rounds, args.disk).items()
        ]
        forms = {
            form: measured._asdict()
            for form, measured in measure_forms([o.frame_bgr for o in outputs]).items()
        }
    height, width = outputs[0].frame_bgr.shape[:2]
    result: dict[str, Any] = {
        "benchmark": "sinks",
        "machine": machine,
        "bundle": name,
        "frame_hw": [height, width],
        "frames": len(outputs),
        "rounds": args.rounds,
        "rows": rows,
        "forms": forms,
    }
    tables = [
        Table(
            ("sink", "ms a frame", "p50", "p99", "KiB a frame"),
            [
                (
                    row["sink"],
                    number(row["mean_ms"], 2),
                    number(row["p50_ms"], 2),
                    number(row["p99_ms"], 2),
                    number(row["bytes"] / 1024),
                )
                for row in rows
            ],
        ),
        Table(
            ("frame, without loss", "ms to pack", "ms to unpack", "of its size", "comes back"),
            [
                (
                    form,
                    number(each["pack_ms"]),
                    number(each["unpack_ms"]),
                    f"{each['share']:.1%}",
                    "bit for bit" if each["exact"] else "changed",
                )
                for form, each in forms.items()
            ],
        ),
    ]
    conclude(args, "sinks", f"What sinks cost: {width} x {height}", result, tables, read_out(rows), {})


def segmented(segmenter: Segmenter, path: Path, frames: int) -> list[Output]:
    """The first frames of a video as a run hands them to its sinks, drawn already: the sinks share the overlay."""
    overlay = Overlay(segmenter.labels)
    outputs: list[Output] = []
    with VideoSource(path) as video:
        while len(outputs) < frames and (frame_bgr := video.read()) is not None:
            frame_bgr = frame_bgr.copy()
            result = replace(segmenter(frame_bgr), captured_at=len(outputs) / _FPS)
            shares = result.shares(len(segmenter.labels))
            draw = partial(overlay.draw, frame_bgr, result, shares)
            output = Output(frame_bgr, result, "", draw, shares=shares, finished_at=result.captured_at)
            assert output.overlay_bgr is not None
            outputs.append(output)
    return outputs


def measure_sinks(
    sinks: dict[str, Maker], outputs: Sequence[Output], labels: LabelMap, rounds: int, disk: Path | None
) -> dict[str, dict[str, float]]:
    """Of each sink: the mean, median and 99th percentile of a frame's milliseconds, and the bytes it leaves a frame.

    The mean holds what is done once for many frames, as ending a segment, and at the close.
    """
    each_ms: dict[str, list[float]] = {name: [] for name in sinks}
    mean_ms: dict[str, list[float]] = {name: [] for name in sinks}
    left: dict[str, float] = {}
    for _ in range(rounds):
        for name, make in sinks.items():
            with tempfile.TemporaryDirectory(dir=disk) as folder:
                sink = make(Path(folder), labels)
                begin = time.perf_counter()
                for output in outputs:
                    start = time.perf_counter()
                    sink.write(output)
                    each_ms[name].append((time.perf_counter() - start) * 1e3)
                sink.close(commit=True)
                mean_ms[name].append((time.perf_counter() - begin) * 1e3 / len(outputs))
                files = [path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()]
                left[name] = sum(files) / len(outputs)
    return {
        name: {
            "mean_ms": statistics.median(mean_ms[name]),
            "p50_ms": float(np.percentile(ms, 50)),
            "p99_ms": float(np.percentile(ms, 99)),
            "bytes": left[name],
        }
        for name, ms in each_ms.items()
    }


def measure_forms(frames: Sequence[Frame]) -> dict[str, Packing]:
    """The form of recordings beside others, on the same frames."""
    shape = frames[0].shape
    forms = {"edgeseg --record": _timed(frames, pack, lambda data: unpack(data, shape))}
    for level in (1, 3):
        forms[f"PNG, level {level}"] = _timed(frames, partial(_to_png, level=level), _from_picture)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "v.mkv"
        fourcc = cv2.VideoWriter.fourcc(*"FFV1")
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, _FPS, shape[1::-1])
        if writer.isOpened():
            start = time.perf_counter()
            for frame in frames:
                writer.write(frame)
            writer.release()
            middle = time.perf_counter()
            capture = cv2.VideoCapture(str(path))
            back = [np.asarray(capture.read()[1], np.uint8) for _ in frames]
            capture.release()
            end = time.perf_counter()
            forms["FFV1, by OpenCV's FFmpeg"] = Packing(
                (middle - start) * 1e3 / len(frames),
                (end - middle) * 1e3 / len(frames),
                path.stat().st_size / sum(frame.nbytes for frame in frames),
                _same(frames, back),
            )
    return forms


def read_out(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What the figures say."""
    dearest = max(rows, key=lambda row: float(row["mean_ms"]))
    record = next(row for row in rows if row["sink"] == "--record")
    return [
        f"The dearest, {dearest['sink']}, is busy for {dearest['mean_ms']:.1f} ms a frame:"
        f" it keeps up with {1e3 / dearest['mean_ms']:.0f} frames a second, on one processor.",
        f"A recording takes {record['bytes'] * _FPS * 3600 / 1e9:.1f} GB an hour at {_FPS:.0f} frames a second.",
    ]


def _timed(frames: Sequence[Frame], to: Callable[[Frame], bytes], back: Callable[[bytes], Frame]) -> Packing:
    start = time.perf_counter()
    packed = [to(frame) for frame in frames]
    middle = time.perf_counter()
    unpacked = [back(data) for data in packed]
    end = time.perf_counter()
    return Packing(
        (middle - start) * 1e3 / len(frames),
        (end - middle) * 1e3 / len(frames),
        sum(map(len, packed)) / sum(frame.nbytes for frame in frames),
        _same(frames, unpacked),
    )


def _same(frames: Sequence[Frame], back: Sequence[Frame]) -> bool:
    return all(np.array_equal(frame, other) for frame, other in zip(frames, back, strict=True))


def _to_png(frame_bgr: Frame, level: int) -> bytes:
    return cv2.imencode(".png", frame_bgr, [cv2.IMWRITE_PNG_COMPRESSION, level])[1].tobytes()


def _from_picture(data: bytes) -> Frame:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


if __name__ == "__main__":
    sys.exit(main())
