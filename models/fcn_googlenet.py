"""GoogLeNet (Szegedy et al. 2015) as a trunk of FCN-32s, with torchvision's layers and state-dict keys."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.googlenet import BasicConv2d, Inception

from ..core.errors import ModelError
from .initialisation import he_initialise

MEAN = STD = (0.5, 0.5, 0.5)
"""The normalization of its training, for images scaled to 0..1. torchvision's class takes ImageNet's instead, and
converts it inside (``transform_input``)."""

_WIDTH = 64
_STEM_CHANNELS = 192
_INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""Each module's channels: 1 x 1, 3 x 3 reduced, 3 x 3, 5 x 5 reduced, 5 x 5, projection of the pooling."""

_POOL_KERNELS = {"3b": 3, "4e": 2}
"""The modules that a pooling of stride 2 follows, and its kernel."""

_STRIDE = 32
_SHIFT = 6
"""Rows and columns of zeros at the top and left. In the classifier, the unpadded poolings centre cell i at pixel
32·i + 22; upsampling puts it at 32·i + 15.5. With these zeros it is centred at 32·i + 16, and as many cells remain."""


class GoogLeNetTrunk(nn.Module):
    """GoogLeNet up to its last module: stride 32, without the average pooling, as Long et al. (2015, section 4.1) do.

    Args:
        width: channels of the first convolution, 64 in the paper. All others follow it, rounded down, at least 1.

    Attributes:
        pool_channels: empty, because it has no form with skips.
        out_channels: channels of its features, 1024 in the paper.
        stem: the prefixes of the first convolution's keys.
    """

    pool_channels: tuple[int, ...] = ()
    stem = ("conv1.",)

    def __init__(self, width: int = _WIDTH) -> None:
        super().__init__()
        first, channels = _scaled(_WIDTH, width), _scaled(_STEM_CHANNELS, width)
        self.conv1 = BasicConv2d(3, first, kernel_size=7, stride=2, padding=3)
        self.conv2 = BasicConv2d(first, first, kernel_size=1)
        self.conv3 = BasicConv2d(first, channels, kernel_size=3, padding=1)
        for name, counts in _INCEPTIONS.items():
            one, reduced_3, three, reduced_5, five, pooled = (_scaled(count, width) for count in counts)
            module = Inception(channels, one, reduced_3, three, reduced_5, five, pooled)
            self.add_module(f"inception{name}", module)
            channels = one + three + five + pooled
        self.dropout = nn.Dropout(0.4)
        self.out_channels = channels
        he_initialise(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Computes float [N, 3, H, W] -> the features, float [N, C, h, w], with h = H / 32 and w = W / 32, rounded up.

        They are alone in a list, because this trunk has no skips.
        """
        below, right = (-side % _STRIDE for side in x.shape[-2:])
        x = F.pad(x, (_SHIFT, right, _SHIFT, below))
        x = _pool(self.conv1(x), 3)  # [N, 64, H/4, W/4]
        x = _pool(self.conv3(self.conv2(x)), 3)  # [N, 192, H/8, W/8]
        for name in _INCEPTIONS:
            x = self.get_submodule(f"inception{name}")(x)
            if name in _POOL_KERNELS:
                x = _pool(x, _POOL_KERNELS[name])  # [N, 480, H/16, W/16], then [N, 832, H/32, W/32]
        return [self.dropout(x)]

    def load_classifier(self, classifier: nn.Module) -> None:
        """Copies the weights of torchvision's ``googlenet``, without its classifiers.

        Raises:
            ModelError: its layers have other sizes.
        """
        own = self.state_dict()
        state = {key: value for key, value in classifier.state_dict().items() if key in own}
        try:
            self.load_state_dict(state)
        except RuntimeError as error:
            raise ModelError(f"this classifier does not fit the network's trunk: {error}") from error


def _scaled(count: int, width: int) -> int:
    return max(1, count * width // _WIDTH)


def _pool(x: Tensor, kernel: int) -> Tensor:
    return F.max_pool2d(x, kernel, 2, ceil_mode=True)
