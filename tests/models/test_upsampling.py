"""The two kinds of upsampling, and how the transposed convolution relates to interpolation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from edgeseg.core.errors import ModelError
from edgeseg.models.upsampling import BilinearUpsampling, TransposedUpsampling, bilinear_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

sides = st.integers(1, 9)
factors = st.sampled_from([1, 2, 3, 4, 5, 8, 16, 32])


@pytest.mark.parametrize("learnable", [True, False])
@settings(max_examples=40, deadline=None)
@given(height=sides, width=sides, factor=factors, channels=st.integers(1, 4), seed=st.integers(0, 2**16))
def test_the_transposed_convolution_starts_as_bilinear_interpolation(
    learnable: bool, height: int, width: int, factor: int, channels: int, seed: int
) -> None:
    x = torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(seed))
    upsampling = TransposedUpsampling(channels, factor, learnable=learnable)
    with torch.no_grad():
        got = upsampling(x)
        scale = upsampling(torch.ones_like(x))
    expected = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)

    assert got.shape == (1, channels, height * factor, width * factor)
    # One positive factor a pixel, the same for every class: the argmax is interpolation's everywhere …
    assert torch.all((scale > 0) & (scale <= 1 + 1e-6))
    assert torch.equal(scale, scale[:, :1].expand_as(scale))
    # (four products a pixel in float32)
    torch.testing.assert_close(got, expected * scale, rtol=1e-5, atol=1e-5)
    # … and the factor is 1 away from the border, where all four neighbours exist.
    edge = factor // 2
    inside = (..., slice(edge, height * factor - edge), slice(edge, width * factor - edge))
    torch.testing.assert_close(got[inside], expected[inside], rtol=1e-5, atol=1e-5)


def test_the_kernel_of_the_paper_s_factor_of_two() -> None:
    row = torch.tensor([0.25, 0.75, 0.75, 0.25])
    torch.testing.assert_close(bilinear_kernel(2), torch.outer(row, row), rtol=0, atol=0)


def test_a_learnable_kernel_is_dense_and_trained_and_a_fixed_one_is_neither() -> None:
    learnable = TransposedUpsampling(3, 2, learnable=True)
    fixed = TransposedUpsampling(3, 2, learnable=False)
    assert [tuple(p.shape) for p in learnable.parameters()] == [(3, 3, 4, 4)]
    assert not list(fixed.parameters())
    assert not fixed.state_dict()


@given(sides, sides, factors)
@settings(max_examples=20, deadline=None)
def test_bilinear_upsampling_keeps_constants(height: int, width: int, factor: int) -> None:
    got = BilinearUpsampling(factor)(torch.full((1, 2, height, width), 3.0))
    torch.testing.assert_close(got, torch.full((1, 2, height * factor, width * factor), 3.0))


def test_a_factor_below_one_is_refused() -> None:
    with pytest.raises(ModelError, match="cannot upsample by 0; expected a whole factor of at least 1"):
        BilinearUpsampling(0)
