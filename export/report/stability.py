"""The part of the report's page on how much masks flicker, for frames in a row."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any


def stability_section(verification: Mapping[str, Any]) -> str:
    """Renders the flicker of PyTorch and of each variant, in all and by class; empty if it was not measured.

    Args:
        verification: the content of ``verification.json``.
    """
    found: Mapping[str, Mapping[str, Any]] = verification.get("stability", {})
    if not found:
        return ""
    first = next(iter(found.values()))
    figures = ("raw_change", "warped_change", "temporal_consistency")
    rows = [_row("all", [found[name][figure] for name in found for figure in figures])]
    rows += [
        _row(label, [found[name]["classes"][label][figure] for name in found for figure in figures])
        for label in first["classes"]
    ]
    top = "".join(f"<th class=number colspan={len(figures)}>{escape(name)}</th>" for name in found)
    heads = "".join(
        f"<th class=number>{head}</th>" for _ in found for head in ("Raw", "Warped", "Consistency")
    )
    return f"""<h2>Flicker</h2>
<section class="card wide"><table><tr><th>Class</th>{top}</tr><tr><th></th>{heads}</tr>{"".join(rows)}</table>
<p class=key>Over {first["pairs"]} pairs of frames in a row, in percent. Raw: pixels whose class changes. Warped: the
same after the motion by optical flow, where the two frames show the same. Consistency: IoU of the moved mask and the
present one; for all classes its mean.</p></section>"""


def _row(name: str, shares: list[float | None]) -> str:
    cells = "".join(
        f"<td class=number>{'–' if share is None else f'{100 * share:.2f}'}</td>" for share in shares
    )
    return f"<tr><td class=name>{escape(name)}</td>{cells}</tr>"
