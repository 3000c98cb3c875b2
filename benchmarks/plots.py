"""The plots of the results, in one common style."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.errors import MissingDependencyError
from .peers import OURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, GRID = "#1f2328", "#8b949e", "#e6e9ed"
COLOURS = {OURS: "#1f6feb", "onnxruntime": "#8d96a3", "openvino": "#6f9bb5", "torch": "#d08a5e"}
LIMIT = "#d1242f"
SERIES = ("#1f6feb", "#d1570c", "#1a7f5a", "#8250df", "#8d96a3", "#bf3989")


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure of this size in inches.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "export", "drawing the results") from error
    return Figure(figsize=(width, height), dpi=110, layout="constrained", facecolor="white")


def plain_axes(axes: Axes, grid: str = "x") -> None:
    """Removes unneeded lines, and draws a faint grid behind the data."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.grid(axis="x" if grid == "x" else "both", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=INK, labelsize=9)


def png(figure: Figure) -> bytes:
    """Returns the figure as a PNG file, the same bytes every time."""
    image = io.BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()


def latency_plot(result: Mapping[str, Any]) -> bytes:
    """Plots a bar for each contender: the median, whiskers to p90 and p99, and its bare network as a red mark."""
    rows = sorted(result["contenders"], key=lambda row: float(row["ms"]["p50"]), reverse=True)
    figure = new_figure(9.2, 1.5 + 0.36 * len(rows))
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        times = row["ms"]
        colour = COLOURS.get(row["group"], FAINT)
        axes.barh(
            place, times["p50"], height=0.62, color=colour, alpha=1 if row["same_map"] else 0.45, linewidth=0
        )
        axes.plot([times["p50"], times["p99"]], [place, place], color=INK, linewidth=1, alpha=0.7)
        for key, half in (("p90", 0.12), ("p99", 0.2)):
            axes.plot([times[key]] * 2, [place - half, place + half], color=INK, linewidth=1, alpha=0.7)
        bare = row["bare_ms"]["p50"]
        axes.plot([bare, bare], [place - 0.4, place + 0.4], color=LIMIT, linewidth=2.2)
        axes.annotate(
            f"{times['p50']:.1f}", (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=9,
            color=INK, annotation_clip=False,
            fontweight="bold" if row["group"] == OURS else "normal",
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [f"{row['name']}  {row['precision']}" for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row["group"] == OURS else "normal")
    plain_axes(axes)
    axes.set_xlim(0, _right_edge(rows))
    axes.set_xlabel("milliseconds from frame to class map", fontsize=9, color=INK)
    bundle, (height, width) = result["bundle"], result["frames"]["size_hw"]
    axes.set_title(
        f"{bundle['architecture']}, {width} x {height} frames, {result['threads']} threads",
        loc="left", fontsize=12, color=INK, fontweight="bold",
    )  # fmt: skip
    _key(figure, rows)
    return png(figure)


def _right_edge(rows: Sequence[Mapping[str, Any]]) -> float:
    """Returns the right limit of the axis; a single extreme p99 may be outside, so that the rest stays readable."""
    medians = [float(row["ms"]["p50"]) for row in rows]
    tails = [float(row["ms"]["p99"]) for row in rows]
    return min(1.12 * max(tails), 1.6 * max(medians))


def _key(figure: Figure, rows: Sequence[Mapping[str, Any]]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(color=colour, label=group)
        for group, colour in COLOURS.items()
        if any(row["group"] == group for row in rows)
    ]
    if not all(row["same_map"] for row in rows):
        handles.append(Patch(color=FAINT, alpha=0.45, label="pale: a coarser map"))
    handles += [
        Line2D([], [], color=LIMIT, linewidth=2.2, label="bare network"),
        Line2D([], [], color=INK, linewidth=1, label="whiskers: p90, p99"),
    ]
    figure.legend(
        handles=handles, fontsize=8, frameon=False, ncols=4, loc="outside lower center", columnspacing=1.6,
        handlelength=1.4,
    )  # fmt: skip
