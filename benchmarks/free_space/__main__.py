"""Free space on real streets: the boundary against the truth, and what the network misses.

``python -m edgeseg.benchmarks.free_space --bundle DIR --data DIR`` measures every variant of a bundle on a labelled
split, beside the exact masks. It measures in pixels: no calibration of the camera is needed. The cost of the whole
search, with distances and grid, is measured on the same class maps at 1280 x 720.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...core.arrays import ClassMap
from ...core.errors import DataError, UsageError
from ...core.labels import LabelMap
from ...embedding.camera.optics import Optics
from ...embedding.free_space.columns import boundary_of, kinds_of, turned_kinds
from ...embedding.free_space.finder import FreeSpaceFinder
from ...embedding.free_space.road import RoadOptions
from ...embedding.pose import Mount
from ...export.verification.frames import LabelledFrame, VocFrames
from ...runtime.bundle import Bundle
from ...runtime.clock import now
from ...runtime.segmenter import Segmenter
from ..describe import describe_machine
from ..plots import INK, SERIES, new_figure, plain_axes, png
from ..program import Results, run_program, write_results
from ..tables import Table, number
from .boundary import UNSAFE_PX, BoundaryTally
from .misses import Misses, drivable_table, size_names

EXACT = "exact masks"
_WATCHED = ("pedestrian", "bicyclist", "car", "pole")
_COST_HW = (720, 1280)
_COST_FRAMES = 20


@dataclass
class Measured:
    """The figures measured with one kind of class map."""

    name: str
    boundary: BoundaryTally = field(default_factory=BoundaryTally)
    misses: dict[str, Misses] = field(default_factory=dict)
    cost_ms: list[float] = field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the measurement and returns the exit status."""
    return run_program("free_space", __doc__ or "", _configure, _run, argv)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="of a network for streets")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="a data set in VOC layout")
    parser.add_argument("--split", default="val", help="default: %(default)s")
    parser.add_argument("--frames", type=int, metavar="N", help="up to N of its images; default: all")
    parser.add_argument(
        "--drivable", default="road", metavar="CLASSES", help="classes to drive on; default: %(default)s"
    )
    parser.add_argument(
        "--watch",
        default=",".join(_WATCHED),
        metavar="CLASSES",
        help="classes whose misses are counted; default: %(default)s",
    )


def _run(args: argparse.Namespace) -> None:
    if args.frames is not None and args.frames < 1:
        raise UsageError(f"--frames {args.frames}: expected 1 or more")
    bundle, frames = Bundle.load(args.bundle), VocFrames(args.data, args.split, args.frames)
    if not frames.truth_fits(bundle.labels):
        raise DataError(f"the classes of {bundle.path} are not those of {args.data}: there is no truth")
    drivable, watched = (tuple(text.split(",")) for text in (args.drivable, args.watch))
    kinds_of(bundle.labels, drivable)  # refuses unknown names
    if missing := [name for name in watched if name not in bundle.labels.names]:
        raise UsageError(f"--watch {missing[0]}: the network knows {', '.join(bundle.labels.names)}")
    cv2.setNumThreads(1)  # what the search costs is told for one core
    measured = [measure(EXACT, frames, bundle.labels, (drivable, watched), lambda frame: frame.mask)]
    for variant in bundle.variants:
        with Segmenter(bundle, variant, threads=args.threads) as segmenter:
            name = f"{variant}, {segmenter.backend.name}"
            _progress(name, 0, len(frames))

            def seen(frame: LabelledFrame, segmenter: Segmenter = segmenter) -> ClassMap:
                return segmenter(frame.frame_bgr).classes

            measured.append(measure(name, frames, bundle.labels, (drivable, watched), seen))
    size_hw = next(iter(frames)).mask.shape
    title = f"Free space of {bundle.name} on {frames.name}"
    results = Results(
        name="free_space",
        title=title,
        figures={
            "machine": {**describe_machine(), "threads": args.threads},
            "frames": len(frames),
            "size_hw": list(size_hw),
            "unsafe_px": UNSAFE_PX,
            "measured": [_json(each, bundle.labels) for each in measured],
        },
        tables=[
            _boundary_table(measured),
            _passed_table(measured, bundle.labels),
            _miss_table(measured),
            _object_table(measured),
        ],
        words=_words(measured, size_hw, len(frames)),
        images={
            "boundary.png": ("The share of columns over the error of the boundary", lambda: _plot(measured))
        },
    )
    write_results(args, results)


def measure(
    name: str,
    frames: VocFrames,
    labels: LabelMap,
    classes: tuple[tuple[str, ...], tuple[str, ...]],
    masks: Callable[[LabelledFrame], ClassMap],
) -> Measured:
    """Judges the class maps of all frames.

    Args:
        name: for display.
        frames: with their truth.
        labels: their classes.
        classes: names of those that are drivable, and of those that are watched.
        masks: returns the class map of a frame.
    """
    drivable, watched = classes
    table, truth = kinds_of(labels, drivable), drivable_table(labels.names, drivable)
    result = Measured(name, misses={each: Misses() for each in watched})
    finder = FreeSpaceFinder(labels, drivable, Optics(), Mount.tilted(5.0), RoadOptions(height_m=1.4))
    for index, frame in enumerate(frames):
        seen = masks(frame)
        rows, _ = boundary_of(turned_kinds(seen, table))
        result.boundary.add(frame.mask, truth, rows.astype(np.int64))
        for each in watched:
            result.misses[each].add(frame.mask, seen, labels.names.index(each), truth)
        if index <= _COST_FRAMES:
            large = np.asarray(cv2.resize(seen, _COST_HW[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
            began = time.thread_time()  # of one core, whatever else the machine does
            finder.update(large, now())
            if index:  # the first one makes the geometry
                result.cost_ms.append(1e3 * (time.thread_time() - began))
        _progress(name, index + 1, len(frames))
    return result


def _progress(name: str, done: int, count: int) -> None:
    if done % 20 == 0 or done == count:
        end = "\n" if done == count else ""
        print(f"\r{name}: {done}/{count} frames", end=end, file=sys.stderr, flush=True)


def _boundary_table(measured: Sequence[Measured]) -> Table:
    heads = (
        "class maps", "columns", "median, px", "p90, px", "p99, px", "unsafe, %", "too early, %", "void, %",
        "CPU ms p50", "CPU ms p95",
    )  # fmt: skip
    rows = [
        [
            each.name, str(tally.columns), *(number(tally.percentile(share)) for share in (50, 90, 99)),
            number(100 * tally.unsafe_share, 2), number(100 * tally.early_share, 2),
            number(100 * tally.vague / max(1, tally.columns), 2),
            *(number(_cost(each, share), 2) for share in (50, 95)),
        ]
        for each in measured
        for tally in (each.boundary,)
    ]  # fmt: skip
    return Table(heads, rows)


def _cost(each: Measured, share: float) -> float | None:
    return float(np.percentile(each.cost_ms, share)) if each.cost_ms else None


def _passed_table(measured: Sequence[Measured], labels: LabelMap) -> Table:
    """The classes that unsafe columns pass over, in percent of all columns."""
    seen = [each for each in measured if each.name != EXACT]
    names = [
        name for index, name in enumerate(labels.names) if any(each.boundary.passed[index] for each in seen)
    ]
    rows = [
        [
            name,
            *(number(100 * each.boundary.passed[labels.names.index(name)] / each.boundary.columns, 3) for each in seen),
        ]
        for name in names
    ]  # fmt: skip
    return Table(("passed over in unsafe columns, % of all", *(each.name for each in seen)), rows)


def _miss_table(measured: Sequence[Measured]) -> Table:
    heads = ("class", "class maps", "pixels", "missed, %", "taken for drivable, %")
    rows = [
        [
            name, each.name, str(misses.pixels), number(_percent(misses.missed, misses.pixels), 2),
            number(_percent(misses.drivable, misses.pixels), 2),
        ]
        for name, each, misses in _by_class(measured)
    ]  # fmt: skip
    return Table(heads, rows, left=2)


def _object_table(measured: Sequence[Measured]) -> Table:
    heads = ("class", "size, px", "class maps", "objects", "wholly missed", "%", "wholly drivable", "%")
    rows = [
        [
            name, size, each.name, str(objects.count), str(objects.missed),
            number(_percent(objects.missed, objects.count)), str(objects.driven_over),
            number(_percent(objects.driven_over, objects.count)),
        ]
        for index, size in enumerate(size_names())
        for name, each, misses in _by_class(measured)
        for objects in (misses.by_size[index],)
    ]  # fmt: skip
    return Table(heads, sorted(rows, key=lambda row: row[0]), left=3)


def _by_class(measured: Sequence[Measured]) -> Iterator[tuple[str, Measured, Misses]]:
    seen = [each for each in measured if each.name != EXACT]
    for name in seen[0].misses:
        for each in seen:
            yield name, each, each.misses[name]


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _words(measured: Sequence[Measured], size_hw: tuple[int, ...], frames: int) -> list[str]:
    words = [f"{frames} frames of {size_hw[1]} x {size_hw[0]} pixels."]
    for each in measured:
        tally = each.boundary
        words.append(
            f"{each.name}: the boundary is off by {tally.percentile(50):.1f} px (median) and {tally.percentile(90):.1f}"
            f" px (p90); {100 * tally.unsafe_share:.2f} % of the columns say free by more than {UNSAFE_PX} px where the"
            " truth says not."
        )
    return words


def _json(each: Measured, labels: LabelMap) -> dict[str, Any]:
    tally = each.boundary
    return {
        "class_maps": each.name,
        "columns": tally.columns,
        "error_px": {f"p{share}": tally.percentile(share) for share in (50, 90, 99)},
        "unsafe_share": tally.unsafe_share,
        "early_share": tally.early_share,
        "vague_share": tally.vague / max(1, tally.columns),
        "passed": {labels.names[index]: count for index, count in tally.passed.items()},
        "misses": {name: asdict(misses) for name, misses in each.misses.items()},
        "cost_ms": {f"p{share}": _cost(each, share) for share in (50, 95)},
    }


def _plot(measured: Sequence[Measured]) -> bytes:
    figure = new_figure(6.4, 4.0)
    axes = figure.add_subplot()
    seen = [each for each in measured if each.name != EXACT]
    for each, colour in zip(seen, SERIES, strict=False):
        errors = np.sort(np.concatenate(each.boundary.errors_px))
        axes.plot(errors, 100 * (np.arange(len(errors)) + 1) / len(errors), color=colour, label=each.name)
    axes.axvline(UNSAFE_PX, color=INK, linewidth=0.8, linestyle="--")
    axes.set_xlim(-40, 40)
    axes.set_xlabel("error of the boundary, px: free space ends too early | reaches too far", color=INK)
    axes.set_ylabel("columns up to this error, %", color=INK)
    axes.legend(frameon=False)
    plain_axes(axes, "both")
    return png(figure)


if __name__ == "__main__":
    sys.exit(main())
