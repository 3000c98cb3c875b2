"""The contract of every network. A new network joins with a line in ``FORMS``."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from edgeseg.core.labels import LabelMap
from edgeseg.models import registry
from edgeseg.models.base import SegmentationNetwork, upsample_to
from edgeseg.models.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from torch import Tensor

CLASSES = 5
ODD_HW = (97, 131)
EVEN_HW = (64, 96)  # multiples of 32: every network can be deployed here

FORMS: dict[str, tuple[str, dict[str, object]]] = {
    "lraspp": ("lraspp", {"inter_channels": 8}),
    "lraspp-lite0": ("lraspp", {"inter_channels": 8, "backbone": "efficientnet_lite0"}),
    "lraspp-fine": ("lraspp", {"inter_channels": 8, "fine_skip": True}),
    "fcn32s": ("fcn32s", {"width": 4}),
    "fcn32s-alexnet": ("fcn32s", {"width": 4, "backbone": "alexnet"}),
    "fcn32s-googlenet": ("fcn32s", {"width": 4, "backbone": "googlenet"}),
    "fcn16s": ("fcn16s", {"width": 4}),
    "fcn8s": ("fcn8s", {"width": 4}),
    "fcn_resnet18": ("fcn_resnet18", {}),
    "fcn_resnet18-learned": ("fcn_resnet18", {"learn_upsampling": True}),
    "fcn_resnet50": ("fcn_resnet50", {}),
    "unet": ("unet", {"width": 4}),
    "unet-bilinear": ("unet", {"width": 4, "up": "bilinear", "batch_norm": False, "depth": 3}),
    "segnet": ("segnet", {"width": 4}),
    "deeplabv3": ("deeplabv3", {}),
    "deeplabv3-resnet50": ("deeplabv3", {"backbone": "resnet50", "aux": False}),
    "deeplabv3-lite0": ("deeplabv3", {"backbone": "efficientnet_lite0"}),
}


@pytest.fixture(scope="module", params=FORMS)
def form(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    return FORMS[request.param]


@pytest.fixture(scope="module")
def network(form: tuple[str, dict[str, object]]) -> SegmentationNetwork:
    torch.manual_seed(0)
    return registry.build(form[0], CLASSES, form[1]).eval()


def image(size_hw: tuple[int, int], count: int = 1) -> Tensor:
    return torch.randn(count, 3, *size_hw, generator=torch.Generator().manual_seed(1))


def test_every_registered_network_is_here() -> None:
    assert {name for name, _ in FORMS.values()} == set(registry.names())


class TestNetworkContract:
    @torch.no_grad()
    def test_logits_have_the_size_of_an_odd_input(self, network: SegmentationNetwork) -> None:
        assert network(image(ODD_HW)).shape == (1, CLASSES, *ODD_HW)

    @torch.no_grad()
    def test_coarse_logits_have_the_input_size_over_the_stride_rounded_up(
        self, network: SegmentationNetwork
    ) -> None:
        expected = tuple(-(-side // network.stride) for side in ODD_HW)
        assert network.coarse(image(ODD_HW)).shape == (1, CLASSES, *expected)

    @torch.no_grad()
    def test_deployment_decodes_what_forward_predicts(self, network: SegmentationNetwork) -> None:
        """Deployment stretches the coarse logits bilinearly; the class of each pixel must be forward's."""
        network.check_input_size(EVEN_HW)
        x = image(EVEN_HW)
        logits = network(x)
        decoded = upsample_to(network.coarse(x), EVEN_HW)
        first, second = logits.topk(2, dim=1).values.unbind(1)
        clear = (
            first - second > 1e-4 * logits.abs().max()
        )  # float32 rounding may swap classes closer than this
        assert clear.float().mean() > 0.9
        assert torch.equal(logits.argmax(1)[clear], decoded.argmax(1)[clear])

    @torch.no_grad()
    def test_evaluation_is_deterministic(self, network: SegmentationNetwork) -> None:
        x = image(EVEN_HW)
        assert torch.equal(network(x), network(x))

    @torch.no_grad()
    def test_images_of_a_batch_do_not_touch(self, network: SegmentationNetwork) -> None:
        x = image(EVEN_HW, count=2)
        # Convolutions of another batch size may sum in another order.
        torch.testing.assert_close(network(x)[1:], network(x[1:]), rtol=1e-3, atol=1e-4)

    @torch.no_grad()
    def test_channels_last_gives_the_same_logits(self, network: SegmentationNetwork) -> None:
        x = image(EVEN_HW)
        expected = network(x)
        moved = copy.deepcopy(network).to(memory_format=torch.channels_last)
        got = moved(x.contiguous(memory_format=torch.channels_last))
        # Other kernels sum in another order: single precision over at most 25,000 products.
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))

    def test_training_outputs_are_logits_and_reach_every_parameter(
        self, network: SegmentationNetwork
    ) -> None:
        generator = torch.Generator().manual_seed(2)
        network.zero_grad()
        outputs = network.training_outputs(image((65, 97)))
        for logits in outputs.values():
            assert logits.shape == (1, CLASSES, 65, 97)
            (logits * torch.randn(logits.shape, generator=generator)).mean().backward(retain_graph=True)
        assert "out" in outputs
        untouched = [
            name
            for name, parameter in network.named_parameters()
            if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
        ]
        network.zero_grad()
        assert not untouched

    def test_a_checkpoint_restores_it(
        self, network: SegmentationNetwork, form: tuple[str, dict[str, object]], tmp_path: Path
    ) -> None:
        name, arguments = form
        path = tmp_path / "network.safetensors"
        info = CheckpointInfo(name, LabelMap.generic(CLASSES), EVEN_HW, arguments)
        save_checkpoint(path, network, info)
        checkpoint = load_checkpoint(path)
        assert checkpoint.info == info
        with torch.no_grad():
            x = image(EVEN_HW)
            assert torch.equal(checkpoint.build()(x), network(x))
