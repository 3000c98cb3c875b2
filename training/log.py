"""The run's log, one JSON object a line and epoch, and the curves drawn from it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from ..data.metrics import ConfusionMatrix
from ..runtime.errors import CheckpointError, MissingDependencyError
from ..runtime.labels import LabelMap


def figures(confusion: ConfusionMatrix, labels: LabelMap) -> dict[str, object]:
    """The metrics of a confusion matrix as JSON; an absent class's IoU is null."""
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
    """Adds one line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def read(path: Path) -> list[dict[str, object]]:
    """Reads all lines.

    Raises:
        CheckpointError: a line is not JSON.
    """
    if not path.exists():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except ValueError as error:
        raise CheckpointError(f"the training log {path} is malformed: {error}") from error


def truncate(path: Path, epochs: int) -> None:
    """Drops what a killed run logged past its last saved state."""
    kept = [entry for entry in read(path) if int(str(entry["epoch"])) <= epochs]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")


def draw_curves(entries: list[dict[str, object]], path: Path, title: str) -> None:
    """Draws loss, mIoU and the learning rate against epochs into a PNG.

    Raises:
        MissingDependencyError: matplotlib is not installed.
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
    figure.savefig(path, dpi=110)
