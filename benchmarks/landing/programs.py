"""The measurements of intrusions and of the closed loop, as parts of ``python -m edgeseg.benchmarks.landing``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...core.arrays import ClassMap, Frame
from ...core.errors import UsageError
from ...data.aerial.intruders import IntruderKind
from ...embedding.landing.options import LandingOptions
from ...runtime.segmenter import Segmenter
from ..describe import describe_machine
from ..program import Results, write_results
from ..tables import Table, number
from .intrusions import ENOUGH_FRAMES, Arrival, IntrusionPlan, IntrusionTally, judge_intrusions
from .loop.faults import FAULTS, NONE
from .loop.flight import LoopFlight, LoopPlan, Moment
from .loop.report import loop_json, loop_table, loop_words, plot_descents
from .loop.tally import fly_all
from .stage import Eyes

EXACT_PX, NETWORK_PX = 256, 512
"""Sides of the frames: exact masks need no more, and the network was taught at this size."""
EXACT_MARGIN_M = 0.5
_INTRUSION_FPS = 10.0
_PLOTTED = 4


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of both measurements."""
    parser.add_argument(
        "--intrusions", type=int, metavar="N", help="in place of views: people and cars come into N spots"
    )
    parser.add_argument(
        "--closed-loop", type=int, metavar="N", help="in place of views: a stand-in vehicle lands N times"
    )
    parser.add_argument(
        "--faults", action="store_true", help="with --closed-loop: put a fault into each flight"
    )
    parser.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="with --closed-loop: keep outcomes, and do not fly these again",
    )
    parser.add_argument(
        "--backend", metavar="NAME", default="auto", help="with --bundle: the backend; default: %(default)s"
    )


def check_options(args: argparse.Namespace) -> None:
    """Refuses options that make no sense.

    Raises:
        UsageError: there is one.
    """
    if args.intrusions is not None and args.closed_loop is not None:
        raise UsageError("--intrusions and --closed-loop: expected one of them; run them one after the other")
    for name in ("intrusions", "closed_loop"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} {value}: expected 1 or more")
    for name in ("faults", "log"):
        if getattr(args, name) and args.closed_loop is None:
            raise UsageError(f"--{name}: expected --closed-loop with it; add it")


@contextmanager
def open_eyes(args: argparse.Namespace) -> Iterator[Eyes]:
    """Opens the network of ``--bundle``, or gives the truth."""
    if args.bundle is None:
        yield _truth
        return
    with Segmenter(args.bundle, threads=args.threads, backend=args.backend) as segmenter:

        def seen(frame_bgr: Frame, truth: ClassMap) -> ClassMap:
            return segmenter(frame_bgr).classes

        yield seen


def _truth(frame_bgr: Frame, truth: ClassMap) -> ClassMap:
    return truth


def measure_intrusions(args: argparse.Namespace) -> None:
    """Measures how soon a spot is withdrawn."""
    side, margin = (EXACT_PX, EXACT_MARGIN_M) if args.bundle is None else (NETWORK_PX, args.margin)
    plan = IntrusionPlan(args.intrusions, _INTRUSION_FPS, (side, side), LandingOptions(), margin)
    with open_eyes(args) as eyes:
        tallies = judge_intrusions(plan, eyes, _progress(args.intrusions, "intrusions"))
    all_in_time = sum(tally.in_time for tally in tallies.values())
    cases = sum(tally.cases for tally in tallies.values())
    words = [
        f"{all_in_time} of {cases} spots ({100 * all_in_time / max(1, cases):.1f} %) were withdrawn within "
        f"{ENOUGH_FRAMES} frames that show the intruder in the footprint, at {plan.fps:g} frames a second."
    ]
    rows = [
        {"kind": kind, "arrival": how, "frames": tally.frames, "ms": tally.ms}
        for (kind, how), tally in tallies.items()
    ]
    results = Results(
        name="intrusions",
        title=f"Intrusions with {_what(args)}",
        figures={"machine": {**describe_machine(), "threads": args.threads}, "cases": rows},
        tables=[_intrusion_table(tallies)],
        words=words,
        images={},
    )
    write_results(args, results)


def _intrusion_table(tallies: Mapping[tuple[IntruderKind, Arrival], IntrusionTally]) -> Table:
    rows = []
    for (kind, how), tally in sorted(tallies.items()):
        frames = np.array(tally.frames)
        ms = np.array(tally.ms)[frames > 0]
        p50, p99, most = np.percentile(ms, [50, 99, 100]) if len(ms) else (None, None, None)
        rows.append(
            [
                kind, how, str(tally.cases), str(tally.before), str(int((frames == 1).sum())),
                str(int((frames == 2).sum())), str(int((frames > ENOUGH_FRAMES).sum())),
                number(100 * tally.in_time / tally.cases), number(p50), number(p99), number(most),
            ]
        )  # fmt: skip
    heads = (
        "intruder", "comes", "cases", "before", "1st frame", "2nd", "later", "in time, %", "ms p50", "ms p99", "ms max"
    )  # fmt: skip
    return Table(heads, rows, left=2)


def measure_loop(args: argparse.Namespace) -> None:
    """Measures landings of the stand-in vehicle."""
    exact = args.bundle is None
    plan = LoopPlan()
    if not exact:
        plan = replace(plan, size_hw=(NETWORK_PX, NETWORK_PX), margin_m=args.margin)
    count = args.closed_loop
    with open_eyes(args) as eyes:
        outcomes = fly_all(count, args.faults, plan, eyes, args.log, _progress(count, "flights"))

        def plot() -> bytes:
            return plot_descents(_descents(plan, eyes, args.faults))

        results = Results(
            name="closed-loop",
            title=f"Landings in closed loop with {_what(args)}{', with faults' if args.faults else ''}",
            figures={
                "machine": {**describe_machine(), "threads": args.threads}, "flights": loop_json(outcomes),
            },
            tables=[loop_table(outcomes)],
            words=loop_words(outcomes),
            images={"descents.png": ("Heights over time", plot)},
        )  # fmt: skip
        write_results(args, results)


def _descents(plan: LoopPlan, eyes: Eyes, faults: bool) -> list[tuple[str, list[tuple[float, float, bool]]]]:
    """Flies some flights once more, and returns their heights."""
    descents = []
    for number_, fault in enumerate(FAULTS[:_PLOTTED] if faults else [NONE] * _PLOTTED):
        frames: list[tuple[float, float, bool]] = []

        def watch(moment: Moment, frames: list[tuple[float, float, bool]] = frames) -> None:
            valid = moment.spot is not None and moment.spot.valid
            frames.append((moment.state.at, moment.state.height_m, valid))

        outcome = LoopFlight(2 * number_, plan, eyes, fault).fly(watch)
        descents.append((f"{fault if faults else f'flight {2 * number_}'}: {outcome.end}", frames))
    return descents


def _what(args: argparse.Namespace) -> str:
    return "exact masks" if args.bundle is None else f"the masks of {args.bundle.name}"


def _progress(total: int, what: str) -> Callable[[int], None]:
    def progress(done: int) -> None:
        if done % 5 == 0 or done == total:
            end = "\n" if done == total else ""
            print(f"\r{done}/{total} {what}", end=end, file=sys.stderr, flush=True)

    return progress
