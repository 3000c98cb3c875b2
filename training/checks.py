"""The checks before a training starts, so that it does not fail after hours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..core.errors import DataError, UsageError
from ..core.labels import VOID
from ..data.coverage import SplitCoverage, read_coverage, why_nothing_can_be_learnt
from ..data.voc import VocDataset
from . import distributed
from .draw import Draw
from .probe import TrainingStep, check_training_step
from .recipe import Recipe


@dataclass(frozen=True)
class Splits:
    """The coverage of the two splits of a training; ``val`` is None if nothing is measured."""

    train: SplitCoverage
    val: SplitCoverage | None


def check_splits(
    architecture: str,
    arguments: Mapping[str, object],
    recipe: Recipe,
    train: VocDataset,
    val: VocDataset | None,
    input_size_hw: tuple[int, int],
) -> Splits:
    """Reads both splits once, and tries a training step on shapes.

    Args:
        architecture, arguments: the network, as in the registry.
        recipe: the choices of the training.
        train, val: the two splits; ``val`` is None if nothing is measured.
        input_size_hw: height and width for evaluation and deployment.

    Raises:
        DataError: a pair is missing or malformed, or a split does not allow training or measuring.
        ModelError: unknown network or options, or the network cannot be deployed at the input size.
        UsageError: the network cannot be trained on batches of this form.
    """
    if recipe.unlabelled_share and recipe.batch_size < 2:
        raise UsageError(
            "a batch of 1 has no room for a labelled image beside one without a mask; use --batch-size 2 or more"
        )
    # One image stands for all that have no mask: their number does not change the size of a batch.
    draw = Draw(len(train), recipe.batch_size, 0, None, 1, recipe.unlabelled_share)
    batch_size = draw.size
    if batch_size < distributed.world_size():
        raise UsageError(
            f"{distributed.world_size()} processes share batches of {batch_size} images; expected at least one "
            "for each: use a larger --batch-size, more images or fewer processes"
        )
    splits = Splits(read_coverage(train), None if val is None else read_coverage(val))
    reason = why_nothing_can_be_learnt(train.labels, splits.train.pixels)
    if reason:
        raise DataError(f"nothing can be learnt from the split {train.split!r} of {train.root}: {reason}")
    if val is not None and splits.val is not None and not splits.val.pixels[:VOID].any():
        raise DataError(
            f"nothing can be measured on the split {val.split!r} of {val.root}: every pixel of its masks is void "
            "(255); label some, or name another one with --val-split"
        )
    size_hw = recipe.augmentation.crop_hw or splits.train.smallest_hw
    step = TrainingStep(
        architecture, len(train.labels), arguments, batch_size, size_hw, input_size_hw, recipe
    )
    check_training_step(step)
    return splits
