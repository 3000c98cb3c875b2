"""Augmentation keeps image and mask together, and depends on its seed alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from edgeseg.data.augment import Augmentation
from edgeseg.data.voc import Sample


def sample(size_hw: tuple[int, int] = (60, 80)) -> Sample:
    """An image whose red channel tells the class, so that the two can be compared after any transform."""
    mask = np.zeros(size_hw, np.uint8)
    mask[: size_hw[0] // 2, : size_hw[1] // 2] = 1
    mask[size_hw[0] // 3 :, size_hw[1] * 2 // 3 :] = 2
    frame_bgr = np.zeros((*size_hw, 3), np.uint8)
    frame_bgr[..., 2] = mask * 100
    return Sample("x", frame_bgr, mask)


@pytest.mark.parametrize("vertical", [False, True])
@pytest.mark.parametrize("crop_hw", [(32, 32), (40, 48), (100, 100), None])
def test_image_and_mask_move_together(crop_hw: tuple[int, int] | None, vertical: bool) -> None:
    augmentation = Augmentation(crop_hw=crop_hw, scale=(0.5, 2.0), colour=0.0, vertical=vertical)
    for seed in range(8):
        image, mask = augmentation(sample(), seed)
        assert image.dtype == torch.uint8
        assert mask.dtype == torch.int64
        assert tuple(mask.shape) == (crop_hw or (60, 80))
        labelled = mask != 255
        # Away from resampled edges the red channel still tells the class.
        agree = (image[0][labelled].float() / 100).round().long() == mask[labelled]
        assert agree.float().mean() > 0.93


def test_padding_is_void() -> None:
    _, mask = Augmentation(crop_hw=(200, 200), scale=(1.0, 1.0), colour=0.0)(sample(), 0)
    assert (mask == 255).float().mean() == pytest.approx(1 - 60 * 80 / 200**2)


def test_the_seed_decides_alone() -> None:
    augmentation = Augmentation(crop_hw=(32, 32))
    torch.manual_seed(1)
    first = augmentation(sample(), 5)
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    again = augmentation(sample(), 5)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert torch.equal(state, torch.random.get_rng_state()), "the caller's generator must not move"
    assert not torch.equal(first[0], augmentation(sample(), 6)[0])


def test_whole_images_keep_their_size() -> None:
    image, _ = Augmentation(crop_hw=None)(sample((33, 57)), 0)
    assert tuple(image.shape) == (3, 33, 57)
