"""The module that becomes the ONNX graph, from a camera's bytes to coarse logits."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ...core.errors import ModelError
from ...models.base import SegmentationNetwork
from ...models.checkpoint import CheckpointInfo
from .fold import fold_batch_norms, fold_input, plain_pooling

MIN_SIDE = 32
"""The smallest side of an input in pixels: the largest stride of the networks, so that each keeps one logit."""


class Deployable(nn.Module):
    """A network whose input is a camera's frame; normalization and channel order are inside.

    The first operator is a cast, because TensorRT accepts no other operator on uint8.

    Args:
        network: computes the coarse logits.
        mean_bgr: float [3], in grey levels.
        scale_bgr: float [3], the factor after the mean is subtracted, for a network that takes RGB; None if the
            network's first convolution already takes BGR and scales.
    """

    mean: Tensor
    scale: Tensor
    rgb: Tensor

    def __init__(self, network: SegmentationNetwork, mean_bgr: Tensor, scale_bgr: Tensor | None) -> None:
        super().__init__()
        self.network = network
        self.folded = scale_bgr is None
        self.register_buffer("mean", mean_bgr.view(1, 3, 1, 1))
        if scale_bgr is not None:
            self.register_buffer("scale", scale_bgr.view(1, 3, 1, 1))
            self.register_buffer("rgb", torch.tensor([2, 1, 0]))

    def forward(self, frame: Tensor) -> Tensor:
        """Computes the logits: uint8 [N, H, W, 3], BGR -> float32 [N, C, h, w]."""
        x = frame.to(torch.float32).permute(0, 3, 1, 2)  # [N, 3, H, W], BGR, 0 to 255
        x = x - self.mean
        if not self.folded:
            x = (x * self.scale).index_select(1, self.rgb)  # RGB, normalized
        return self.network.coarse(x)


def deployable(network: SegmentationNetwork, info: CheckpointInfo, size_hw: tuple[int, int]) -> Deployable:
    """Returns a folded copy of a network for export. It stays float32: other precisions are written from its graph.

    Args:
        network: float32, in evaluation mode; not changed.
        info: gives the normalization that goes into the graph.
        size_hw: the input size, (H, W).

    Raises:
        ModelError: the network cannot be deployed at this size.
    """
    if min(size_hw) < MIN_SIDE:
        height, width = size_hw
        raise ModelError(
            f"an input of {height}x{width} is too small: both sides must be at least {MIN_SIDE} pixels"
        )
    network.check_input_size(size_hw)
    ready = copy.deepcopy(network).eval().requires_grad_(False)
    plain_pooling(ready)
    fold_batch_norms(ready, size_hw)
    mean_rgb = torch.tensor(info.mean, dtype=torch.float64) * 255
    scale_rgb = 1 / (torch.tensor(info.std, dtype=torch.float64) * 255)
    folded = fold_input(ready, size_hw, scale_rgb)
    return Deployable(ready, mean_rgb.flip(0).float(), None if folded else scale_rgb.flip(0).float()).eval()
