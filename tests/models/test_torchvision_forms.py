"""LRASPP, FCN-ResNet-50 and DeepLabV3 have torchvision's state-dict keys and outputs."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from edgeseg.core.errors import ModelError
from edgeseg.models import registry
from edgeseg.models.pretrained import official_builder
from torchvision.models import get_model

FORMS: list[tuple[str, Mapping[str, object]]] = [
    ("lraspp", {}),
    ("fcn_resnet50", {}),
    ("deeplabv3", {}),
    ("deeplabv3", {"aux": False}),
    ("deeplabv3", {"backbone": "resnet50"}),
]


@pytest.mark.parametrize(("name", "arguments"), FORMS)
@torch.no_grad()
def test_same_keys_and_same_output(name: str, arguments: Mapping[str, object]) -> None:
    torch.manual_seed(0)
    extra = {} if name == "lraspp" else {"aux_loss": arguments.get("aux", True)}
    theirs = get_model(
        official_builder(name, arguments), weights=None, weights_backbone=None, num_classes=7, **extra
    ).eval()
    ours = registry.build(name, 7, arguments).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())

    x = torch.randn(2, 3, 65, 97)
    expected, got = theirs(x), ours.training_outputs(x)
    assert set(got) == set(expected)
    for key, logits in expected.items():
        assert torch.equal(got[key], logits)
    assert torch.equal(ours(x), expected["out"])


@pytest.mark.parametrize(
    ("backbone", "builder", "stride"),
    [("mobilenet_v3_large", "deeplabv3_mobilenet_v3_large", 16), ("resnet50", "deeplabv3_resnet50", 8)],
)
def test_the_backbone_sets_the_stride_and_the_official_weights(
    backbone: str, builder: str, stride: int
) -> None:
    assert official_builder("deeplabv3", {"backbone": backbone}) == builder
    with torch.device("meta"):
        assert registry.build("deeplabv3", 21, {"backbone": backbone}).stride == stride


def test_an_unknown_backbone_lists_the_known() -> None:
    with pytest.raises(
        ModelError, match="backbone 'vgg16'; expected one of mobilenet_v3_large, efficientnet_lite0, resnet50"
    ):
        registry.build("deeplabv3", 21, {"backbone": "vgg16"})


@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3"])
def test_aux_must_be_true_or_false(name: str) -> None:
    with pytest.raises(ModelError, match=f"{name} was given aux 1; expected true or false"):
        registry.build(name, 21, {"aux": 1})
