"""LR-ASPP on a dilated MobileNetV3-Large (Howard et al. 2019, "Searching for MobileNetV3", section 6.3).

State-dict keys and outputs equal torchvision's ``lraspp_mobilenet_v3_large``.
"""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large
from torchvision.models._utils import IntermediateLayerGetter

from .base import SegmentationNetwork, upsample_to
from .option_checks import check_whole

_LOW, _LOW_CHANNELS = 4, 40  # the last block of stride 8
_HIGH, _HIGH_CHANNELS = 16, 960  # the last convolution: stride 16, the last stage dilated


class LRASPP(SegmentationNetwork):
    """Lite Reduced Atrous Spatial Pyramid Pooling on MobileNetV3-Large.

    Args:
        num_classes: classes to tell apart.
        inter_channels: width of the head.
    """

    stride = 8

    def __init__(self, num_classes: int, inter_channels: int = 128) -> None:
        super().__init__()
        check_whole("lraspp", "inter_channels", inter_channels)
        self.num_classes = num_classes
        trunk = mobilenet_v3_large(weights=None, dilated=True).features
        self.backbone = IntermediateLayerGetter(trunk, {str(_LOW): "low", str(_HIGH): "high"})
        self.classifier = LRASPPHead(num_classes, inter_channels)

    def coarse(self, x: Tensor) -> Tensor:
        features = self.backbone(x)
        logits: Tensor = self.classifier(features["low"], features["high"])
        return logits


class LRASPPHead(nn.Module):
    """Gates the deep features with their own global average, then adds a skip of stride 8 by sum."""

    def __init__(self, num_classes: int, inter_channels: int) -> None:
        super().__init__()
        self.cbr = nn.Sequential(
            nn.Conv2d(_HIGH_CHANNELS, inter_channels, 1, bias=False),
            nn.BatchNorm2d(inter_channels),
            nn.ReLU(inplace=True),
        )
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(_HIGH_CHANNELS, inter_channels, 1, bias=False),
            nn.Sigmoid(),
        )
        self.low_classifier = nn.Conv2d(_LOW_CHANNELS, num_classes, 1)
        self.high_classifier = nn.Conv2d(inter_channels, num_classes, 1)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        x = self.cbr(high) * self.scale(high)  # [N, 128, H/16, W/16]
        x = upsample_to(x, (low.shape[-2], low.shape[-1]))  # [N, 128, H/8, W/8]
        logits: Tensor = self.low_classifier(low) + self.high_classifier(x)
        return logits
