"""Accuracy against latency: every variant of every given bundle, on every backend that runs it.

``python -m edgeseg.benchmarks.accuracy BUNDLE … --data DIR`` measures mean IoU on a labelled split and the latency from
frame to class map, all in turn. Without ``--data``, mean IoU comes from the bundles' own verification.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Frame
from ..core.errors import BackendError, BundleError, DataError, UsageError
from ..data.metrics import ConfusionMatrix
from ..export.verification.frames import VocFrames
from ..runtime.backends import backend_class
from ..runtime.bundle import Bundle, Variant
from ..runtime.segmenter import Segmenter
from .contender import Contender
from .describe import describe_machine
from .frames import read_frames
from .peers import OURS, group_of, names, peer_class
from .peers.base import Setting
from .peers.ours import SPIN, place
from .plots import FAINT, INK, SERIES, new_figure, plain_axes, png
from .program import Results, run_program, write_results
from .rounds import TimedRun, run_rounds
from .tables import Table, number

_TIMED_FRAMES = 8
_LEAST_SPAN = 2.0
_VERIFIED_ON = "onnxruntime"

MeanIouOf = Callable[[Bundle, Variant, str], float]
"""A function that returns the mean IoU, 0 to 1, of a bundle's variant on one of our contenders."""


@dataclass(frozen=True)
class Point:
    """One variant of one bundle on one backend, with its number format. ``miou`` is 0 to 1, the rest is ms and MB."""

    bundle: str
    network: str
    variant: str
    precision: str
    backend: str
    miou: float
    p50: float
    p90: float
    p99: float
    file_mb: float


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints and writes; returns the exit status."""
    return run_program("accuracy", __doc__ or "", _configure, _run, argv)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="a data set in VOC layout; default: the verification"
    )
    parser.add_argument("--split", default="val", help="default: %(default)s")
    parser.add_argument("--frames", type=int, metavar="N", help="up to N of its images; default: all")
    parser.add_argument("--backend", metavar="NAMES", help="with commas; default: all that run here")
    parser.add_argument("--rounds", type=int, default=25, metavar="N", help="default: %(default)s")


def _run(args: argparse.Namespace) -> None:
    if args.rounds < 1 or (args.frames is not None and args.frames < 1):
        raise UsageError(f"--rounds {args.rounds}, --frames {args.frames}: expected 1 or more")
    machine = describe_machine()
    bundles = [Bundle.load(path) for path in args.bundles]
    ours = _ours(args.backend or (None if args.data else _VERIFIED_ON))
    score: MeanIouOf
    if args.data is None:
        if args.backend not in (None, _VERIFIED_ON):
            raise UsageError(
                f"--backend {args.backend} needs --data: the bundles were verified on {_VERIFIED_ON} alone"
            )
        for bundle in bundles:
            for variant in bundle.variants.values():
                # So that a missing verification is reported before anything is measured.
                verified_miou(bundle, variant, _VERIFIED_ON)
        score, images_bgr, origin = (
            verified_miou,
            list(read_frames(None, None)[0]),
            "their own verification",
        )
    else:
        frames = VocFrames(args.data, args.split, args.frames)
        for bundle in bundles:
            if not frames.truth_fits(bundle.labels):
                raise DataError(
                    f"the classes of {bundle.path} are not those of {args.data}: there is no mean IoU"
                )
        score, origin = _measured_on(frames, args.threads), f"{frames.name} ({len(frames)} images)"
        images_bgr = [frame.frame_bgr for _, frame in zip(range(_TIMED_FRAMES), frames, strict=False)]
    points = measure(bundles, images_bgr, score, ours, args.threads, args.rounds)
    result = {
        "benchmark": "accuracy against latency",
        "machine": machine,
        "miou_from": origin,
        "threads": args.threads,
        "points": [asdict(point) for point in points],
    }
    title = f"Accuracy against latency: mean IoU by {origin}"
    images = {"accuracy.png": ("Mean IoU against median latency", lambda: plot(points, title))}
    write_results(args, Results("accuracy", title, result, [table(points)], read_out(points), images))


def _ours(text: str | None) -> list[str]:
    """Returns our contenders that run here, or those on the named backends."""
    # The way in which threads wait does not change a mask.
    ours = [name for name in names() if group_of(name) == OURS and not name.endswith(SPIN)]
    if text is None:
        return [name for name in ours if not peer_class(name).why_unavailable(name)]
    chosen = []
    for backend in filter(None, map(str.strip, text.split(","))):
        backend_class(backend)  # raises for an unknown name
        on_it = [name for name in ours if place(name)[0] == backend]
        if reason := peer_class(on_it[0]).why_unavailable(on_it[0]):
            raise BackendError(f"--backend {backend}: {reason}")
        chosen += on_it
    return chosen


def measure(
    bundles: Sequence[Bundle],
    images_bgr: Sequence[Frame],
    score: MeanIouOf,
    ours: Sequence[str],
    threads: int,
    rounds: int,
) -> list[Point]:
    """Measures every variant on every backend for which it is made.

    Args:
        bundles: of any networks.
        images_bgr: frames for the timing, uint8 [H, W, 3].
        score: returns mean IoU.
        ours: our contenders.
        threads: of each contender.
        rounds: turns of each contender.
    """
    todo = [
        (bundle, variant, name)
        for bundle in bundles
        for variant in bundle.variants.values()
        for name in ours
        if variant.target in backend_class(place(name)[0]).targets(place(name)[1])
    ]
    cpus = sorted(os.sched_getaffinity(0))[:threads]
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeseg-benchmark-")))
        if len({image.shape for image in images_bgr}) > 1:
            images_bgr = images_bgr[:1]  # a camera's frames are all of one size
        np.save(work / "frames.npy", np.stack(images_bgr))
        size_hw = (images_bgr[0].shape[0], images_bgr[0].shape[1])
        takes: dict[str, TimedRun] = {}
        computes_in: list[str] = []
        for index, (bundle, variant, name) in enumerate(todo):
            setting = Setting.of(bundle, variant.name, size_hw, threads, work)
            contender = Contender(name, setting, work / "frames.npy", cpus)
            takes[str(index)] = stack.enter_context(contender).frames_ms
            computes_in.append(contender.precision)
        timed = run_rounds(takes, rounds)
    return [
        Point(
            bundle=bundle.path.name,
            network=str(bundle.architecture["name"]),
            variant=variant.name,
            precision=computes_in[index],
            backend=name.removeprefix(f"{OURS}-"),
            miou=score(bundle, variant, name),
            file_mb=variant.path.stat().st_size / 1e6,
            **timed[str(index)].percentiles(),
        )
        for index, (bundle, variant, name) in enumerate(todo)
    ]


def _measured_on(frames: VocFrames, threads: int) -> MeanIouOf:
    def score(bundle: Bundle, variant: Variant, name: str) -> float:
        matrix = ConfusionMatrix(len(bundle.labels))
        with Segmenter(bundle, variant.name, *place(name), threads) as segmenter:
            for frame in frames:
                matrix.update(frame.mask, segmenter(frame.frame_bgr).classes)
        return matrix.miou

    return score


def verified_miou(bundle: Bundle, variant: Variant, name: str) -> float:
    """Returns a variant's mean IoU from its bundle's verification, on the verification's backend.

    Raises:
        BundleError: the bundle was not verified, or on frames without truth.
    """
    entry = bundle.manifest["verification"]
    report = {} if entry is None else json.loads((bundle.path / entry["file"]).read_text(encoding="utf-8"))
    miou = report.get("variants", {}).get(variant.name, {}).get("miou_variant")
    if miou is None:
        raise BundleError(
            f"the verification of {bundle.path} has no mean IoU of {variant.name}; give --data with labelled images"
        )
    return float(miou)


def table(points: Sequence[Point]) -> Table:
    """Returns a table with one row for each point, the most accurate first."""
    return Table(
        ["network", "bundle", "variant", "backend", "in", "mIoU", "p50 ms", "p90", "p99", "MB", "nothing beats it"],
        [
            [
                point.network, point.bundle, point.variant, point.backend, point.precision, number(100 * point.miou, 2),
                *(number(value) for value in (point.p50, point.p90, point.p99, point.file_mb)),
                "yes" if point in front_of(points) else "",
            ]
            for point in sorted(points, key=lambda point: -point.miou)
        ],
        left=5,
    )  # fmt: skip


def front_of(points: Sequence[Point]) -> list[Point]:
    """Returns the points that no other beats in both accuracy and latency, by growing latency."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.p50, -point.miou)):
        if not front or point.miou > front[-1].miou:
            front.append(point)
    return front


def read_out(points: Sequence[Point]) -> list[str]:
    """Returns the conclusions from the figures."""
    best = ", ".join(
        f"{p.network} {p.variant} on {p.backend} ({100 * p.miou:.2f} in {p.p50:.1f} ms)"
        for p in front_of(points)
    )
    lines = [f"Nothing here is both more accurate and faster than: {best}."]
    for bundle in dict.fromkeys(point.bundle for point in points):
        own = [point for point in points if point.bundle == bundle]
        base = next((point for point in own if point.precision == "fp32"), None)
        fastest = min(own, key=lambda point: point.p50)
        if base is not None and fastest is not base:
            lines.append(
                f"{bundle}: the fastest is {fastest.variant} on {fastest.backend}. It takes"
                f" {fastest.p50 / base.p50:.2f} times as long as {base.variant} on {base.backend}; its mean IoU differs"
                f" by {100 * (fastest.miou - base.miou):+.2f} points."
            )
    return lines


def plot(points: Sequence[Point], title: str) -> bytes:
    """Plots mean IoU over latency: a colour for each network, a marker for each backend, and the Pareto line."""
    figure = new_figure(8.6, 4.8)
    axes = figure.add_subplot()
    networks = list(dict.fromkeys(point.network for point in points))
    forms: Mapping[str, str] = dict(zip(dict.fromkeys(p.backend for p in points), "osD^v", strict=False))
    front = front_of(points)
    axes.plot(
        [p.p50 for p in front], [100 * p.miou for p in front], color=FAINT, linewidth=1, linestyle="--", zorder=1,
    )  # fmt: skip
    for point in points:
        colour = SERIES[networks.index(point.network) % len(SERIES)]
        axes.plot(
            point.p50, 100 * point.miou, forms[point.backend], color=colour, markersize=8,
            markerfacecolor=colour if point.precision == "fp32" else "white", markeredgewidth=1.8,
        )  # fmt: skip
        axes.annotate(
            point.variant, (point.p50, 100 * point.miou), xytext=(7, 4), textcoords="offset points", fontsize=8,
            color=INK,
        )  # fmt: skip
    _key(axes, networks, forms)
    plain_axes(axes, grid="both")
    axes.margins(x=0.12, y=0.15)
    axes.ticklabel_format(useOffset=False)
    # Otherwise hundredths of a point would look like a large difference.
    low, high = (100 * end(point.miou for point in points) for end in (min, max))
    if high - low < _LEAST_SPAN:
        axes.set_ylim((low + high - _LEAST_SPAN) / 2, (low + high + _LEAST_SPAN) / 2)
    axes.set_xlabel("milliseconds from frame to class map, median", fontsize=9, color=INK)
    axes.set_ylabel("mean IoU", fontsize=9, color=INK)
    axes.set_title(title, loc="left", fontsize=12, color=INK, fontweight="bold")
    return png(figure)


def _key(axes: Any, networks: Sequence[str], forms: Mapping[str, str]) -> None:
    for index, network in enumerate(networks):
        axes.plot([], [], "-", linewidth=5, color=SERIES[index % len(SERIES)], label=network)
    for backend, form in forms.items():
        axes.plot([], [], form, color=FAINT, label=backend)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))


if __name__ == "__main__":
    sys.exit(main())
