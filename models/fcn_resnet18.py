"""FCN on ResNet-18, as in "Dive into Deep Learning" (Zhang et al. 2023, section 14.11)."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import resnet18

from .fixed_upsampling import FixedUpsamplingNetwork
from .option_checks import check_bool
from .upsampling import TransposedUpsampling, crop_to

_TRUNK_STRIDE, _TRUNK_CHANNELS = 32, 512


class FCNResNet18(FixedUpsamplingNetwork):
    """ResNet-18 without its head, a 1 x 1 convolution, and one transposed convolution.

    The transposed convolution has kernel 64, stride 32 and padding 16: an image of 320 x 480 becomes 10 x 15 inside
    and 320 x 480 again at the output.

    The book trains the transposed convolution. Here its bilinear kernel is fixed by default, as in the FCN paper:
    then the logits of stride 32 hold all information, and deployment decodes them directly to a class map. With
    ``learn_upsampling`` it is trained, and the coarse logits are its output: stride 1.

    Args:
        num_classes: the number of classes.
        learn_upsampling: train the transposed convolution, dense over the classes, bilinear at first.
    """

    stride = _TRUNK_STRIDE
    trunk_prefixes = ("trunk.",)
    stem_prefixes = ("trunk.0.", "trunk.1.")

    def __init__(self, num_classes: int, learn_upsampling: bool = False) -> None:
        super().__init__()
        check_bool("fcn_resnet18", "learn_upsampling", learn_upsampling)
        self.num_classes = num_classes
        self.trunk = nn.Sequential(*list(resnet18(weights=None).children())[:-2])
        self.score = nn.Conv2d(_TRUNK_CHANNELS, num_classes, 1)
        nn.init.xavier_uniform_(self.score.weight)
        self.upsampling = TransposedUpsampling(num_classes, _TRUNK_STRIDE, learnable=learn_upsampling)
        self.learn_upsampling = learn_upsampling
        if learn_upsampling:
            self.stride = 1

    def coarse(self, x: Tensor) -> Tensor:
        logits: Tensor = self.score(self.trunk(x))  # [N, C, H/32, W/32], rounded up
        if self.learn_upsampling:
            logits = crop_to(self.upsampling(logits), (x.shape[-2], x.shape[-1]))
        return logits

    def upsampled(self, logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
        return logits if self.learn_upsampling else super().upsampled(logits, size_hw)
