"""Folding changes how a network is written down, not what it computes."""

from __future__ import annotations

import pytest
import torch
from edgeseg.export.graph.fold import GlobalMean, fold_batch_norms, fold_input, plain_pooling
from edgeseg.models.base import SegmentationNetwork
from torch import Tensor, nn
from torch.nn import functional as F

SIZE_HW = (12, 16)
SCALE_RGB = torch.tensor([0.5, 2.0, 3.0])


class Network(SegmentationNetwork):
    """Convolution, normalization, activation; ``form`` says what stands in the way of a fold."""

    num_classes, stride = 4, 1

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.first = nn.Conv2d(3, 4, 3, padding=1, bias=form != "no bias")
        self.norm = nn.BatchNorm2d(4, affine=form != "no affine")
        self.norm.running_mean = torch.randn(4)
        self.norm.running_var = torch.rand(4) + 0.5

    def coarse(self, x: Tensor) -> Tensor:
        if self.form == "zero padding":
            x = F.pad(x, (1, 2, 3, 4))
        if self.form == "other padding":
            x = F.pad(x, (1, 2, 3, 4), value=1.0)
        y = self.first(x)
        z = self.norm(y)
        if self.form == "input read twice":
            z = z + x.mean()
        if self.form == "convolution read twice":
            z = z + y
        if self.form == "weight used twice":
            z = z + self.first(x)
        return F.relu(z, inplace=True)


def build(form: str) -> Network:
    torch.manual_seed(0)
    return Network(form).eval().requires_grad_(False)


@pytest.mark.parametrize(
    "form", ["plain", "no bias", "no affine", "zero padding", "other padding", "input read twice"]
)
def test_a_batch_norm_folds_into_its_convolution(form: str) -> None:
    network = build(form)
    x = torch.randn(1, 3, *SIZE_HW)
    before = network.coarse(x)
    assert fold_batch_norms(network, SIZE_HW) == 1
    assert not [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    # Float32 rounding of sums of 27 products of order 1.
    torch.testing.assert_close(network.coarse(x), before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", ["convolution read twice", "weight used twice"])
def test_a_batch_norm_stays_where_others_read_the_convolution(form: str) -> None:
    network = build(form)
    assert fold_batch_norms(network, SIZE_HW) == 0
    assert isinstance(network.norm, nn.BatchNorm2d)


@pytest.mark.parametrize("form", ["plain", "zero padding", "convolution read twice"])
def test_scale_and_channel_order_fold_into_the_first_convolution(form: str) -> None:
    network = build(form)
    bgr = torch.randn(1, 3, *SIZE_HW) * 50
    expected = network.coarse(bgr.flip(1) * SCALE_RGB.view(1, 3, 1, 1))
    assert fold_input(network, SIZE_HW, SCALE_RGB)
    # As above, with products of order 100.
    torch.testing.assert_close(network.coarse(bgr), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("form", ["other padding", "input read twice", "weight used twice"])
def test_the_input_stays_where_the_fold_would_not_be_exact(form: str) -> None:
    network = build(form)
    weight = network.first.weight.clone()
    assert not fold_input(network, SIZE_HW, SCALE_RGB)
    assert torch.equal(network.first.weight, weight)


def test_global_pooling_is_a_mean_that_float16_cannot_overflow() -> None:
    network = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d((1, 1)), nn.AdaptiveAvgPool2d(2))
    plain_pooling(network)
    assert isinstance(network[1], GlobalMean)
    assert isinstance(network[2], nn.AdaptiveAvgPool2d)
    x = torch.full((1, 2, 64, 64), 100.0, dtype=torch.float16)
    assert torch.equal(network[1](x), torch.full((1, 2, 1, 1), 100.0, dtype=torch.float16))
