"""The display of a training: notes before it, a bar or a line for each epoch, and the results."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from ..core.printable import printable
from ..core.progress import Pace
from ..training.job import TrainingProgress
from ..training.trainer import Trainer


def print_before(trainer: Trainer, notes: Sequence[str]) -> None:
    """Prints notes for the user before a training that may take hours; empty ones are left out."""
    for note in filter(None, (*notes, *trainer.notes)):
        print(printable(note), flush=True)
    if trainer.changed:
        changed = printable(", ".join(trainer.changed))
        print(f"continuing after epoch {trainer.epochs_done} with {changed}", flush=True)


def print_after(trainer: Trainer) -> None:
    """Prints the measurements and the names of the written files."""
    if trainer.ran_out_of_patience and trainer.epochs_done < trainer.job.recipe.epochs:
        print(
            f"ended after epoch {trainer.epochs_done}: {trainer.since_best} measurements were no better than the best; "
            "a larger --patience continues"
        )
        if not trainer.written:
            return
    elif not trainer.written:
        out = printable(str(trainer.job.out))
        print(f"{out} has {trainer.epochs_done} epochs already; give more --epochs to continue")
        return
    if trainer.job.val is not None and trainer.best_miou >= 0:
        print(f"best mIoU on {printable(trainer.job.val.split)}: {trainer.best_miou:.4f}")
    written = printable(", ".join(str(path) for path in trainer.written))
    print(f"wrote {written}; log.jsonl and curves.png beside it")


class Display:
    """A progress bar on a terminal; elsewhere one line for each epoch, and from time to time within a long one."""

    def __init__(self, title: str, epochs: int, *, quiet: bool) -> None:
        self.title, self.epochs, self.quiet = title, epochs, quiet
        self.bar: Any = None
        self.task: Any = None
        self.started = time.monotonic()
        self.first_epoch: int | None = None
        self.pace = Pace()

    def __enter__(self) -> Display:
        if not self.quiet and sys.stdout.isatty():
            from rich import progress

            self.bar = progress.Progress(
                progress.TextColumn("{task.description}"), progress.BarColumn(), progress.TaskProgressColumn(),
                progress.TextColumn("{task.fields[figures]}"), progress.TimeRemainingColumn(),
            )  # fmt: skip
            self.bar.start()
            self.task = self.bar.add_task(self.title, total=None, figures="")
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, progress: TrainingProgress) -> None:
        if progress.note:
            print(printable(progress.note), flush=True)
            return
        miou = "–" if progress.val_miou is None else f"{progress.val_miou:.4f}"
        figures = f"loss {progress.loss:.4f}  mIoU {miou}"
        if progress.data_share is not None:
            figures += f"  {progress.data_share:.0%} waiting for images"
        if self.first_epoch is None:
            self.first_epoch = progress.epoch
        if self.bar is not None:
            done = progress.epoch * progress.steps + progress.step
            self.bar.update(self.task, completed=done, total=self.epochs * progress.steps, figures=figures)
        elif progress.step == 0:
            done = progress.epoch - self.first_epoch
            left_s = (time.monotonic() - self.started) / max(1, done) * (self.epochs - progress.epoch)
            print(f"epoch {progress.epoch}/{self.epochs}  {figures}  {left_s / 60:.1f} min left", flush=True)
        elif self.pace.due():
            step = f"step {progress.step}/{progress.steps}"
            print(f"epoch {progress.epoch + 1}/{self.epochs}, {step}  {figures}", flush=True)
