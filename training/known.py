"""The initial weights and the teacher of a training, as the command line names them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from ..core.errors import UsageError
from ..core.labels import LabelMap
from ..core.printable import printable
from ..models.base import SegmentationNetwork
from ..models.checkpoint import load_checkpoint
from ..models.foreign import Weights
from ..models.initial import file_of
from ..models.pretrained import shipped_path
from ..models.starting import start_from
from . import distributed
from .distill import Teacher
from .recipe import Recipe


def check_known(args: argparse.Namespace, recipe: Recipe, *, measured: bool) -> None:
    """Refuses options that have no effect without others.

    Args:
        args: of ``edgeseg train``.
        recipe: made of ``args``.
        measured: whether there is a split to measure on.

    Raises:
        UsageError: random layers would be frozen, a weight or images have no teacher, or patience has no measurements.
    """
    if (recipe.freeze != "none" or recipe.frozen_norms) and args.init is None and not args.resume:
        raise UsageError(
            "--freeze and --freeze-norms keep what was loaded, and nothing is: add --init imagenet or --init FILE"
        )
    if args.teacher_weight is not None and args.teacher is None:
        raise UsageError("--teacher-weight is for a teacher: add --teacher CHECKPOINT")
    if args.unlabelled is not None and args.teacher is None:
        raise UsageError("--unlabelled images are learnt from a teacher: add --teacher CHECKPOINT")
    if args.unlabelled_share is not None and args.unlabelled is None:
        raise UsageError("--unlabelled-share is for images without masks: add --unlabelled DIR")
    if args.unlabelled is not None and not (recipe.unlabelled_share and recipe.teacher_weight):
        raise UsageError(
            "--unlabelled images would not count: give --unlabelled-share and --teacher-weight above 0"
        )
    if recipe.patience and not measured:
        raise UsageError(
            "--patience counts measurements, and there is no split to measure on: add --val-split NAME"
        )


def files_read(args: argparse.Namespace) -> dict[str, Path]:
    """Returns the files that a training reads, by the option that names them."""
    named = {
        "--init": None if args.init is None else file_of(args.init),
        "--teacher": None if args.teacher is None else Path(args.teacher),
    }
    return {option: path for option, path in named.items() if path is not None}


def teacher(name: str, labels: LabelMap, device: torch.device) -> Teacher:
    """Opens a teacher: the path of a checkpoint, or shipped weights such as ``lraspp-camvid``.

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
