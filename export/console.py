"""What export and verify show on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .verify import Verification


@contextmanager
def frame_progress(console: Console, total: int) -> Iterator[Callable[[], None]]:
    """Shows a bar of ``total`` frames; call what it gives after each. It leaves nothing behind."""
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("frames", total=total)
        yield lambda: progress.advance(task)


def show_verification(console: Console, verification: Verification) -> None:
    """Prints a line a variant: its size, the pixels that differ, what it loses, and its verdict. 80 columns wide."""
    truth = not verification.note
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("variant", no_wrap=True)
    for head in ("MB", "ties %", "real %", *(("mIoU",) if truth else ()), "worst class", "verdict"):
        table.add_column(head, justify="right", no_wrap=True)
    for variant in verification.variants:
        summary = variant.summary
        shares = (summary.tie_share, summary.real_disagreement)
        miou = f"{_points(summary.miou_reference)} → {_points(summary.miou_variant)}"
        worst = summary.worst_class
        table.add_row(
            variant.name,
            f"{variant.bytes / 1e6:.1f}",
            *(f"{100 * share:.4f}" for share in shares),
            *((miou,) if truth else ()),
            f"{worst.name} {_points(worst.drop)} lost" if worst else "too few pixels",
            "[green]passed[/]" if variant.passed else "[bold red]refused[/]",
        )
    console.print(table)
    if verification.note:
        console.print(f"No truth: {verification.note}.", style="yellow", highlight=False)


def _points(share: float | None) -> str:
    return "–" if share is None else f"{round(100 * share, 2) + 0:.2f}"
