"""Augmentation: from a labelled image to training tensors, by torchvision's transforms v2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from ..core.labels import VOID
from .voc import Sample


@dataclass(frozen=True)
class Augmentation:
    """The random changes of a training image.

    Attributes:
        crop_hw: size of the random crop; None trains on whole images, as in the FCN paper.
        scale: range of the random rescaling before the crop.
        flip: chance of a left-right flip.
        vertical: whether up-down flips and quarter turns are natural too (a view from above).
        colour: strength of brightness, contrast and saturation jitter, 0 to 1.
    """

    crop_hw: tuple[int, int] | None = (320, 320)
    scale: tuple[float, float] = (0.75, 1.75)
    flip: float = 0.5
    vertical: bool = False
    colour: float = 0.4

    def __call__(self, sample: Sample, seed: int) -> tuple[Tensor, Tensor]:
        """Augments one image. The same seed gives the same result.

        Returns:
            uint8 [3, h, w] RGB and int64 [h, w] class ids with 255 void.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            image, mask = self._apply(*to_tensors(sample))
        return image.as_subclass(Tensor), mask.as_subclass(Tensor).long()

    def _apply(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        image, mask = tv_tensors.Image(image), tv_tensors.Mask(mask)
        fill = {tv_tensors.Image: 0, tv_tensors.Mask: VOID, "others": 0}
        steps: list[torch.nn.Module] = []
        if self.crop_hw is not None:
            height, width = image.shape[-2:]
            factor = float(torch.empty(1).uniform_(*self.scale))
            size = [max(1, round(height * factor)), max(1, round(width * factor))]
            # The part that stays visible is cropped before the rescaling, which saves most of the work.
            source_hw = [
                min(height, max(1, round(self.crop_hw[0] / factor))),
                min(width, max(1, round(self.crop_hw[1] / factor))),
            ]
            target_hw = [min(self.crop_hw[0], size[0]), min(self.crop_hw[1], size[1])]
            steps += [
                v2.RandomCrop(source_hw),
                v2.Resize(target_hw, antialias=True),
                v2.RandomCrop(self.crop_hw, pad_if_needed=True, fill=fill),
            ]
        steps.append(v2.RandomHorizontalFlip(self.flip))
        if self.vertical:
            steps.append(v2.RandomVerticalFlip(0.5))
        if self.colour > 0:
            jitter = self.colour
            steps.append(v2.ColorJitter(jitter, jitter, jitter))
        image, mask = v2.Compose(steps)(image, mask)
        if self.vertical and self.crop_hw is not None and self.crop_hw[0] == self.crop_hw[1]:
            turns = int(torch.randint(4, (1,)))
            image, mask = torch.rot90(image, turns, (-2, -1)), torch.rot90(mask, turns, (-2, -1))
        return image, mask


def to_tensors(sample: Sample) -> tuple[Tensor, Tensor]:
    """Returns a sample as tensors: uint8 [3, H, W] RGB and uint8 [H, W]."""
    image_rgb = torch.from_numpy(np.ascontiguousarray(sample.frame_bgr[..., ::-1].transpose(2, 0, 1)))
    return image_rgb, torch.from_numpy(sample.mask.copy())
