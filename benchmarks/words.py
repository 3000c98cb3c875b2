"""What a comparison says, in words: how near edgeseg is to the limit, what it gains, and where a peer wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .peers import OURS

_SAME = 1.02
"""Times within this factor of each other are called the same."""

Row = Mapping[str, Any]


def read_out(result: Mapping[str, Any]) -> list[str]:
    """Sentences, each computed from the data.

    Args:
        result: of :func:`edgeseg.benchmarks.compare.compare`.
    """
    rows: Sequence[Row] = result["contenders"]
    ours = [row for row in rows if row["group"] == OURS]
    lines = [_limit(row) for row in ours]
    for row in ours:
        provider = row["bare_network"].partition(" ")[0]
        # Only what computes the same on the same provider shows what the way around the network is worth.
        rivals = [r for r in rows if r["group"] == provider and r["precision"] == row["precision"]]
        lines += _against(row, [r for r in rivals if r["same_map"]], "the same map")
        lines += _against(row, [r for r in rivals if not r["same_map"]], "a map made at the network's size")
    lines += _torch(ours, [row for row in rows if row["group"] == "torch"])
    lines += _where_a_peer_wins(ours, [row for row in rows if row["group"] != OURS])
    return [*lines, *_decode(result["decode"])]


def _limit(row: Row) -> str:
    return (
        f"{row['name']} takes {row['ms']['p50']:.1f} ms from frame to class map, {row['times_bare']:.2f} times its bare"
        f" network ({row['bare_ms']['p50']:.1f} ms)."
    )


def _against(row: Row, rivals: Sequence[Row], what: str) -> list[str]:
    if not rivals:
        return []
    best = min(rivals, key=lambda rival: float(rival["ms"]["p50"]))
    ratio = best["ms"]["p50"] / row["ms"]["p50"]
    return [
        f"Against {best['name']} ({best['ms']['p50']:.1f} ms, {what}), the fastest of its kind on the same provider in"
        f" {row['precision']}, {row['name']} is {_comparison(ratio)}."
    ]


def _torch(ours: Sequence[Row], rivals: Sequence[Row]) -> list[str]:
    if not rivals:
        return []
    row, best = _fastest(ours), _fastest(rivals)
    ratio = best["ms"]["p50"] / row["ms"]["p50"]
    return [
        f"Against PyTorch at its fastest here ({best['name']}, {best['ms']['p50']:.1f} ms), {row['name']} is"
        f" {_comparison(ratio)}."
    ]


def _where_a_peer_wins(ours: Sequence[Row], rivals: Sequence[Row]) -> list[str]:
    """Each measure by which the best peer beats the best of ours, whatever its precision or map."""
    if not rivals:
        return []
    measures = (
        ("median latency", "ms", lambda row: row["ms"]["p50"]),
        ("p99 latency", "ms", lambda row: row["ms"]["p99"]),
        ("memory", "MB", lambda row: row["memory_mb"]),
        ("time to the first mask", "ms", lambda row: row["start_ms"]["total"]),
        ("disagreement with PyTorch", "%", lambda row: 100 * (1 - (row["agreement"] or 0))),
    )
    won = []
    for title, unit, of in measures:
        mine, best = min(ours, key=of), min(rivals, key=of)
        digits = 2 if unit == "%" else 1
        if of(best) * _SAME < of(mine) and round(of(best), digits) < round(of(mine), digits):
            note = "" if best["same_map"] else ", whose map is made at the network's size"
            won.append(
                f"{title}: {best['name']}{note}, {of(best):.{digits}f} {unit} against"
                f" {of(mine):.{digits}f} {unit} of {mine['name']}"
            )
    if not won:
        return ["No peer wins in latency, memory, start or agreement."]
    return [f"A peer wins in {line}." for line in won]


def _decode(decode: Mapping[str, Any]) -> list[str]:
    ways = decode["ways"]
    ours = ways["edgeseg"]["p50"]
    rivals = {name: way for name, way in ways.items() if name != "edgeseg"}
    name = min(rivals, key=lambda key: float(rivals[key]["p50"]))
    resize = ways["onnxruntime Resize + ArgMax"]["times"]
    return [
        f"Decode alone: {ours:.2f} ms; ONNX Runtime's Resize + ArgMax takes {resize:.1f} times as long, and the fastest"
        f" other way ({name}) {rivals[name]['times']:.1f} times. Of the cells, {100 * decode['mixed_cells']:.1f} % are"
        " mixed on these frames and have to be interpolated."
    ]


def _fastest(rows: Sequence[Row]) -> Row:
    return min(rows, key=lambda row: float(row["ms"]["p50"]))


def _comparison(ratio: float) -> str:
    if 1 / _SAME <= ratio <= _SAME:
        return f"as fast ({ratio:.2f} times)"
    return f"{ratio:.2f} times as fast" if ratio > 1 else f"slower: {1 / ratio:.2f} times as long"
