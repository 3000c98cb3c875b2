"""The plot of a search: the loss by INT8 over the share of the work in INT8."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import MissingDependencyError
from ..core.outputs import write_atomically
from .search import SearchResult
from .trials import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MIOU, _CLASS, _FAINT = "#1f6feb", "#d1570c", "#8b949e"


def write_plot(path: Path, result: SearchResult, target: str, budget: float, class_budget: float) -> None:
    """Draws every trial, the Pareto line, plain quantization and the chosen list, both with the bounds of their losses.

    Args:
        path: the PNG to write.
        result: of the search.
        target: for the title.
        budget, class_budget: in points, drawn as limits.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "export", "drawing the search") from error
    figure = Figure(figsize=(8.4, 4.6), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    chosen = result.chosen
    trials = [
        trial
        for trial in result.trials
        if trial is result.plain
        or (trial.method == chosen.method and bool(trial.shifts) == bool(chosen.shifts))
    ]
    _draw(axes, _MIOU, "mean IoU", budget, [_point(trial, trial.loss.miou) for trial in trials])
    _draw(axes, _CLASS, "worst class", class_budget, [_point(t, t.loss.worst_class) for t in trials])
    for what, marker, trial in (("chosen", "o", result.chosen), ("plain PTQ", "x", result.plain)):
        for color, label, name in ((_MIOU, "mean IoU", "miou"), (_CLASS, "worst class", "worst_class")):
            share, lost = 100 * trial.int8_macs, trial.figures[f"{name}_lost"]
            at_most = trial.figures.get(f"{name}_lost_at_most")
            bound = "" if at_most is None else f", at most {round(at_most, 2) + 0:.2f}"
            axes.plot(
                [share], [lost], linestyle="none", marker=marker, markersize=11,
                markerfacecolor="none", markeredgecolor=color, markeredgewidth=1.8,
                label=f"{what}, {label}: {round(lost, 2) + 0:.2f}{bound}",
            )  # fmt: skip
            if at_most is not None:
                axes.plot([share, share], [lost, at_most], color=color, linewidth=1)
    axes.axhline(0, color=_FAINT, linewidth=0.8)
    axes.set_xlim(min(100 * trial.int8_macs for trial in trials) - 1, 100.5)
    axes.set_xlabel("share of the multiply-accumulates in INT8 (%)")
    axes.set_ylabel("points of IoU lost on held-out images")
    axes.set_title(
        f"int8-{target}: {len(result.chosen.excluded)} convolutions stay in float,"
        f" {result.chosen.method} ranges{', biases corrected' if result.chosen.shifts else ''}",
        loc="left", fontsize=11,
    )  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    image = io.BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None})
    write_atomically(path, image.getvalue(), force=True)


def _point(trial: Trial, lost: float) -> tuple[float, float]:
    return 100 * trial.int8_macs, lost


def _draw(axes: Axes, color: str, label: str, limit: float, points: Sequence[tuple[float, float]]) -> None:
    """Draws the trials by one measure, their Pareto line and the budget."""
    axes.plot(
        *_columns(points), linestyle="none", marker="o", markersize=4, color=color, alpha=0.55, label=label
    )
    axes.plot(*_columns(pareto(points)), color=color, linewidth=1.4, drawstyle="steps-post")
    axes.axhline(limit, color=color, linewidth=0.8, linestyle=":")
    axes.annotate(
        f"budget, {label}: {limit:g}", (0.01, limit), xycoords=("axes fraction", "data"),
        va="bottom", fontsize=8, color=color,
    )  # fmt: skip


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [share for share, _ in points], [lost for _, lost in points]


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns the points that no other beats both in INT8 share and in loss, by growing share."""
    front: list[tuple[float, float]] = []
    for share, lost in sorted(points, key=lambda point: (-point[0], point[1])):
        if not front or lost < front[-1][1]:
            front.append((share, lost))
    return front[::-1]
