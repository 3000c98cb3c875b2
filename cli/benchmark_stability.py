"""``edgeseg benchmark stability``: how much a bundle's class maps flicker, and what smoothing brings."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

from ..core.errors import UsageError

_DEFAULT_FRAME = "1280x720"
_FILM_FRAMES = 60


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``edgeseg benchmark stability``."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the bundle's folder")
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="NAME",
        help="what runs; may be repeated; default: fp32 and int8-cpu, where the bundle has them",
    )
    parser.add_argument(
        "--source",
        metavar="FILE",
        help="a video, judged by optical flow; default: flights over the aerial world, judged by its true motion",
    )
    parser.add_argument("--flights", type=int, default=6, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--frames",
        type=int,
        metavar="N",
        help=f"of each flight, or of the video; default: 40, or {_FILM_FRAMES} of a video",
    )
    parser.add_argument(
        "--fps", type=float, default=10.0, metavar="F", help="frames a second of flight; default: %(default)s"
    )
    parser.add_argument(
        "--frame",
        default=_DEFAULT_FRAME,
        metavar="WxH",
        help="width and height of the flights' frames; default: %(default)s",
    )
    parser.add_argument(
        "--hazards",
        metavar="CLASSES",
        help='also measure smoothing with hazards, which enter at once and leave slowly, such as "person,car"',
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="CPU threads of the network; default: all processors"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write stability.json and stability.md here")
    parser.add_argument("--force", action="store_true", help="replace outputs that exist")


def run(args: argparse.Namespace) -> int:
    """Measures and prints; returns 0.

    Raises:
        EdgesegError: an option, the bundle, the source or an output cannot work.
    """
    cpus = len(os.sched_getaffinity(0))
    threads = cpus if args.threads is None else args.threads
    frames = (40 if args.source is None else _FILM_FRAMES) if args.frames is None else args.frames
    if not 1 <= threads <= cpus:
        raise UsageError(f"--threads {threads}: expected 1 to {cpus}, the processors of this machine")
    if args.flights < 1 or frames < 2:
        raise UsageError(
            f"--flights {args.flights}, --frames {frames}: expected 1 flight and 2 frames or more"
        )
    if not 1 <= args.fps <= 240:
        raise UsageError(f"--fps {args.fps:g}: expected 1 to 240")
    hazards = () if args.hazards is None else tuple(name.strip() for name in args.hazards.split(","))
    from ..benchmarks.frames import parse_frame
    from ..benchmarks.outputs import check_folder
    from ..benchmarks.program import write_results
    from ..benchmarks.stability.report import StabilityRequest, run_stability
    from ..benchmarks.stability.sequences import SequencePlan
    from ..core.progress import ProgressLine
    from ..core.reads import Reads
    from ..runtime.bundle import Bundle
    from ..runtime.sources.files import add_sources

    plan = SequencePlan(args.flights, frames, args.fps, parse_frame(args.frame))
    if args.out is not None:
        reads = Reads().add(f"the bundle {args.bundle}", args.bundle)
        check_folder(args.out, args.force, add_sources(reads, [args.source] if args.source else []))
    bundle = Bundle.load(args.bundle)
    line = ProgressLine()
    request = StabilityRequest(bundle, args.variant, plan, args.source, hazards, threads)
    results = run_stability(request, lambda done, total: line.count(done, total, "frames"))
    line.show("")
    args.command = command_line(args)
    write_results(args, results)
    return 0


def command_line(args: argparse.Namespace) -> str:
    """Returns the command that repeats this measurement."""
    words = ["edgeseg", "benchmark", "stability", str(args.bundle)]
    for name in args.variant:
        words += ["--variant", name]
    for option in ("source", "frames", "hazards", "threads", "out"):
        value = getattr(args, option)
        if value is not None:
            words += [f"--{option}", str(value)]
    for option, usual in (("flights", 6), ("fps", 10.0), ("frame", _DEFAULT_FRAME)):
        value = getattr(args, option)
        if value != usual:
            words += [f"--{option}", f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)
