"""The recipe of ``edgeseg train``: a preset, and the options that override it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from ..core.errors import UsageError
from ..core.sizes import parse_size
from ..data.augment import Augmentation
from ..models import registry
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
