"""The tables of the closed loop, its words, and a plot of descents."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ...plots import INK, LIMIT, SERIES, new_figure, plain_axes, png
from ...tables import Table, number
from .faults import INTRUDER
from .flight import ABORTED, SAFE, UNSAFE, FlightOutcome
from .tally import LoopTally


def loop_table(outcomes: Sequence[FlightOutcome]) -> Table:
    """Returns the counts by fault and autopilot, and of all."""
    groups: dict[tuple[str, str], list[FlightOutcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.fault, outcome.autopilot), []).append(outcome)
    rows = [[*key, *_cells(LoopTally(group))] for key, group in groups.items()]
    faults = [outcome for outcome in outcomes if outcome.fault != INTRUDER]
    rows.append(
        ["all" if len(faults) == len(outcomes) else "all but the last", "both", *_cells(LoopTally(faults))]
    )
    heads = (
        "fault", "autopilot", "flights", "safe", "aborted", "unsafe", "unsafe, %", "descended blind", "miss p50, m",
        "miss max, m", "landing p50, s",
    )  # fmt: skip
    return Table(heads, rows, left=2)


def _cells(tally: LoopTally) -> list[str]:
    misses = [outcome.miss_m for outcome in tally.landings if math.isfinite(outcome.miss_m)]
    seconds = [outcome.landing_s for outcome in tally.landings]
    return [
        str(len(tally.outcomes)),
        str(tally.count(SAFE)),
        str(tally.count(ABORTED)),
        str(tally.count(UNSAFE)),
        number(100 * tally.unsafe_share, 2) if tally.landed else number(None),
        str(tally.blind),
        number(float(np.median(misses)), 2) if misses else number(None),
        number(max(misses), 2) if misses else number(None),
        number(float(np.median(seconds)), 0) if seconds else number(None),
    ]


def loop_words(outcomes: Sequence[FlightOutcome]) -> list[str]:
    """Returns the conclusions."""
    tally = LoopTally(outcomes)
    words = [
        f"{tally.landed} of {len(outcomes)} flights touched down, {tally.count(UNSAFE)} of them unsafe "
        f"({100 * tally.unsafe_share:.2f} %); {tally.count(ABORTED)} were aborted in the air.",
        f"{tally.blind} flights descended without a valid spot for longer than the autopilot's time-out.",
    ]
    reasons = Counter(outcome.why for outcome in outcomes if outcome.end == ABORTED)
    if reasons:
        words.append("Aborted: " + ", ".join(f"{count} {why}" for why, count in reasons.most_common()) + ".")
    below = Counter(outcome.why for outcome in outcomes if outcome.end == UNSAFE)
    if below:
        words.append(
            "Below unsafe footprints: " + ", ".join(f"{why} ({n})" for why, n in below.most_common()) + "."
        )
    return words


def loop_json(outcomes: Sequence[FlightOutcome]) -> list[dict[str, Any]]:
    """Returns the outcomes ready for JSON."""
    return [
        {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in asdict(o).items()
        }
        for o in outcomes
    ]


def plot_descents(descents: Sequence[tuple[str, Sequence[tuple[float, float, bool]]]]) -> bytes:
    """Plots heights over time.

    Args:
        descents: the name of each flight, and of each of its frames the seconds, the height in metres, and whether
            there was a valid spot.
    """
    figure = new_figure(7.2, 4.2)
    axes = figure.add_subplot()
    for (name, frames), colour in zip(descents, SERIES, strict=False):
        at, height, valid = (np.array(column) for column in zip(*frames, strict=True))
        axes.plot(at, height, color=colour, linewidth=1.6, label=name)
        axes.plot(at[~valid.astype(bool)], height[~valid.astype(bool)], ".", color=LIMIT, markersize=3)
    axes.plot([], [], ".", color=LIMIT, label="no valid spot")
    axes.set_xlabel("seconds", color=INK)
    axes.set_ylabel("height, m", color=INK)
    axes.legend(frameon=False, fontsize=8)
    plain_axes(axes, "both")
    return png(figure)
