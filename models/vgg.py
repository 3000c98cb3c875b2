"""The convolutions of VGG-16 (Simonyan and Zisserman 2015), with torchvision's layers and state-dict keys."""

from __future__ import annotations

from torch import nn
from torchvision.models.vgg import make_layers

STAGES = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))
"""Each stage's (channels, as a multiple of the first stage's; convolutions). A pooling ends it."""


def stage_channels(width: int) -> tuple[int, ...]:
    """Returns the channels of each stage; ``width`` is the first one's, 64 in the paper."""
    return tuple(multiple * width for multiple, _ in STAGES)


def vgg16_features(width: int, *, batch_norm: bool) -> nn.Sequential:
    """Builds the convolutions and poolings, as ``features`` of torchvision's ``vgg16`` or ``vgg16_bn``."""
    layers: list[str | int] = []
    for multiple, convolutions in STAGES:
        layers += [multiple * width] * convolutions + ["M"]
    features: nn.Sequential = make_layers(layers, batch_norm=batch_norm)
    return features
