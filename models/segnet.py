"""SegNet (Badrinarayanan, Kendall and Cipolla 2017): VGG-16, and its mirror image with max-unpooling."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from .base import SegmentationNetwork
from .initialisation import he_initialise
from .option_checks import check_whole
from .unpooling import max_pool, max_unpool
from .vgg import STAGES, stage_channels, vgg16_features


class SegNet(SegmentationNetwork):
    """The 13 convolutions of VGG-16 with batch normalization, and 13 that mirror them.

    The encoder passes nothing to the decoder but the places of its maxima. Poolings round up, as in the paper's Caffe,
    so any size is accepted, and the logits have that size: the paper's 360 x 480 is odd after the third pooling. The
    last convolution, 3 x 3 like the others, gives the scores.

    Args:
        num_classes: the number of classes.
        width: channels of the first stage, 64 in the paper. The other stages follow it.

    Attributes:
        features: the encoder, with the layers and keys of torchvision's ``vgg16_bn``.
        decoder: the stages of the decoder, deepest first.
    """

    stride = 1
    trunk_prefixes = ("features.",)
    stem_prefixes = ("features.0.", "features.1.")
    continuous = False  # of two nearly equal maxima, rounding decides which place is kept

    def __init__(self, num_classes: int, width: int = 64) -> None:
        super().__init__()
        check_whole("segnet", "width", width)
        self.num_classes = num_classes
        self.features = vgg16_features(width, batch_norm=True)
        deepest_first = reversed(stage_channels(width))
        self.decoder = nn.ModuleList(
            _stage(channels, after, convolutions)
            for (channels, after), (_, convolutions) in zip(
                pairwise([*deepest_first, 0]), reversed(STAGES), strict=True
            )
        )
        self.score = nn.Conv2d(width, num_classes, 3, padding=1)
        he_initialise(self)

    def coarse(self, x: Tensor) -> Tensor:
        pools = []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                size_hw = (x.shape[-2], x.shape[-1])
                x, places = max_pool(x)  # [N, C, h, w], half of each side
                pools.append((places, size_hw))
            else:
                x = layer(x)
        for convolutions, (places, size_hw) in zip(self.decoder, reversed(pools), strict=True):
            x = convolutions(max_unpool(x, places, size_hw))  # back to [N, C', H, W] before that pooling
        logits: Tensor = self.score(x)
        return logits

    def upsampled(self, logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
        return logits  # already of the input's size


def _stage(channels: int, after: int, convolutions: int) -> nn.Sequential:
    """Returns the mirror image of an encoder's stage; ``after`` is 0 in the last one, where the scores end it."""
    outputs = [channels] * (convolutions - 1) + ([after] if after else [])
    layers: list[nn.Module] = []
    for before, count in pairwise([channels, *outputs]):
        layers += [
            nn.Conv2d(before, count, 3, padding=1, bias=False),
            nn.BatchNorm2d(count),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
