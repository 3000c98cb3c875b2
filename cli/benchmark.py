"""``edgeseg benchmark``: the time from frame to class map, compared with other libraries in one run."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import UsageError
from ..core.printable import printable_lines

DEFAULT_ROUNDS = 30


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``edgeseg benchmark``."""
    parser.add_argument(
        "bundle",
        type=Path,
        metavar="BUNDLE",
        help="the bundle's folder; or the word stability, for `edgeseg benchmark stability --help`",
    )
    parser.add_argument(
        "--against",
        metavar="NAMES",
        help="torch, onnxruntime, openvino, or single contenders, separated by commas; default: all that are installed",
    )
    parser.add_argument(
        "--frame",
        metavar="WxH",
        help="width and height of the frames; default: 1280x720, with --source the frames' own size",
    )
    parser.add_argument(
        "--variant", metavar="V", help="precision that edgeseg runs; default: the bundle's own choice"
    )
    parser.add_argument(
        "--backend",
        metavar="NAMES",
        help="edgeseg's backends, separated by commas; default: all that run here",
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="CPU threads of each contender; default: all processors"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=DEFAULT_ROUNDS,
        metavar="N",
        help="turns of each contender; default: %(default)s",
    )
    parser.add_argument(
        "--source",
        metavar="S",
        help="video file, image, or folder or glob of images; default: the aerial world",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write benchmark.json, benchmark.md and benchmark.png here"
    )
    parser.add_argument("--force", action="store_true", help="replace outputs that exist")


def run(args: argparse.Namespace) -> int:
    """Measures and prints; returns 0.

    Raises:
        EdgesegError: an option, the bundle, the source, an output or a named contender cannot work.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cpus = len(os.sched_getaffinity(0))
    threads = cpus if args.threads is None else args.threads
    if not 1 <= threads <= cpus:
        raise UsageError(f"--threads {threads}: expected 1 to {cpus}, the processors of this machine")
    if args.rounds < 1:
        raise UsageError(f"--rounds {args.rounds}: expected 1 or more")

    from ..benchmarks.compare import ComparisonRequest, choose, compare
    from ..benchmarks.frames import parse_frame, read_frames
    from ..benchmarks.outputs import check_folder, write_folder
    from ..benchmarks.report import plain_text
    from ..core.progress import ProgressLine
    from ..core.reads import Reads
    from ..runtime.bundle import Bundle
    from ..runtime.sources.files import add_sources

    size_hw = None if args.frame is None else parse_frame(args.frame)
    if args.out is not None:
        reads = Reads().add(f"the bundle {args.bundle}", args.bundle)
        check_folder(args.out, args.force, add_sources(reads, [args.source] if args.source else []))
    bundle = Bundle.load(args.bundle)
    variant = bundle.variant(args.variant).name
    named, against = _listed(args.backend), _listed(args.against)
    choose(named, against)  # fails before frames are read if one cannot run
    frames, source = read_frames(args.source, size_hw)
    request = ComparisonRequest(
        bundle=bundle,
        variant=variant,
        backends=named,
        against=against,
        frames=frames,
        source=source,
        threads=threads,
        rounds=args.rounds,
    )
    line = ProgressLine()
    result = compare(request, line.show)
    line.show("")
    print(printable_lines(plain_text(result)))
    if args.out is not None:
        from ..benchmarks.plots import latency_plot
        from ..benchmarks.report import markdown

        result["command"] = command_line(args)
        write_folder(
            args.out,
            result,
            markdown(result, result["command"], "benchmark.png"),
            {"benchmark.png": latency_plot(result)},
            "benchmark",
            args.force,
        )
        print(f"\nwrote {args.out}")
    return 0


def command_line(args: argparse.Namespace) -> str:
    """The command that repeats this benchmark."""
    words = ["edgeseg", "benchmark", str(args.bundle)]
    for option in ("against", "frame", "variant", "backend", "threads", "source", "out"):
        value = getattr(args, option)
        if value is not None:
            words += [f"--{option}", str(value)]
    if args.rounds != DEFAULT_ROUNDS:
        words += ["--rounds", str(args.rounds)]
    return shlex.join(words)


def _listed(text: str | None) -> Sequence[str] | None:
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]
