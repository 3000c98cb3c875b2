"""The evaluation of a network on labelled images, at each mask's own size, as in deployment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
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


@dataclass(frozen=True)
class Predictor:
    """A network that segments labelled images as in deployment.

    Attributes:
        network: in evaluation mode.
        input_size_hw: (H, W) that images are resized to.
        normalize: from uint8 RGB to the network's input.
        device: computes the logits.
    """

    network: SegmentationNetwork
    input_size_hw: tuple[int, int]
    normalize: nn.Module
    device: torch.device

    @torch.inference_mode()
    def __call__(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """Returns the class map at the mask's size, uint8 [H, W].

        Raises:
            TrainingError: the network's logits are not finite, so its classes have no meaning.
        """
        frame_bgr = cv2.resize(sample.frame_bgr, self.input_size_hw[::-1], interpolation=cv2.INTER_LINEAR)
        image = torch.from_numpy(np.ascontiguousarray(frame_bgr[..., ::-1].transpose(2, 0, 1)))
        x = self.normalize(image.unsqueeze(0).to(self.device))
        coarse = self.network.coarse(x.contiguous(memory_format=torch.channels_last))
        if not bool(torch.isfinite(coarse).all()):
            raise TrainingError(
                f"the network's logits of {sample.id} are not finite; lower --learning-rate, or use --amp off"
            )
        logits = upsample_to(coarse, (sample.mask.shape[0], sample.mask.shape[1]))
        classes: npt.NDArray[np.uint8] = logits.argmax(1)[0].to(torch.uint8).cpu().numpy()
        return classes


def evaluate(predict: Predictor, samples: Iterable[Sample]) -> ConfusionMatrix:
    """Segments every sample, and compares the result at the mask's size.

    Args:
        predict: the network.
        samples: labelled images of any sizes.

    Raises:
        TrainingError: the network's logits are not finite, so its classes have no meaning.
    """
    confusion = ConfusionMatrix(predict.network.num_classes)
    for sample in samples:
        confusion.update(sample.mask, predict(sample))
    return confusion
