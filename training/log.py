"""The log of a training, one JSON object on each line for each epoch, and the curves from it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from ..core.errors import CheckpointError, MissingDependencyError, OutputError
from ..core.files import read_text
from ..core.labels import LabelMap
from ..core.outputs import replacing
from ..data.metrics import ConfusionMatrix


def figures(confusion: ConfusionMatrix, labels: LabelMap) -> dict[str, object]:
    """Returns the metrics of a confusion matrix for JSON; the IoU of an absent class is null."""
    per_class = {
        name: None if math.isnan(iou) else round(float(iou), 5)
        for name, iou in zip(labels.names, confusion.per_class_iou, strict=True)
    }
    return {
        "miou": round(confusion.miou, 5),
        "pixel_accuracy": round(confusion.pixel_accuracy, 5),
        "mean_accuracy": round(confusion.mean_accuracy, 5),
        "frequency_weighted_iou": round(confusion.frequency_weighted_iou, 5),
        "per_class_iou": per_class,
    }


def append(path: Path, entry: Mapping[str, object]) -> None:
    """Adds one line.

    Raises:
        OutputError: it cannot be written, for example because the disk is full.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def read(path: Path) -> list[dict[str, object]]:
    """Reads all lines.

    Raises:
        CheckpointError: it cannot be read, or a line is not an entry of a log.
    """
    if not path.exists():
        return []
    try:
        entries = [
            json.loads(line) for line in read_text(path, "the training log").splitlines() if line.strip()
        ]
        for entry in entries:
            int(entry["epoch"]), float(entry["loss"]), float(entry["learning_rate"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CheckpointError(f"the training log {path} is malformed ({error!r}); move it away") from error
    return entries


def truncate(path: Path, epochs: int) -> None:
    """Drops the lines that a killed run wrote after its last saved state. A reader sees the old log or the new one.

    Raises:
        CheckpointError: as :func:`read`.
        OutputError: it cannot be written.
    """
    kept = [entry for entry in read(path) if int(str(entry["epoch"])) <= epochs]
    with replacing(path) as partial:
        partial.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")


def draw_curves(entries: list[dict[str, object]], path: Path, title: str) -> None:
    """Draws loss, mIoU and the learning rate over epochs into a PNG.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: it cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "export", "drawing training curves") from error
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    loss_axes, score_axes = figure.subplots(1, 2)
    epochs = [entry["epoch"] for entry in entries]
    loss_axes.plot(epochs, [entry["loss"] for entry in entries], color="#c0392b", label="training loss")
    rate_axes = loss_axes.twinx()
    rate_axes.plot(
        epochs, [entry["learning_rate"] for entry in entries], color="#95a5a6", ls=":", label="learning rate"
    )
    rate_axes.set_ylabel("learning rate", color="#7f8c8d")
    loss_axes.set(xlabel="epoch", ylabel="loss")
    measured = [(entry["epoch"], entry["val"]) for entry in entries if entry.get("val")]
    for key, color in (("miou", "#2980b9"), ("mean_accuracy", "#27ae60"), ("pixel_accuracy", "#8e44ad")):
        points = [(epoch, val[key]) for epoch, val in measured if isinstance(val, dict)]
        if points:
            score_axes.plot(
                *zip(*points, strict=True), color=color, label=f"{key.replace('_', ' ')} {points[-1][1]:.3f}"
            )
    score_axes.set(xlabel="epoch", ylabel="validation", ylim=(0, 1))
    score_axes.grid(alpha=0.3)
    if measured:
        score_axes.legend(loc="lower right")
    figure.suptitle(title)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=110)
