"""A trial of a network's training step on shapes alone, before a long training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from ..core.errors import ModelError, UsageError
from ..models import registry
from ..models.base import SegmentationNetwork
from .recipe import Recipe
from .tuning import training_mode

_COPIES = 5
"""The copies of every weight with AdamW: itself, its average, its gradient and two moments."""


@dataclass(frozen=True)
class TrainingStep:
    """A step that a training will repeat.

    Attributes:
        architecture, num_classes, arguments: the network, as in the registry.
        batch_size: images in a batch, over all processes.
        size_hw: height and width of the smallest training image, after augmentation.
        input_size_hw: height and width for evaluation and deployment.
        recipe: decides which batch normalizations keep their statistics.
    """

    architecture: str
    num_classes: int
    arguments: Mapping[str, object]
    batch_size: int
    size_hw: tuple[int, int]
    input_size_hw: tuple[int, int]
    recipe: Recipe = field(default_factory=Recipe)


def check_training_step(step: TrainingStep) -> None:
    """Refuses batches on which a network cannot be trained, and sizes at which it could not be deployed.

    Args:
        step: of the training.

    Raises:
        ModelError: unknown network or options, or the network cannot be deployed at the input size.
        UsageError: its weights do not fit this machine's memory, or a batch of this shape cannot pass through it. Batch
            normalization needs more than one value for each channel.
    """
    architecture, batch_size, size_hw = step.architecture, step.batch_size, step.size_hw
    try:
        with torch.device("meta"):
            network = registry.build(architecture, step.num_classes, step.arguments).train()
    except RuntimeError as error:
        raise UsageError(
            f"{architecture} cannot be built with these options: {_first_line(error)}; use smaller ones"
        ) from error
    training_mode(network, step.recipe)
    _check_memory(network, architecture)
    try:
        network.check_input_size(step.input_size_hw)
    except ModelError as error:
        raise ModelError(f"{error}; --size names the size to measure and to deploy at") from error
    problem = _try(network, batch_size, size_hw)
    if not problem:
        return
    form = f"{batch_size} image{'s'[: batch_size > 1]} of {size_hw[0]}x{size_hw[1]} a step"
    more, larger_hw = max(2, batch_size), (4 * size_hw[0], 4 * size_hw[1])
    trials = {
        "--batch-size 2 or more (of as many images)": (more, size_hw),
        "a larger --crop": (batch_size, larger_hw),
    }
    ways = [way for way, trial in trials.items() if not _try(network, *trial)]
    if not ways and not _try(network, more, larger_hw):
        ways = ["--batch-size 2 or more and a larger --crop"]
    if "more than 1 value per channel" in problem:
        problem = "its batch normalization has a single value a channel to normalize"
        if step.recipe.accumulate > 1:
            problem += ", and --accumulate adds none to it"
    raise UsageError(
        f"{architecture} cannot be trained on {form}: {problem}; use {', or '.join(ways) or 'other sizes or options'}"
    )


def _try(network: SegmentationNetwork, batch_size: int, size_hw: tuple[int, int]) -> str:
    """Returns the reason why a batch cannot pass through the network; empty if it can."""
    try:
        outputs = network.training_outputs(torch.empty(batch_size, 3, *size_hw, device="meta"))
    except (RuntimeError, ValueError) as error:
        return _first_line(error)
    sizes = [tuple(logits.shape[-2:]) for logits in outputs.values()]
    return next((f"it gives logits of {h}x{w} for them" for h, w in sizes if (h, w) != tuple(size_hw)), "")


def _check_memory(network: SegmentationNetwork, architecture: str) -> None:
    needed = _COPIES * sum(value.numel() * value.element_size() for value in network.parameters())
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise UsageError(
            f"training {architecture} with these options takes {needed / 2**30:.0f} GiB for its weights alone, and "
            f"this machine has {there / 2**30:.0f}; use smaller options, such as a smaller width"
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
