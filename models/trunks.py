"""The dilated trunks that several networks share, by their names in the option ``backbone``."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn
from torchvision import models
from torchvision.models._utils import IntermediateLayerGetter

BACKBONES = ("mobilenet_v3_large", "efficientnet_lite0")
"""Trunks of stride 16 with features of stride 4 and 8, for ``lraspp``."""

_MOBILENET_LAYERS = {"fine": "3", "low": "4", "high": "16"}
"""The last blocks of stride 4 and 8, and the last convolution, of stride 16, because the last stage is dilated."""


def mobilenet_v3_large(outputs: Mapping[str, str]) -> nn.Module:
    """Builds torchvision's MobileNetV3-Large with a dilated last stage.

    Args:
        outputs: the features to return, of ``fine``, ``low`` and ``high``, and their names.
    """
    trunk = models.mobilenet_v3_large(weights=None, dilated=True).features
    layers = {_MOBILENET_LAYERS[feature]: name for feature, name in outputs.items()}
    getter: nn.Module = IntermediateLayerGetter(trunk, layers)
    return getter


def resnet50(outputs: Mapping[str, str]) -> nn.Module:
    """Builds torchvision's ResNet-50 with its last two stages dilated: stride 8.

    Args:
        outputs: the layers to return, of ``layer3`` and ``layer4``, and their names.
    """
    trunk = models.resnet50(weights=None, replace_stride_with_dilation=[False, True, True])
    getter: nn.Module = IntermediateLayerGetter(trunk, dict(outputs))
    return getter
