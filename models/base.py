"""The contract of every network: coarse logits, their stride, and the last upsampling."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class SegmentationNetwork(nn.Module, ABC):
    """A network that gives each pixel of an image one logit for each class.

    Attributes:
        num_classes: C, the number of classes.
        stride: input pixels for one coarse logit, along each side.
        mean, std: RGB normalization, of images scaled to 0..1, for training of fresh weights.
        trunk_prefixes: the prefixes of the trunk's state-dict keys; all other keys are the head's.
        stem_prefixes: the prefixes of the trunk's first convolution and its normalization.
        continuous: False if the least change of an activation can change a logit by a step, as max-unpooling does.
    """

    num_classes: int
    stride: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    trunk_prefixes: tuple[str, ...] = ("backbone.",)
    stem_prefixes: tuple[str, ...] = ()
    continuous: bool = True

    @abstractmethod
    def coarse(self, x: Tensor) -> Tensor:
        """Computes the logits before the last upsampling.

        Args:
            x: float [N, 3, H, W], RGB, normalized.

        Returns:
            float [N, C, h, w] with h = H / stride and w = W / stride, rounded up.
        """

    def forward(self, x: Tensor) -> Tensor:
        """Computes the logits at the input's size: float [N, 3, H, W] -> float [N, C, H, W]."""
        return self.upsampled(self.coarse(x), (x.shape[-2], x.shape[-1]))

    def upsampled(self, logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """Brings coarse logits to the input's size: float [N, C, h, w] -> float [N, C, H, W]."""
        return upsample_to(logits, size_hw)

    def coarse_outputs(self, x: Tensor) -> dict[str, Tensor]:
        """Computes ``out``, the coarse logits, and ``aux``, those of the auxiliary head if there is one."""
        return {"out": self.coarse(x)}

    def training_outputs(self, x: Tensor) -> dict[str, Tensor]:
        """Computes the inputs of the training loss: ``out``, and ``aux`` if there is an auxiliary head.

        Each is float [N, C, H, W].
        """
        size_hw = (x.shape[-2], x.shape[-1])
        return {name: self.upsampled(logits, size_hw) for name, logits in self.coarse_outputs(x).items()}

    def check_input_size(self, size_hw: tuple[int, int]) -> None:
        """Raises ``ModelError`` if the network cannot be deployed at this input size. Most networks accept any size."""


def upsample_to(logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Upsamples bilinearly: float [N, C, h, w] -> float [N, C, H, W]."""
    if logits.shape[-2:] == size_hw:
        return logits
    return F.interpolate(logits, size=size_hw, mode="bilinear", align_corners=False)
