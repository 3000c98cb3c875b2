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
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("frames", total=total)
        yield lambda: progress.advance(task)


def show_verification(console: Console, verification: Verification) -> None:
    """Prints a line a variant: its size, what was measured, and its verdict."""
    truth = not verification.note
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("variant")
    for head in ("MB", "same class", "ties", "real", "mIoU" if truth else "", "worst class", "logit error", ""):
        table.add_column(head, justify="right")
    for variant in verification.variants:
        summary = variant.summary
        miou = ""
        if summary.miou_reference is not None and summary.miou_variant is not None:
            miou = f"{100 * summary.miou_reference:.2f} → {100 * summary.miou_variant:.2f}"
        worst = summary.worst_class
        drop = f"{worst.name} {-100 * worst.drop + 0:+.2f}" if worst and worst.drop is not None else "–"
        table.add_row(
            variant.name,
            f"{variant.bytes / 1e6:.1f}",
            f"{100 * summary.pixel_agreement:.4f} %",
            f"{100 * summary.tie_share:.4f} %",
            f"{100 * summary.real_disagreement:.4f} %",
            miou,
            drop,
            f"{summary.max_logit_error:.1e}",
            "[green]passed[/]" if variant.passed else "[bold red]refused[/]",
        )
    console.print(table)
    if verification.note:
        console.print(f"No truth: {verification.note}.", style="yellow", highlight=False)
