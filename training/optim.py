"""The optimizers, learning-rate schedules and averaged weights of recipes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import nn

from ..models.base import SegmentationNetwork
from .recipe import Recipe
from .tuning import trainable


def make_optimizer(network: SegmentationNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    """Builds the optimizer. Biases and batch-norm parameters are not decayed.

    Each group has its ``share`` of the learning rate, which is less than 1 for a trunk with its own rate.
    """
    parts = [([p for p in network.parameters() if p.requires_grad], 1.0)]
    if recipe.trunk_rate != 1:
        parts = [
            (trainable(network, of_trunk=False), 1.0),
            (trainable(network, of_trunk=True), recipe.trunk_rate),
        ]
    groups = [
        {"params": [p for p in part if (p.ndim > 1) == decayed], "share": share,
         "weight_decay": recipe.weight_decay if decayed else 0.0}
        for part, share in parts
        for decayed in (True, False)
    ]  # fmt: skip
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, recipe.learning_rate, momentum=recipe.momentum)
    return torch.optim.AdamW(groups, recipe.learning_rate)


def rate_factor(recipe: Recipe, total_steps: int) -> Callable[[int], float]:
    """Returns the schedule: step -> the share of the peak learning rate, a pure function of the step."""
    warm = max(1, round(recipe.warmup * total_steps))

    def poly(step: int) -> float:
        return float((1 - step / total_steps) ** 0.9) if step < total_steps else 0.0

    def one_cycle(step: int) -> float:
        if step < warm:
            return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * step / warm))
        progress = min(1.0, (step - warm) / max(1, total_steps - warm))
        return 1e-4 + (1 - 1e-4) * 0.5 * (1 + math.cos(math.pi * progress))

    return poly if recipe.schedule == "poly" else one_cycle


class AveragedWeights:
    """An exponential moving average of the weights: flatter minima and better masks, at no cost in deployment.

    Args:
        network: its weights are averaged.
        decay: the share of the average that a step keeps. Early steps keep less, so that the start loses its effect.
    """

    def __init__(self, network: SegmentationNetwork, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Moves the average towards the weights after step ``step`` (from 0)."""
        keep = min(self.decay, (1 + step) / (10 + step)) if self.decay else 0.0
        own, new = self.network.state_dict(), network.state_dict()
        floating = [key for key in own if own[key].is_floating_point()]
        torch._foreach_lerp_([own[key] for key in floating], [new[key] for key in floating], 1 - keep)
        for key in own.keys() - set(floating):
            own[key].copy_(new[key])
