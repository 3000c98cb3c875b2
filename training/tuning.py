"""Fine-tuning of parts of a network: frozen layers, frozen statistics, and the trunk's own rate."""

from __future__ import annotations

from torch import nn

from ..models.base import SegmentationNetwork
from .recipe import Recipe


def freeze(network: SegmentationNetwork, recipe: Recipe) -> None:
    """Excludes the frozen part from training, in place."""
    frozen = {"none": (), "stem": network.stem_prefixes, "trunk": network.trunk_prefixes}[recipe.freeze]
    for name, parameter in network.named_parameters():
        if name.startswith(frozen):
            parameter.requires_grad_(False)


def training_mode(network: SegmentationNetwork, recipe: Recipe) -> None:
    """Puts a network into training mode, except the batch normalization with frozen statistics.

    A frozen part also keeps its statistics: other statistics would change its features.
    """
    network.train()
    kept: tuple[str, ...] = ()
    if recipe.frozen_norms or recipe.freeze == "trunk":
        kept = network.trunk_prefixes
    elif recipe.freeze == "stem":
        kept = network.stem_prefixes
    for name, layer in network.named_modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and f"{name}.".startswith(kept):
            layer.eval()


def trainable(network: SegmentationNetwork, *, of_trunk: bool) -> list[nn.Parameter]:
    """Returns the parameters that are trained, of the trunk or of the rest."""
    return [
        parameter
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and name.startswith(network.trunk_prefixes) == of_trunk
    ]
