"""What ONNX Runtime's settings do to a frame: why edgeseg's session is as it is, and whether that holds elsewhere.

``python -m edgeseg.benchmarks.session BUNDLE`` opens the same graph once for each setting and times them in turn, from
the frame to the class map: on the machine as it is, and beside a program that keeps one core busy.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..runtime.bundle import Bundle, Variant
from ..runtime.decode import Decoder
from ..runtime.errors import UsageError
from ..runtime.libraries import load_onnxruntime
from ..runtime.preprocess import Preprocessor
from .describe import describe_machine
from .frames import DEFAULT_FRAME, parse_frame, read_frames
from .front import conclude, run_front
from .peers.base import Frame
from .rounds import Timed, clocked, run_rounds
from .tables import Table, number

_SPIN = "session.intra_op.allow_spinning"
_BUSY = "beside a busy program"
_ALONE = "as it is"

# What each setting changes: attributes of the session's options, and entries of its configuration.
SETTINGS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, str]]] = {
    "no spinning (edgeseg's)": ({}, {_SPIN: "0"}),
    "threads spin (ONNX Runtime's own)": ({}, {_SPIN: "1"}),
    "threads spin until the frame is done": ({}, {_SPIN: "1", "session.force_spinning_stop": "1"}),
    "no spinning, no memory pattern": ({"enable_mem_pattern": False}, {_SPIN: "0"}),
    "no spinning, no arena": ({"enable_cpu_mem_arena": False}, {_SPIN: "0"}),
    "no spinning, extended optimizations": (
        {"graph_optimization_level": "ORT_ENABLE_EXTENDED"},
        {_SPIN: "0"},
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints and writes; returns the exit status."""
    return run_front("session", __doc__ or "", _configure, _run, argv)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("--variant", metavar="V", help="default: the bundle's own choice")
    parser.add_argument("--source", metavar="S", help="a video or pictures; default: the aerial world")
    parser.add_argument("--frame", default=DEFAULT_FRAME, metavar="WxH", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=30, metavar="N", help="default: %(default)s")


def _run(args: argparse.Namespace) -> None:
    if args.rounds < 1:
        raise UsageError(f"--rounds {args.rounds}: expected 1 or more")
    bundle = Bundle.load(args.bundle)
    variant = bundle.variant_for(("any", "cpu")) if args.variant is None else bundle.variant(args.variant)
    frames, source = read_frames(args.source, parse_frame(args.frame))
    machine = describe_machine()
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        ways = {
            name: clocked(_way(variant, bundle.input_size_hw, frames, args.threads, *settings))
            for name, settings in SETTINGS.items()
        }
        timed = {_ALONE: run_rounds(ways, args.rounds)}
        with _busy_core():
            timed[_BUSY] = run_rounds(ways, args.rounds)
    finally:
        cv2.setNumThreads(before)
    result = {
        "machine": machine,
        "bundle": bundle.name,
        "variant": variant.name,
        "source": source,
        "threads": args.threads,
        "ms": {place: {name: each.percentiles() for name, each in by.items()} for place, by in timed.items()},
    }
    title = f"ONNX Runtime's session: {bundle.name}, {variant.name}, {args.threads} threads"
    conclude(args, "session", title, result, [_table(timed)], _words(timed), {})


def _way(
    variant: Variant,
    size_hw: tuple[int, int],
    frames: Frame,
    threads: int,
    attributes: Mapping[str, Any],
    entries: Mapping[str, str],
) -> Callable[[int], object]:
    """Frame to class map, with one setting."""
    ort = load_onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    for key, value in attributes.items():
        level = getattr(ort.GraphOptimizationLevel, str(value), None)
        setattr(options, key, value if level is None else level)
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    session = ort.InferenceSession(variant.read(), options, providers=["CPUExecutionProvider"])
    preprocess, decoder = Preprocessor(size_hw), Decoder()
    classes = np.empty(frames.shape[1:3], np.uint8)

    def run(turn: int) -> object:
        frame_nhwc = preprocess(frames[turn % len(frames)])
        return decoder(session.run(["logits"], {"frame": frame_nhwc})[0][0], classes)

    return run


@contextmanager
def _busy_core() -> Iterator[None]:
    """Another process that never rests."""
    process = multiprocessing.get_context("spawn").Process(target=_never_rest, daemon=True)
    process.start()
    time.sleep(1.0)  # until it has started
    try:
        yield
    finally:
        process.kill()
        process.join()


def _never_rest() -> None:
    while True:
        pass


def _table(timed: Mapping[str, Mapping[str, Timed]]) -> Table:
    heads = ["setting", *(f"{place}: {p} ms" for place in timed for p in ("p50", "p99"))]
    rows = []
    for name in SETTINGS:
        figures = [timed[place][name].percentiles() for place in timed]
        rows.append([name, *(number(each[p]) for each in figures for p in ("p50", "p99"))])
    return Table(heads, rows)


def _words(timed: Mapping[str, Mapping[str, Timed]]) -> list[str]:
    """How the setting that edgeseg takes stands to ONNX Runtime's own."""
    ours, theirs, *_ = SETTINGS
    lines = []
    for place, by in timed.items():
        ratio = by[theirs].percentiles()["p50"] / by[ours].percentiles()["p50"]
        lines.append(f"{place}: with threads that spin a frame takes {ratio:.2f} times as long as without")
    return [f"{line[0].upper()}{line[1:]}." for line in lines]


if __name__ == "__main__":
    sys.exit(main())
