"""The report of a comparison: tables for the terminal, and a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .describe import machine_lines
from .tables import Table, item, number, wrapped

_COLUMNS = (
    "*map*: *exact* decodes at the frame's size; *coarse* takes the best class at the network's size and enlarges.",
    "*bare*: the median of the network alone on the same provider in the same precision: a prepared input, coarse"
    " logits out.",
    "*agrees*: pixels of the same class as PyTorch's reference.",
    "*MB*: resident memory of the contender's own process after some frames; *peak MB*: the most it ever held.",
    "*1st mask*: seconds from the start of that process to its first class map.",
)


def contenders_table(result: Mapping[str, Any]) -> Table:
    """Returns a table with one row for each contender, the fastest first."""
    rows = sorted(result["contenders"], key=lambda row: float(row["ms"]["p50"]))
    with_energy = any(row["joules_per_frame"] is not None for row in rows)
    heads = [
        "contender", "map", "in", "p50 ms", "p90", "p99", "bare", "× bare", "agrees %", "MB", "peak MB", "1st mask s",
    ]  # fmt: skip
    cells = []
    for row in rows:
        agreement = None if row["agreement"] is None else 100 * row["agreement"]
        cells.append(
            [
                row["name"],
                "exact" if row["same_map"] else "coarse",
                row["precision"],
                *(number(row["ms"][key]) for key in ("p50", "p90", "p99")),
                number(row["bare_ms"]["p50"]),
                number(row["times_bare"], 2),
                number(agreement, 2),
                number(row["memory_mb"], 0),
                number(row["peak_memory_mb"], 0),
                number(row["start_ms"]["total"] / 1e3, 2),
                *([number(row["joules_per_frame"], 2)] if with_energy else []),
            ]
        )
    return Table([*heads, *(["J a frame"] if with_energy else [])], cells, left=3)


def decode_table(result: Mapping[str, Any]) -> Table:
    """Returns a table with one row for each way to decode."""
    ways = sorted(result["decode"]["ways"].items(), key=lambda item: float(item[1]["p50"]))
    return Table(
        ["decode alone", "p50 ms", "p90", "p99", "times edgeseg's", "agrees %"],
        [
            [
                name,
                *(number(way[key], 2) for key in ("p50", "p90", "p99")),
                number(way["times"]),
                number(100 * way["agreement"], 3),
            ]
            for name, way in ways
        ],
    )


def head_line(result: Mapping[str, Any]) -> str:
    """Returns the subject of the comparison in one line."""
    bundle, frames = result["bundle"], result["frames"]
    height, width = frames["size_hw"]
    input_h, input_w = bundle["input_size_hw"]
    return (
        f"{bundle['architecture']} ({bundle['weights']}, {bundle['classes']} classes, {input_w} x {input_h}, stride"
        f" {bundle['stride']}), variant {bundle['variant']}: {frames['count']} frames of {width} x {height} from"
        f" {frames['source']}, {result['threads']} threads, {result['samples']} samples each"
        f" in {result['rounds']} rounds"
    )


def plain_text(result: Mapping[str, Any]) -> str:
    """Returns the report for the terminal."""
    parts = [
        head_line(result),
        *machine_lines(result["machine"]),
        "",
        contenders_table(result).plain(),
        "",
        decode_table(result).plain(),
        "",
        f"Energy: {result['energy']}.",
    ]
    parts += [f"{each['name']} did not run: {each['why']}." for each in result["absent"]]
    return "\n".join(parts)


def markdown(result: Mapping[str, Any], command: str, plot: str) -> str:
    """Returns the report as a page.

    Args:
        result: of the comparison.
        command: the command line that made it.
        plot: the file name of the plot.
    """
    bundle, frames = result["bundle"], result["frames"]
    height, width = frames["size_hw"]
    does = {row["name"]: row["does"] for row in result["contenders"]}
    lines = [
        f"# {bundle['architecture']}: from a {width} x {height} frame to its class map",
        "",
        "<!-- not run: it takes minutes, and its figures are of one machine -->",
        "```bash",
        command,
        "```",
        "",
        wrapped(head_line(result) + "."),
        "",
        *(item(f"{line}.") for line in machine_lines(result["machine"])),
        item(f"Reference: {result['reference']}."),
        item(f"Energy: {result['energy']}."),
        "",
        "## Measured",
        "",
        contenders_table(result).markdown(),
        "",
        *map(item, _COLUMNS),
        "",
        f"![Median latency of each contender with its p90 and p99, and its bare network as the limit]({plot})",
        "",
        decode_table(result).markdown(),
        "",
        "## What each does",
        "",
        Table(["contender", "how"], [[name, what] for name, what in does.items()], left=2).markdown(),
    ]
    if result["absent"]:
        lines += ["", "Did not run:", ""]
        lines += [item(f"{each['name']}: {each['why']}.") for each in result["absent"]]
    return "\n".join(lines) + "\n"
