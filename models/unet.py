"""U-Net (Ronneberger, Fischer and Brox 2015): an encoder, a decoder, and skips by concatenation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import ModelError
from .base import SegmentationNetwork, upsample_to
from .initialisation import he_initialise
from .option_checks import check_bool, check_choice, check_whole
from .upsampling import BilinearUpsampling, crop_to

_LARGEST_DEPTH = 8


class UNet(SegmentationNetwork):
    """U-Net with ``same`` padding for deployment, or ``valid`` as in the paper.

    With ``same`` padding any H x W is accepted, and the logits have that size. With ``valid``, each 3 x 3 convolution
    removes two pixels from each side length, the skips are cropped to their centre, and 572 x 572 gives 388 x 388:
    logits of the image's middle. ``retain_dim`` stretches these to the input's size, so each is up to 92 pixels from
    the place where it was computed. Without it they are returned unchanged, for the paper's overlapping tiles.

    Args:
        num_classes: the number of classes.
        width: channels of the first level, doubled at each further one. 64 in the paper.
        depth: the number of times the resolution is halved. 4 in the paper.
        padding: ``same`` or ``valid``.
        retain_dim: with ``valid``, interpolate the logits to the input's size.
        batch_norm: normalize after each 3 x 3 convolution. The paper does not.
        up: ``transposed``, a learned 2 x 2 convolution as in the paper, or ``bilinear`` after a 1 x 1 convolution.
    """

    stride = 1
    trunk_prefixes = ("down.",)
    stem_prefixes = ("down.0.",)

    def __init__(
        self,
        num_classes: int,
        width: int = 64,
        depth: int = 4,
        padding: str = "same",
        retain_dim: bool = True,
        batch_norm: bool = True,
        up: str = "transposed",
    ) -> None:
        super().__init__()
        check_whole("unet", "width", width)
        check_whole("unet", "depth", depth, largest=_LARGEST_DEPTH)
        check_choice("unet", "padding", padding, ("same", "valid"))
        check_choice("unet", "up", up, ("transposed", "bilinear"))
        check_bool("unet", "retain_dim", retain_dim)
        check_bool("unet", "batch_norm", batch_norm)
        self.num_classes = num_classes
        self.depth, self.padding, self.retain_dim = depth, padding, retain_dim
        channels = [width << level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            _two_convolutions(before, after, padding, batch_norm)
            for before, after in zip([3, *channels], channels, strict=False)
        )
        self.up = nn.ModuleList(_up_convolution(2 * after, up) for after in reversed(channels[:-1]))
        self.join = nn.ModuleList(
            _two_convolutions(2 * after, after, padding, batch_norm) for after in reversed(channels[:-1])
        )
        self.score = nn.Conv2d(width, num_classes, 1)
        he_initialise(self)

    def coarse(self, x: Tensor) -> Tensor:
        size_hw = (x.shape[-2], x.shape[-1])
        if self.padding == "valid":
            self._check_valid_size(size_hw)
        skips = []
        for level, convolutions in enumerate(self.down):
            # Odd sizes are rounded up to keep every pixel; the crop in the decoder undoes it.
            x = F.max_pool2d(x, 2, ceil_mode=True) if level else x
            x = convolutions(x)  # [N, width · 2^level, H / 2^level, W / 2^level]
            skips.append(x)
        for up, convolutions, skip in zip(self.up, self.join, skips[-2::-1], strict=True):
            x = crop_to(up(x), (skip.shape[-2], skip.shape[-1]))
            x = convolutions(torch.cat([_centre_crop(skip, (x.shape[-2], x.shape[-1])), x], dim=1))
        logits: Tensor = self.score(x)
        return upsample_to(logits, size_hw) if self.retain_dim else logits

    def upsampled(self, logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
        return logits  # already of the input's size, or of the paper's tiles

    def check_input_size(self, size_hw: tuple[int, int]) -> None:
        """Raises ``ModelError`` for the valid form without ``retain_dim``, and for a size that it cannot halve."""
        if self.padding == "same":
            return
        if not self.retain_dim:
            raise ModelError(
                "this U-Net gives fewer logits than the image has pixels (padding valid, retain_dim false) "
                "and cannot be deployed; build it with padding same, or with retain_dim"
            )
        self._check_valid_size(size_hw)

    def _check_valid_size(self, size_hw: tuple[int, int]) -> None:
        for side in size_hw:
            if not _halves_evenly(side, self.depth):
                step = 1 << self.depth
                larger = next(n for n in range(side + 1, side + 16 * step) if _halves_evenly(n, self.depth))
                raise ModelError(
                    f"U-Net of padding valid and depth {self.depth} cannot take {size_hw[0]}x{size_hw[1]}: "
                    f"each pooling needs an even side; for {side} use {larger}, or multiples of {step} more"
                )


def _halves_evenly(side: int, depth: int) -> bool:
    """Returns True if a side stays even at every pooling of the valid form, and logits remain at the end."""
    for _ in range(depth):
        side -= 4
        if side < 2 or side % 2:
            return False
        side //= 2
    side -= 4
    for _ in range(depth):
        side = 2 * side - 4
    return side > 0


def _two_convolutions(before: int, after: int, padding: str, batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers.append(nn.Conv2d(channels, after, 3, padding=int(padding == "same"), bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def _up_convolution(channels: int, up: str) -> nn.Module:
    """Returns a module that doubles the resolution and halves the channels: [N, C, h, w] -> [N, C/2, 2h, 2w]."""
    if up == "transposed":
        return nn.ConvTranspose2d(channels, channels // 2, 2, stride=2)
    return nn.Sequential(nn.Conv2d(channels, channels // 2, 1), BilinearUpsampling(2))


def _centre_crop(x: Tensor, size_hw: tuple[int, int]) -> Tensor:
    top, left = (x.shape[-2] - size_hw[0]) // 2, (x.shape[-1] - size_hw[1]) // 2
    return x[..., top : top + size_hw[0], left : left + size_hw[1]]
