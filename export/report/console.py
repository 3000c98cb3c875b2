"""The terminal output of export and verify."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ...calibration.bounds import CONFIDENCE
from ...calibration.calibrate import Calibration
from ...calibration.search import SearchResult
from ...calibration.trials import Notify
from ...core.printable import printable, printable_lines
from ...core.progress import Pace
from ..pipeline import Exported, calibration_folder
from ..verification.headroom import LIMIT, Headroom
from ..verification.latency import Latencies
from ..verification.stability import StabilitySummary
from ..verification.verify import Verification

_ENOUGH_IN_INT8 = 0.5
_CLEARLY_FASTER = 1.05

_LEGEND = (
    "Pixels that differ from PyTorch: ties, where rounding cannot tell the best two classes apart;"
    " real, all others."
)
_WITH_TRUTH = " mIoU: PyTorch → variant, in percent. Worst class: points of IoU that it loses."
_WITHOUT_TRUTH = " Worst class: points that its IoU with PyTorch's mask lacks to 100."


class PlainConsole(Console):
    """A terminal that shows text literally: names of files, classes or operators cannot style it or move the cursor."""

    def __init__(self) -> None:
        super().__init__(highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Renders a text, with markup and control characters escaped."""
        return super().render_str(printable_lines(text), **options)


@contextmanager
def frame_progress(console: Console, total: int) -> Iterator[Callable[[], None]]:
    """Shows a progress bar of ``total`` frames, which is removed at the end. Without a terminal it prints lines.

    Args:
        console: to print on.
        total: the number of frames.

    Yields:
        A function to call after each frame.
    """
    pace, done = Pace(), 0
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("frames", total=total)

        def advance() -> None:
            nonlocal done
            done += 1
            progress.advance(task)
            if not console.is_terminal and pace.due():
                console.print(f"  {done} of {total} frames", soft_wrap=True)

        yield advance


@contextmanager
def calibration_progress(console: Console) -> Iterator[Notify]:
    """Shows a progress bar of calibration. Without a terminal it prints a line for each step, and from time to time."""
    pace, current = Pace(), ""
    with Progress(
        TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    ) as progress:  # fmt: skip
        task = progress.add_task("", total=None, visible=False)

        def notify(text: str, done: int, total: int) -> None:
            nonlocal current
            if text != current and not console.is_terminal:
                console.print(f"  {text}", soft_wrap=True)
            elif not console.is_terminal and pace.due():
                console.print(f"  {text}: {done} of {total}", soft_wrap=True)
            if text != current:
                current = text
                progress.reset(task, description=text, total=total, visible=True)
            progress.update(task, completed=done, total=total, visible=done < total)

        yield notify


def show_export(console: Console, exported: Exported, out: Path) -> None:
    """Prints what INT8 costs in accuracy and gains in speed; nothing without INT8."""
    if exported.calibration is None:
        return
    calibration = exported.calibration
    classes = exported.verification.bundle.labels.names
    _show_calibration(console, calibration, calibration_folder(out), classes)
    if exported.latencies is not None:
        console.print(_advice(exported.latencies), soft_wrap=True)


def _show_calibration(
    console: Console, calibration: Calibration, folder: Path, classes: Sequence[str]
) -> None:
    for target, result in calibration.searches.items():
        _show_trials(console, target, result, classes)
    console.print()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("target", no_wrap=True)
    for head in ("ranges", "biases", "in float", "INT8 work", "plain PTQ", "chosen"):
        table.add_column(head, justify="right", no_wrap=True)
    for target, plan in calibration.plans.items():
        table.add_row(
            target,
            plan.method,
            "corrected" if plan.shifts else "as they are",
            str(len(plan.excluded)),
            f"{100 * plan.int8_macs:.1f} %",
            _losses(plan.plain),
            _losses(plan.chosen),
        )
    console.print(table)
    console.print(
        "In float: convolutions. Plain PTQ, chosen: points of mean IoU, and of the worst class, "
        f"lost on the held-out images; negative numbers are gains. What calibration found: {folder}",
        soft_wrap=True,
    )
    for target, plan in calibration.plans.items():
        if line := _bounds(plan.chosen):
            console.print(f"int8-{target}: {line}.", soft_wrap=True)
    for target, plan in calibration.plans.items():
        if plan.int8_macs < _ENOUGH_IN_INT8:
            console.print(
                f"int8-{target} keeps most of its work in float to stay within the budgets: "
                "it gains little speed; fp16 is the better choice there.",
                style="yellow",
                soft_wrap=True,
            )


def _show_trials(console: Console, target: str, result: SearchResult, classes: Sequence[str]) -> None:
    """Prints one line for each trial, in the order of measurement, with bounds in brackets; marks the chosen one."""
    table = Table(
        title=f"\nint8-{target}: what was tried (in brackets: at most)", title_justify="left", title_style="bold",
        box=None, pad_edge=False, padding=(0, 2, 0, 0),
    )  # fmt: skip
    for head in ("", "ranges", "biases"):
        table.add_column(head, no_wrap=True)
    for head in ("in float", "INT8", "mIoU lost", "worst class lost"):
        table.add_column(head, justify="right", no_wrap=True)
    for trial in result.trials:
        found = trial.figures
        worst = classes[trial.loss.worst_class_id] if trial.loss.worst_class_id >= 0 else ""
        table.add_row(
            "→" if trial is result.chosen else "",
            trial.method,
            "corrected" if trial.shifts else "",
            str(len(trial.excluded)),
            f"{100 * trial.int8_macs:.1f} %",
            f"{_lost(found, 'miou_lost')} ({_lost(found, 'miou_lost_at_most')})",
            f"{worst} {_lost(found, 'worst_class_lost')} ({_lost(found, 'worst_class_lost_at_most')})",
        )
    console.print(table)


def _lost(figures: Mapping[str, float], name: str) -> str:
    return f"{round(figures[name], 2) + 0:.2f}" if name in figures else "–"


def _losses(figures: Mapping[str, float]) -> str:
    return (
        f"{_lost(figures, 'miou_lost')}, {_lost(figures, 'worst_class_lost')}" if figures else "not measured"
    )


def _bounds(figures: Mapping[str, float]) -> str:
    """Returns the losses of a plan with their bounds; empty if none was measured."""
    found = [
        f"{what} lost {_lost(figures, name)}, at most {_lost(figures, f'{name}_at_most')}"
        for what, name in (("mean IoU", "miou_lost"), ("the worst class", "worst_class_lost"))
        if f"{name}_at_most" in figures
    ]
    return f"{'; '.join(found)} with {100 * CONFIDENCE:.0f} % confidence" if found else ""


def _advice(latencies: Latencies) -> str:
    fp32, int8 = (latencies.milliseconds[name] for name in ("fp32", "int8-cpu"))
    if latencies.speed_up >= _CLEARLY_FASTER:
        return (
            f"On this CPU int8-cpu takes {int8:.1f} ms a frame and fp32 {fp32:.1f} ms: "
            f"{latencies.speed_up:.1f} times as fast."
        )
    return (
        f"On this CPU int8-cpu takes {int8:.1f} ms a frame and fp32 {fp32:.1f} ms: INT8 is not faster for this "
        "network here. Run fp32: --precision fp32."
    )


def show_verification(console: Console, verification: Verification) -> None:
    """Prints one line for each variant: size, pixels that differ, loss and verdict. 80 columns wide."""
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
            printable(variant.name),
            f"{variant.bytes / 1e6:.1f}",
            *(f"{100 * share:.4f}" for share in shares),
            *((miou,) if truth else ()),
            _worst(worst.name, worst.drop or 0.0) if worst else "too few pixels",
            Text("passed", "green") if variant.passed else Text("refused", "bold red"),
        )
    console.print(table)
    console.print(_LEGEND + (_WITH_TRUTH if truth else _WITHOUT_TRUTH), style="dim")
    for variant in verification.variants:
        if variant.headroom is not None and variant.headroom.operator:
            console.print(_headroom(variant.name, variant.headroom), soft_wrap=True)
    for variant in verification.variants:
        if variant.note:
            console.print(
                f"{variant.name} {variant.note}: parity says nothing of what the network has learned."
                " Check that it was trained, and that the frames are like its training images.",
                style="yellow",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
    if verification.stability:
        _show_stability(console, verification.stability)
    if verification.note:
        console.print(f"No truth: {verification.note}.", style="yellow", highlight=False)


def _show_stability(console: Console, stability: Mapping[str, StabilitySummary]) -> None:
    console.print()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("flicker", no_wrap=True)
    for head in ("raw %", "warped %", "consistency", "least consistent"):
        table.add_column(head, justify="right", no_wrap=True)
    for name, summary in stability.items():
        known = [each for each in summary.classes if each.consistency is not None]
        worst = min(known, key=lambda each: each.consistency or 0.0, default=None)
        table.add_row(
            printable(name),
            *(_points(share) for share in (summary.raw_change, summary.warped_change, summary.consistency)),
            "–" if worst is None else f"{printable(worst.name)} {_points(worst.consistency)}",
        )
    console.print(table)
    pairs = next(iter(stability.values())).pairs
    console.print(
        f"Pixels whose class changes from frame to frame, over {pairs} pairs: as they are, and after the motion by"
        " optical flow. Consistency: mean IoU of the moved mask and the present one.",
        style="dim",
    )


def _headroom(name: str, headroom: Headroom) -> str:
    frames = "frame" if headroom.frames == 1 else f"{headroom.frames} frames"
    return (
        f"{printable(name)}: the largest float16 activation is {headroom.largest:,.0f}, by"
        f" {printable(headroom.operator)}, on the first {frames}; at most {LIMIT:,.0f}."
    )


def _worst(name: str, drop: float) -> str:
    points = _points(abs(drop))
    return f"{name} {points} {'gained' if drop < 0 and points != '0.00' else 'lost'}"


def _points(share: float | None) -> str:
    return "–" if share is None or math.isnan(share) else f"{round(100 * share, 2) + 0:.2f}"
