"""Landing spots on the aerial world: how many are found, how many are unsafe, and how steady they are.

``python -m edgeseg.benchmarks.landing`` judges the search on the true classes. With ``--bundle`` a network sees the
frames, and the margin around hazards is varied: a larger one loses spots and makes the others safer.
``--intrusions`` and ``--closed-loop`` are two other measurements, of people and cars that come into a spot and of whole
landings.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...core.errors import UsageError
from ...embedding.landing.options import LandingOptions
from ...runtime.segmenter import Segmenter
from ..describe import describe_machine
from ..plots import INK, SERIES, new_figure, plain_axes, png
from ..program import Results, run_program, write_results
from ..tables import Table, number
from .flights import FlightPlan, FlightTally, fly
from .programs import add_options, check_options, measure_intrusions, measure_loop
from .views import Masks, Tally, exact, judge_views
from .world import View

_RADII_M = (1.5, 3.0)
_MARGINS_M = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the measurement and returns the exit status."""
    return run_program("landing", __doc__ or "", _configure, _run, argv)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bundle", type=Path, metavar="DIR", help="a bundle of an aerial network; default: exact masks"
    )
    parser.add_argument(
        "--views", type=int, default=1000, metavar="N", help="single views; default: %(default)s"
    )
    parser.add_argument("--flights", type=int, default=12, metavar="N", help="flights; default: %(default)s")
    parser.add_argument(
        "--frames", type=int, default=60, metavar="N", help="of each flight; default: %(default)s"
    )
    parser.add_argument(
        "--fps", type=float, default=5.0, metavar="F", help="frames a second; default: %(default)s"
    )
    parser.add_argument(
        "--margin", type=float, default=1.5, metavar="M", help="metres, in flights; default: %(default)s"
    )
    add_options(parser)


def _run(args: argparse.Namespace) -> None:
    for name, least in (("views", 1), ("flights", 0), ("frames", 2)):
        if getattr(args, name) < least:
            raise UsageError(f"--{name} {getattr(args, name)}: expected {least} or more")
    if not 0.5 <= args.fps <= 60:
        raise UsageError(f"--fps {args.fps:g}: expected 0.5 to 60")
    check_options(args)
    cv2.setNumThreads(1)  # what the search costs is told for one core
    if args.intrusions is not None:
        measure_intrusions(args)
        return
    if args.closed_loop is not None:
        measure_loop(args)
        return
    if args.bundle is None:
        _measure(args, exact, (0.0,), (720, 1280))
        return
    with Segmenter(args.bundle, threads=args.threads, backend=args.backend) as segmenter:

        def seen(view: View) -> np.ndarray:
            return segmenter(view.frame_bgr).classes

        _measure(args, seen, _MARGINS_M, (720, 1280))


def _measure(
    args: argparse.Namespace, masks: Masks, margins_m: tuple[float, ...], size_hw: tuple[int, int]
) -> None:
    def progress(done: int) -> None:
        if done % 25 == 0 or done == args.views:
            end = "\n" if done == args.views else ""
            print(f"\r{done}/{args.views} views", end=end, file=sys.stderr, flush=True)

    tallies = judge_views(args.views, size_hw, masks, _RADII_M, margins_m, progress)
    flights = [
        (radius, fly(_plan(args, radius, 0.0 if masks is exact else args.margin, size_hw), masks))
        for radius in _RADII_M
        if args.flights
    ]
    what = "exact masks" if masks is exact else f"the masks of {args.bundle.name}"
    plot = ("Unsafe spots against spots found, by margin", lambda: _plot(tallies))
    results = Results(
        name="landing",
        title=f"Landing spots with {what}",
        figures={"machine": {**describe_machine(), "threads": 1}, **_json(tallies, flights)},
        tables=[_view_table(tallies), *([_flight_table(flights)] if flights else [])],
        words=_words(tallies, flights),
        images={"landing.png": plot} if len(margins_m) > 1 else {},
    )
    write_results(args, results)


def _plan(args: argparse.Namespace, radius_m: float, margin_m: float, size_hw: tuple[int, int]) -> FlightPlan:
    return FlightPlan(
        args.flights, args.frames, args.fps, size_hw, LandingOptions(radius_m=radius_m), margin_m
    )


def _view_table(tallies: Mapping[tuple[float, float], Tally]) -> Table:
    rows = [
        [
            f"{radius:g} m", f"{margin:g} m", str(tally.views), str(tally.exist), number(100 * tally.found_share),
            str(tally.found), str(tally.unsafe), number(100 * tally.unsafe_share, 2),
            number(float(np.median(tally.ms)), 2), number(float(np.percentile(tally.ms, 95)), 2),
        ]
        for (radius, margin), tally in tallies.items()
    ]  # fmt: skip
    heads = (
        "radius", "margin", "views", "with a spot", "found, %", "spots given", "unsafe", "unsafe, %", "ms p50", "ms p95"
    )  # fmt: skip
    return Table(heads, rows, left=2)


def _flight_table(flights: Sequence[tuple[float, FlightTally]]) -> Table:
    rows = [
        [
            f"{radius:g} m", str(tally.frames), str(tally.found), str(tally.judged), str(tally.unsafe),
            number(100 * tally.unsafe / max(1, tally.judged), 2), number(100 * tally.jumps / max(1, tally.pairs)),
            number(float(np.median(tally.first_s)) if tally.first_s else None),
        ]
        for radius, tally in flights
    ]  # fmt: skip
    heads = (
        "radius, in flight",
        "frames",
        "with a spot",
        "judged",
        "unsafe",
        "unsafe, %",
        "jumps, %",
        "first after, s",
    )
    return Table(heads, rows)


def _words(
    tallies: Mapping[tuple[float, float], Tally], flights: Sequence[tuple[float, FlightTally]]
) -> list[str]:
    words = [
        f"{radius:g} m radius, {margin:g} m margin: {tally.unsafe} of {tally.found} spots are unsafe; "
        f"{100 * tally.found_share:.1f} % of the views that have a spot give one."
        for (radius, margin), tally in tallies.items()
    ]
    for radius, tally in flights:
        words.append(
            f"In flight, {radius:g} m radius: {tally.unsafe} of {tally.judged} judged spots are unsafe; "
            f"{100 * tally.jumps / max(1, tally.pairs):.1f} % of the pairs of frames jump."
        )
    return words


def _json(
    tallies: Mapping[tuple[float, float], Tally], flights: Sequence[tuple[float, FlightTally]]
) -> dict[str, Any]:
    return {
        "views": [
            {
                "radius_m": radius, "margin_m": margin, "views": tally.views, "exist": tally.exist,
                "found": tally.found, "found_of_exist": tally.found_of_exist, "unsafe": tally.unsafe,
                "ms_p50": float(np.median(tally.ms)),
            }
            for (radius, margin), tally in tallies.items()
        ],
        "flights": [
            {
                "radius_m": radius, "frames": tally.frames, "found": tally.found, "judged": tally.judged,
                "unsafe": tally.unsafe, "pairs": tally.pairs, "jumps": tally.jumps, "first_s": tally.first_s,
            }
            for radius, tally in flights
        ],
    }  # fmt: skip


def _plot(tallies: Mapping[tuple[float, float], Tally]) -> bytes:
    figure = new_figure(6.4, 4.2)
    axes = figure.add_subplot()
    for radius, colour in zip(sorted({radius for radius, _ in tallies}), SERIES, strict=False):
        curve = [(margin, tally) for (own, margin), tally in tallies.items() if own == radius]
        found = [100 * tally.found_share for _, tally in curve]
        unsafe = [100 * tally.unsafe_share for _, tally in curve]
        axes.plot(found, unsafe, marker="o", color=colour, label=f"radius {radius:g} m")
        for (margin, _), x, y in zip(curve, found, unsafe, strict=True):
            axes.annotate(
                f"{margin:g} m", (x, y), textcoords="offset points", xytext=(5, 4), color=INK, fontsize=8
            )
    axes.set_xlabel("spots found, % of the views that have one", color=INK)
    axes.set_ylabel("unsafe, % of the spots given", color=INK)
    axes.legend(frameon=False)
    plain_axes(axes, "both")
    return png(figure)


if __name__ == "__main__":
    sys.exit(main())
