"""The initial weights and the teacher of a training, by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from ..core.labels import LabelMap
from ..core.printable import printable
from ..models.base import SegmentationNetwork
from ..models.checkpoint import load_checkpoint
from ..models.foreign import Weights
from ..models.pretrained import shipped_path
from ..models.starting import start_from
from . import distributed
from .distill import Teacher


def teacher(name: str, labels: LabelMap, device: torch.device) -> Teacher:
    """Opens a teacher: the path of a checkpoint, or shipped weights such as ``camvid``.

    Raises:
        CheckpointError: it cannot be read.
        DataError: it does not know a class.
    """
    return Teacher(load_checkpoint(shipped_path(name) or Path(name)), labels, device)


def initializer(
    weights: Weights, architecture: str, arguments: Mapping[str, object], labels: LabelMap
) -> Callable[[SegmentationNetwork], None]:
    """Returns a function that loads the weights into a fresh network and reports the outcome."""

    def initialize(network: SegmentationNetwork) -> None:
        started = start_from(network, architecture, arguments, labels.names, weights)
        if distributed.is_writer():
            print(printable(f"{weights.source}: {started}"), flush=True)

    return initialize


def origin(weights: Weights, name: str) -> dict[str, object]:
    """Returns a checkpoint's entry on the initial weights of its training."""
    if weights.info is not None:
        return dict(weights.info.recipe)
    return {"weights": Path(name).name}  # a path means nothing on another machine
