"""The recipe of ``edgeseg train``: a preset, the options that override it, and those that need one another."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import UsageError
from ..core.sizes import parse_size
from ..data.augment import Augmentation
from ..models import registry
from ..models.initial import file_of
from ..training.recipe import Recipe, default_preset, preset

TEACHER_WEIGHT = 0.5
UNLABELLED_SHARE = 0.5
_MOST_PIXELS = 64 << 20
_SCALES = (0.05, 20.0)


def preset_of(args: argparse.Namespace) -> tuple[str, str]:
    """Returns the preset's name, and a note to print if the initial weights decided it; else an empty note.

    Raises:
        ModelError: the network is unknown.
    """
    registry.spec(args.model)
    if args.preset is not None:
        return args.preset, ""
    own, name = (default_preset(args.model, from_weights=known) for known in (False, args.init is not None))
    note = f"preset {name}, because --init gives trained weights; --preset {own} is {args.model}'s own"
    return name, "" if name == own else note


def recipe_of(args: argparse.Namespace, name: str) -> Recipe:
    """Returns a preset with the choices of the command line.

    Args:
        args: of ``edgeseg train``.
        name: of the preset.

    Raises:
        UsageError: the preset is unknown, or a choice is out of its range.
    """
    base = preset(name)
    given = {
        "epochs": args.epochs,
        "batch_size": args.batch_size,
        "optimizer": args.optimizer,
        "schedule": args.schedule,
        "warmup": args.warmup,
        "learning_rate": args.learning_rate,
        "weight_decay": args.weight_decay,
        "class_weighting": args.class_weights,
        "jaccard_weight": args.jaccard,
        "average_decay": args.average,
        "balance": args.balance,
        "freeze": args.freeze,
        "trunk_rate": args.trunk_rate,
        "frozen_norms": args.freeze_norms,
        "accumulate": args.accumulate,
        "patience": args.patience,
        "teacher_weight": _or_default(args.teacher_weight, TEACHER_WEIGHT, args.teacher),
        "unlabelled_share": _or_default(args.unlabelled_share, UNLABELLED_SHARE, args.unlabelled),
    }
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    return replace(base, augmentation=_augmentation(args, base.augmentation), **changes)


def bounded(option: str, size_hw: tuple[int, int]) -> tuple[int, int]:
    """Returns a size in pixels unchanged.

    Raises:
        UsageError: it has too many pixels.
    """
    if size_hw[0] * size_hw[1] > _MOST_PIXELS:
        raise UsageError(
            f"{option} {size_hw[0]}x{size_hw[1]}: expected at most {_MOST_PIXELS >> 20} million pixels"
        )
    return size_hw


def _or_default(given: float | None, default: float, goes_with: object) -> float | None:
    return default if given is None and goes_with is not None else given


def _augmentation(args: argparse.Namespace, base: Augmentation) -> Augmentation:
    if args.crop is not None:
        base = replace(
            base, crop_hw=None if args.crop == "none" else bounded("--crop", parse_size(args.crop))
        )
    if args.scale is not None:
        try:
            low, high = (float(part) for part in args.scale.split(","))
        except ValueError as error:
            raise UsageError(f"--scale {args.scale}: expected LOW,HIGH such as 0.75,1.75") from error
        if not _SCALES[0] <= low <= high <= _SCALES[1]:
            raise UsageError(
                f"--scale {args.scale}: expected LOW <= HIGH, both from {_SCALES[0]} to {_SCALES[1]:g}"
            )
        base = replace(base, scale=(low, high))
    return base


def check_combination(args: argparse.Namespace, recipe: Recipe, *, measured: bool) -> None:
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
