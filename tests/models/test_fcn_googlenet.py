"""GoogLeNet as a trunk: torchvision's weights and features, its normalization, and where its cells lie."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from edgeseg.core.errors import ModelError
from edgeseg.models import registry
from edgeseg.models.fcn import FCN32s
from edgeseg.models.fcn_googlenet import GoogLeNetTrunk
from edgeseg.models.foreign import Weights
from edgeseg.models.starting import start_from
from torch import Tensor, nn
from torchvision.models import GoogLeNet

OPTIONS: dict[str, object] = {"backbone": "googlenet"}
CLASSES = ("a", "b", "c")
SHIFT = 6


def classifier(**options: Any) -> GoogLeNet:
    """torchvision's own, with weights and statistics that keep its activations in range."""
    torch.manual_seed(0)
    network = GoogLeNet(num_classes=10, init_weights=False, **options).eval()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            layer.running_mean.normal_(0, 0.1)
    return network


def features(network: GoogLeNet, x: Tensor) -> Tensor:
    """The output of torchvision's last inception module."""
    found: list[Tensor] = []
    hook = network.inception5b.register_forward_hook(lambda _module, _inputs, output: found.append(output))
    network(x)
    hook.remove()
    return found[0]


def build() -> FCN32s:
    network = registry.build("fcn32s", len(CLASSES), OPTIONS).eval()
    assert isinstance(network, FCN32s)
    return network


@torch.no_grad()
def test_torchvision_s_weights_give_torchvision_s_features() -> None:
    theirs = classifier(aux_logits=True)
    network = build()
    told = start_from(network, "fcn32s", OPTIONS, CLASSES, Weights(theirs.state_dict(), "theirs"))
    assert told.fresh == ("score.weight", "score.bias")
    assert all(key.startswith(("aux1.", "aux2.", "fc.")) for key in told.skipped)
    assert {key.split(".")[0] for key in told.skipped} == {"aux1", "aux2", "fc"}

    x = torch.randn(1, 3, 96, 128)
    expected = features(theirs, F.pad(x, (SHIFT, 0, SHIFT, 0)))
    (got,) = network.trunk(x)
    assert got.shape == expected.shape == (1, 1024, 3, 4)
    assert expected.std() > 0.1
    # The same layers; convolutions may sum in another order.
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_a_classifier_is_loaded_strictly() -> None:
    theirs = classifier(aux_logits=False)
    network = build()
    network.trunk.load_classifier(theirs)
    state = theirs.state_dict()
    own = network.trunk.state_dict()
    assert set(state) - set(own) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(own[key], state[key]) for key in own)


def test_a_classifier_of_another_kind_is_refused() -> None:
    with pytest.raises(ModelError, match="this classifier does not fit the network's trunk"):
        GoogLeNetTrunk(4).load_classifier(nn.Linear(4, 4))


def test_its_normalization_is_what_torchvision_s_transform_makes_of_imagenet_s() -> None:
    network, theirs = build(), GoogLeNet(num_classes=10, init_weights=False, transform_input=True)
    image = torch.rand(1, 3, 4, 4)

    def normalized(mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
        return (image - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)

    expected = theirs._transform_input(normalized((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(normalized(network.mean, network.std), expected, rtol=1e-5, atol=1e-6)


def test_other_trunks_keep_imagenet_s_normalization() -> None:
    assert registry.build("fcn32s", 2, {"width": 1}).mean == (0.485, 0.456, 0.406)


def test_cell_i_is_centred_at_pixel_32_i_plus_16() -> None:
    """With means for maxima and equal weights, a cell's gradient is symmetric about its centre."""
    trunk = registry.build("fcn32s", 2, {**OPTIONS, "width": 1}).eval().trunk
    for layer in trunk.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
    x = torch.ones(1, 3, 64, 1600, requires_grad=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "max_pool2d", _mean_pool)
        (cells,) = trunk(x)
    cells[0, :, 0, 25].sum().backward()
    assert x.grad is not None
    columns = x.grad.sum((0, 1, 2)).double()
    centre = (columns * torch.arange(1600)).sum() / columns.sum()
    assert float(centre) == pytest.approx(32 * 25 + 16, abs=1e-2)  # float32 sums


@pytest.mark.parametrize(
    ("size_hw", "cells_hw"), [((32, 64), (1, 2)), ((33, 64), (2, 2)), ((97, 131), (4, 5)), ((1, 31), (1, 1))]
)
@torch.no_grad()
def test_the_cells_cover_the_image(size_hw: tuple[int, int], cells_hw: tuple[int, int]) -> None:
    assert GoogLeNetTrunk(1).eval()(torch.zeros(1, 3, *size_hw))[0].shape[-2:] == cells_hw


def _mean_pool(
    x: Tensor,
    kernel_size: int,
    stride: int,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    return F.avg_pool2d(x, kernel_size, stride, padding, ceil_mode)
