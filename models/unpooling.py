"""Max-pooling that keeps the places of its maxima, and the unpooling that puts values back there.

SegNet (Badrinarayanan et al. 2017) and DeconvNet (Noh et al. 2015) decode this way. Both functions have PyTorch's
results bit for bit, and consist of operators that every runtime has: ONNX's MaxUnpool and the indices of its MaxPool
are unknown to TensorRT.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .upsampling import crop_to


def max_pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """Halves both sides by 2 x 2 maxima, rounding up, and keeps the place of each one in its window.

    The four values of a window are compared with each other, not with the maximum: so exactly one place is found even
    where a runtime rounds the maximum differently. Of equal values the first counts, as in PyTorch.

    Args:
        x: float [N, C, H, W].

    Returns:
        The maxima, float [N, C, h, w] with h = H / 2 and w = W / 2, rounded up, and their places, float32
        [N, C, h, w]: 0 and 1 in the upper row of the window, 2 and 3 in the lower one.
    """
    x = _even(x)
    upper, lower = x.detach()[..., ::2, :], x.detach()[..., 1::2, :]
    a, b = upper[..., ::2], upper[..., 1::2]
    c, d = lower[..., ::2], lower[..., 1::2]
    in_upper, in_lower = torch.where(b > a, 1.0, 0.0), torch.where(d > c, 3.0, 2.0)
    places = torch.where(torch.maximum(c, d) > torch.maximum(a, b), in_lower, in_upper)
    return F.max_pool2d(x, 2), places


def max_unpool(x: Tensor, places: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Puts values at the places that ``max_pool`` found, and zeros elsewhere.

    Args:
        x, places: float [N, C, h, w].
        size_hw: the size of the pooling's input, (H, W).

    Returns:
        float [N, C, H, W].
    """
    rows = 2 * _alternating(2 * x.shape[-2], places)  # 0 2 0 2 …
    columns = _alternating(2 * x.shape[-1], places)  # 0 1 0 1 …
    here = _doubled(places) - rows[:, None] == columns  # [N, C, 2h, 2w]
    return crop_to(torch.where(here, _doubled(x), 0.0), size_hw)


def _even(x: Tensor) -> Tensor:
    """Repeats the last row and column of an odd side. A repeated value is never the first of equal ones."""
    if x.shape[-1] % 2:
        x = torch.cat([x, x[..., -1:]], -1)
    if x.shape[-2] % 2:
        x = torch.cat([x, x[..., -1:, :]], -2)
    return x


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def _alternating(count: int, like: Tensor) -> Tensor:
    return torch.arange(count, dtype=like.dtype, device=like.device) % 2
