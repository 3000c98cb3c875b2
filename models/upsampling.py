"""Upsampling by a whole factor, bilinearly or with a transposed convolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import ModelError


class BilinearUpsampling(nn.Module):
    """Upsamples by a whole factor, bilinearly: float [N, C, h, w] -> [N, C, h·factor, w·factor]."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = _checked(factor)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=self.factor, mode="bilinear", align_corners=False)


class TransposedUpsampling(nn.Module):
    """Upsamples by a whole factor with a transposed convolution that starts as bilinear interpolation.

    float [N, C, h, w] -> [N, C, h·factor, w·factor]. With the bilinear kernel it equals ``BilinearUpsampling`` where
    both neighbours are inside. At the border the convolution pads with zeros, while interpolation repeats the edge: its
    values are smaller by a positive factor that all classes share, so the argmax is the same.

    Args:
        channels: C, of input and output.
        factor: output pixels for one input pixel, along each side.
        learnable: train the kernel, dense over the channels so that classes may learn to mix (Long et al. 2015,
            section 3.3). Otherwise it is a constant, one for each channel, and not in the state dict.
    """

    weight: Tensor

    def __init__(self, channels: int, factor: int, *, learnable: bool) -> None:
        super().__init__()
        self.factor = _checked(factor)
        self.groups = 1 if learnable else channels
        kernel = bilinear_kernel(factor)  # [k, k]
        if learnable:
            weight = torch.zeros(channels, channels, *kernel.shape)
            weight[range(channels), range(channels)] = kernel
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", kernel.repeat(channels, 1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        padding = (self.weight.shape[-1] - self.factor) // 2
        return F.conv_transpose2d(x, self.weight, stride=self.factor, padding=padding, groups=self.groups)


def bilinear_kernel(factor: int) -> Tensor:
    """Returns the kernel with which a transposed convolution of this stride interpolates bilinearly.

    Returns:
        float [k, k] with k = 2·factor for an even factor, 2·factor - 1 for an odd one; the convolution's
        padding is (k - factor) / 2.

    Example:
        >>> bilinear_kernel(2)[0]
        tensor([0.0625, 0.1875, 0.1875, 0.0625])
    """
    size = 2 * factor - factor % 2
    offset = torch.arange(size, dtype=torch.float32) - (size - 1) / 2  # in output pixels, from the centre
    tent = 1 - offset.abs() / factor
    return torch.outer(tent, tent)


def crop_to(x: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Keeps the top left: [N, C, H, W] -> [N, C, h, w]. It removes the pixels that pooling added by rounding up."""
    return x[..., : size_hw[0], : size_hw[1]]


def _checked(factor: int) -> int:
    if factor < 1:
        raise ModelError(f"cannot upsample by {factor}; expected a whole factor of at least 1")
    return factor
