"""The evaluation of a network on labelled images, at each mask's own size, as in deployment."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ..core.errors import TrainingError
from ..data.metrics import ConfusionMatrix
from ..data.voc import Sample
from ..models.base import SegmentationNetwork, upsample_to


def normalizer(
    mean: tuple[float, float, float], std: tuple[float, float, float], device: torch.device
) -> nn.Module:
    """Returns a module from uint8 [N, 3, H, W] RGB to normalized float32."""
    return _Normalize(mean, std).to(device)


class _Normalize(nn.Module):
    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(mean).view(3, 1, 1) * 255)
        self.register_buffer("scale", 1 / (255 * torch.tensor(std).view(3, 1, 1)))
        self.shift: Tensor
        self.scale: Tensor

    def forward(self, image: Tensor) -> Tensor:
        return (image.float() - self.shift) * self.scale


@torch.inference_mode()
def evaluate(
    network: SegmentationNetwork,
    samples: Iterable[Sample],
    input_size_hw: tuple[int, int],
    normalize: nn.Module,
    device: torch.device,
) -> ConfusionMatrix:
    """Segments every sample at the network's input size, and compares the result at the mask's size.

    Args:
        network: in evaluation mode.
        samples: labelled images of any sizes.
        input_size_hw: (H, W) that images are resized to.
        normalize: from uint8 RGB to the network's input.
        device: computes the logits.

    Raises:
        TrainingError: the network's logits are not finite, so its classes have no meaning.
    """
    confusion = ConfusionMatrix(network.num_classes)
    for sample in samples:
        frame_bgr = cv2.resize(sample.frame_bgr, input_size_hw[::-1], interpolation=cv2.INTER_LINEAR)
        image = torch.from_numpy(np.ascontiguousarray(frame_bgr[..., ::-1].transpose(2, 0, 1)))
        x = normalize(image.unsqueeze(0).to(device)).contiguous(memory_format=torch.channels_last)
        coarse = network.coarse(x)
        if not bool(torch.isfinite(coarse).all()):
            raise TrainingError(
                f"the network's logits of {sample.id} are not finite; lower --learning-rate, or use --amp off"
            )
        logits = upsample_to(coarse, (sample.mask.shape[0], sample.mask.shape[1]))
        confusion.update(sample.mask, logits.argmax(1)[0].to(torch.uint8).cpu().numpy())
    return confusion
