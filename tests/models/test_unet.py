"""U-Net: the paper's sizes and layer count, its two paddings, its options."""

from __future__ import annotations

import pytest
import torch
from edgeseg.core.errors import ModelError
from edgeseg.models import registry
from torch import nn


def test_the_paper_s_network_has_23_convolutional_layers() -> None:
    with torch.device("meta"):
        network = registry.build("unet", 2, {"batch_norm": False})
    assert sum(isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) for layer in network.modules()) == 23


def test_572_becomes_388_in_the_valid_form_at_the_paper_s_size() -> None:
    with torch.device("meta"):
        network = registry.build("unet", 2, {"padding": "valid", "retain_dim": False, "batch_norm": False})
        x = torch.empty(1, 3, 572, 572)
    assert network(x).shape == (1, 2, 388, 388)


@pytest.mark.parametrize("up", ["transposed", "bilinear"])
@torch.no_grad()
def test_retain_dim_gives_the_input_s_size_back(up: str) -> None:
    torch.manual_seed(0)
    options = {"padding": "valid", "width": 2, "up": up}
    kept = registry.build("unet", 2, options).eval()
    cropped = registry.build("unet", 2, {**options, "retain_dim": False}).eval()
    cropped.load_state_dict(kept.state_dict())
    x = torch.randn(1, 3, 188, 204)
    middle = cropped(x)
    assert middle.shape == (1, 2, 4, 20)
    expected = nn.functional.interpolate(middle, size=(188, 204), mode="bilinear", align_corners=False)
    torch.testing.assert_close(kept(x), expected)


@torch.no_grad()
def test_the_valid_form_sees_no_padding() -> None:
    """Its logits are those of the same place in a larger image: what the paper's overlapping tiles rest on."""
    torch.manual_seed(0)
    options = {"padding": "valid", "retain_dim": False, "width": 2, "depth": 2}
    network = registry.build("unet", 2, options).eval()
    x = torch.randn(1, 3, 92, 92)
    whole, tile = network(x), network(x[..., 16:76, 16:76])
    # The same sums in the same order but other vector widths.
    torch.testing.assert_close(whole[..., 16:-16, 16:-16], tile, rtol=1e-4, atol=1e-4)


def test_a_size_that_does_not_halve_is_refused_with_the_next_that_does() -> None:
    with torch.device("meta"):
        network = registry.build("unet", 2, {"padding": "valid"})
    network.check_input_size((572, 572))
    with pytest.raises(
        ModelError, match=r"padding valid and depth 4 cannot take 512x572: .* for 512 use 524"
    ):
        network.check_input_size((512, 572))


def test_fewer_logits_than_pixels_cannot_be_deployed() -> None:
    with torch.device("meta"):
        network = registry.build("unet", 2, {"padding": "valid", "retain_dim": False})
    with pytest.raises(
        ModelError, match=r"fewer logits than the image has pixels .* build it with padding same"
    ):
        network.check_input_size((572, 572))


@pytest.mark.parametrize("size_hw", [(1, 1), (7, 250), (31, 33)])
@torch.no_grad()
def test_the_same_form_takes_any_size(size_hw: tuple[int, int]) -> None:
    network = registry.build("unet", 3, {"width": 2}).eval()
    assert network(torch.zeros(1, 3, *size_hw)).shape == (1, 3, *size_hw)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("width", 0, "unet was given width 0; expected a whole number of at least 1"),
        ("depth", 9, "unet was given depth 9; expected a whole number from 1 to 8"),
        ("padding", "full", "unet was given padding 'full'; expected one of same, valid"),
        ("up", "nearest", "unet was given up 'nearest'; expected one of transposed, bilinear"),
        ("retain_dim", "no", "unet was given retain_dim 'no'; expected true or false"),
        ("batch_norm", 1, "unet was given batch_norm 1; expected true or false"),
    ],
)
def test_a_value_it_cannot_take_is_refused(option: str, value: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        registry.build("unet", 2, {option: value})
