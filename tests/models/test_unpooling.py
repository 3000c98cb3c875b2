"""Max-pooling with places, and unpooling: bit for bit what PyTorch's own do, with ties and at odd sizes too."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from edgeseg.models.unpooling import max_pool, max_unpool
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

sides = st.integers(1, 9)


def images(size_hw: tuple[int, int], seed: int, *, ties: bool) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    if ties:
        return torch.randint(-1, 2, (2, 3, *size_hw), generator=generator).float()
    return torch.randn(2, 3, *size_hw, generator=generator)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@settings(max_examples=40, deadline=None)
@given(height=sides, width=sides, seed=st.integers(0, 2**16))
def test_pytorch_s_own_give_the_same_bits(
    ties: bool, layout: torch.memory_format, height: int, width: int, seed: int
) -> None:
    x = images((height, width), seed, ties=ties).contiguous(memory_format=layout)
    maxima, places = max_pool(x)
    expected, positions = F.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
    assert torch.equal(maxima, expected)
    assert torch.equal(_positions(places, width), positions)

    values = images((maxima.shape[-2], maxima.shape[-1]), seed + 1, ties=False)
    back = max_unpool(values, places, (height, width))
    unpooled = F.max_unpool2d(values, positions, [2, 2], output_size=[height, width])
    assert torch.equal(back.view(torch.int32), unpooled.view(torch.int32))


def test_gradients_are_pytorch_s_own() -> None:
    x = images((7, 10), 0, ties=False).requires_grad_()
    y = images((7, 10), 0, ties=False).requires_grad_()
    weight = images((7, 10), 1, ties=False)

    maxima, places = max_pool(x)
    assert not places.requires_grad
    (max_unpool(maxima.square(), places, (7, 10)) * weight).sum().backward()
    expected, positions = F.max_pool2d(y, 2, ceil_mode=True, return_indices=True)
    (F.max_unpool2d(expected.square(), positions, [2, 2], output_size=[7, 10]) * weight).sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert torch.equal(x.grad, y.grad)


def test_half_precision_stays_half() -> None:
    maxima, places = max_pool(images((6, 8), 0, ties=False).half())
    assert maxima.dtype == torch.float16
    assert max_unpool(maxima, places, (6, 8)).dtype == torch.float16


def _positions(places: Tensor, width: int) -> Tensor:
    """The place in each window as PyTorch's position in the plane."""
    place = places.long()
    rows = 2 * torch.arange(place.shape[-2])[:, None] + place // 2
    columns = 2 * torch.arange(place.shape[-1]) + place % 2
    return rows * width + columns
