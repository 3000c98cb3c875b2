"""EfficientNet-Lite0: TensorFlow's padding, the à trous form, and what is exported of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from edgeseg.core.errors import ModelError
from edgeseg.export.graph.onnx_file import export_graph
from edgeseg.models import registry
from edgeseg.models.efficientnet_lite0 import EfficientNetLite0, SameConv2d
from edgeseg.models.pretrained import official_builder, resolve_weights

LITE = {"backbone": "efficientnet_lite0"}
OUTPUTS = {"fine": "fine", "low": "low", "high": "high"}


@pytest.mark.parametrize(
    ("side", "kernel", "zeros"),
    [(8, 3, (0, 1)), (7, 3, (1, 1)), (8, 5, (1, 2)), (7, 5, (2, 2)), (1, 5, (2, 2))],
)
def test_zeros_lie_where_tensorflow_has_them(side: int, kernel: int, zeros: tuple[int, int]) -> None:
    convolution = SameConv2d(1, 1, kernel, 2, bias=False)
    x = torch.randn(1, 1, side, 9)
    before, behind = zeros
    width = kernel // 2  # 9 is odd: the columns are padded evenly
    expected = F.conv2d(F.pad(x, (width, width, before, behind)), convolution.weight, stride=2)
    got = convolution(x)
    assert got.shape == (1, 1, -(-side // 2), 5)
    torch.testing.assert_close(got, expected)


@torch.no_grad()
def test_every_second_position_is_the_classifier_s() -> None:
    torch.manual_seed(0)
    dilated, strided = (EfficientNetLite0(OUTPUTS, dilated=flag).eval() for flag in (True, False))
    strided.load_state_dict(dilated.state_dict())
    x = torch.randn(1, 3, 64, 96)
    ours, theirs = dilated(x), strided(x)
    assert {name: tuple(value.shape[1:]) for name, value in ours.items()} == {
        "fine": (24, 16, 24), "low": (40, 8, 12), "high": (1280, 4, 6)
    }  # fmt: skip
    torch.testing.assert_close(ours["high"][..., 1::2, 1::2], theirs["high"])
    assert torch.equal(ours["low"], theirs["low"])


def test_it_has_the_published_layers() -> None:
    with torch.device("meta"):
        trunk = EfficientNetLite0(OUTPUTS)
    norms = [layer for layer in trunk.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert len(trunk.state_dict()) == 294
    # 4,652,008 are published for the classifier, whose last layer has 1280 x 1000 weights and 1000 biases.
    assert sum(value.numel() for value in trunk.parameters()) == 4_652_008 - 1_281_000
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}
    assert not [layer for layer in trunk.modules() if isinstance(layer, torch.nn.AdaptiveAvgPool2d)]


@pytest.mark.parametrize(
    ("name", "options", "stride"),
    [
        ("lraspp", LITE, 8),
        ("lraspp", {**LITE, "fine_skip": True}, 4),
        ("lraspp", {"fine_skip": True}, 4),
        ("deeplabv3", LITE, 16),
    ],
)
def test_the_networks_that_take_it(name: str, options: dict[str, object], stride: int) -> None:
    with torch.device("meta"):
        assert registry.build(name, 5, options).stride == stride
    assert official_builder(name, options) == ""


def test_a_checkpoint_has_its_normalization() -> None:
    info = resolve_weights("lraspp", "random", 3, LITE).info
    pixel = torch.tensor([0.0, 127.0, 255.0])
    normalized = (pixel / 255 - torch.tensor(info.mean)) / torch.tensor(info.std)
    torch.testing.assert_close(normalized, (pixel - 127) / 128)


def test_no_padding_is_left_in_the_graph() -> None:
    checkpoint = resolve_weights("lraspp", "random", 3, LITE)
    graph = export_graph(checkpoint.build(), checkpoint.info, (64, 96)).graph
    operators = [node.op_type for node in graph.node]
    assert "Pad" not in operators
    assert "BatchNormalization" not in operators
    assert operators.count("Clip") == 33
    uneven = [
        attribute.ints
        for node in graph.node
        for attribute in node.attribute
        if attribute.name == "pads" and len(set(attribute.ints)) > 1
    ]
    assert uneven == [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 2, 2], [0, 0, 1, 1]]


def test_an_unknown_backbone_lists_the_known() -> None:
    with pytest.raises(ModelError, match=r"expected one of mobilenet_v3_large, efficientnet_lite0$"):
        registry.build("lraspp", 5, {"backbone": "resnet50"})


def test_official_weights_are_of_the_other_trunk(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no official VOC weights for lraspp with these options"):
        resolve_weights("lraspp", "voc", arguments=LITE)
