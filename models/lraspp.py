"""LR-ASPP on a dilated trunk (Howard et al. 2019, "Searching for MobileNetV3", section 6.3).

On MobileNetV3-Large, state-dict keys and outputs are equal to those of torchvision's ``lraspp_mobilenet_v3_large``.
"""

from __future__ import annotations

from torch import Tensor, nn

from . import efficientnet_lite0 as lite0
from .base import SegmentationNetwork, upsample_to
from .option_checks import check_bool, check_choice, check_whole
from .trunks import BACKBONES, mobilenet_v3_large

_FINE, _LOW, _HIGH = (
    24,
    40,
    960,
)  # channels at stride 4, 8 and 16 of MobileNetV3-Large with a dilated last stage


class LRASPP(SegmentationNetwork):
    """Lite Reduced Atrous Spatial Pyramid Pooling.

    Args:
        num_classes: the number of classes.
        inter_channels: width of the head.
        backbone: ``mobilenet_v3_large`` or ``efficientnet_lite0``.
        fine_skip: a second skip, of stride 4: twice as many logits along each side, for thin objects.
    """

    stride = 8

    def __init__(
        self,
        num_classes: int,
        inter_channels: int = 128,
        backbone: str = "mobilenet_v3_large",
        fine_skip: bool = False,
    ) -> None:
        super().__init__()
        check_whole("lraspp", "inter_channels", inter_channels)
        check_choice("lraspp", "backbone", backbone, BACKBONES)
        check_bool("lraspp", "fine_skip", fine_skip)
        self.num_classes = num_classes
        names = ("fine", "low", "high") if fine_skip else ("low", "high")
        features = {name: name for name in names}
        if backbone == "efficientnet_lite0":
            self.backbone: nn.Module = lite0.EfficientNetLite0(features)
            fine, low, high = lite0.FINE_CHANNELS, lite0.LOW_CHANNELS, lite0.HIGH_CHANNELS
            self.mean, self.std = lite0.MEAN, lite0.STD
            self.stem_prefixes = lite0.STEM_PREFIXES
        else:
            self.backbone = mobilenet_v3_large(features)
            fine, low, high = _FINE, _LOW, _HIGH
            self.stem_prefixes = ("backbone.0.",)
        self.classifier = LRASPPHead(num_classes, inter_channels, low, high, fine if fine_skip else 0)
        if fine_skip:
            self.stride = 4

    def coarse(self, x: Tensor) -> Tensor:
        features = self.backbone(x)
        logits: Tensor = self.classifier(features["low"], features["high"], features.get("fine"))
        return logits


class LRASPPHead(nn.Module):
    """The head: gates the deep features with their global average, then adds a skip of stride 8, and optionally of 4.

    Args:
        num_classes: the number of classes.
        inter_channels: width of the head.
        low, high, fine: channels of the features of stride 8, 16 and 4; 0 for no skip of stride 4.
    """

    def __init__(self, num_classes: int, inter_channels: int, low: int, high: int, fine: int) -> None:
        super().__init__()
        self.cbr = nn.Sequential(
            nn.Conv2d(high, inter_channels, 1, bias=False),
            nn.BatchNorm2d(inter_channels),
            nn.ReLU(inplace=True),
        )
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(high, inter_channels, 1, bias=False),
            nn.Sigmoid(),
        )
        self.low_classifier = nn.Conv2d(low, num_classes, 1)
        self.high_classifier = nn.Conv2d(inter_channels, num_classes, 1)
        self.fine_classifier = nn.Conv2d(fine, num_classes, 1) if fine else None

    def forward(self, low: Tensor, high: Tensor, fine: Tensor | None) -> Tensor:
        x = self.cbr(high) * self.scale(high)  # [N, 128, H/16, W/16]
        x = upsample_to(x, (low.shape[-2], low.shape[-1]))  # [N, 128, H/8, W/8]
        logits: Tensor = self.low_classifier(low) + self.high_classifier(x)
        if self.fine_classifier is not None:
            assert fine is not None
            logits = upsample_to(logits, (fine.shape[-2], fine.shape[-1])) + self.fine_classifier(fine)
        return logits
