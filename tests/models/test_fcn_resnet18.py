"""The d2l form: 320 x 480 in, 10 x 15 inside, 320 x 480 out."""

from __future__ import annotations

import pytest
import torch
from edgeseg.core.errors import ModelError
from edgeseg.models import registry


@torch.no_grad()
def test_the_book_s_sizes() -> None:
    network = registry.build("fcn_resnet18", 21).eval()
    x = torch.zeros(1, 3, 320, 480)
    assert network.coarse(x).shape == (1, 21, 10, 15)
    assert network(x).shape == (1, 21, 320, 480)


def test_the_transposed_convolution_is_64_32_16_and_fixed() -> None:
    network = registry.build("fcn_resnet18", 21)
    weight = network.upsampling.weight
    assert weight.shape == (21, 1, 64, 64)
    assert (weight.shape[-1] - 32) // 2 == 16
    assert not any(name.startswith("upsampling") for name, _ in network.named_parameters())


def test_the_score_is_xavier() -> None:
    torch.manual_seed(0)
    weight = registry.build("fcn_resnet18", 21).score.weight
    bound = (6 / (512 + 21)) ** 0.5  # uniform over ± this
    assert 0.98 * bound < weight.abs().max() <= bound


def test_learned_upsampling_moves_the_stride_to_1() -> None:
    network = registry.build("fcn_resnet18", 3, {"learn_upsampling": True})
    assert network.stride == 1
    assert network.upsampling.weight.requires_grad
    network.check_input_size((97, 131))


def test_deployment_needs_multiples_of_32() -> None:
    with pytest.raises(
        ModelError, match="at 321x480: both sides must be multiples of 32; use 320x480 or 352x512"
    ):
        registry.build("fcn_resnet18", 3).check_input_size((321, 480))


def test_learn_upsampling_must_be_true_or_false() -> None:
    with pytest.raises(ModelError, match="learn_upsampling 'yes'; expected true or false"):
        registry.build("fcn_resnet18", 3, {"learn_upsampling": "yes"})
