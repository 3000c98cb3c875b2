"""SegNet: the paper's layers and sizes, VGG-16's names, its option."""

from __future__ import annotations

import pytest
import torch
from edgeseg.core.errors import ModelError
from edgeseg.models import registry
from edgeseg.models.foreign import Weights
from edgeseg.models.segnet import SegNet
from edgeseg.models.starting import start_from
from torch import nn
from torchvision.models import vgg16_bn


def test_the_paper_s_network_has_13_and_13_convolutions() -> None:
    with torch.device("meta"):
        network = registry.build("segnet", 11)
    shapes = [tuple(layer.weight.shape[:2]) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    mirrored = [(before, after) for after, before in reversed(shapes[1:13])]
    assert shapes[13:] == [*mirrored, (11, 64)]
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()) == 25
    # Table 4 of the paper gives 29.45 million.
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(29.45e6, rel=1e-3)


def test_the_encoder_has_the_layers_of_torchvision_s_classifier() -> None:
    with torch.device("meta"):
        network, theirs = registry.build("segnet", 11), vgg16_bn(weights=None)
    assert isinstance(network, SegNet)
    own = {key: value.shape for key, value in network.features.state_dict().items()}
    assert own == {key: value.shape for key, value in theirs.features.state_dict().items()}
    assert network.mean == (0.485, 0.456, 0.406)


def test_a_classifier_s_weights_fill_the_encoder() -> None:
    torch.manual_seed(0)
    options = {"width": 4}
    other = registry.build("segnet", 3, options).state_dict()
    classifier = {
        **{key: value for key, value in other.items() if key.startswith("features.")},
        "classifier.0.weight": torch.zeros(9, 7),
    }
    network = registry.build("segnet", 3, options)
    told = start_from(network, "segnet", options, ("a", "b", "c"), Weights(classifier, "theirs"))
    assert told.skipped == ("classifier.0.weight",)
    assert all(key.startswith(("decoder.", "score.")) for key in told.fresh)
    state = network.state_dict()
    assert all(torch.equal(state[key], other[key]) for key in other if key.startswith("features."))


@pytest.mark.parametrize("size_hw", [(1, 1), (7, 50), (45, 60), (64, 32)])
@torch.no_grad()
def test_any_size_is_taken(size_hw: tuple[int, int]) -> None:
    network = registry.build("segnet", 3, {"width": 2}).eval()
    network.check_input_size(size_hw)
    assert network.coarse(torch.zeros(1, 3, *size_hw)).shape == (1, 3, *size_hw)


@torch.no_grad()
def test_the_decoder_reads_the_places_of_the_encoder_s_maxima() -> None:
    """With decoder stages that pass values on, an image's own maxima come back where they were."""
    torch.manual_seed(0)
    network = registry.build("segnet", 2, {"width": 2}).eval()
    assert isinstance(network, SegNet)
    x = torch.rand(1, 2, 8, 8)
    network.features = nn.Sequential(nn.MaxPool2d(2), nn.MaxPool2d(2))
    network.decoder = nn.ModuleList([nn.Identity(), nn.Identity()])
    network.score = nn.Identity()
    back = network.coarse(x)
    largest = nn.functional.max_pool2d(x, 4)
    expected = torch.where(x == nn.functional.interpolate(largest, scale_factor=4), x, 0.0)
    assert torch.equal(back, expected)


@pytest.mark.parametrize("width", [0, 0.25, "64", True])
def test_a_width_that_is_no_count_is_refused(width: object) -> None:
    with pytest.raises(ModelError, match=r"segnet was given width .*; expected a whole number of at least 1"):
        registry.build("segnet", 2, {"width": width})
